//! Buffers small bodies before they are parsed, bounded in bytes and time.

use super::error::HttpError;
use super::pace::within_time;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::StreamExt;
use lakeshore::Error;
use std::time::Duration;

/// Largest small body, in bytes: a call with a path and a name, or a form.
pub const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest time of a small body, from its first byte to its last.
pub const SMALL_BODY_MAX: Duration = Duration::from_secs(30);
/// Buffers a whole small body.
pub async fn gather_small(body: Body) -> Result<Bytes, HttpError> {
    within(SMALL_BODY_MAX, gather(body, SMALL_BODY_BYTES_MAX)).await
}

/// Bounds the total time of `gathering`.
pub async fn within<T>(
    time_max: Duration,
    gathering: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    let late =
        |_| Error::Invalid(format!("the body was not received within {} seconds; send it faster", time_max.as_secs()));
    within_time(time_max, gathering).await.map_err(late)?
}

async fn gather(body: Body, limit_bytes: usize) -> Result<Bytes, HttpError> {
    let is_announced = body.size_hint().lower() > limit_bytes as u64;
    if is_announced {
        return Err(HttpError::BodyTooLarge { limit_bytes });
    }
    let mut stream = body.into_data_stream();
    let mut gathered = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Error::Invalid(format!("the body was interrupted: {error}; send it again")))?;
        if gathered.len() + chunk.len() > limit_bytes {
            return Err(HttpError::BodyTooLarge { limit_bytes });
        }
        gathered.extend_from_slice(&chunk);
    }
    Ok(gathered.freeze())
}

/// Middleware for routes with small bodies.
pub async fn small_bodies(request: Request, next: Next) -> Result<Response, HttpError> {
    let (head, body) = request.into_parts();
    let body = gather_small(body).await?;
    Ok(next.run(Request::from_parts(head, Body::from(body))).await)
}
