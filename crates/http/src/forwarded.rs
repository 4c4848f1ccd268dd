//! Address of the client behind proxies, from `X-Forwarded-For` or `Forwarded` (RFC 7239).

use axum::http::header::{FORWARDED, VIA};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use std::net::{IpAddr, SocketAddr};

pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields that proxies and content delivery networks add, and clients do not.
const ADDED_BY_PROXIES: [HeaderName; 22] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("cf-connecting-ipv6"),
    HeaderName::from_static("cf-ray"),
    HeaderName::from_static("client-ip"),
    HeaderName::from_static("fastly-client-ip"),
    HeaderName::from_static("fly-client-ip"),
    HeaderName::from_static("proxy-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("wl-proxy-client-ip"),
    HeaderName::from_static("x-amzn-trace-id"),
    HeaderName::from_static("x-azure-clientip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("x-envoy-external-address"),
    HeaderName::from_static("x-original-forwarded-for"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-remote-addr"),
    HeaderName::from_static("x-varnish"),
];

/// Whether a request shows traces of a proxy. A request without them may have passed a proxy all the same. HTTP/1.0
/// counts as a trace: nginx speaks it to its upstream by default.
pub fn is_proxied(version: Version, headers: &HeaderMap) -> bool {
    let is_added = |name: &HeaderName| name.as_str().starts_with("x-forwarded") || ADDED_BY_PROXIES.contains(name);
    version < Version::HTTP_11 || headers.keys().any(is_added)
}

/// Address of the client of a request from a trusted proxy: the last address of the chain that is not a trusted proxy,
/// or the first one if all are. Each hop appends the address that it saw, so false entries of a client come before that
/// of the first trusted proxy. `None` if the chain does not say: the field is missing, an entry is not an address, or
/// the two fields contradict each other.
pub fn client_address(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let by = |name: HeaderName, entry: fn(&str) -> Option<IpAddr>| {
        let has_field = headers.contains_key(&name);
        has_field.then(|| last_untrusted(headers, &name, entry, &is_trusted))
    };
    match (by(X_FORWARDED_FOR, address_of), by(FORWARDED, address_of_element)) {
        (Some(address), None) | (None, Some(address)) => address,
        // A proxy writes one of the two fields, and may pass on the other one as the client sent it.
        (Some(address), Some(other)) if address == other => address,
        _ => None,
    }
}

fn last_untrusted(
    headers: &HeaderMap,
    name: &HeaderName,
    entry: fn(&str) -> Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut first = None;
    for value in headers.get_all(name).iter().rev() {
        for text in value.to_str().ok()?.rsplit(',') {
            let address = entry(text.trim())?;
            if !is_trusted(address) {
                return Some(address);
            }
            first = Some(address);
        }
    }
    first
}

/// Parses `192.0.2.7`, `192.0.2.7:4000`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4000`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

/// Parses an element of `Forwarded`, such as `for="[2001:db8::7]:4000";proto=https`.
fn address_of_element(element: &str) -> Option<IpAddr> {
    let mut named = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    match (named.next(), named.next()) {
        (Some(value), None) => address_of(value.trim_matches('"')),
        _ => None,
    }
}

/// Whether the client speaks TLS to the proxy nearest to it: `X-Forwarded-Proto`, or `proto` of `Forwarded`.
pub fn is_by_tls(headers: &HeaderMap) -> bool {
    let of_element = |element: &str| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| {
            name.eq_ignore_ascii_case("proto") && value.trim_matches('"').eq_ignore_ascii_case("https")
        })
    };
    match first_of(headers, &X_FORWARDED_PROTO) {
        Some(scheme) => scheme.eq_ignore_ascii_case("https"),
        None => first_of(headers, &FORWARDED).is_some_and(of_element),
    }
}

/// First entry of a list, written by the proxy nearest to the client.
pub fn first_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value: &HeaderValue = headers.get(name)?;
    value.to_str().ok()?.split(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn seen(pairs: &[(HeaderName, &str)]) -> Option<String> {
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        client_address(&headers(pairs), is_trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (chain, client) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("127.0.0.1, 192.0.2.7", Some("192.0.2.7")),
            ("127.0.0.1, 192.0.2.7, 10.0.0.2,10.0.0.3", Some("192.0.2.7")),
            ("10.0.0.9, 10.0.0.2", Some("10.0.0.9")),
            ("unknown, 192.0.2.7:4000", Some("192.0.2.7")),
            ("[2001:db8::7]:4000", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7, unknown", None),
            ("192.0.2.7, unknown, 10.0.0.2", None),
            ("192.0.2.7,", None),
            ("", None),
        ] {
            assert_eq!(seen(&[(X_FORWARDED_FOR, chain)]).as_deref(), client, "{chain:?}");
        }
        assert_eq!(seen(&[]), None);
        let two_lines = [(X_FORWARDED_FOR, "127.0.0.1"), (X_FORWARDED_FOR, "192.0.2.7")];
        assert_eq!(seen(&two_lines).unwrap(), "192.0.2.7");
    }

    #[test]
    fn a_forwarded_field_counts_as_well_unless_the_two_disagree() {
        for (chain, client) in [
            ("for=192.0.2.7", Some("192.0.2.7")),
            ("for=127.0.0.1, For=\"[2001:db8::7]:4000\";proto=https;by=10.0.0.1", Some("2001:db8::7")),
            ("proto=https; for=192.0.2.7, for=10.0.0.2", Some("192.0.2.7")),
            ("for=\"x, for=192.0.2.7", Some("192.0.2.7")),
            ("for=_hidden", None),
            ("for=192.0.2.7;for=127.0.0.1", None),
            ("for=127.0.0.1, proto=https", None),
            ("for=\"a,b\"", None),
        ] {
            assert_eq!(seen(&[(FORWARDED, chain)]).as_deref(), client, "{chain:?}");
        }
        let agreed = [(X_FORWARDED_FOR, "1.1.1.1, 192.0.2.7"), (FORWARDED, "for=192.0.2.7")];
        assert_eq!(seen(&agreed).unwrap(), "192.0.2.7");
        let contradicting = [(X_FORWARDED_FOR, "192.0.2.7"), (FORWARDED, "for=127.0.0.1")];
        assert_eq!(seen(&contradicting), None);
    }

    #[test]
    fn fields_that_a_proxy_adds_are_recognised() {
        let by = |name: &'static str| is_proxied(Version::HTTP_11, &headers(&[(HeaderName::from_static(name), "x")]));
        for name in ["x-forwarded-for", "x-forwarded-port", "forwarded", "via", "x-real-ip", "cf-connecting-ip"] {
            assert!(by(name), "{name}");
        }
        assert!(!by("user-agent") && !by("x-api-key"));
        assert!(is_proxied(Version::HTTP_10, &HeaderMap::new()));
    }
}
