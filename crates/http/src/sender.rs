//! Sender of a request: address, and program by `User-Agent`. For display only; no decision depends on it.

use super::forwarded::X_FORWARDED_FOR;
use super::networks::ClientInfo;
use axum::extract::FromRequestParts;
use axum::http::header::{HeaderName, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use lakeshore::model::access::actor::Origin;
use lakeshore::model::access::network::Network;
use lakeshore::model::text::truncate;
use lakeshore::model::upload::in_flight::Sender;
use std::convert::Infallible;
use std::net::SocketAddr;

/// Characters kept of the program's name.
const PROGRAM_CHARACTERS_MAX: usize = 120;

/// Sender of a request. `by` is filled in once the key is known.
pub struct SentBy(pub Sender);

impl<S: Sync> FromRequestParts<S> for SentBy {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(sender(&parts.headers, parts.extensions.get::<ClientInfo>().copied())))
    }
}

fn sender(headers: &HeaderMap, client: Option<ClientInfo>) -> Sender {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    Sender {
        by: String::new(),
        address: client.map(|client| client.address.to_string()),
        program: text(USER_AGENT).map(|program| truncate(program, PROGRAM_CHARACTERS_MAX)),
    }
}

/// Origin of a request. Kept as header values, because few requests need it as text.
#[derive(Debug, Default)]
pub struct Traces {
    client: Option<ClientInfo>,
    forwarded_for: Option<HeaderValue>,
    program: Option<HeaderValue>,
}

impl Traces {
    pub fn of(headers: &HeaderMap, client: Option<ClientInfo>) -> Self {
        let kept = |name: HeaderName| headers.get(name).cloned();
        let is_trusted = client.is_some_and(|client| client.is_by_trusted_proxy);
        Self { client, forwarded_for: kept(X_FORWARDED_FOR).filter(|_| is_trusted), program: kept(USER_AGENT) }
    }

    /// Peer of the connection, for the log.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.client.map(|client| client.peer)
    }

    /// Network of the client, for counted shares.
    pub fn network(&self) -> Network {
        self.client.map_or(Network::Unknown, |client| Network::of(client.address))
    }

    /// Address of the client, the chain of addresses that a trusted proxy forwarded, and the program that the request
    /// claims.
    pub fn origin(&self) -> Origin {
        let text = |value: &Option<HeaderValue>| Some(truncate(value.as_ref()?.to_str().ok()?, PROGRAM_CHARACTERS_MAX));
        Origin {
            address: self.client.map(|client| client.address.to_string()),
            forwarded_for: text(&self.forwarded_for),
            program: text(&self.program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::Access;

    fn client(is_by_trusted_proxy: bool) -> Option<ClientInfo> {
        let (peer, address) = ("127.0.0.1:4000".parse().unwrap(), "192.0.2.7".parse().unwrap());
        Some(ClientInfo {
            peer,
            address,
            access: Access::KeyNeeded,
            is_by_trusted_proxy,
            is_by_tls: false,
            has_secure_cookies: false,
        })
    }

    #[test]
    fn the_origin_names_the_client_and_the_chain_of_a_trusted_proxy_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "198.51.100.4, 192.0.2.7".parse().unwrap());
        headers.insert(USER_AGENT, "x".repeat(500).parse().unwrap());
        let origin = Traces::of(&headers, client(true)).origin();
        assert_eq!(origin.address.unwrap(), "192.0.2.7");
        assert_eq!(origin.forwarded_for.unwrap(), "198.51.100.4, 192.0.2.7");
        assert_eq!(origin.program.unwrap().len(), PROGRAM_CHARACTERS_MAX);
        assert!(Traces::of(&headers, client(false)).origin().forwarded_for.is_none());
        assert_eq!(sender(&headers, client(true)).address.unwrap(), "192.0.2.7");
    }
}
