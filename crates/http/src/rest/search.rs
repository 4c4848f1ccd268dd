//! `/api/lake/search`: finds datasets and syncs by text.

use super::body::Parameters;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::search::{SearchParameters, SearchResults};
use std::sync::Arc;

pub async fn search(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<SearchParameters>,
) -> Result<Json<SearchResults>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.search(&caller, &wanted).await?))
}
