//! Who sends a request, as far as it tells: the address, and what the program calls itself. For people to look at;
//! nothing is allowed or refused by it.

use super::networks::ClientInfo;
use axum::extract::FromRequestParts;
use axum::http::header::{HeaderName, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use lakeshore::activity::Origin;
use lakeshore::in_flight::Sender;
use std::convert::Infallible;
use std::net::IpAddr;

/// Of what a program calls itself, what is kept.
const PROGRAM_CHARACTERS_MAX: usize = 120;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The sender of a request; its key is known elsewhere.
pub struct SentBy(pub Sender);

impl<S: Sync> FromRequestParts<S> for SentBy {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(sender(&parts.headers, parts.extensions.get::<ClientInfo>().copied())))
    }
}

/// Behind a proxy, the address that the proxy saw: the last that `X-Forwarded-For` names.
fn sender(headers: &HeaderMap, client: Option<ClientInfo>) -> Sender {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text(FORWARDED_FOR).and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    let address = forwarded.or(client.map(|client| client.address));
    Sender {
        by: String::new(),
        address: address.map(|address| address.to_canonical().to_string()),
        program: text(USER_AGENT).map(|program| program.chars().take(PROGRAM_CHARACTERS_MAX).collect()),
    }
}

/// What a request has of its origin. Kept as it came: few requests are ever asked for it in words.
#[derive(Debug, Default)]
pub struct Traces {
    client: Option<ClientInfo>,
    forwarded_for: Option<HeaderValue>,
    program: Option<HeaderValue>,
}

impl Traces {
    pub fn of(headers: &HeaderMap, client: Option<ClientInfo>) -> Self {
        let kept = |name: HeaderName| headers.get(name).cloned();
        Self { client, forwarded_for: kept(FORWARDED_FOR), program: kept(USER_AGENT) }
    }

    /// The other end of the connection for certain; beside it what the request says of itself, whoever wrote that.
    pub fn origin(&self) -> Origin {
        let text = |value: &Option<HeaderValue>| {
            let text = value.as_ref()?.to_str().ok()?;
            Some(text.chars().take(PROGRAM_CHARACTERS_MAX).collect())
        };
        Origin {
            address: self.client.map(|client| client.peer.ip().to_canonical().to_string()),
            forwarded_for: text(&self.forwarded_for),
            program: text(&self.program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str) -> Option<ClientInfo> {
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        Some(ClientInfo { peer, address: peer.ip(), is_guest: false })
    }

    #[test]
    fn the_origin_names_the_peer_and_apart_from_it_what_the_request_claims() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "198.51.100.4".parse().unwrap());
        headers.insert(USER_AGENT, "x".repeat(500).parse().unwrap());
        let origin = Traces::of(&headers, client("[::ffff:192.0.2.7]:4000")).origin();
        assert_eq!(origin.address.unwrap(), "192.0.2.7");
        assert_eq!(origin.forwarded_for.unwrap(), "198.51.100.4");
        assert_eq!(origin.program.unwrap().len(), PROGRAM_CHARACTERS_MAX);
    }

    #[test]
    fn behind_a_proxy_the_address_is_the_one_that_the_proxy_saw() {
        let peer = client("127.0.0.1:4000");
        let mut headers = HeaderMap::new();
        assert_eq!(sender(&headers, peer).address.unwrap(), "127.0.0.1");
        headers.insert(FORWARDED_FOR, "10.0.0.1, ::ffff:192.0.2.7".parse().unwrap());
        headers.insert(USER_AGENT, "curl/8.5.0".parse().unwrap());
        let seen = sender(&headers, peer);
        assert_eq!((seen.address.unwrap(), seen.program.unwrap()), ("192.0.2.7".to_owned(), "curl/8.5.0".to_owned()));
        headers.insert(FORWARDED_FOR, "unknown".parse().unwrap());
        assert_eq!(sender(&headers, peer).address.unwrap(), "127.0.0.1");
    }
}
