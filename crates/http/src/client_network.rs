//! Network of a request's client, for limits that are counted by network.

use super::networks::ClientInfo;
use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use lakeshore::model::access::network::Network;
use std::convert::Infallible;

/// Network of the client's own address, also behind a trusted proxy.
#[derive(Debug, Clone, Copy)]
pub struct ClientNetwork(pub Network);

impl ClientNetwork {
    pub fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<ClientInfo>().map_or(Network::Unknown, |client| Network::of(client.address)))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}
