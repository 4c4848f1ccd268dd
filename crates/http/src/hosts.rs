//! Host names of this server: the values of `Host` that a request may have.
//!
//! A web page can make its own name resolve to any address (DNS rebinding); the browser then treats that page and this
//! server as one site. Only `Host` distinguishes such a request.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest host name and label, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Host of a `Host` field, without its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    /// In lower case, without the dot of the root.
    Name(String),
}

impl Host {
    /// Parses `host [":" port]` (RFC 9110, section 7.2). `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            return is_port.then_some(Self::Address(address.parse::<Ipv6Addr>().ok()?.into()));
        }
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        is_port(port).then(|| Self::parse_name(host)).flatten()
    }

    fn parse_name(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let is_label = |label: &str| {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(is_known)
        };
        let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

/// A number up to 65535, or nothing.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

/// Value of `--allowed-host`: `lake.example.com`, or `*.example.com` for every name below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHost {
    Exactly(String),
    /// Begins with the dot.
    Below(String),
}

impl AllowedHost {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") || text.contains('/') {
            return Err("a host name is expected, not an address; give \"lake.example.com\"".into());
        }
        if text.contains(':') {
            return Err("leave the port out; a name is accepted with every port, and IP addresses always are".into());
        }
        let (is_below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        match Host::parse(name) {
            Some(Host::Name(name)) if is_below => Ok(Self::Below(format!(".{name}"))),
            Some(Host::Name(name)) => Ok(Self::Exactly(name)),
            Some(Host::Address(_)) => Err("IP addresses are always accepted; leave this one out".into()),
            None => Err("not a host name; give one such as \"lake.example.com\" or \"*.example.com\"".into()),
        }
    }

    pub fn accepts(&self, name: &str) -> bool {
        match self {
            Self::Exactly(allowed) => allowed == name,
            Self::Below(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
        }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_with_or_without_a_port() {
        let name = |text: &str| Some(Host::Name(text.to_owned()));
        let address = |text: &str| Some(Host::Address(text.parse().unwrap()));
        for (text, host) in [
            ("127.0.0.1", address("127.0.0.1")),
            ("127.0.0.1:3000", address("127.0.0.1")),
            ("127.0.0.1.:3000", address("127.0.0.1")),
            ("[::1]", address("::1")),
            ("[::ffff:10.0.0.1]:80", address("::ffff:10.0.0.1")),
            ("LocalHost.:3000", name("localhost")),
            ("localhost:", name("localhost")),
            ("lake_1.example.com", name("lake_1.example.com")),
            ("127.1", name("127.1")),
            ("0x7f000001", name("0x7f000001")),
        ] {
            assert_eq!(Host::parse(text), host, "{text:?}");
        }
        let long = format!("{}.com", "x".repeat(64));
        for text in [
            "",
            ".",
            ":3000",
            "a..b",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "a:65536",
            "a b",
            "a@b",
            "a/b",
            "a,b",
            "a:+1",
            "ä",
            "localhost..",
            " localhost",
            "[fe80::1%25eth0]",
            "a\\b",
            "a#b",
            "a?b",
            &long,
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_allowed_host_is_a_name_or_all_names_below_one() {
        let allowed = AllowedHost::parse("Lake.Example.com.").unwrap();
        assert!(allowed.accepts("lake.example.com") && !allowed.accepts("x.lake.example.com"));
        let below = AllowedHost::parse("*.example.com").unwrap();
        assert!(below.accepts("a.b.example.com") && !below.accepts("example.com") && !below.accepts("evilexample.com"));
        assert!(!below.accepts(".example.com"));
        for (text, remedy) in [
            ("*", "not a host name"),
            ("10.0.0.1", "always"),
            ("a:80", "port"),
            ("https://a", "address"),
            ("", "not a"),
        ] {
            assert!(AllowedHost::parse(text).unwrap_err().contains(remedy), "{text:?}");
        }
    }
}
