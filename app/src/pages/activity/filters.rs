//! Filters of the activity page in its address: `?who=&what=&path=&sync_id=&from=&to=&before=`.

use crate::components::filters::{Choice, Field};
use crate::error::ApiError;
use crate::pages::activity::words::title;
use crate::query::{ROWS_PER_PAGE, lake_path, query_string, sync_number};
use crate::routes;
use lakeshore::ErrorCode;
use lakeshore::model::audit::{AuditAction, AuditId, AuditParameters};
use lakeshore::model::dataset::day::Day;
use lakeshore::model::error::Refusal;
use leptos::prelude::*;
use leptos_router::components::Form;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// As typed; parsed on use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivityFilters {
    pub who: Option<String>,
    pub what: Option<AuditAction>,
    pub path: Option<String>,
    pub sync_id: Option<String>,
    /// First day.
    pub from: Option<String>,
    /// Last day.
    pub to: Option<String>,
    /// Only entries before this one: a later page.
    pub before: Option<u64>,
}

/// Filters of the page's address, updated by each navigation.
pub fn use_activity_filters() -> Memo<ActivityFilters> {
    let map = use_query_map();
    Memo::new(move |_| map.with(ActivityFilters::from_map))
}

impl ActivityFilters {
    fn from_map(map: &ParamsMap) -> Self {
        let text = |name| map.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            who: text("who"),
            what: text("what").and_then(|text| AuditAction::parse(&text)),
            path: text("path"),
            sync_id: text("sync_id"),
            from: text("from"),
            to: text("to"),
            before: text("before").and_then(|text| text.parse().ok()),
        }
    }

    /// Whether no filter is set.
    pub fn is_empty(&self) -> bool {
        *self == Self { before: self.before, ..Self::default() }
    }

    /// Parameters for the lake: one row more than a page shows, to detect another page.
    pub fn parameters(&self) -> Result<AuditParameters, ApiError> {
        let day = |text: &Option<String>| {
            // Anybody may have written the address, so its text is not repeated.
            let refused = || {
                let msg = "the filters \"From\" and \"To\" take a date; enter one such as 2026-11-24";
                ApiError(Refusal::new(ErrorCode::Invalid, msg.to_owned()))
            };
            text.as_deref().map(|text| Day::parse(text).ok_or_else(refused)).transpose()
        };
        Ok(AuditParameters {
            before: self.before.map(AuditId),
            after: None,
            size: Some(ROWS_PER_PAGE + 1),
            who: self.who.clone(),
            what: self.what,
            path: lake_path(self.path.as_deref())?,
            sync_id: sync_number(self.sync_id.as_deref())?,
            since: day(&self.from)?.map(Day::start),
            until: day(&self.to)?.map(|last| last.plus(1).start()),
        })
    }

    /// Address of these filters, from an entry on.
    pub fn address(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string());
        query_string(
            routes::ACTIVITY,
            [
                ("who", self.who.as_deref()),
                ("what", self.what.map(AuditAction::as_str)),
                ("path", self.path.as_deref()),
                ("sync_id", self.sync_id.as_deref()),
                ("from", self.from.as_deref()),
                ("to", self.to.as_deref()),
                ("before", before.as_deref()),
            ],
        )
    }

    pub fn of_who(name: &str) -> String {
        Self { who: Some(name.to_owned()), ..Self::default() }.address(None)
    }

    pub fn of_path(path: &str) -> String {
        Self { path: Some(path.to_owned()), ..Self::default() }.address(None)
    }
}

#[component]
pub fn ActivityFilterBar(filters: ActivityFilters) -> impl IntoView {
    let is_empty = filters.is_empty();
    let whats = AuditAction::ALL.map(|what| (what.as_str(), title(what))).to_vec();
    let chosen = filters.what.map(AuditAction::as_str);
    view! {
        <search class="filters">
            <Form method="get" action=routes::ACTIVITY>
                <Choice name="what" label="Action" all="All actions" choices=whats chosen/>
                <Field name="who" label="Key name" kind="search" value=filters.who/>
                <Field name="path" label="Path" kind="text" value=filters.path/>
                <Field name="sync_id" label="Sync ID" kind="text" value=filters.sync_id/>
                <label class="filter-day">
                    <span>"From"</span>
                    <Field name="from" label="From date (UTC)" kind="date" value=filters.from/>
                </label>
                <label class="filter-day">
                    <span>"to"</span>
                    <Field name="to" label="To date (UTC)" kind="date" value=filters.to/>
                </label>
                <button type="submit" class="button">
                    "Filter"
                </button>
                {(!is_empty)
                    .then(|| {
                        view! {
                            <a class="button button-quiet" href=routes::ACTIVITY>
                                "Clear"
                            </a>
                        }
                    })}
            </Form>
        </search>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_the_filters_and_days_are_whole() {
        let filters = ActivityFilters {
            who: Some("a b".into()),
            what: Some(AuditAction::SignIn),
            from: Some("2026-11-24".into()),
            to: Some("2026-11-24".into()),
            ..ActivityFilters::default()
        };
        let address = "/activity?who=a%20b&what=sign_in&from=2026-11-24&to=2026-11-24&before=7";
        assert_eq!(filters.address(Some(7)), address);
        let wanted = filters.parameters().unwrap();
        assert_eq!(wanted.until.unwrap().0 - wanted.since.unwrap().0, 24 * 3600 * 1000);
        assert!(ActivityFilters { to: Some("soon".into()), ..filters }.parameters().is_err());
    }
}
