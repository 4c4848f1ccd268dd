//! Items that need attention: each states the problem, and links to the place where it can be solved.

use crate::components::held::consequence;
use crate::components::icon::{Icon, Picture};
use crate::components::time::RelativeTime;
use crate::format;
use crate::format::failure_reason;
use crate::routes::{self, DatasetTab};
use crate::visible::visible;
use lakeshore::model::error::DiskRole;
use lakeshore::model::id::SyncId;
use lakeshore::model::overview::{Attention, Disk, FullTrash, LateDataset, Room};
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::Status;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

/// An item.
struct AttentionItem {
    class: &'static str,
    kind: &'static str,
    what: String,
    why: AnyView,
    href: String,
    act: &'static str,
}

#[component]
pub fn AttentionList(
    attention: Attention,
    /// Reasons of held and failed syncs, beyond what the syncs say themselves.
    reasons: Vec<(SyncId, String)>,
    not_ready: Option<String>,
    as_of: Timestamp,
) -> impl IntoView {
    if !attention.is_needed() && not_ready.is_none() {
        return view! {
            <section class="section" aria-labelledby="needs-title">
                <h2 id="needs-title">"Needs attention"</h2>
                <p class="with-icon good">
                    <Picture icon=Icon::Check/>
                    <span>"Nothing. No sync is held or has failed in the last 24 hours, no dataset is late, and there is enough space."</span>
                </p>
            </section>
        }
        .into_any();
    }
    let Attention { held, num_held, failed, num_failed, late, num_late, disks, trash } = attention;
    let named = held.len() + failed.len() + late.len();
    let more = (num_held + num_failed + num_late).saturating_sub(named as u64);
    let reason_of =
        |sync: &SyncJob| reasons.iter().find(|(id, _)| *id == sync.sync_id).map_or("", |(_, reason)| reason.as_str());
    let needs: Vec<_> = not_ready
        .map(unready)
        .into_iter()
        .chain(disks.into_iter().map(full))
        .chain(trash.map(near_bound))
        .chain(held.into_iter().map(|sync| of_held(reason_of(&sync), sync, as_of)))
        .chain(late.into_iter().map(|dataset| of_late(dataset, as_of)))
        .chain(failed.into_iter().map(|sync| of_failed(reason_of(&sync), sync, as_of)))
        .collect();
    view! {
        <section class="section" aria-labelledby="needs-title">
            <h2 id="needs-title">"Needs attention"</h2>
            <ul class="needs">
                {needs
                    .into_iter()
                    .map(|need| {
                        view! {
                            <li class="need">
                                <span class=need.class>
                                    <Picture icon=Icon::Warning/>
                                    {need.kind}
                                </span>
                                <div class="need-what">
                                    <p>
                                        <strong>{visible(need.what)}</strong>
                                    </p>
                                    <p class="quiet">{need.why}</p>
                                </div>
                                <a class="button button-small" href=need.href>
                                    {need.act}
                                </a>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
            {(more > 0)
                .then(|| {
                    view! {
                        <p class="quiet">
                            {format!("And {} more: ", format::count(more))} <a href=routes::syncs_with(Status::Failed)>"failed syncs"</a> ", "
                            <a href=routes::DATASETS>"datasets"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}

fn name(sync: &SyncJob) -> String {
    format!("{}, {}", format::sync_title(sync.sync_id, &sync.name), sync.path)
}

/// The lake's disk has the short name, because users fill it.
pub(super) fn storage_label(disk: &Disk) -> &'static str {
    match disk.store {
        DiskRole::Lake => "Storage",
        DiskRole::State => "Database storage",
    }
}

/// Item for a server that cannot write; the reason has the remedy.
fn unready(reason: String) -> AttentionItem {
    let what = "The server cannot write".to_owned();
    let why = visible(reason).into_any();
    AttentionItem {
        class: "pill pill-failed",
        kind: "Not ready",
        what,
        why,
        href: "/readyz".to_owned(),
        act: "Check again",
    }
}

/// `columns`: what differs, behind a schema hold.
fn of_held(columns: &str, sync: SyncJob, as_of: Timestamp) -> AttentionItem {
    let why = match sync.held {
        Some(hold) => {
            let of_schema = if columns.is_empty() { String::new() } else { format!(": {columns}") };
            view! {
                {visible(format!("{} Held since ", consequence(sync.path.as_str(), hold, &of_schema)))}
                <RelativeTime at=hold.since as_of/>
                "."
            }
            .into_any()
        }
        None => "Waiting for confirmation".into_any(),
    };
    let (what, href) = (name(&sync), routes::sync(sync.sync_id));
    AttentionItem { class: "pill pill-held", kind: "Held", what, why, href, act: "Publish or abort" }
}

fn of_failed(causes: &str, sync: SyncJob, as_of: Timestamp) -> AttentionItem {
    let reason = failure_reason(causes, &sync.message);
    let message = if reason.is_empty() { "failed".to_owned() } else { reason };
    let why = view! {
        {visible(format!("{message}, "))}
        <RelativeTime at=sync.end_time as_of/>
    }
    .into_any();
    let (what, href) = (name(&sync), routes::sync(sync.sync_id));
    AttentionItem { class: "pill pill-failed", kind: "Failed", what, why, href, act: "See why" }
}

fn of_late(late: LateDataset, as_of: Timestamp) -> AttentionItem {
    let why = view! {
        "Due "
        <RelativeTime at=late.since as_of/>
        "; last updated "
        <RelativeTime at=late.last_landed as_of/>
    }
    .into_any();
    let href = routes::dataset_tab(late.path.as_str(), DatasetTab::Calendar);
    AttentionItem {
        class: "pill pill-held",
        kind: "Late",
        what: late.path.to_string(),
        why,
        href,
        act: "View calendar",
    }
}

fn full(disk: Disk) -> AttentionItem {
    let (kind, class, then) = match disk.room {
        Room::BelowReserve => ("Storage full", "pill pill-failed", "Uploads are refused until at least"),
        Room::NearlyFull | Room::Enough => ("Storage low", "pill pill-held", "Uploads are refused unless"),
    };
    let why = format!(
        "{} free of {}. {then} {} is free. Empty the trash or free up space.",
        format::bytes(disk.free_bytes),
        format::bytes(disk.total_bytes),
        format::bytes(disk.reserve_bytes)
    );
    let what = storage_label(&disk).to_owned();
    AttentionItem { class, kind, what, why: why.into_any(), href: routes::TRASH.into(), act: "Open trash" }
}

fn near_bound(trash: FullTrash) -> AttentionItem {
    let why = format!(
        "{} of {} used. Above the limit, the oldest items are permanently deleted.",
        format::bytes(trash.bytes),
        format::bytes(trash.bytes_max)
    );
    let what = "Trash is almost full".to_owned();
    AttentionItem {
        class: "pill pill-held",
        kind: "Trash",
        what,
        why: why.into_any(),
        href: routes::TRASH.into(),
        act: "Open trash",
    }
}
