//! Counts requests that arrive through trusted proxies. The connections of a proxy belong to all of its clients, so
//! each client's share is counted in requests.

use super::error::HttpError;
use super::networks::ClientInfo;
use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use lakeshore::model::access::network::Network;
use lakeshore::model::access::shares::{Share, Shares};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Request counts by client network, as the proxies report it.
#[derive(Clone)]
pub struct ProxiedRequests {
    shares: Arc<Shares<Network>>,
    share_max: usize,
}

impl ProxiedRequests {
    pub fn new(share_max: usize) -> Self {
        Self { shares: Arc::new(Shares::new(share_max)), share_max }
    }

    /// Takes the share of a request. `None` for a direct connection, which is counted itself.
    pub fn share_of(&self, client: &ClientInfo) -> Result<Option<Share<Network>>, HttpError> {
        if !client.is_by_trusted_proxy {
            return Ok(None);
        }
        let share = self.shares.take(Network::of(client.address));
        share.map(Some).ok_or(HttpError::TooManyConnections { share_max: self.share_max })
    }
}

/// Attaches the share to the response, until it is sent.
pub fn holding(share: Share<Network>, answer: Response) -> Response {
    answer.map(|body| Body::new(HeldBody { body, _share: share }))
}

struct HeldBody {
    body: Body,
    _share: Share<Network>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
