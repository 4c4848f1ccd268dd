//! `/api/lake/dataset/…`: columns of a dataset, and its schema policy.

use super::body::{Done, JsonBody, Keyed, Parameters};
use super::datasets::OfDataset;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::dataset::schema_policy::{DatasetSchema, SetSchemaPolicy};
use std::sync::Arc;

pub async fn schema(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfDataset>,
) -> Result<Json<DatasetSchema>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.dataset_schema(&caller, &of.path()?).await?))
}

pub async fn set_policy(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<SetSchemaPolicy>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.set_schema_policy(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}
