//! Page of one sync: facts, files, and buttons that end or abort it, updated live.

use crate::api::versions::{MadeVersion, version_made_by};
use crate::api::{
    AsOf, Session, SyncRows, compare_expected, failure_report, get_difference, get_sync_rows, get_timeline,
};
use crate::components::clock::Clock;
use crate::components::copy::Command;
use crate::components::empty::NoRows;
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::sign_in_form::SignInHint;
use crate::drawing::Drawing;
use crate::error::ApiError;
use crate::format;
use crate::json;
use crate::live::{Live, ServerEvent};
use crate::pages::sync::batch::{Changes, ExpectedFiles};
use crate::pages::sync::close::CloseButtons;
use crate::pages::sync::facts::{DuplicateNotice, Facts, Links};
use crate::pages::sync::failures::Failures;
use crate::pages::sync::files::FileTable;
use crate::pages::sync::hold::HoldNotice;
use crate::pages::sync::published_version::PublishedVersion;
use crate::pages::sync::running;
use crate::pages::sync::running::Running;
use crate::pages::sync::timeline::Waterfall;
use crate::query::{Filters, use_filters};
use crate::routes;
use crate::snippet::upload_command;
use lakeshore::model::access::role::Role;
use lakeshore::model::event::EventId;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::difference::Difference;
use lakeshore::model::sync::failure_report::FailureReport;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::in_flight::UploadInFlight;
use lakeshore::model::upload::row::Upload;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use serde::{Deserialize, Serialize};

/// Minimum interval between fetches that visit many rows.
const BATCH_MS_MIN: i64 = 2000;

/// A sync with a page of its files, its waterfall, and its declaration. The difference is fetched where a person has to
/// decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct View {
    filters: Filters,
    rows: AsOf<SyncRows>,
    drawing: Drawing,
    batch: Batch,
}

/// Data from many rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Batch {
    comparison: Option<Comparison>,
    difference: Option<Difference>,
    report: Option<FailureReport>,
    made: Option<MadeVersion>,
}

async fn ask(sync_id: SyncId, filters: Filters) -> Result<View, ApiError> {
    let rows = get_sync_rows(sync_id, filters.parameters()?).await?;
    let drawing = get_timeline(sync_id).await?.value;
    let batch = ask_batch(&rows.value.sync).await;
    Ok(View { filters, rows, drawing, batch })
}

/// Answers that fail now are left out of the page.
async fn ask_batch(sync: &SyncJob) -> Batch {
    let comparison = match sync.expected {
        Some(_) => compare_expected(sync.sync_id).await.ok().flatten(),
        None => None,
    };
    let difference = match sync.held {
        Some(_) => get_difference(sync.sync_id).await.ok(),
        None => None,
    };
    let report = match sync.sync_status {
        Status::Failed => failure_report(sync.sync_id).await.ok(),
        _ if sync.num_failed > 0 => failure_report(sync.sync_id).await.ok(),
        _ => None,
    };
    let made = match (sync.sync_type, sync.sync_status) {
        (SyncType::FullSync, Status::Finished) => version_made_by(sync.sync_id).await.ok().flatten(),
        _ => None,
    };
    Batch { comparison, difference, report, made }
}

#[component]
pub fn SyncDetail() -> impl IntoView {
    let params = use_params_map();
    let filters = use_filters();
    // An id that is not a number becomes 0, which no sync has.
    let id =
        Memo::new(move |_| SyncId(params.with(|params| params.get("id")).and_then(|id| id.parse().ok()).unwrap_or(0)));
    let data = json::ask(move || (id.get(), filters.get()), |(id, filters)| ask(id, filters));
    page(move || format!("Sync {}", id.get()), data, |session, view| view! { <SyncView session view/> })
}

/// Signals of the page.
#[derive(Clone, Copy)]
struct PageState {
    id: SyncId,
    sync: RwSignal<SyncJob>,
    uploads: RwSignal<Vec<Upload>>,
    in_flight: RwSignal<Vec<UploadInFlight>>,
    drawing: RwSignal<Drawing>,
    comparison: RwSignal<Option<Comparison>>,
    difference: RwSignal<Option<Difference>>,
    report: RwSignal<Option<FailureReport>>,
    made: RwSignal<Option<MadeVersion>>,
    filters: StoredValue<Filters>,
}

impl PageState {
    fn new(filters: Filters, rows: SyncRows, drawing: Drawing, batch: Batch) -> Self {
        let SyncRows { sync, uploads, in_flight } = rows;
        let Batch { comparison, difference, report, made } = batch;
        Self {
            id: sync.sync_id,
            sync: RwSignal::new(sync),
            uploads: RwSignal::new(uploads),
            in_flight: RwSignal::new(in_flight),
            drawing: RwSignal::new(drawing),
            comparison: RwSignal::new(comparison),
            difference: RwSignal::new(difference),
            report: RwSignal::new(report),
            made: RwSignal::new(made),
            filters: StoredValue::new(filters),
        }
    }

