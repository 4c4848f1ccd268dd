//! `/api/lake/file/missing`: which files a client does not have to send.

use super::body::{Answer, LongBody};
use crate::http::Door;
use crate::http::credentials::Credentials;
use crate::http::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::service::{Missing, Offer};
use std::sync::Arc;

pub async fn missing(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    asked: LongBody<Offer>,
) -> Result<Json<Answer<Missing>>, HttpError> {
    let caller = credentials.caller(&door.lake, asked.api_key.as_deref()).await?;
    Ok(Json(Answer::success(Some(door.lake.missing_files(&caller, &asked.call).await?))))
}
