//! Filters of a list in the page's address: `?status=&type=&q=&path=&sync_id=&page=`.

use crate::error::ApiError;
use lakeshore::ErrorCode;
use lakeshore::model::error::Refusal;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::{ListParameters, Order};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::{Status, SyncType};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map, use_url};
use leptos_router::params::ParamsMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Rows on a page of a list.
pub const ROWS_PER_PAGE: u64 = 25;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filters {
    pub status: Option<Status>,
    pub sync_type: Option<SyncType>,
    pub text: Option<String>,
    /// As typed; parsed on use.
    pub path: Option<String>,
    /// As typed.
    pub sync_id: Option<String>,
    pub page: u64,
}

/// Query of the page's address, updated by each navigation within the page.
///
/// The router's `use_query_map` keeps the old query if the path changes too within one route, for example from the
/// second page of a folder to its parent. The address of the whole site is current, but also changes for pages that are
/// being left. So it is read when the route is taken again.
pub fn use_query() -> Memo<ParamsMap> {
    let (of_route, params, of_site) = (use_url(), use_params_map(), use_location().query);
    Memo::new(move |_| {
        of_route.track();
        params.track();
        of_site.get_untracked()
    })
}

/// Filters of the page's address, updated by each navigation.
pub fn use_filters() -> Memo<Filters> {
    let map = use_query();
    Memo::new(move |_| map.with(Filters::from_map))
}

impl Filters {
    fn from_map(map: &ParamsMap) -> Self {
        let text = |name| map.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            status: text("status").and_then(|text| Status::parse(&text)),
            sync_type: text("type").and_then(|text| SyncType::parse(&text)),
            text: text("q"),
            path: text("path"),
            sync_id: text("sync_id"),
            page: text("page").and_then(|text| text.parse().ok()).unwrap_or(0),
        }
    }

    /// Whether no filter is set.
    pub fn is_empty(&self) -> bool {
        *self == Self { page: self.page, ..Self::default() }
    }

    /// Parameters for the lake: newest first, and one row more than a page shows, to detect another page.
    pub fn parameters(&self) -> Result<ListParameters, ApiError> {
        Ok(ListParameters {
            from: Some(self.page.saturating_mul(ROWS_PER_PAGE)),
            size: Some(ROWS_PER_PAGE + 1),
            order: Order::Desc,
            sync_id: sync_number(self.sync_id.as_deref())?,
            status: self.status,
            sync_type: self.sync_type,
            path: lake_path(self.path.as_deref())?,
            q: self.text.clone(),
        })
    }

    /// Address of the first page of the same list, on a later one.
    pub fn first_page(&self, base: &str) -> Option<String> {
        (self.page > 0).then(|| self.address(base, 0))
    }

    /// Address of another page of the same list.
    pub fn address(&self, base: &str, page: u64) -> String {
        let page = (page > 0).then(|| page.to_string());
        let pairs = [
            ("status", self.status.map(Status::as_str)),
            ("type", self.sync_type.map(SyncType::as_str)),
            ("q", self.text.as_deref()),
            ("path", self.path.as_deref()),
            ("sync_id", self.sync_id.as_deref()),
            ("page", page.as_deref()),
        ];
        query_string(base, pairs)
    }
}

/// Address with the pairs that have a value.
pub fn query_string<const N: usize>(base: &str, pairs: [(&str, Option<&str>); N]) -> String {
    let mut address = base.to_owned();
    let set = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (index, (name, value)) in set.enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        // Writing to a String cannot fail.
        let _ = write!(address, "{separator}{name}={}", percent_encoded(value));
    }
    address
}

/// Filter by path, with or without its leading slash.
pub fn lake_path(typed: Option<&str>) -> Result<Option<LakePath>, ApiError> {
    let path = match typed {
        None => None,
        Some(text) if text.starts_with('/') => Some(LakePath::parse(text)),
        Some(text) => Some(LakePath::parse(&format!("/{text}"))),
    };
    // Anybody may have written the address, so its text is not repeated.
    path.transpose().map_err(|_| {
        let takes = "the filter \"Path\" takes a lake path: names separated by \"/\", none of which begins with a dot; \
                     enter one such as /data/orders";
        refusal(ErrorCode::InvalidPath, takes.to_owned())
    })
}

/// Filter by sync.
pub fn sync_number(typed: Option<&str>) -> Result<Option<SyncId>, ApiError> {
    let sync_id = typed.map(|text| text.parse::<SyncId>()).transpose();
    sync_id.map_err(|_| {
        refusal(ErrorCode::Invalid, "the filter \"Sync ID\" takes a number; enter one such as 42".to_owned())
    })
}

fn refusal(code: ErrorCode, msg: String) -> ApiError {
    ApiError(Refusal::new(code, msg))
}

/// Target of a form: only a path of this site, since anybody may have written the address. Otherwise the start page.
pub fn local(next: &str) -> &str {
    // Browsers treat "/\\" as "//", which begins another host, and drop tabs and line breaks.
    let leads_elsewhere = next.starts_with("//") || next.contains('\\') || next.contains(|c: char| c.is_control());
    if next.starts_with('/') && !leads_elsewhere { next } else { "/" }
}

/// All but the characters that are allowed in both a path and a query value (RFC 3986).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b',');

/// Percent-encodes a path or a query value. Where it need not, it does not, so that `dt=1` is readable, and a typed
/// address equals the link's.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_the_filters_and_leaves_out_the_first_page() {
        let filters = Filters { status: Some(Status::Failed), text: Some("a&b ö".into()), ..Filters::default() };
        assert_eq!(filters.address("/history", 0), "/history?status=Failed&q=a%26b%20%C3%B6");
        assert_eq!(Filters::default().address("/", 2), "/?page=2");
    }

    #[test]
    fn a_form_leads_on_to_this_site_alone() {
        assert_eq!(local("/upload?sync=1"), "/upload?sync=1");
        let elsewhere =
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "/\u{85}", "x"];
        for next in elsewhere {
            assert_eq!(local(next), "/", "{next:?}");
        }
    }

    #[test]
    fn one_row_more_than_a_page_is_asked_for() {
        let parameters = Filters { page: 2, path: Some("data".into()), ..Filters::default() }.parameters().unwrap();
        assert_eq!((parameters.from, parameters.size, parameters.order), (Some(50), Some(26), Order::Desc));
        assert_eq!(parameters.path.unwrap().as_str(), "/data");
        assert!(Filters { sync_id: Some("x".into()), ..Filters::default() }.parameters().is_err());
    }
}
