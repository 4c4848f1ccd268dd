//! `/api/lake/trash`

use super::body::{Done, JsonBody, Keyed, Parameters};
use crate::http::Door;
use crate::http::credentials::Credentials;
use crate::http::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::list::ListParameters;
use lakeshore::trash::{TrashEntry, TrashId};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct Restore {
    trash_id: TrashId,
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
