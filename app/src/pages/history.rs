//! History of all uploads, newest first.

use crate::api::{AsOf, list_uploads};
use crate::components::clock::Clock;
use crate::components::empty::{Empty, NoRows, NothingFound};
use crate::components::filters::{FilterBar, Offered, list_of, mistyped};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::json;
use crate::live::ServerEvent;
use crate::pages::sync::files::FileTable;
use crate::query::{Filters, use_filters};
use crate::routes;
use lakeshore::model::sync::status::Status;
use lakeshore::model::upload::row::Upload;
use leptos::prelude::*;

#[component]
pub fn History() -> impl IntoView {
    let filters = use_filters();
    let uploads = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_of(filters.parameters(), list_uploads).await?;
            Ok((filters, listed))
        },
    );
    page(
        || "Uploads".to_owned(),
        uploads,
        |_, (filters, listed)| match listed {
            Ok(listed) => view! { <UploadList filters listed/> }.into_any(),
            Err(error) => mistyped("Uploads", view! { <UploadFilters filters/> }, error),
        },
    )
}

#[component]
fn UploadFilters(filters: Filters) -> impl IntoView {
    let offered = Offered { status: true, sync_id: true, path: true, ..Offered::default() };
    view! { <FilterBar base=routes::HISTORY filters offered text_label="File name or path"/> }
}

#[component]
fn UploadList(filters: Filters, listed: AsOf<Vec<Upload>>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let rows = RwSignal::new(listed.value);
    let asked = StoredValue::new(filters.clone());
    // New uploads appear on the first page; on others, only those in flight change.
    let is_first = filters.page == 0;
    let concerns = move |event: &ServerEvent| match event.kind.as_str() {
        "uploads_landed" | "upload_failed" | "sync_changed" | "sync_failed" => {
            is_first || rows.with_untracked(|rows| rows.iter().any(|upload| upload.sync_status == Status::Syncing))
        }
        _ => false,
    };
    LiveRefresh::keep(listed.last_event, ASKING_MS_MIN, concerns, move || async move {
        let Some(Ok(parameters)) = asked.try_with_value(Filters::parameters) else { return None };
        let listed = list_uploads(parameters).await.ok()?;
        rows.try_set(listed.value);
        Some(listed.last_event)
    });
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let is_filtered = !filters.is_empty();
    let first = filters.first_page(routes::HISTORY);
    view! {
        <Heading title="Uploads"/>
        <UploadFilters filters/>
        {move || match (is_empty.get(), first.clone(), is_filtered) {
            (false, ..) => view! { <FileTable rows as_of with_sync=true/> }.into_any(),
            (true, Some(first), _) => view! { <NoRows first/> }.into_any(),
            (true, None, true) => view! { <NothingFound base=routes::HISTORY/> }.into_any(),
            (true, None, false) => {
                view! {
                    <Empty title="No uploads yet">
                        <p>
                            "Every file that is sent is listed here with its status, size, SHA-256 and error."
                        </p>
                        <p>
                            <a class="button button-primary" href=routes::UPLOAD>
                                "Upload files"
                            </a>
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || {
            view! { <Pager base=routes::HISTORY.to_owned() filters=asked.get_value() rows=rows.with(Vec::len)/> }
        }}
    }
}
