//! Server function of the search.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::search::{SearchParameters, SearchResults};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{as_of, request_context};

#[server(prefix = "/fn", endpoint = "search", input = Call, output = Call)]
pub async fn search(wanted: SearchParameters) -> Result<AsOf<SearchResults>, ApiError> {
    let (lake, caller) = request_context()?;
    as_of(&lake, lake.search(&caller, &wanted)).await
}
