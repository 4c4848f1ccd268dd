//! One sync: its facts, its files, and how to end or abort it. Kept up to date while it runs.

use super::sync_batch::{Changes, ExpectedFiles};
use super::sync_close::CloseButtons;
use super::sync_files::FileTable;
use super::sync_hold::HoldNotice;
use super::tour::upload_command;
use crate::api::{AsOf, Session, compare_expected, get_difference, get_sync, list_uploads};
use crate::components::clock::Clock;
use crate::components::copy::Command;
use crate::components::fresh::Fresh;
use crate::components::icon::{Icon, Picture};
use crate::components::page::{Heading, page};
use crate::components::pager::Pager;
use crate::components::sign_in_form::SignInHint;
use crate::components::status::{SyncPill, meaning, short};
use crate::components::time::{Elapsed, RelativeTime};
use crate::error::ApiError;
use crate::format;
use crate::query::{Filters, use_filters};
use lakeshore::difference::Difference;
use lakeshore::expected::Comparison;
use lakeshore::key::{AuthMode, Role};
use lakeshore::sync::{Status, Sync, SyncId};
use lakeshore::time::Timestamp;
use lakeshore::upload::Upload;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use serde::{Deserialize, Serialize};

const FRESH_SECONDS_RUNNING: u32 = 2;
/// A sync that has ended changes no more.
const FRESH_SECONDS_ENDED: u32 = 60;

/// A sync and one page of its files, and what it was declared to hold. A difference is asked for where a person has to
/// decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct View {
    filters: Filters,
    sync: AsOf<Sync>,
    uploads: Vec<Upload>,
    comparison: Option<Comparison>,
    difference: Option<Difference>,
}

async fn ask(sync_id: SyncId, filters: Filters) -> Result<View, ApiError> {
    let (sync, uploads) = ask_rows(sync_id, &filters).await?;
    let (comparison, difference) = ask_batch(&sync.value).await;
    Ok(View { filters, sync, uploads, comparison, difference })
}

async fn ask_rows(sync_id: SyncId, filters: &Filters) -> Result<(AsOf<Sync>, Vec<Upload>), ApiError> {
    let sync = get_sync(sync_id).await?;
    let mut parameters = filters.parameters()?;
    parameters.sync_id = Some(sync_id);
    Ok((sync, list_uploads(parameters).await?.value))
}

/// What cannot be told now, the page does without.
async fn ask_batch(sync: &Sync) -> (Option<Comparison>, Option<Difference>) {
    let comparison = match sync.expected {
        Some(_) => compare_expected(sync.sync_id).await.ok().flatten(),
        None => None,
    };
    let difference = match sync.held {
        Some(_) => get_difference(sync.sync_id).await.ok(),
        None => None,
    };
    (comparison, difference)
}

#[component]
pub fn SyncDetail() -> impl IntoView {
    let params = use_params_map();
    let filters = use_filters();
    // What is no number names no sync: none has the number 0.
    let id =
        Memo::new(move |_| SyncId(params.with(|params| params.get("id")).and_then(|id| id.parse().ok()).unwrap_or(0)));
    let data = Resource::new(move || (id.get(), filters.get()), |(id, filters)| ask(id, filters));
    page(move || format!("Sync {}", id.get()), data, |session, view| view! { <SyncView session view/> })
}

