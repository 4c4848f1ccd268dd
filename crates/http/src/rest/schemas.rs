//! `/api/lake/dataset/…`: columns of a dataset, and its schema policy.

use super::body::{Done, JsonBody, Keyed, Parameters};
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::Error;
use lakeshore::model::dataset::schema_policy::{DatasetSchema, SetSchemaPolicy};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct OfDataset {
    path: Option<String>,
}

pub async fn schema(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfDataset>,
) -> Result<Json<DatasetSchema>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let path = of.path.ok_or_else(|| Error::Invalid("the parameter path is missing; add ?path=/data/db/t".into()))?;
    Ok(Json(app_state.lake.dataset_schema(&caller, &path).await?))
}

pub async fn set_policy(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<SetSchemaPolicy>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.set_schema_policy(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}
