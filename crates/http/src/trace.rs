//! Log names of requests: method and route, never the address.

use axum::extract::MatchedPath;
use axum::http::{Request, Response};
use std::time::Duration;
use tracing::Span;

/// Span of a request. It has the route instead of the address, which may contain a secret.
pub fn request_span<B>(request: &Request<B>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("a page", MatchedPath::as_str);
    tracing::debug_span!("request", method = method(request.method()), route)
}

/// Logs the status. Faults are logged once, where they are answered.
pub fn answered<B>(response: &Response<B>, latency: Duration, _: &Span) {
    tracing::debug!(status = response.status().as_u16(), ?latency, "answered");
}

/// A method may be any text, so unknown ones are not repeated.
fn method(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT") => known,
        _ => "another method",
    }
}
