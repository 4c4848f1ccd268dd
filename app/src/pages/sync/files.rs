//! Table of files, for the page of a sync and the history.

use crate::components::copy::Digest;
use crate::components::error_box::sentence;
use crate::components::live_rows::LiveRows;
use crate::components::status::StatusPill;
use crate::components::table_head::{column, table_head};
use crate::components::time::{Elapsed, RelativeTime};
use crate::format;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::dataset::schema::SchemaDifference;
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::row::Upload;
use leptos::prelude::*;

#[component]
pub fn FileTable(
    rows: RwSignal<Vec<Upload>>,
    as_of: Timestamp,
    /// Adds a column with a link to the sync.
    #[prop(optional)]
    with_sync: bool,
) -> impl IntoView {
    view! {
        <table class="table table-files">
            {table_head([
                column("File"), column("Status"), column("Sync").when(with_sync), column("Size").number(),
                column("SHA-256").secondary(), column("Sent"), column("Duration").class("number secondary"),
            ])}
            <tbody>
                <LiveRows
                    rows
                    id=|upload: &Upload| upload.history_id.0
                    row=move |upload| view! { <FileRow upload as_of with_sync/> }
                />
            </tbody>
        </table>
    }
    .into_any()
}

#[component]
fn FileRow(upload: Signal<Upload>, as_of: Timestamp, with_sync: bool) -> impl IntoView {
    let fixed = upload.get_untracked();
    let status = Memo::new(move |_| upload.with(|upload| upload.sync_status));
    let is_cancelled = Memo::new(move |_| upload.with(Upload::is_cancelled));
    let message = Memo::new(move |_| upload.with(|upload| upload.message.clone()));
    // Where it landed, or was sent to.
    let place = Memo::new(move |_| {
        upload.with(|upload| upload.landed_path.as_ref().or(upload.target_path.as_ref()).map(ToString::to_string))
    });
    let hash = Memo::new(move |_| upload.with(|upload| upload.sha256.clone()));
    let end = Memo::new(move |_| upload.with(|upload| upload.end_time));
    let difference = Memo::new(move |_| upload.with(|upload| upload.schema_difference.clone()));
    let unread = Memo::new(move |_| upload.with(|upload| upload.inspection_problem.clone()));
    let rows = Memo::new(move |_| upload.with(|upload| upload.row_count));
    let sync_id = fixed.sync_id;
    view! {
        <tr>
            <td class="cell-main">
                <span class="row-name">{visible(fixed.file_name)}</span>
                {move || place.get().map(|place| view! { <span class="path">{visible(place)}</span> })}
                {fixed.taken_over.then(|| view! { <span class="path">"Unchanged: reused, not sent"</span> })}
                {move || difference.get().map(|difference| view! { <SchemaMark difference=*difference/> })}
                {move || {
                    unread
                        .get()
                        .map(|problem| view! { <span class="path">{format!("Not inspected: {problem}")}</span> })
                }}
                <Show when=move || !message.with(String::is_empty)>
                    <span class="message">{move || message.with(|message| sentence(message))}</span>
                </Show>
            </td>
            <td data-label="Status">
                {move || match is_cancelled.get() {
                    true => view! { <span class="pill pill-off">"Cancelled"</span> }.into_any(),
                    false => view! { <StatusPill status=status.get()/> }.into_any(),
                }}
            </td>
            {with_sync
                .then(|| {
                    view! {
                        <td data-label="Sync">
                            <a href=routes::sync(sync_id)>{format!("Sync {sync_id}")}</a>
                        </td>
                    }
                })}
            <td data-label="Size" class="number">
                {move || upload.with(|upload| format::bytes(upload.size_bytes))}
                {move || rows.get().map(|rows| view! { <span class="path">{format::counted(rows, "row")}</span> })}
            </td>
            <td data-label="SHA-256" class="secondary">
                {move || {
                    hash.get().map(|sha256| view! { <Digest sha256/> })
                }}
            </td>
            <td data-label="Sent">
                <RelativeTime at=fixed.start_time as_of/>
            </td>
            <td data-label="Duration" class="number secondary">
                {move || view! { <Elapsed start=fixed.start_time end=end.get() as_of/> }}
            </td>
        </tr>
    }
    .into_any()
}

/// Mark for columns that differ from those of the dataset.
#[component]
fn SchemaMark(difference: SchemaDifference) -> impl IntoView {
    view! {
        <span class="schema-difference">
            <strong>"Schema mismatch: "</strong>
            {difference.in_words()}
        </span>
    }
    .into_any()
}
