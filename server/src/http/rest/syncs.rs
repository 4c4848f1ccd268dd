//! `/api/ingestion/file/sync/…`

use super::body::{Done, JsonBody, Keyed, LongBody, Parameters};
use crate::http::Door;
use crate::http::credentials::Credentials;
use crate::http::error::HttpError;
use axum::Json;
use axum::extract::{Path, State};
use lakeshore::Error;
use lakeshore::list::ListParameters;
use lakeshore::service::{EndSync, StartSync};
use lakeshore::sync::{Sync, SyncId};
use lakeshore::upload::Upload;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub struct Started {
    sync_id: SyncId,
}

pub async fn start(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    body: LongBody<StartSync>,
) -> Result<Json<Started>, HttpError> {
    let caller = credentials.caller(&door.lake, body.api_key.as_deref()).await?;
    Ok(Json(Started { sync_id: door.lake.start_sync(&caller, &body.call).await? }))
}

pub async fn end(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    JsonBody(body): JsonBody<Keyed<EndSync>>,
) -> Result<Json<Done>, HttpError> {
    let caller = credentials.caller(&door.lake, body.api_key.as_deref()).await?;
    door.lake.end_sync(&caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn abort(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    JsonBody(body): JsonBody<Keyed<EndSync>>,
) -> Result<Json<Done>, HttpError> {
    let caller = credentials.caller(&door.lake, body.api_key.as_deref()).await?;
    door.lake.abort_sync(&caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn list(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<Sync>>, HttpError> {
    let caller = credentials.caller(&door.lake, None).await?;
    Ok(Json(door.lake.syncs(&caller, &parameters).await?))
}

pub async fn history(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<Upload>>, HttpError> {
    let caller = credentials.caller(&door.lake, None).await?;
    Ok(Json(door.lake.uploads(&caller, &parameters).await?))
}

pub async fn one(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Json<Sync>, HttpError> {
    let caller = credentials.caller(&door.lake, None).await?;
    Ok(Json(door.lake.sync(&caller, sync_id(&id)?).await?))
}

/// An id from an address.
pub(super) fn sync_id(digits: &str) -> Result<SyncId, Error> {
    digits.parse().map_err(|_| Error::Invalid(format!("the sync_id {digits:?} is not a whole number; start gives it")))
}
