//! `/api/lake/dataset/snapshot…`: versions as folders, for readers on the machine of the lake.

use super::body::{Done, JsonBody, Keyed};
use super::path_text::PathText;
use super::versions::Moment;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::snapshot_requests::{ListedSnapshot, TakeSnapshot};
use lakeshore::{Error, LakePath};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Version for a snapshot, and its lifetime, such as `6h` or `30m`.
#[derive(Deserialize)]
pub struct Take {
    path: LakePath,
    #[serde(default)]
    version: Option<VersionNumber>,
    #[serde(default)]
    as_of: Option<Moment>,
    #[serde(default, rename = "for")]
    lifetime: Option<String>,
}

#[derive(Deserialize)]
pub struct Renew {
    #[serde(default, rename = "for")]
    lifetime: Option<String>,
}

/// Snapshot with its absolute folder, which readers on this machine open.
#[derive(Serialize)]
pub struct Shown {
    #[serde(flatten)]
    snapshot: ListedSnapshot,
    absolute: String,
}

fn lifetime(text: Option<&str>) -> Result<Option<Duration>, Error> {
    let parse = |text| {
        humantime::parse_duration(text)
            .map_err(|error| Error::Invalid(format!("\"for\" is not a duration ({error}); send one such as 6h or 30m")))
    };
    text.map(parse).transpose()
}

fn shown(app_state: &AppState, snapshot: ListedSnapshot) -> Shown {
    let root = std::path::absolute(&app_state.lake_root).unwrap_or_else(|_| app_state.lake_root.clone());
    Shown { absolute: root.join(&snapshot.folder).display().to_string(), snapshot }
}

pub async fn take(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<Take>>,
) -> Result<Json<Shown>, HttpError> {
    let Take { path, version, as_of, lifetime: text } = body.call;
    let as_of = as_of.map(|Moment(at)| at);
    let wanted = TakeSnapshot { path, version, as_of, lifetime: lifetime(text.as_deref())? };
    Ok(Json(shown(&app_state, app_state.lake.take_snapshot(&body.caller, &wanted).await?)))
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
) -> Result<Json<Vec<Shown>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let snapshots = app_state.lake.snapshots(&caller).await?;
    Ok(Json(snapshots.into_iter().map(|snapshot| shown(&app_state, snapshot)).collect()))
}

pub async fn renew(
    State(app_state): State<Arc<AppState>>,
    PathText { text: token, .. }: PathText,
    JsonBody(body): JsonBody<Keyed<Renew>>,
) -> Result<Json<Shown>, HttpError> {
    let lifetime = lifetime(body.call.lifetime.as_deref())?;
    Ok(Json(shown(&app_state, app_state.lake.renew_snapshot(&body.caller, &token, lifetime).await?)))
}

pub async fn drop(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    PathText { text: token, .. }: PathText,
) -> Result<Json<Done>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    app_state.lake.drop_snapshot(&caller, &token).await?;
    Ok(Json(Done::SUCCESS))
}
