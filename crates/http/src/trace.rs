//! How the log names a request: by its method and its route, never by its address.

use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use std::time::Duration;
use tracing::Span;

/// What belongs to one request. Of its address, the route that it took: the rest may be a secret.
pub fn request_span<B>(request: &Request<B>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("a page", MatchedPath::as_str);
    tracing::debug_span!("request", method = method(request.method()), route)
}

/// What became of it. Faults are logged where they are answered, once.
pub fn answered<B>(response: &Response<B>, latency: Duration, _: &Span) {
    tracing::debug!(status = response.status().as_u16(), ?latency, "answered");
}

/// A method may be any word; of those that nobody knows, nothing is repeated.
fn method(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT") => known,
        _ => "another method",
    }
}
