//! List of all syncs, newest first, updated live.

use crate::api::{AsOf, Session, list_syncs};
use crate::components::clock::Clock;
use crate::components::empty::{NoRows, NothingFound};
use crate::components::filters::{FilterBar, Offered, list_of, mistyped};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::sync_table::SyncTable;
use crate::components::tour::Tour;
use crate::json;
use crate::live::ServerEvent;
use crate::query::{Filters, use_filters};
use crate::routes;
use lakeshore::model::sync::job::SyncJob;
use leptos::prelude::*;

#[component]
pub fn Syncs() -> impl IntoView {
    let filters = use_filters();
    let syncs = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_of(filters.parameters(), list_syncs).await?;
            Ok((filters, listed))
        },
    );
    page(
        || "Syncs".to_owned(),
        syncs,
        |session, (filters, listed)| match listed {
            Ok(listed) => view! { <SyncList session filters listed/> }.into_any(),
            Err(error) => mistyped("Syncs", view! { <SyncFilters filters/> }, error),
        },
    )
}

#[component]
fn SyncFilters(filters: Filters) -> impl IntoView {
    let offered = Offered { status: true, sync_type: true, path: true, ..Offered::default() };
    view! { <FilterBar base=routes::SYNCS filters offered text_label="Name or path"/> }
}

#[component]
fn SyncList(session: Session, filters: Filters, listed: AsOf<Vec<SyncJob>>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let rows = RwSignal::new(listed.value);
    let asked = StoredValue::new(filters.clone());
    LiveRefresh::keep(
        listed.last_event,
        ASKING_MS_MIN,
        move |event| apply_event(rows, asked, event),
        move || async move {
            let Some(Ok(parameters)) = asked.try_with_value(Filters::parameters) else { return None };
            // On failure the page stays as it is; the stream reports when the server is back.
            let listed = list_syncs(parameters).await.ok()?;
            rows.try_set(listed.value);
            Some(listed.last_event)
        },
    );
    let origin = StoredValue::new(session.site.origin);
    let is_unfiltered = filters.is_empty() && filters.page == 0;
    let is_filtered = !filters.is_empty();
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let bar = StoredValue::new(filters.clone());
    let first = filters.first_page(routes::SYNCS);
    view! {
        <Heading title="Syncs">
            <a class="button button-primary" href=routes::UPLOAD>
                <Picture icon=Icon::Plus/>
                "New upload"
            </a>
        </Heading>
        {move || {
            if is_empty.get() && is_unfiltered {
                view! { <Tour origin=origin.get_value()/> }.into_any()
            } else {
                view! {
                    <SyncFilters filters=bar.get_value()/>
                    {match (is_empty.get(), first.clone()) {
                        (true, Some(first)) => view! { <NoRows first/> }.into_any(),
                        (true, None) if is_filtered => view! { <NothingFound base=routes::SYNCS/> }.into_any(),
                        _ => view! { <SyncTable rows as_of/> }.into_any(),
                    }}
                }
                    .into_any()
            }
        }}
        {move || view! { <Pager base=routes::SYNCS.to_owned() filters=bar.get_value() rows=rows.with(Vec::len)/> }}
    }
}

/// Applies an event to the list. Returns whether the set of syncs on this page may have changed, which needs a fetch.
fn apply_event(rows: RwSignal<Vec<SyncJob>>, asked: StoredValue<Filters>, event: &ServerEvent) -> bool {
    let Some(sync) = &event.sync else { return false };
    let at = rows.with_untracked(|rows| rows.iter().position(|row| row.sync_id == sync.sync_id));
    if let Some(at) = at {
        rows.update(|rows| rows[at] = sync.clone());
    }
    let is_filtered = asked.with_value(|filters| !filters.is_empty());
    let has_come = event.kind == "sync_started" && at.is_none();
    has_come || (is_filtered && event.is_end())
}