    /// Keeps the page current. `read_at` is the last event that it includes. Returns the refresh of its rows.
    fn keep(self, read_at: EventId) -> LiveRefresh {
        let live = Live::here();
        let Self { id, sync, uploads, in_flight, drawing, comparison, difference, report, made, filters } = self;
        let apply_event = move |event: &ServerEvent| {
            if event.sync_id() != Some(id) {
                return false;
            }
            if let Some(now) = &event.sync {
                sync.set(now.clone());
            }
            in_flight.update(|uploads| running::apply_event(uploads, event));
            !matches!(event.kind.as_str(), "upload_progress" | "upload_left")
        };
        let fresh = LiveRefresh::keep(read_at, ASKING_MS_MIN, apply_event, move || async move {
            let parameters = filters.try_with_value(Filters::parameters)?.ok()?;
            let AsOf { last_event, value: now, .. } = get_sync_rows(id, parameters).await.ok()?;
            uploads.try_set(now.uploads);
            // Otherwise later events are newer than the answer.
            if live.is_heard_in(last_event) {
                sync.try_set(now.sync);
                in_flight.try_set(now.in_flight);
            }
            Some(last_event)
        });
        let concerns = move |event: &ServerEvent| {
            event.sync_id() == Some(id) && !matches!(event.kind.as_str(), "upload_progress" | "upload_left")
        };
        LiveRefresh::keep(read_at, BATCH_MS_MIN, concerns, move || async move {
            let AsOf { last_event, value, .. } = get_timeline(id).await.ok()?;
            drawing.try_set(value);
            let batch = ask_batch(&sync.try_get_untracked()?).await;
            comparison.try_set(batch.comparison);
            report.try_set(batch.report);
            made.try_set(batch.made);
            if batch.difference.is_some() {
                difference.try_set(batch.difference);
            }
            Some(last_event)
        });
        fresh
    }

    /// Columns that differ in most files, or in the first differing file of the page.
    fn differing_columns(self) -> Option<String> {
        let of_most =
            self.difference.with(|difference| difference.as_ref()?.schema.as_ref().map(|schema| schema.in_words()));
        let of_one = |rows: &Vec<Upload>| {
            rows.iter().find_map(|upload| upload.schema_difference.as_ref().map(|one| one.in_words()))
        };
        of_most.or_else(|| self.uploads.with(of_one))
    }
}

#[component]
fn SyncView(session: Session, view: View) -> impl IntoView {
    let View { filters, rows, drawing, batch } = view;
    let AsOf { now: as_of, last_event, value: rows } = rows;
    Clock::here().observe(as_of);
    let fixed = rows.sync.clone();
    let is_failed_only = filters.status == Some(Status::Failed);
    let state = PageState::new(filters, rows, drawing, batch);
    let PageState { id, sync, in_flight, drawing, comparison, difference, report, made, .. } = state;
    let fresh = state.keep(last_event);
    let refresh = Callback::new(move |()| fresh.now());
    let is_open = Memo::new(move |_| sync.with(|sync| sync.sync_status == Status::Syncing));
    let columns = Memo::new(move |_| state.differing_columns());
    let may_write = session.has_role(Role::Write);
    let is_signed_in = session.signed_in.is_some();
    let origin = session.site.origin;
    let command = upload_command(&origin, &id.to_string(), "sales.parquet", !session.site.is_open);
    let title = format::sync_title(id, &fixed.name);
    view! {
        <p class="crumb">
            <a href=routes::SYNCS>"Syncs"</a>
        </p>
        <Heading title=title>
            <Show when=move || is_open.get() && may_write>
                <a class="button" href=routes::upload_to_sync(id)>
                    <Picture icon=Icon::Plus/>
                    "Add files"
                </a>
                <CloseButtons sync refresh/>
            </Show>
        </Heading>
        <HoldNotice sync columns may_write as_of refresh/>
        <DuplicateNotice sync/>
        <Facts sync report fixed=fixed.clone() as_of/>
        <Links sync=fixed/>
        <Failures sync report origin as_of/>
        <Running sync in_flight as_of may_write/>
        <Show when=move || is_open.get() && !may_write>
            <SignInHint is_signed_in purpose="to add files, or to end or abort this sync"/>
        </Show>
        <Show when=move || is_open.get()>
            <details class="section">
                <summary>"Upload with curl"</summary>
                <Command text=command.clone() label="Copy upload command"/>
            </details>
        </Show>
        <ExpectedFiles comparison/>
        <Waterfall drawing sync_id=id may_resend=Signal::derive(move || is_open.get() && may_write)/>
        <Changes sync difference/>
        <PublishedVersion made/>
        <Files state is_failed_only as_of/>
    }
    .into_any()
}

#[component]
fn Files(state: PageState, is_failed_only: bool, as_of: Timestamp) -> impl IntoView {
    let PageState { id, sync, uploads, filters, .. } = state;
    let is_empty = Memo::new(move |_| uploads.with(Vec::is_empty));
    let base = routes::sync(id);
    let first = filters.with_value(|filters| filters.first_page(&base));
    view! {
        <section class="section" aria-labelledby="files-title">
            <h2 id="files-title">"Files"</h2>
            <Show when=move || { sync.with(|sync| sync.num_failed > 0) }>
                <nav class="tabs" aria-label="Which files">
                    <a href=routes::sync_files(id, false) aria-current=(!is_failed_only).then_some("true")>
                        "All"
                    </a>
                    <a href=routes::sync_files(id, true) aria-current=is_failed_only.then_some("true")>
                        "Failed only"
                    </a>
                </nav>
            </Show>
            <Show
                when=move || !is_empty.get()
                fallback=move || {
                    if let Some(first) = first.clone() {
                        return view! { <NoRows first/> }.into_any();
                    }
                    let none = if is_failed_only { "No failed uploads in this sync." } else { "No files have been sent to this sync." };
                    view! { <p class="quiet">{none}</p> }.into_any()
                }
            >
                <FileTable rows=uploads as_of/>
            </Show>
            {move || {
                view! { <Pager base=base.clone() filters=filters.get_value() rows=uploads.with(Vec::len) fragment="#files-title"/> }
            }}
        </section>
    }
    .into_any()
}
