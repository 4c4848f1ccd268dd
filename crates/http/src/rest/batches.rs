//! `/api/lake/file/sync/…`: the declared files of a sync, and the changes that it makes.

use super::body::{Done, LongCall, Parameters};
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::difference::{ChangesPage, Difference};
use lakeshore::model::sync::manifest::ExpectFiles;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct OfSync {
    sync_id: SyncId,
}

pub async fn expect(
    State(app_state): State<Arc<AppState>>,
    called: LongCall<ExpectFiles>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.expect_files(&called.caller, called.call).await?;
    Ok(Json(Done::SUCCESS))
}

/// Returns `null` without a declaration.
pub async fn compare(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfSync>,
) -> Result<Json<Option<Comparison>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.compare_expected(&caller, of.sync_id).await?))
}

pub async fn difference(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfSync>,
    Parameters(page): Parameters<ChangesPage>,
) -> Result<Json<Difference>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.difference(&caller, of.sync_id, &page).await?))
}
