//! `/api/lake/file/missing`: which files a client does not have to send.

use super::body::{Answer, LongCall};
use crate::Door;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::service::{Missing, Offer};
use std::sync::Arc;

pub async fn missing(
    State(door): State<Arc<Door>>,
    asked: LongCall<Offer>,
) -> Result<Json<Answer<Missing>>, HttpError> {
    Ok(Json(Answer::success(Some(door.lake.missing_files(&asked.caller, &asked.call).await?))))
}
