//! Status and type of a sync or an upload: a shape, a word and a colour.

use super::icon::{Icon, Picture};
use lakeshore::model::sync::status::{Status, SyncType};
use leptos::prelude::*;

#[component]
pub fn StatusPill(status: Status) -> impl IntoView {
    let (class, icon) = match status {
        Status::Syncing => ("pill pill-syncing", Icon::Running),
        Status::Finished => ("pill pill-finished", Icon::Check),
        Status::Failed => ("pill pill-failed", Icon::Cross),
    };
    view! {
        <span class=class>
            <Picture icon/>
            {status.as_str()}
        </span>
    }
    .into_any()
}

/// Status of a sync. A held sync is open, but waits for a decision.
#[component]
pub fn SyncPill(status: Status, is_held: bool) -> impl IntoView {
    if !is_held {
        return view! { <StatusPill status/> }.into_any();
    }
    view! {
        <span class="pill pill-held" title="Ending this sync would shrink the dataset or change its columns. Publish it or abort it.">
            <Picture icon=Icon::Warning/>
            "Held"
        </span>
    }
    .into_any()
}

/// `Full` or `Incremental`, with its meaning on hover.
#[component]
pub fn TypeLabel(sync_type: SyncType) -> impl IntoView {
    view! { <span title=meaning(sync_type)>{short(sync_type)}</span> }
}

pub fn short(sync_type: SyncType) -> &'static str {
    match sync_type {
        SyncType::FullSync => "Full",
        SyncType::IncrementalSync => "Incremental",
    }
}

pub fn meaning(sync_type: SyncType) -> &'static str {
    match sync_type {
        SyncType::FullSync => "Replaces the whole dataset when the sync ends. The old files move to the trash.",
        SyncType::IncrementalSync => "Adds files to the dataset as each arrives.",
    }
}
