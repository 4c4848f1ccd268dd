//! `/api/lake/trash`

use super::body::{Done, JsonBody, Keyed, Parameters};
use crate::http::Door;
use crate::http::credentials::Credentials;
use crate::http::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::list::ListParameters;
use lakeshore::service::{Emptied, EmptyTrash};
use lakeshore::trash::{TrashEntry, TrashId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
pub struct Restore {
    trash_id: TrashId,
}

/// What has begun to be removed.
#[derive(Serialize)]
pub struct Emptying {
    success: bool,
    #[serde(flatten)]
    emptied: Emptied,
}

pub async fn list(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<TrashEntry>>, HttpError> {
    let caller = credentials.caller(&door.lake, None).await?;
    Ok(Json(door.lake.trash(&caller, &parameters).await?))
}

pub async fn restore(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    JsonBody(body): JsonBody<Keyed<Restore>>,
) -> Result<Json<Done>, HttpError> {
    let caller = credentials.caller(&door.lake, body.api_key.as_deref()).await?;
    door.lake.restore(&caller, body.call.trash_id).await?;
    Ok(Json(Done::SUCCESS))
}

pub async fn empty(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    JsonBody(body): JsonBody<Keyed<EmptyTrash>>,
) -> Result<Json<Emptying>, HttpError> {
    let caller = credentials.caller(&door.lake, body.api_key.as_deref()).await?;
    Ok(Json(Emptying { emptied: door.lake.empty_trash(&caller, &body.call).await?, success: true }))
}
