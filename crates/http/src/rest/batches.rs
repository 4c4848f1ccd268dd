//! `/api/lake/file/sync/…`: what a sync is to hold, and what it changes.

use super::body::{Done, LongCall, Parameters};
use crate::Door;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::difference::{Difference, DifferenceQuery};
use lakeshore::service::ExpectFiles;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct OfSync {
    sync_id: SyncId,
}

pub async fn expect(State(door): State<Arc<Door>>, called: LongCall<ExpectFiles>) -> Result<Json<Done>, HttpError> {
    door.lake.expect_files(&called.caller, called.call).await?;
    Ok(Json(Done::SUCCESS))
}

/// `null` when nothing was declared.
pub async fn compare(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfSync>,
) -> Result<Json<Option<Comparison>>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    Ok(Json(door.lake.compare_expected(&caller, of.sync_id).await?))
}

pub async fn difference(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<DifferenceQuery>,
) -> Result<Json<Difference>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    Ok(Json(door.lake.difference(&caller, &wanted).await?))
}