#[component]
fn SyncView(session: Session, view: View) -> impl IntoView {
    let View { filters, sync: AsOf { now: as_of, value: sync }, uploads, comparison, difference } = view;
    Clock::here().observe(as_of);
    let id = sync.sync_id;
    let fixed = sync.clone();
    let sync = RwSignal::new(sync);
    let uploads = RwSignal::new(uploads);
    let comparison = RwSignal::new(comparison);
    let difference = RwSignal::new(difference);
    let asked = StoredValue::new(filters.clone());
    let is_open = Memo::new(move |_| sync.with(|sync| sync.sync_status == Status::Syncing));
    let fresh = Fresh::keep(
        move || if is_open.get() { FRESH_SECONDS_RUNNING } else { FRESH_SECONDS_ENDED },
        move || async move {
            let Some(filters) = asked.try_get_value() else { return };
            let Ok((now, files)) = ask_rows(id, &filters).await else { return };
            let stands = |sync: &Sync| (sync.num_landed(), sync.expected, sync.held);
            let has_changed = sync.try_with_untracked(stands).is_some_and(|before| before != stands(&now.value));
            sync.try_set(now.value.clone());
            uploads.try_set(files);
            if has_changed {
                let (compared, differs) = ask_batch(&now.value).await;
                comparison.try_set(compared);
                if differs.is_some() {
                    difference.try_set(differs);
                }
            }
        },
    );
    let refresh = Callback::new(move |()| fresh.now());
    let may_write = session.has_role(Role::Write);
    let is_signed_in = session.signed_in.is_some();
    let command =
        upload_command(&session.site.origin, &id.to_string(), "sales.parquet", session.auth_mode == AuthMode::Required);
    let title = if fixed.name.is_empty() { format!("Sync {id}") } else { fixed.name.clone() };
    let is_empty = Memo::new(move |_| uploads.with(Vec::is_empty));
    let base = format!("/syncs/{id}");
    view! {
        <p class="crumb">
            <a href="/syncs">"Syncs"</a>
        </p>
        <Heading title=title>
            <Show when=move || is_open.get() && may_write>
                <a class="button" href=format!("/upload?sync={id}")>
                    <Picture icon=Icon::Plus/>
                    "Add files"
                </a>
                <CloseButtons sync refresh/>
            </Show>
        </Heading>
        <HoldNotice sync may_write as_of refresh/>
        <Facts sync fixed as_of/>
        <Show when=move || is_open.get() && !may_write>
            <SignInHint is_signed_in purpose="to add files, end or abort this sync"/>
        </Show>
        <Show when=move || is_open.get()>
            <details class="section">
                <summary>"Upload to this sync by curl"</summary>
                <Command text=command.clone() label="Copy the upload command"/>
            </details>
        </Show>
        <ExpectedFiles comparison/>
        <Changes sync difference/>
        <section class="section" aria-labelledby="files-title">
            <h2 id="files-title">"Files"</h2>
            <Show
                when=move || !is_empty.get()
                fallback=|| view! { <p class="quiet">"No file has been sent to this sync."</p> }
            >
                <FileTable rows=uploads as_of/>
            </Show>
            {move || {
                view! { <Pager base=base.clone() filters=asked.get_value() rows=uploads.with(Vec::len)/> }
            }}
        </section>
    }
    .into_any()
}

#[component]
fn Facts(sync: RwSignal<Sync>, fixed: Sync, as_of: Timestamp) -> impl IntoView {
    let status = Memo::new(move |_| sync.with(|sync| sync.sync_status));
    let is_held = Memo::new(move |_| sync.with(|sync| sync.held.is_some()));
    let end = Memo::new(move |_| sync.with(|sync| sync.end_time));
    let message = Memo::new(move |_| sync.with(|sync| sync.message.clone()));
    let failed = Memo::new(move |_| sync.with(|sync| sync.num_failed));
    let differing = Memo::new(move |_| sync.with(|sync| sync.num_schema_differences));
    let by = if fixed.started_by.is_empty() { "nobody signed in".to_owned() } else { fixed.started_by };
    view! {
        <Show when=move || !message.with(String::is_empty)>
            <div class="notice notice-error">
                <Picture icon=Icon::Warning/>
                <p>{move || message.with(|message| crate::components::error_box::sentence(message))}</p>
            </div>
        </Show>
        <dl class="facts">
            <div>
                <dt>"Status"</dt>
                <dd id="sync-status" aria-live="polite">
                    {move || view! { <SyncPill status=status.get() is_held=is_held.get()/> }}
                </dd>
            </div>
            <div class="fact-wide">
                <dt>"Path"</dt>
                <dd class="path">{fixed.path.to_string()}</dd>
            </div>
            <div>
                <dt>"Type"</dt>
                <dd title=meaning(fixed.sync_type)>{short(fixed.sync_type)}</dd>
            </div>
            <div>
                <dt>"Files"</dt>
                <dd>{move || sync.with(|sync| format::count(sync.total_files))}</dd>
            </div>
            <div>
                <dt>"In flight"</dt>
                <dd>{move || sync.with(|sync| format::count(sync.num_in_flight))}</dd>
            </div>
            <div>
                <dt>"Failed"</dt>
                <dd class:bad=move || { failed.get() > 0 }>{move || format::count(failed.get())}</dd>
            </div>
            <Show when=move || { differing.get() > 0 }>
                <div>
                    <dt title="Files whose columns are not those of the dataset before">"Other columns"</dt>
                    <dd class="warned">{move || format::counted(differing.get(), "file")}</dd>
                </div>
            </Show>
            <div>
                <dt>"Size"</dt>
                <dd>{move || sync.with(|sync| format::bytes(sync.size_bytes))}</dd>
            </div>
            <div>
                <dt>"Started"</dt>
                <dd>
                    <RelativeTime at=fixed.start_time as_of/>
                </dd>
            </div>
            <div>
                <dt>"Duration"</dt>
                <dd>{move || view! { <Elapsed start=fixed.start_time end=end.get() as_of/> }}</dd>
            </div>
            <div>
                <dt>"Started by"</dt>
                <dd>{by}</dd>
            </div>
        </dl>
    }
    .into_any()
}
