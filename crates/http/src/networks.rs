//! Client of a request, and whether the request is for this server. Decided once per request, where the peer of the
//! connection is known, before anything else reads the request.

use super::error::HttpError;
use super::forwarded::{X_FORWARDED_HOST, client_address, first_of, is_by_tls, is_proxied};
use super::hosts::{AllowedHost, Host};
use super::outside::PublicUrl;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Request, Uri, header};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Networks and host names of a deployment.
#[derive(Debug, Clone, Default)]
pub struct NetworkPolicy {
    /// Networks from which reading, and uploading to open syncs, needs no key.
    pub open_to: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-…` and `Forwarded` are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Names beside IP addresses and `localhost`.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Address of this server as clients see it.
    pub public_url: Option<PublicUrl>,
}

/// Whether a request is served without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Open,
    KeyNeeded,
    /// Its network is open, but it came through an untrusted proxy, so its client may be anywhere.
    KeyNeededBehindProxy,
}

/// Client of a request, an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct ClientInfo {
    /// Peer of the connection: the client itself, or a proxy.
    pub peer: SocketAddr,
    /// Address of the client: the peer's, or the one that a trusted proxy reports.
    pub address: IpAddr,
    pub access: Access,
    /// The peer is a trusted proxy, so its forwarded fields count.
    pub is_by_trusted_proxy: bool,
    /// The client speaks TLS to the proxy in front.
    pub is_by_tls: bool,
    /// Cookies are only for TLS: the client uses it, or requests the host of a `--public-url` with `https`.
    pub has_secure_cookies: bool,
}

impl ClientInfo {
    /// Hosts that the client may have requested, the one that it most likely saw first.
    pub fn hosts<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let forwarded = self.is_by_trusted_proxy.then(|| first_of(headers, &X_FORWARDED_HOST)).flatten();
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        forwarded.into_iter().chain(host)
    }
}

/// IPv4 and IPv6 loopback.
pub fn loopback() -> Vec<IpNet> {
    vec![
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
    ]
}

/// All networks.
pub fn everywhere() -> Vec<IpNet> {
    vec![Ipv4Net::default().into(), Ipv6Net::default().into()]
}

/// Parses `10.0.0.0/8`, or one address.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network =
        network.map_err(|_| "not a network; give one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7".to_owned())?;
    // Addresses are compared in canonical form, so mapped IPv4 networks become IPv4.
    Ok(match network {
        IpNet::V6(wide) if wide.prefix_len() >= 96 => match wide.addr().to_ipv4_mapped() {
            Some(address) => IpNet::V4(Ipv4Net::new_assert(address, wide.prefix_len() - 96)).trunc(),
            None => network.trunc(),
        },
        _ => network.trunc(),
    })
}

/// Format of the log and of recorded settings.
impl fmt::Display for NetworkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open_to = if self.is_open_to_all() { "everyone".to_owned() } else { listed(&self.open_to) };
        let hosts =
            if self.allowed_hosts.is_empty() { String::new() } else { format!(", {}", listed(&self.allowed_hosts)) };
        let proxies = listed(&self.trusted_proxies);
        write!(f, "open without a key to {open_to}; called by IP address, localhost{hosts}; trusted proxies: {proxies}")
    }
}

fn listed(items: &[impl fmt::Display]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl NetworkPolicy {
    /// Recognises the client, and refuses a request that is not for this server. Replaces an absolute request target
    /// with its path.
    pub fn admit<B>(&self, peer: SocketAddr, request: &mut Request<B>) -> Result<ClientInfo, HttpError> {
        self.refuse_other_hosts(peer, request)?;
        if let Some(url) = &self.public_url {
            request.extensions_mut().insert(url.clone());
        }
        let client = self.client(peer, request);
        let is_for_url =
            |url: &PublicUrl| url.is_secure() && client.hosts(request.headers()).any(|host| url.has_host(host));
        let has_secure_cookies = client.is_by_tls || self.public_url.as_ref().is_some_and(is_for_url);
        Ok(ClientInfo { has_secure_cookies, ..client })
    }

    fn refuse_other_hosts<B>(&self, peer: SocketAddr, request: &mut Request<B>) -> Result<(), HttpError> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().map_err(|_| malformed_host())?,
            (None, _) => return Err(HttpError::RequestHead("the request has no Host header; send exactly one".into())),
            (Some(_), Some(_)) => {
                return Err(HttpError::RequestHead("the request has several Host headers; send exactly one".into()));
            }
        };
        self.refuse_unknown_host(host, "Host")?;
        if self.is_trusted(peer.ip().to_canonical()) {
            for value in request.headers().get_all(X_FORWARDED_HOST) {
                for host in value.to_str().map_err(|_| malformed_host())?.split(',') {
                    self.refuse_unknown_host(host.trim(), "X-Forwarded-Host")?;
                }
            }
        }
        if let Some(path) = path_of_target(request, host)? {
            *request.uri_mut() = path;
        }
        Ok(())
    }

    fn refuse_unknown_host(&self, text: &str, field: &'static str) -> Result<(), HttpError> {
        match Host::parse(text).ok_or_else(malformed_host)? {
            Host::Address(_) => Ok(()),
            Host::Name(name) if name == "localhost" => Ok(()),
            Host::Name(name) if self.public_url.as_ref().is_some_and(|url| url.has_name(&name)) => Ok(()),
            Host::Name(name) if self.allowed_hosts.iter().any(|allowed| allowed.accepts(&name)) => Ok(()),
            Host::Name(name) => Err(HttpError::UnknownHost { name, field }),
        }
    }

    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    fn client<B>(&self, peer: SocketAddr, request: &Request<B>) -> ClientInfo {
        let headers = request.headers();
        let address = peer.ip().to_canonical();
        if self.is_trusted(address) {
            let client = client_address(headers, |address| self.is_trusted(address));
            return ClientInfo {
                peer,
                address: client.unwrap_or(address),
                // A proxy that names no client may speak for any.
                access: if self.is_open_to_all() {
                    Access::Open
                } else {
                    client.map_or(Access::KeyNeeded, |client| self.access(client))
                },
                is_by_trusted_proxy: true,
                is_by_tls: is_by_tls(headers),
                has_secure_cookies: false,
            };
        }
        let access = match self.access(address) {
            Access::Open if !self.is_open_to_all() && is_proxied(request.version(), headers) => {
                Access::KeyNeededBehindProxy
            }
            access => access,
        };
        ClientInfo { peer, address, access, is_by_trusted_proxy: false, is_by_tls: false, has_secure_cookies: false }
    }

    fn access(&self, address: IpAddr) -> Access {
        let is_open = self.open_to.iter().any(|network| network.contains(&address));
        if is_open { Access::Open } else { Access::KeyNeeded }
    }

    /// Whether every address is in an open network.
    fn is_open_to_all(&self) -> bool {
        everywhere().iter().all(|network| self.open_to.contains(network))
    }
}

fn malformed_host() -> HttpError {
    HttpError::RequestHead(
        "the Host of the request is not a host name or address with an optional port; send one such as localhost:3000"
            .into(),
    )
}

/// Path of an absolute request target (RFC 9112, section 3.2.2), as clients send it to a proxy. Its host has to be that
/// of `Host`.
fn path_of_target<B>(request: &Request<B>, host: &str) -> Result<Option<Uri>, HttpError> {
    let Some(authority) = request.uri().authority() else { return Ok(None) };
    let is_web = matches!(request.uri().scheme_str(), Some("http" | "https"));
    if !is_web || request.method() == Method::CONNECT {
        return Err(HttpError::RequestHead(
            "this server is not a proxy; send only the path as the request target".into(),
        ));
    }
    if !authority.as_str().eq_ignore_ascii_case(host) {
        return Err(HttpError::RequestHead(
            "the request target and the Host header name different hosts; send only the path as the target".into(),
        ));
    }
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok(Some(Uri::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(open_to: &[&str], trusted: &[&str]) -> NetworkPolicy {
        let parse = |texts: &[&str]| texts.iter().map(|text| parse_network(text).unwrap()).collect();
        NetworkPolicy { open_to: parse(open_to), trusted_proxies: parse(trusted), ..NetworkPolicy::default() }
    }

    fn client(policy: &NetworkPolicy, peer: &str, fields: &[(&str, &str)]) -> ClientInfo {
        let mut request = Request::builder().uri("/").header("host", "127.0.0.1");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        policy.admit(format!("{peer}:4000").parse().unwrap(), &mut request.body(()).unwrap()).unwrap()
    }

    #[test]
    fn networks_are_compared_in_their_short_form() {
        assert_eq!(parse_network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse_network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(parse_network("::ffff:10.0.0.0/104").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse_network("fd00::1/8").unwrap().to_string(), "fd00::/8");
        for text in ["", "10.0.0.0/33", "10/8", "lan", "10.0.0.0-10.0.0.9"] {
            assert!(parse_network(text).unwrap_err().contains("such as"), "{text:?}");
        }
        let lan = policy(&["10.0.0.0/8"], &[]);
        assert_eq!(client(&lan, "[::ffff:10.0.0.1]", &[]).access, Access::Open);
        assert_eq!(client(&lan, "[::ffff:11.0.0.1]", &[]).access, Access::KeyNeeded);
    }

    #[test]
    fn an_untrusted_forwarded_header_grants_nothing() {
        let local = policy(&["127.0.0.0/8"], &[]);
        for field in ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"] {
            let proxied = client(&local, "127.0.0.1", &[(field, "127.0.0.1")]);
            assert_eq!(proxied.access, Access::KeyNeededBehindProxy, "{field}");
            assert_eq!(proxied.address.to_string(), "127.0.0.1");
            assert!(!proxied.is_by_trusted_proxy);
        }
        let claimed = client(&local, "192.0.2.7", &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]);
        assert_eq!((claimed.access, claimed.address.to_string()), (Access::KeyNeeded, "192.0.2.7".to_owned()));
        assert!(!claimed.is_by_tls);
        let everybody = NetworkPolicy { open_to: everywhere(), ..local };
        assert_eq!(client(&everybody, "127.0.0.1", &[("via", "1.1 p")]).access, Access::Open);
    }

    #[test]
    fn behind_a_trusted_proxy_the_address_that_it_names_is_judged() {
        let policy = policy(&["10.0.0.0/8"], &["127.0.0.1", "10.9.0.0/16"]);
        let by =
            |chain: &str| client(&policy, "127.0.0.1", &[("x-forwarded-for", chain), ("x-forwarded-proto", "https")]);
        let inside = by("192.0.2.7, 10.1.1.1, 10.9.0.1");
        assert_eq!((inside.access, inside.address.to_string()), (Access::Open, "10.1.1.1".to_owned()));
        assert!(inside.is_by_tls && inside.is_by_trusted_proxy);
        let outside = by("10.1.1.1, 192.0.2.7");
        assert_eq!((outside.access, outside.address.to_string()), (Access::KeyNeeded, "192.0.2.7".to_owned()));
        let unknown = by("10.1.1.1, unknown");
        assert_eq!((unknown.access, unknown.address.to_string()), (Access::KeyNeeded, "127.0.0.1".to_owned()));
        // The proxy's own network is open, but the client is unknown.
        assert_eq!(client(&policy, "10.9.0.1", &[]).access, Access::KeyNeeded);
    }
}
