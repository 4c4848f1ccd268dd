//! `/api/overview`, `/api/lake/datasets` and `/api/lake/dataset`: the overview, and datasets.

use super::body::{Done, JsonBody, Keyed, Parameters};
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::Error;
use lakeshore::model::dataset::record::{Dataset, DatasetDetail, DatasetParameters, SetSchedule};
use lakeshore::model::overview::{Overview, OverviewParameters};
use lakeshore::model::sync::difference::{ChangesPage, CompareTrashed, Difference};
use lakeshore::model::table::DatasetTable;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct OfDataset {
    path: Option<String>,
}

impl OfDataset {
    pub(super) fn path(self) -> Result<String, Error> {
        required_path(self.path)
    }
}

/// The required parameter `path` of a dataset.
pub(super) fn required_path(path: Option<String>) -> Result<String, Error> {
    path.ok_or_else(|| {
        Error::Invalid("the parameter path is missing; add ?path=/data/db/t, as the list of datasets gives it".into())
    })
}

pub async fn overview(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<OverviewParameters>,
) -> Result<Json<Overview>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.overview(&caller, &wanted).await?))
}

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<DatasetParameters>,
) -> Result<Json<Vec<Dataset>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.list_datasets(&caller, &wanted).await?))
}

pub async fn one(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfDataset>,
) -> Result<Json<DatasetDetail>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.dataset(&caller, &of.path()?).await?))
}

pub async fn table(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(of): Parameters<OfDataset>,
) -> Result<Json<DatasetTable>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    let table = app_state.lake.dataset_table(&caller, &of.path()?).await?;
    let table = table.ok_or_else(|| {
        Error::Invalid("this lake is in a folder, so its datasets have no tables; read the files of the folder".into())
    })?;
    Ok(Json(table))
}

pub async fn difference(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<CompareTrashed>,
    Parameters(page): Parameters<ChangesPage>,
) -> Result<Json<Difference>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.version_difference(&caller, &wanted, &page).await?))
}

pub async fn set_schedule(
    State(app_state): State<Arc<AppState>>,
    JsonBody(body): JsonBody<Keyed<SetSchedule>>,
) -> Result<Json<Done>, HttpError> {
    app_state.lake.set_schedule(&body.caller, &body.call).await?;
    Ok(Json(Done::SUCCESS))
}
