//! `/api/lake/dataset/…`: the columns of a dataset, and what becomes of files that have others.

use super::body::{Done, JsonBody, Keyed, Parameters};
use crate::Door;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::Error;
use lakeshore::service::{DatasetSchema, SetSchemaPolicy};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct OfDataset {
    path: Option<String>,
}

pub async fn schema(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfDataset>,
) -> Result<Json<DatasetSchema>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    let path = of.path.ok_or_else(|| Error::Invalid("the parameter path is missing; add ?path=/data/db/t".into()))?;
    Ok(Json(door.lake.dataset_schema(&caller, &path).await?))
}

pub async fn set_policy(
    State(door): State<Arc<Door>>,
    JsonBody(body): JsonBody<Keyed<SetSchemaPolicy>>,
) -> Result<Json<Done>, HttpError> {
    door.lake.set_schema_policy(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}
