//! Parts that the pages of versions share: badges, origin, figures with their change.

use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::routes;
use crate::visible::visible;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::version::{Version, VersionKind};
use leptos::prelude::*;

/// `current`, `pinned`.
#[component]
pub(super) fn Badges(is_current: bool, pin: Option<String>) -> impl IntoView {
    view! {
        {is_current
            .then(|| {
                view! {
                    <span class="pill pill-finished">
                        <Picture icon=Icon::Check/>
                        "Current"
                    </span>
                }
            })}
        {pin
            .map(|note| {
                let title = if note.is_empty() { "Exempt from the limits of the trash".to_owned() } else { visible(note) };
                view! {
                    <span class="pill pill-held" title=title>
                        <Picture icon=Icon::Pin/>
                        "Pinned"
                    </span>
                }
            })}
    }
}

/// The sync or restore that created the version, and the key.
#[component]
pub(super) fn Origin(version: Version) -> impl IntoView {
    let Version { path, kind, sync_id, sync_name, restored_version, made_by, .. } = version;
    let name = sync_name.filter(|name| !name.is_empty());
    let sync = sync_id.map(|id| {
        let name = name.unwrap_or_else(|| format!("Sync {id}"));
        view! { <a href=routes::sync(id)>{visible(name)}</a> }
    });
    let what = match (kind, restored_version) {
        (VersionKind::Restore, Some(restored)) => {
            let href = routes::version(path.as_str(), restored);
            view! { "Restore of " <a href=href>{format!("version {restored}")}</a> }.into_any()
        }
        (VersionKind::Restore, None) => "Restore from trash".into_any(),
        (VersionKind::Publish | VersionKind::Landing, _) => view! { {sync} }.into_any(),
    };
    let kind = match kind {
        VersionKind::Publish => "Full sync",
        VersionKind::Landing => "Incremental sync",
        VersionKind::Restore => "Restore",
    };
    let by = if made_by.is_empty() { kind.to_owned() } else { format!("{kind} by {made_by}") };
    view! {
        {what}
        <span class="row-detail">{visible(by)}</span>
    }
}

/// `+3`, `−1`; absent if equal.
pub(super) fn change(new: u64, old: u64, write: fn(u64) -> String) -> Option<String> {
    match new.cmp(&old) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(format!("+{}", write(new - old))),
        std::cmp::Ordering::Less => Some(format!("\u{2212}{}", write(old - new))),
    }
}

/// A number and its change since the version before.
#[component]
pub(super) fn Figure(new: u64, old: Option<u64>, write: fn(u64) -> String) -> impl IntoView {
    let changed = old.and_then(|old| change(new, old, write));
    view! {
        <data value=new.to_string()>{write(new)}</data>
        {changed.map(|changed| view! { <span class="path">{changed}</span> })}
    }
}

/// Row count of a version, with how many files are not counted.
pub(super) fn rows(version: &Version) -> String {
    match (version.rows, version.num_rows_unknown) {
        (0, unknown) if unknown > 0 => "—".to_owned(),
        (rows, 0) => format::count(rows),
        (rows, unknown) => format!("{}, excluding {}", format::count(rows), format::counted(unknown, "file")),
    }
}

/// Label of a version in a select: `5: 2026-11-26 14:05, 3 files, current`.
pub(super) fn option(version: &Version) -> String {
    let current = if version.is_current { ", current" } else { "" };
    format!("{}: {}, {}{current}", version.version, format::minute(version.at), format::counted(version.files, "file"))
}

/// The version before.
pub(super) fn before(version: VersionNumber) -> Option<VersionNumber> {
    version.0.checked_sub(1).filter(|number| *number > 0).map(VersionNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_its_sign_and_none_is_nothing() {
        assert_eq!(change(1200, 1000, format::count).as_deref(), Some("+200"));
        assert_eq!(change(3, 10, format::count).as_deref(), Some("\u{2212}7"));
        assert_eq!(change(3, 3, format::count), None);
        assert_eq!((before(VersionNumber(1)), before(VersionNumber(2))), (None, Some(VersionNumber(1))));
    }
}
