//! `/api/lake/activity`: the audit log.

use super::body::Parameters;
use crate::AppState;
use crate::credentials::Credentials;
use crate::error::HttpError;
use axum::Json;
use axum::extract::State;
use lakeshore::model::audit::{Activity, AuditParameters};
use std::sync::Arc;

pub async fn list(
    State(app_state): State<Arc<AppState>>,
    credentials: Credentials,
    Parameters(wanted): Parameters<AuditParameters>,
) -> Result<Json<Vec<Activity>>, HttpError> {
    let caller = credentials.allowed_caller(&app_state.lake, None).await?;
    Ok(Json(app_state.lake.activity(&caller, &wanted).await?))
}
