//! Refusals of a method (405): the message names the methods of the field `Allow`.

use super::error::HttpError;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Writes the message of a 405 from its `Allow`, which the router adds after the handler.
pub fn name_allowed(used: &Method, response: Response) -> Response {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let Some(allow) = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok()) else {
        return response;
    };
    // An address may accept a method for some requests and refuse it for others.
    let mut methods: Vec<_> = allow.split(',').map(str::trim).filter(|method| *method != used.as_str()).collect();
    if methods.contains(&"GET") {
        // Listed last, since GET implies it.
        methods.sort_by_key(|method| *method == "HEAD");
    }
    let allowed = methods.join(", ");
    let field = HeaderValue::from_str(&allowed);
    let mut named = HttpError::MethodNotAllowed { used: used.to_string(), allowed: allowed.into() }.into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && !named.headers().contains_key(name) {
            named.headers_mut().append(name, value.clone());
        }
    }
    if let Ok(field) = field {
        named.headers_mut().insert(header::ALLOW, field);
    }
    named
}
