//! `/api/lake/trash`: lists, restores and purges trash.

use super::body::{JsonBody, Keyed, Parameters};
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::page::ListParameters;
use lakeshore::model::trash::{Emptied, EmptyTrash, InTrash, LookIntoTrash, RestoreTrash, RestoredTrash};
use lakeshore::model::trash::{TrashEntry, TrashGroup, TrashSummary};
use serde::Serialize;
use std::sync::Arc;

/// Answer of a restore. A single item needs no details.
#[derive(Serialize)]
pub struct Restoring {
    success: bool,
    #[serde(flatten)]
    several: Option<RestoredTrash>,
}

/// Answer of a purge, which has begun.
#[derive(Serialize)]
pub struct Emptying {
    success: bool,
    #[serde(flatten)]
    emptied: Emptied,
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<TrashEntry>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.trash(&caller, &parameters).await?))
}

pub async fn groups(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<TrashGroup>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.trash_groups(&caller, &parameters).await?))
}

pub async fn summary(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
) -> Result<Json<TrashSummary>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.trash_summary(&caller).await?))
}

pub async fn look(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<LookIntoTrash>,
) -> Result<Json<InTrash>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.look_into_trash(&caller, &wanted).await?))
}

pub async fn restore(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<RestoreTrash>>,
) -> Result<Json<Restoring>, HttpError> {
    let is_one = body.call.trash_id.is_some();
    let restored = app_state.lake.restore_trash(&body.caller, &body.call).await?;
    Ok(Json(Restoring { success: restored.num_failed == 0, several: (!is_one).then_some(restored) }))
}

pub async fn empty(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<EmptyTrash>>,
) -> Result<Json<Emptying>, HttpError> {
    Ok(Json(Emptying { emptied: app_state.lake.empty_trash(&body.caller, &body.call).await?, success: true }))
}
