//! Failures of a sync by cause: the first files of each, the last successful run, and a command to retry.

use crate::components::copy::Command;
use crate::components::error_box::sentence;
use crate::components::time::RelativeTime;
use crate::format;
use crate::routes;
use crate::snippet::shell_word;
use crate::visible::visible;
use lakeshore::model::sync::failure_report::{FailureCause, FailureReport};
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

#[component]
pub(super) fn Failures(
    sync: RwSignal<SyncJob>,
    report: RwSignal<Option<FailureReport>>,
    origin: String,
    as_of: Timestamp,
) -> impl IntoView {
    let origin = StoredValue::new(origin);
    let shown = Memo::new(move |_| {
        let report = report.get()?;
        let has_failed = sync.with(|sync| sync.sync_status) == Status::Failed;
        (has_failed || !report.causes.is_empty()).then_some((report, has_failed))
    });
    move || {
        shown.get().map(|(report, has_failed)| {
            let sync = sync.get_untracked();
            let failed_only = routes::sync_files(sync.sync_id, true);
            let FailureReport { causes, num_sent_again, num_cancelled, num_not_looked_at, last_good } = report;
            let has_causes = !causes.is_empty();
            let again = (num_sent_again > 0).then(|| {
                format!("{} failed, but the files landed later in this sync.", format::counted(num_sent_again, "upload"))
            });
            let cancelled =
                (num_cancelled > 0).then(|| format!("{} cancelled.", format::counted(num_cancelled, "upload")));
            let unknown = (num_not_looked_at > 0)
                .then(|| format!("{} more failed uploads are not included.", format::count(num_not_looked_at)));
            let retry = has_failed.then(|| origin.with_value(|origin| retry_command(&sync, origin)));
            view! {
                <section class="section" aria-labelledby="failures-title">
                    <h2 id="failures-title">{if has_failed { "Why it failed" } else { "Failed uploads" }}</h2>
                    <div class="causes">
                        {causes.into_iter().map(cause).collect_view()}
                    </div>
                    {again.map(|again| view! { <p class="quiet">{again}</p> })}
                    {cancelled.map(|cancelled| view! { <p class="quiet">{cancelled}</p> })}
                    {unknown.map(|unknown| view! { <p class="quiet">{unknown}</p> })}
                    <p>
                        {has_causes.then(|| view! { <a class="button button-small" href=failed_only>"Failed only"</a> " " })}
                        {match last_good {
                            _ if !has_failed => ().into_any(),
                            Some(good) => {
                                let name = format!("sync {}", good.sync_id);
                                view! {
                                    "Last successful run: "
                                    <a href=routes::sync(good.sync_id)>{name}</a>
                                    ", "
                                    <RelativeTime at=good.end_time as_of/>
                                    {format!(", {}, ", format::counted(good.num_landed(), "file"))}
                                    <a href=routes::versions(sync.path.as_str())>"versions"</a>
                                }
                                    .into_any()
                            }
                            None => "No earlier sync of this path has finished.".into_any(),
                        }}
                    </p>
                    {retry
                        .map(|retry| {
                            view! {
                                <h3>"Retry"</h3>
                                <p class="quiet">"Unchanged files are not sent again."</p>
                                <Command text=retry label="Copy retry command"/>
                            }
                        })}
                </section>
            }
            .into_any()
        })
    }
}

fn cause(cause: FailureCause) -> impl IntoView {
    let title = cause.in_words();
    let FailureCause { count, files, .. } = cause;
    let more = count.saturating_sub(files.len() as u64);
    let lines = files.into_iter().map(|file| {
        let place = match file.path {
            Some(path) if path.leaf() != file.file_name => format!("{}, to {path}", file.file_name),
            Some(path) => path.to_string(),
            None => file.file_name,
        };
        view! {
            <li>
                <span class="path">{visible(place)}</span>
                <span class="message">{sentence(&file.message)}</span>
            </li>
        }
    });
    view! {
        <details class="names" open=true>
            <summary>{visible(title)}</summary>
            <ul>
                {lines.collect_view()}
                {(more > 0).then(|| view! { <li class="quiet">{format::and_more(more)}</li> })}
            </ul>
        </details>
    }
    .into_any()
}

fn retry_command(sync: &SyncJob, origin: &str) -> String {
    let mode = match sync.sync_type {
        SyncType::FullSync => "--full",
        SyncType::IncrementalSync => "--incremental",
    };
    let path = shell_word(sync.path.as_str());
    format!("lakeshore push ./export {path} {mode} --server {origin}")
}
