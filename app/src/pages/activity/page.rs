//! Audit log, newest first, updated live.

use crate::api::AsOf;
use crate::api::activity::list_activity;
use crate::components::clock::Clock;
use crate::components::empty::{Empty, NothingFound};
use crate::components::filters::{list_of, mistyped};
use crate::components::icon::{Icon, Picture};
use crate::components::live_refresh::{ASKING_MS_MIN, LiveRefresh};
use crate::components::live_rows::LiveRows;
use crate::components::page::{Heading, page};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::json;
use crate::live::ServerEvent;
use crate::pages::activity::filters::{ActivityFilterBar, ActivityFilters, use_activity_filters};
use crate::pages::activity::words::{detail, headline, recognised, without_a_name};
use crate::query::ROWS_PER_PAGE;
use crate::routes;
use crate::visible::visible;
use lakeshore::Timestamp;
use lakeshore::model::audit::{Activity as Row, AuditEntry, AuditOutcome};
use leptos::prelude::*;

#[component]
pub fn Activity() -> impl IntoView {
    let filters = use_activity_filters();
    let entries = json::ask(
        move || filters.get(),
        |filters| async move {
            let listed = list_of(filters.parameters(), list_activity).await?;
            Ok((filters, listed))
        },
    );
    page(
        || "Activity".to_owned(),
        entries,
        |_, (filters, listed)| match listed {
            Ok(listed) => view! { <ActivityList filters listed/> }.into_any(),
            Err(error) => mistyped("Activity", view! { <ActivityFilterBar filters/> }, error),
        },
    )
}

/// Whether an event adds an entry.
fn concerns(event: &ServerEvent) -> bool {
    matches!(
        event.kind.as_str(),
        "sync_started" | "sync_held" | "trash_restored" | "trash_changed" | "activity_changed"
    ) || event.is_end()
}

#[component]
fn ActivityList(filters: ActivityFilters, listed: AsOf<Vec<Row>>) -> impl IntoView {
    Clock::here().observe(listed.now);
    let as_of = listed.now;
    let rows = RwSignal::new(listed.value);
    let asked = StoredValue::new(filters.clone());
    // Older entries do not change.
    let is_newest = filters.before.is_none();
    let apply_event = move |event: &ServerEvent| is_newest && concerns(event);
    LiveRefresh::keep(listed.last_event, ASKING_MS_MIN, apply_event, move || async move {
        let Some(Ok(parameters)) = asked.try_with_value(ActivityFilters::parameters) else { return None };
        let listed = list_activity(parameters).await.ok()?;
        rows.try_set(listed.value);
        Some(listed.last_event)
    });
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    let is_filtered = !filters.is_empty();
    view! {
        <Heading title="Activity"/>
        <p class="lead quiet">
            "Who did what, when, from where and with what result. This log is append-only. It sums up uploads when their sync ends; each one is listed under "
            <a href=routes::HISTORY>"Uploads"</a> "."
        </p>
        <ActivityFilterBar filters/>
        {move || match (is_empty.get(), is_filtered || !is_newest) {
            (false, _) => view! { <ActivityTable rows as_of/> }.into_any(),
            (true, true) => view! { <NothingFound base=routes::ACTIVITY/> }.into_any(),
            (true, false) => {
                view! {
                    <Empty title="No activity yet">
                        <p>
                            "Starting and ending syncs, restoring and emptying the trash, creating keys and signing in are recorded here."
                        </p>
                        <p>
                            <a class="button button-primary" href=routes::UPLOAD>
                                "Start sync"
                            </a>
                        </p>
                    </Empty>
                }
                    .into_any()
            }
        }}
        {move || rows.with(|rows| older(rows)).or((!is_newest).then_some(0)).map(|last| {
            let filters = asked.get_value();
            view! {
                <nav class="pager" aria-label="Pages">
                    {(!is_newest)
                        .then(|| {
                            view! {
                                <a class="button button-small" href=filters.address(None)>
                                    <Picture icon=Icon::Left/>
                                    "Newest"
                                </a>
                            }
                        })}
                    {(last > 0)
                        .then(|| {
                            view! {
                                <a class="button button-small" href=filters.address(Some(last)) rel="next">
                                    "Older"
                                    <Picture icon=Icon::Right/>
                                </a>
                            }
                        })}
                </nav>
            }
        })}
    }
    .into_any()
}

