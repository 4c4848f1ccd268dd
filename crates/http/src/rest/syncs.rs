//! `/api/ingestion/file/sync/…`: syncs and the history of uploads.

use super::body::{Done, JsonBody, Keyed, LongCall, Parameters};
use super::path_text::PathText;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::idempotency::IdempotencyKey;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::upload::row::Upload;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub struct Started {
    sync_id: SyncId,
}

pub async fn start(
    State(app_state): State<Arc<AppState>>,
    headers: HeaderMap,
    called: LongCall<StartSync>,
) -> Result<Json<Started>, HttpError> {
    let key = idempotency_key(&headers)?;
    Ok(Json(Started { sync_id: app_state.lake.start_sync_once(&called.caller, called.call, key.as_ref()).await? }))
}

/// The header `Idempotency-Key`, at most once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value
                .to_str()
                .map_err(|_| Error::Invalid("the Idempotency-Key is not ASCII; send one that is".into()))?;
            IdempotencyKey::parse(text).map(Some)
        }
        (Some(_), Some(_)) => Err(Error::Invalid("the request has more than one Idempotency-Key; send one".into())),
    }
}

pub async fn end(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<EndSync>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.end_sync(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn abort(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<EndSync>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.abort_sync(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<SyncJob>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.syncs(&caller, &parameters).await?))
}

pub async fn history(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<Upload>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.uploads(&caller, &parameters).await?))
}

pub async fn one(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: id, .. }: PathText,
) -> Result<Json<SyncJob>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.sync(&caller, sync_id(&id)?).await?))
}

/// One row of the history, with all columns that differ.
pub async fn upload(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: id, .. }: PathText,
) -> Result<Json<Upload>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let id = id
        .parse()
        .map(UploadId)
        .map_err(|_| Error::Invalid(format!("the history_id {id:?} is not a whole number; the history lists them")))?;
    Ok(Json(app_state.lake.upload(&caller, id).await?))
}

/// Parses the required parameter `sync_id`.
pub(super) fn required_sync_id(parameter: Option<&str>) -> Result<SyncId, Error> {
    sync_id(parameter.ok_or_else(|| {
        Error::Invalid("the parameter sync_id is missing; add ?sync_id=N with the id of a started sync".into())
    })?)
}

/// Parses a sync id.
pub(super) fn sync_id(digits: &str) -> Result<SyncId, Error> {
    digits.parse().map_err(|_| {
        Error::Invalid(format!("the sync_id {digits:?} is not a whole number; send the one that start returned"))
    })
}
