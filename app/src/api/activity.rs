//! The server function of the activity.

use super::AsOf;
use crate::error::ApiError;
use lakeshore::activity::{Activity, ActivityParameters};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

#[cfg(feature = "ssr")]
use super::{as_of, door};

#[server(prefix = "/fn", endpoint = "activity", input = Json)]
pub async fn list_activity(wanted: ActivityParameters) -> Result<AsOf<Vec<Activity>>, ApiError> {
    let (lake, caller) = door()?;
    as_of(&lake, lake.activity(&caller, &wanted)).await
}
