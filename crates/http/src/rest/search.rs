//! `/api/lake/search`: datasets and syncs by a few words.

use super::body::Parameters;
use crate::Door;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::search::{Found, SearchParameters};
use std::sync::Arc;

pub async fn search(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<SearchParameters>,
) -> Result<Json<Found>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    Ok(Json(door.lake.search(&caller, &wanted).await?))
}
