//! Shared parts of the trash pages: the reason of an item, its expiry, and the purge form.

use crate::components::icon::{Icon, Picture};
use crate::components::time::RelativeTime;
use crate::format;
use crate::visible::visible;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::time::Timestamp;
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::{TrashEntry, TrashGroup, TrashKind, TrashReason};
use leptos::prelude::*;
use std::time::Duration;

/// Time before its expiry from which an item is marked as expiring.
const ENDING: Duration = Duration::from_secs(2 * 24 * 3600);

pub fn reason(reason: TrashReason) -> &'static str {
    match reason {
        TrashReason::Replaced => "Replaced by a full sync",
        TrashReason::Overwritten => "Overwritten by an upload of the same name",
        TrashReason::Aborted => "From an aborted full sync",
        TrashReason::Expired => "From an expired full sync",
        TrashReason::Superseded => "From a superseded full sync",
        TrashReason::Restored => "Replaced by a restore",
    }
}

/// Kind of an item before it moved to the trash.
pub fn item_label(entry: &TrashEntry) -> String {
    let sync = entry.sync_id.map(|id| format!(" {id}")).unwrap_or_default();
    match (entry.reason, entry.kind) {
        (TrashReason::Replaced, _) => "Replaced version".to_owned(),
        (TrashReason::Overwritten, _) => "Overwritten file".to_owned(),
        (TrashReason::Aborted, _) => format!("Aborted full sync{sync}"),
        (TrashReason::Expired, _) => format!("Expired full sync{sync}"),
        (TrashReason::Superseded, _) => format!("Superseded full sync{sync}"),
        (TrashReason::Restored, TrashKind::Dataset) => "Version replaced by a restore".to_owned(),
        (TrashReason::Restored, TrashKind::File) => "File replaced by a restore".to_owned(),
    }
}

/// Former kind of one sync's items. `version`: the version that the sync replaced, if known.
pub fn group_label(group: &TrashGroup, version: Option<VersionNumber>) -> String {
    let id = group.sync_id;
    match (group.reason, version) {
        (TrashReason::Replaced, Some(version)) => format!("Replaced version {version}"),
        (TrashReason::Replaced, None) => "Replaced version".to_owned(),
        (TrashReason::Overwritten, _) if group.items == 1 => "Overwritten file".to_owned(),
        (TrashReason::Overwritten, _) => "Overwritten files".to_owned(),
        (TrashReason::Aborted, _) => format!("Aborted full sync {id}"),
        (TrashReason::Expired, _) => format!("Expired full sync {id}"),
        (TrashReason::Superseded, _) => format!("Superseded full sync {id}"),
        (TrashReason::Restored, _) => "Replaced by restores".to_owned(),
    }
}

/// Name of what has put it there.
pub fn title(group: &TrashGroup) -> String {
    match group.sync_id {
        SyncId(0) => "Replaced by restores".to_owned(),
        id => format::sync_title(id, &group.sync_name),
    }
}

/// Size of a group; uncounted items are not included.
pub fn size(totals: Totals, num_uncounted: u64) -> String {
    match num_uncounted {
        0 => format::bytes(totals.bytes),
        _ if totals.files == 0 => "counting…".to_owned(),
        _ => format!("{}, counting…", format::bytes(totals.bytes)),
    }
}

/// `in 6 d`, marked if it is soon.
#[component]
pub fn ExpiryCell(at: Option<Timestamp>, as_of: Timestamp) -> impl IntoView {
    let Some(at) = at else { return view! { <span class="quiet">"Never"</span> }.into_any() };
    let is_soon = at.minus(ENDING) <= as_of;
    if is_soon {
        view! {
            <span class="pill pill-held">
                <Picture icon=Icon::Warning/>
                <RelativeTime at as_of/>
            </span>
        }
        .into_any()
    } else {
        view! { <RelativeTime at as_of/> }.into_any()
    }
}

/// Items to purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeScope {
    Item(TrashId),
    OfSync(SyncId),
    All,
}

/// Purge form: folded, and confirmed by a typed word.
#[component]
pub fn EmptyForm(selector: PurgeScope, what: String) -> impl IntoView {
    let (word, label) = match selector {
        PurgeScope::Item(_) | PurgeScope::OfSync(_) => ("delete", "Delete permanently"),
        PurgeScope::All => ("empty", "Empty trash"),
    };
    let hidden = match selector {
        PurgeScope::Item(TrashId(id)) => Some(("trash_id", id)),
        PurgeScope::OfSync(SyncId(id)) => Some(("sync_id", id)),
        PurgeScope::All => None,
    };
    view! {
        <details class="danger-zone section">
            <summary>{format!("{label}…")}</summary>
            <form method="post" action="/fn/empty-trash" class="card">
                <p>{visible(what)} " This cannot be undone."</p>
                {hidden.map(|(name, id)| view! { <input type="hidden" name=name value=id.to_string()/> })}
                <div class="form-row">
                    {(selector == PurgeScope::All)
                        .then(|| {
                            view! {
                                <label class="field">
                                    <span>"Items"</span>
                                    <select class="input" name="older_than_days">
                                        <option value="0">"All"</option>
                                        <option value="1">"Older than 1 day"</option>
                                        <option value="7">"Older than 7 days"</option>
                                        <option value="30">"Older than 30 days"</option>
                                    </select>
                                </label>
                            }
                        })}
                    <label class="field">
                        <span>{format!("Type \"{word}\" to confirm")}</span>
                        <input
                            class="input"
                            name="word"
                            required
                            pattern=format!(" *{word} *")
                            title=format!("Type {word}")
                            autocomplete="off"
                            autocapitalize="none"
                            spellcheck="false"
                        />
                    </label>
                    <button type="submit" class="button button-danger">
                        {label}
                    </button>
                </div>
            </form>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_by_what_it_is() {
        let group = |reason, items| TrashGroup {
            sync_id: SyncId(7),
            sync_name: "nightly".into(),
            path: None,
            reason,
            items,
            totals: Totals::default(),
            num_uncounted: 0,
            first_at: Timestamp(1),
            last_at: Timestamp(1),
            expires_at: None,
        };
        assert_eq!(group_label(&group(TrashReason::Aborted, 1), None), "Aborted full sync 7");
        assert_eq!(group_label(&group(TrashReason::Replaced, 1), Some(VersionNumber(3))), "Replaced version 3");
        assert_eq!(group_label(&group(TrashReason::Overwritten, 2), None), "Overwritten files");
    }

    #[test]
    fn uncounted_items_are_marked_as_being_counted() {
        let totals = Totals { files: 2, bytes: 1200 };
        assert_eq!(size(totals, 0), "1.2 kB");
        assert_eq!(size(totals, 3), "1.2 kB, counting…");
        assert_eq!(size(Totals::default(), 1), "counting…");
    }
}
