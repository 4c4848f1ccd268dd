//! Address of this server as a client sees it: scheme, host, and the prefix that a proxy adds.

use super::forwarded::{X_FORWARDED_PREFIX, first_of, is_proxied};
use super::hosts::Host;
use super::networks::ClientInfo;
use axum::http::{Extensions, HeaderMap, Version, header};
use std::fmt;
use std::sync::Arc;

const PREFIX_BYTES_MAX: usize = 200;

/// Value of `--public-url`, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Arc<str>,
    host: Host,
}

impl PublicUrl {
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "not an address; give one such as https://lake.example.com or https://example.com/lake";
        let text = text.trim_end_matches('/');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(malformed)?;
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = Host::parse(host).ok_or_else(malformed)?;
        if !prefix.is_empty() && !is_prefix(prefix) {
            return Err(malformed().to_owned());
        }
        Ok(Self { url: text.into(), host })
    }

    /// Whether it is reached by TLS alone. This machine may reach itself without.
    pub fn is_secure(&self) -> bool {
        let is_local = match &self.host {
            Host::Address(address) => address.to_canonical().is_loopback(),
            Host::Name(name) => name == "localhost",
        };
        self.url.starts_with("https://") && !is_local
    }

    /// Path of the address, or empty.
    pub fn prefix(&self) -> &str {
        let behind_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        behind_scheme.find('/').map_or("", |at| &behind_scheme[at..])
    }

    /// Whether a `Host` names its host, on any port.
    pub fn has_host(&self, host: &str) -> bool {
        Host::parse(host).is_some_and(|host| host == self.host)
    }

    /// Whether its host has this name, given in lower case.
    pub fn has_name(&self, name: &str) -> bool {
        matches!(&self.host, Host::Name(own) if own == name)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Address of this server, without a trailing slash. `None` if the scheme is unknown: the request came through an
/// untrusted proxy, and `--public-url` is not set.
pub fn outside_address(version: Version, headers: &HeaderMap, extensions: &Extensions) -> Option<String> {
    if let Some(url) = extensions.get::<PublicUrl>() {
        return Some(url.to_string());
    }
    let client = extensions.get::<ClientInfo>()?;
    let host = client.hosts(headers).next()?;
    if client.is_by_trusted_proxy {
        let scheme = if client.is_by_tls { "https" } else { "http" };
        let prefix = first_of(headers, &X_FORWARDED_PREFIX).map(|prefix| prefix.trim_end_matches('/'));
        let prefix = prefix.filter(|prefix| is_prefix(prefix)).unwrap_or_default();
        return Some(format!("{scheme}://{host}{prefix}"));
    }
    match origin_scheme(headers, host) {
        Some(scheme) => Some(format!("{scheme}://{host}")),
        None if is_proxied(version, headers) => None,
        None => Some(format!("http://{host}")),
    }
}

/// Scheme from the `Origin` of a browser, if its host is this one.
fn origin_scheme(headers: &HeaderMap, host: &str) -> Option<&'static str> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    let of = |scheme: &'static str| {
        let named = origin.strip_prefix(scheme)?.strip_prefix("://")?;
        named.eq_ignore_ascii_case(host).then_some(scheme)
    };
    of("https").or_else(|| of("http"))
}

/// Whether a prefix such as `/lake` is safe in headers and addresses: plain characters, and no `//`, which would begin
/// another host.
pub fn is_prefix(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~');
    text.starts_with('/') && !text.contains("//") && text.len() <= PREFIX_BYTES_MAX && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_a_host_and_a_prefix() {
        for (text, url) in [
            ("https://lake.example.com", "https://lake.example.com"),
            ("http://10.0.0.1:3000/", "http://10.0.0.1:3000"),
            ("https://example.com/data/lake/", "https://example.com/data/lake"),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().to_string(), url);
        }
        let url = PublicUrl::parse("https://example.com/data/lake/").unwrap();
        assert!(url.prefix() == "/data/lake" && url.has_host("Example.com:81") && !url.has_host("127.0.0.1"));
        assert_eq!(PublicUrl::parse("https://example.com").unwrap().prefix(), "");
        assert!(PublicUrl::parse("https://Lake.example.com:8443").unwrap().has_name("lake.example.com"));
        for text in ["", "lake.example.com", "ftp://a", "https://", "https://a b", "https://a/b?c", "https://a//b"] {
            assert!(PublicUrl::parse(text).unwrap_err().contains("such as"), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        assert!(is_prefix("/lake") && is_prefix("/a/b-c_d.e~f"));
        for text in ["", "lake", "//evil.example", "/a b", "/a\r\nX: y", "/a?b", "/a//b"] {
            assert!(!is_prefix(text), "{text:?}");
        }
    }
}
