//! Refusals of a method: the message names the methods that the field `Allow` names.

use super::error::HttpError;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Words a 405 by its `Allow`, which the router adds behind a handler that does not say it.
pub fn name_allowed(used: &Method, response: Response) -> Response {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let Some(allow) = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok()) else {
        return response;
    };
    // An address that takes some requests of a method may refuse others.
    let mut methods: Vec<_> = allow.split(',').map(str::trim).filter(|method| *method != used.as_str()).collect();
    if methods.contains(&"GET") {
        // It goes without saying beside GET.
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
