//! Server function of the activity page.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::audit::{Activity, AuditParameters};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{as_of, request_context};

#[server(prefix = "/fn", endpoint = "activity", input = Call, output = Call)]
pub async fn list_activity(wanted: AuditParameters) -> Result<AsOf<Vec<Activity>>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.activity(&caller, &wanted)).await
}
