//! Head of a request that uploads: key, address and fields.

use crate::AppState;
use crate::credentials::Credentials;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use lakeshore::Error;
use lakeshore::model::access::key::Caller;
use std::convert::Infallible;
use std::sync::Arc;

/// Key, address and fields of a request. Extracting it never fails, so that each handler words its refusals.
pub struct UploadHead {
    credentials: Credentials,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl UploadHead {
    pub async fn allowed_caller(&self, app_state: &AppState) -> Result<Caller, Error> {
        self.credentials.allowed_caller(&app_state.lake, None).await
    }
}

impl FromRequestParts<Arc<AppState>> for UploadHead {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app_state: &Arc<AppState>) -> Result<Self, Infallible> {
        let credentials = Credentials::from_request_parts(parts, app_state).await?;
        Ok(Self { credentials, uri: parts.uri.clone(), headers: parts.headers.clone() })
    }
}