/// Last entry that this page shows, if there are older ones.
fn older(rows: &[Row]) -> Option<u64> {
    let shown = usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX);
    (rows.len() > shown).then(|| rows.get(shown - 1)).flatten().map(|last| last.activity_id.0)
}

#[component]
fn ActivityTable(rows: RwSignal<Vec<Row>>, as_of: Timestamp) -> impl IntoView {
    view! {
        <table class="table table-activity">
            {table_head([column("Action"), column("Path"), column("By"), column("From").secondary(), column("Time")])}
            <tbody>
                <LiveRows rows id=|row: &Row| row.activity_id.0 row=move |row| view! { <ActivityRow row as_of/> }/>
            </tbody>
        </table>
    }
}

#[component]
fn ActivityRow(row: Signal<Row>, as_of: Timestamp) -> impl IntoView {
    // Entries never change.
    let row = row.get_untracked();
    let nameless = without_a_name(&row);
    let entry = row.entry;
    let who = match nameless {
        Some(words) => view! { <span class="quiet">{words}</span> }.into_any(),
        None => {
            let name = entry.by.name.clone();
            let href = ActivityFilters::of_who(&name);
            view! { <a href=href>{visible(name)}</a> }.into_any()
        }
    };
    let recognised = recognised(&entry);
    view! {
        <tr>
            <td class="cell-main">
                <span class="row-name">{visible(headline(&entry))} <OutcomePill outcome=entry.outcome/></span>
                <span class="row-detail">{visible(detail(&entry))}</span>
            </td>
            <td data-label="Path" class="cell-where">
                <Where entry=entry.clone()/>
            </td>
            <td data-label="By">
                {who}
                {(!recognised.is_empty()).then(|| view! { <span class="row-detail">{recognised}</span> })}
            </td>
            <td data-label="From" class="secondary">
                <From entry=entry.clone()/>
            </td>
            <td data-label="Time">
                <RelativeTime at=entry.at as_of/>
            </td>
        </tr>
    }
    .into_any()
}

/// Pill for refused and failed actions; a success needs none.
#[component]
fn OutcomePill(outcome: AuditOutcome) -> impl IntoView {
    let (class, icon, word) = match outcome {
        AuditOutcome::Done => return None,
        AuditOutcome::Refused => ("pill pill-held", Icon::Warning, "Refused"),
        AuditOutcome::Failed => ("pill pill-failed", Icon::Cross, "Failed"),
    };
    Some(view! {
        <span class=class>
            <Picture icon/>
            {word}
        </span>
    })
}

#[component]
fn Where(entry: AuditEntry) -> impl IntoView {
    let is_nowhere = entry.path.is_none() && entry.sync_id.is_none();
    view! {
        {entry
            .path
            .map(|path| {
                view! {
                    <a
                        class="path path-main"
                        href=ActivityFilters::of_path(path.as_str())
                        aria-label=visible(format!("Activity at {path}"))
                        title="Show activity at this path"
                    >
                        {visible(path.to_string())}
                    </a>
                }
            })}
        {entry
            .sync_id
            .map(|id| {
                let words = if entry.subject.is_empty() { format!("Sync {id}") } else { format!("Sync {id}: {}", entry.subject) };
                view! {
                    <a class="row-detail" href=routes::sync(id)>
                        {visible(words)}
                    </a>
                }
            })}
        {is_nowhere.then(|| view! { <span class="quiet">"—"</span> })}
    }
    .into_any()
}

#[component]
fn From(entry: AuditEntry) -> impl IntoView {
    let origin = entry.by.trace.origin;
    let is_unknown = origin.address.is_none();
    view! {
        {origin.address.map(|address| view! { <span class="address">{visible(address)}</span> })}
        {origin
            .forwarded_for
            .map(|address| {
                view! {
                    <span class="row-detail" title="Addresses reported by the proxy">
                        {visible(format!("for {address}"))}
                    </span>
                }
            })}
        {origin
            .program
            .map(|program| {
                view! {
                    <span class="row-detail program" title=visible(program.clone())>
                        {visible(program.clone())}
                    </span>
                }
            })}
        {is_unknown.then(|| view! { <span class="quiet">"—"</span> })}
    }
    .into_any()
}
