//! `/api/lake/file/missing`: the files that a client has to send.

use super::body::{Answer, LongCall};
use crate::AppState;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::upload::offer::{Missing, Offer};
use std::sync::Arc;

pub async fn missing(
    State(app_state): State<Arc<AppState>>,
    asked: LongCall<Offer>,
) -> Result<Json<Answer<Missing>>, HttpError> {
    Ok(Json(Answer::success(Some(app_state.lake.missing_files(&asked.caller, &asked.call).await?))))
}
