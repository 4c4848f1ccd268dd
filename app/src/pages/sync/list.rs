//! List of all syncs, newest first, updated live.

use crate::api::{AsOf, Session, list_syncs};
use crate::components::clock::Clock;
use crate::components::empty::NothingFound;
use crate::components::filters::{FilterBar, Offered};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::live_rows::LiveRows;
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::status::{SyncPill, TypeLabel};
use crate::components::table_head::{column, table_head};
use crate::components::time::{Elapsed, RelativeTime};
use crate::format;
use crate::json;
use crate::live::ServerEvent;
use crate::pages::tour::Tour;
use crate::query::{Filters, use_filters};
use crate::routes;
use crate::visible::visible;
use lakeshore::model::sync::job::SyncJob;
use leptos::prelude::*;

#[component]
pub fn Syncs() -> impl IntoView {
    let filters = use_filters();
    let syncs = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_syncs(filters.parameters()?).await?;
            Ok((filters, listed))
        },
    );
    page(|| "Syncs".to_owned(), syncs, |session, (filters, listed)| view! { <SyncList session filters listed/> })
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
        move |heard| hear(rows, asked, heard),
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
    let offered = Offered { status: true, sync_type: true, path: true, ..Offered::default() };
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
                    <FilterBar base=routes::SYNCS filters=bar.get_value() offered text_label="Name or path"/>
                    {if is_empty.get() && is_filtered {
                        view! { <NothingFound base=routes::SYNCS/> }.into_any()
                    } else {
                        view! { <SyncTable rows as_of/> }.into_any()
                    }}
                }
                    .into_any()
            }
        }}
        {move || view! { <Pager base=routes::SYNCS.to_owned() filters=bar.get_value() rows=rows.with(Vec::len)/> }}
    }
}

/// Applies an event to the list. Returns whether the set of syncs on this page may have changed, which needs a fetch.
fn hear(rows: RwSignal<Vec<SyncJob>>, asked: StoredValue<Filters>, heard: &ServerEvent) -> bool {
    let Some(sync) = &heard.sync else { return false };
    let at = rows.with_untracked(|rows| rows.iter().position(|row| row.sync_id == sync.sync_id));
    if let Some(at) = at {
        rows.update(|rows| rows[at] = sync.clone());
    }
    let is_filtered = asked.with_value(|filters| !filters.is_empty());
    let has_come = heard.kind == "sync_started" && at.is_none();
    has_come || (is_filtered && heard.is_end())
}

#[component]
pub(in crate::pages) fn SyncTable(rows: RwSignal<Vec<SyncJob>>, as_of: lakeshore::Timestamp) -> impl IntoView {
    view! {
        <table class="table table-syncs">
            {table_head([
                column("Sync"), column("Status"), column("Type").secondary(), column("Files").number(),
                column("Failed").number(), column("Size").number(), column("Started"),
                column("Duration").class("number secondary"),
            ])}
            <tbody>
                <LiveRows rows id=|sync: &SyncJob| sync.sync_id.0 row=move |sync| view! { <SyncRow sync as_of/> }/>
            </tbody>
        </table>
    }
}

#[component]
fn SyncRow(sync: Signal<SyncJob>, as_of: lakeshore::Timestamp) -> impl IntoView {
    // These fields never change; the status does.
    let fixed = sync.get_untracked();
    let href = routes::sync(fixed.sync_id);
    let name = if fixed.name.is_empty() { format!("Sync {}", fixed.sync_id) } else { fixed.name };
    let status = Memo::new(move |_| sync.with(|sync| sync.sync_status));
    let is_held = Memo::new(move |_| sync.with(|sync| sync.held.is_some()));
    let end = Memo::new(move |_| sync.with(|sync| sync.end_time));
    let failed = Memo::new(move |_| sync.with(|sync| sync.num_failed));
    view! {
        <tr class="row-link">
            <td class="cell-main">
                <a class="row-name" href=href>
                    {visible(name)}
                </a>
                <span class="path">{visible(fixed.path.to_string())}</span>
            </td>
            <td data-label="Status">
                {move || view! { <SyncPill status=status.get() is_held=is_held.get()/> }}
            </td>
            <td data-label="Type" class="secondary">
                <TypeLabel sync_type=fixed.sync_type/>
            </td>
            <td data-label="Files" class="number">
                {move || sync.with(|sync| format::count(sync.total_files))}
            </td>
            <td data-label="Failed" class="number" class:bad=move || { failed.get() > 0 }>
                {move || format::count(failed.get())}
            </td>
            <td data-label="Size" class="number">
                {move || sync.with(|sync| format::bytes(sync.size_bytes))}
            </td>
            <td data-label="Started">
                <RelativeTime at=fixed.start_time as_of/>
            </td>
            <td data-label="Duration" class="number secondary">
                {move || view! { <Elapsed start=fixed.start_time end=end.get() as_of/> }}
            </td>
        </tr>
    }
    .into_any()
}
