//! Table of syncs, whose rows follow their signal.

use crate::components::live_rows::LiveRows;
use crate::components::status::{SyncPill, TypeLabel};
use crate::components::table_head::{column, table_head};
use crate::components::time::{Elapsed, RelativeTime};
use crate::format;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::sync::job::SyncJob;
use leptos::prelude::*;

#[component]
pub fn SyncTable(rows: RwSignal<Vec<SyncJob>>, as_of: lakeshore::Timestamp) -> impl IntoView {
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
    let name = format::sync_title(fixed.sync_id, &fixed.name);
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
