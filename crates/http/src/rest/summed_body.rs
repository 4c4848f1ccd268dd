//! Body that computes its checksums while it is read, and keeps the refusal of its trailer.

use super::checksum::Checksums;
use crate::lingering::refusal_of_trailer;
use axum::body::BodyDataStream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lakeshore::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) struct SummedBody {
    body: BodyDataStream,
    /// Of the bytes so far.
    pub(super) checksums: Checksums,
    /// Refusal because of the trailer.
    pub(super) refusal: Option<Error>,
}

impl SummedBody {
    pub(super) fn new(body: BodyDataStream, checksums: Checksums) -> Self {
        Self { body, checksums, refusal: None }
    }
}

impl Stream for SummedBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.body.poll_next_unpin(context);
        match &next {
            Poll::Ready(Some(Ok(bytes))) => self.checksums.update(bytes),
            Poll::Ready(Some(Err(error))) => self.refusal = refusal_of_trailer(error),
            _ => {}
        }
        next
    }
}
