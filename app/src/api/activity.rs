//! The server function of the activity.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::audit::{Activity, ActivityParameters};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{as_of, door};

#[server(prefix = "/fn", endpoint = "activity", input = Call, output = Call)]
pub async fn list_activity(wanted: ActivityParameters) -> Result<AsOf<Vec<Activity>>, ApiError> {
    let (lake, caller) = door()?;
    as_of(&lake, lake.activity(&caller, &wanted)).await
}
