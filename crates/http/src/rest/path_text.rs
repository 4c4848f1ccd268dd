//! Parameter at the end of an address.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use std::convert::Infallible;

/// Parameter at the end of an address, decoded; empty without one. Extracting it never fails, so that a key is checked
/// before the parameter is refused.
pub struct PathText {
    /// Bytes that are not UTF-8 are replaced.
    pub text: String,
    pub is_utf8: bool,
}

impl<S: Sync> FromRequestParts<S> for PathText {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let before = route.split('{').next().unwrap_or_default();
        let sent = parts.uri.path().strip_prefix(before).unwrap_or_default();
        let decoded = percent_decode_str(sent);
        let is_utf8 = decoded.clone().decode_utf8().is_ok();
        Ok(Self { text: decoded.decode_utf8_lossy().into_owned(), is_utf8 })
    }
}
