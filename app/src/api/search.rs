//! The server function of the search.

use super::AsOf;
use crate::error::ApiError;
use lakeshore::search::{Found, SearchParameters};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

#[cfg(feature = "ssr")]
use super::{as_of, door};

#[server(prefix = "/fn", endpoint = "search", input = Json)]
pub async fn search(wanted: SearchParameters) -> Result<AsOf<Found>, ApiError> {
    let (lake, caller) = door()?;
    as_of(&lake, lake.search(&caller, &wanted)).await
}
