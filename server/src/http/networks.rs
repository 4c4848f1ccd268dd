//! Who a request comes from: decided once per request, where the other end of the connection is known.

use axum::http::Request;
use std::net::{IpAddr, SocketAddr};

/// To whom the lake is open without a key.
#[derive(Debug, Clone)]
pub struct NetworkPolicy {
    pub is_open: bool,
}

/// The client of a request: an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct ClientInfo {
    /// The other end of the connection: the client itself, or a proxy.
    pub peer: SocketAddr,
    /// The client's own address.
    pub address: IpAddr,
    /// The client may read, and upload to open syncs, without a key.
    pub is_guest: bool,
}

impl NetworkPolicy {
    pub fn client<B>(&self, peer: SocketAddr, _request: &Request<B>) -> ClientInfo {
        ClientInfo { peer, address: peer.ip().to_canonical(), is_guest: self.is_open }
    }
}
