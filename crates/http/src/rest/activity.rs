//! `/api/lake/activity`: who did what.

use super::body::Parameters;
use crate::Door;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::audit::{Activity, ActivityParameters};
use std::sync::Arc;

pub async fn list(
    State(door): State<Arc<Door>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<ActivityParameters>,
) -> Result<Json<Vec<Activity>>, HttpError> {
    let caller = credentials.allowed_caller(&door.lake, None).await?;
    Ok(Json(door.lake.activity(&caller, &wanted).await?))
}
