//! Facts of a sync, notices above its files, and links to the pages that concern the same dataset, files and key.

use crate::components::copy::CopyButton;
use crate::components::error_box::sentence;
use crate::components::icon::{Icon, Picture};
use crate::components::status::{SyncPill, meaning, short};
use crate::components::time::{Elapsed, RelativeTime};
use crate::format;
use crate::format::failure_reason;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::sync::failure_report::FailureReport;
use lakeshore::model::sync::job::{SyncJob, successor_of};
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

fn causes(report: Option<&FailureReport>) -> String {
    report.map(FailureReport::in_words).unwrap_or_default()
}

/// Names that came twice, of which only the last is there: two folders of one name each, most often.
#[component]
pub(super) fn DuplicateNotice(sync: RwSignal<SyncJob>) -> impl IntoView {
    let duplicates = Memo::new(move |_| sync.with(|sync| (sync.num_duplicates, sync.duplicate_names.clone())));
    view! {
        {move || {
            let (count, names) = duplicates.get();
            (count > 0)
                .then(|| {
                    let more = if count > names.len() as u64 { ", …" } else { "" };
                    let named = format!("{}{more}", names.join(", "));
                    view! {
                        <div class="notice">
                            <Picture icon=Icon::Warning/>
                            <p>
                                {format!(
                                    "{} overwrote files of this sync with the same name: ",
                                    format::counted(count, "upload"),
                                )}
                                <span class="path">{visible(named)}</span>
                                ". The overwritten files are in the trash. Use unique names or separate folders."
                            </p>
                        </div>
                    }
                })
        }}
    }
    .into_any()
}

/// Links to the pages that concern the same dataset, files and key.
#[component]
pub(super) fn Links(sync: SyncJob) -> impl IntoView {
    let (id, path) = (sync.sync_id, sync.path.to_string());
    let links = [
        ("Dataset", routes::dataset(&path)),
        ("Versions", routes::versions(&path)),
        ("Folder", routes::lake(&path)),
        ("Uploads", routes::history_of(id)),
        ("Activity", routes::activity_of(id)),
    ];
    let key = (!sync.started_by.is_empty()).then(|| routes::activity_by(&sync.started_by));
    view! {
        <nav class="related" aria-label="Related pages">
            {links.into_iter().map(|(label, href)| view! { <a href=href>{label}</a> " " }).collect_view()}
            {key.map(|href| view! { <a href=href>{visible(format!("Key {}", sync.started_by))}</a> })}
        </nav>
    }
    .into_any()
}

#[component]
pub(super) fn Facts(
    sync: RwSignal<SyncJob>,
    report: RwSignal<Option<FailureReport>>,
    fixed: SyncJob,
    as_of: Timestamp,
) -> impl IntoView {
    let status = Memo::new(move |_| sync.with(|sync| sync.sync_status));
    let is_held = Memo::new(move |_| sync.with(|sync| sync.held.is_some()));
    let end = Memo::new(move |_| sync.with(|sync| sync.end_time));
    let message = Memo::new(move |_| sync.with(|sync| sync.message.clone()));
    // As in lists; of these, cancelled uploads and files that landed later are no failures.
    let failed = Memo::new(move |_| {
        let harmless =
            report.with(|report| report.as_ref().map_or(0, |report| report.num_cancelled + report.num_sent_again));
        (sync.with(|sync| sync.num_failed), harmless)
    });
    let differing = Memo::new(move |_| sync.with(|sync| sync.num_schema_differences));
    let (number, path) = (fixed.sync_id.to_string(), fixed.path.to_string());
    let by = if fixed.started_by.is_empty() { "Anonymous".to_owned() } else { fixed.started_by };
    view! {
        <Show when=move || !message.with(String::is_empty)>
            <div class="notice notice-error">
                <Picture icon=Icon::Warning/>
                <p>
                    {move || {
                        let reason = message.with(|message| report.with(|report| failure_reason(&causes(report.as_ref()), message)));
                        sentence(&reason)
                    }}
                    {move || {
                        message
                            .with(|message| successor_of(message))
                            .map(|successor| view! { " " <a href=routes::sync(successor)>"View that sync"</a> })
                    }}
                </p>
            </div>
        </Show>
        <dl class="facts">
            <div>
                <dt>"Status"</dt>
                <dd id="sync-status" aria-live="polite">
                    {move || view! { <SyncPill status=status.get() is_held=is_held.get()/> }}
                </dd>
            </div>
            <div>
                <dt>"ID"</dt>
                <dd class="copied">
                    {number.clone()} <CopyButton text=number label="Copy sync ID"/>
                </dd>
            </div>
            <div class="fact-wide">
                <dt>"Path"</dt>
                <dd class="copied">
                    <span class="path">{visible(path.clone())}</span>
                    <CopyButton text=path label="Copy lake path"/>
                </dd>
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
                <dd>
                    <span class:bad=move || failed.with(|(failed, harmless)| failed > harmless)>
                        {move || format::count(failed.get().0)}
                    </span>
                    {move || {
                        let (_, harmless) = failed.get();
                        (harmless > 0)
                            .then(|| {
                                view! {
                                    <span class="quiet">
                                        {format!(", {} cancelled or landed later", format::count(harmless))}
                                    </span>
                                }
                            })
                    }}
                </dd>
            </div>
            <Show when=move || { differing.get() > 0 }>
                <div>
                    <dt title="Files that do not match the previous schema of the dataset">"Schema mismatch"</dt>
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
                <dd>{visible(by)}</dd>
            </div>
        </dl>
    }
    .into_any()
}
