//! Comparison of two versions: counts of each kind, then the files that differ. Unchanged files are folded away.

use super::summary::option;
use crate::api::datasets::FILES_PER_PAGE;
use crate::api::versions::VersionComparison;
use crate::components::icon::{Icon, Picture};
use crate::components::pager::PageLinks;
use crate::components::row_changes::{RowChanges, columns_of};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::routes::{self, DatasetTab};
use crate::visible::visible;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::sync::difference::{Change, ChangeKind};
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::Version;
use leptos::prelude::*;
use leptos_router::components::Form;

/// Hours that "since yesterday" looks back.
pub(super) const DAY_HOURS: u32 = 24;

#[component]
pub(super) fn CompareForm(
    path: String,
    offered: Vec<Version>,
    /// Initial selection: old and new.
    pair: (VersionNumber, VersionNumber),
    is_comparing: bool,
) -> impl IntoView {
    let action = routes::dataset(&path);
    let options = |chosen: VersionNumber| {
        offered
            .iter()
            .map(|version| {
                view! {
                    <option value=version.version.to_string() selected=version.version == chosen>
                        {option(version)}
                    </option>
                }
            })
            .collect_view()
    };
    let (old, new) = (options(pair.0), options(pair.1));
    view! {
        <search class="filters">
            <Form method="get" action=action>
                <input type="hidden" name="tab" value=DatasetTab::Versions.name()/>
                <select class="input" name="old" aria-label="Old version">
                    {old}
                </select>
                <select class="input" name="new" aria-label="New version">
                    {new}
                </select>
                <button type="submit" class="button">
                    "Compare"
                </button>
                <a class="button button-quiet" href=routes::since(&path, DAY_HOURS)>
                    "Since yesterday"
                </a>
                {is_comparing
                    .then(|| {
                        view! {
                            <a class="button button-quiet" href=routes::versions(&path)>
                                "All versions"
                            </a>
                        }
                    })}
            </Form>
        </search>
    }
    .into_any()
}

#[component]
pub(super) fn Comparison(
    path: String,
    comparison: VersionComparison,
    current: VersionNumber,
    kind: Option<ChangeKind>,
    page: u64,
    may_write: bool,
    as_of: Timestamp,
) -> impl IntoView {
    let VersionComparison { old, new, difference } = comparison;
    let of = routes::compare(&path, old.version, new.version);
    let restore = (may_write && old.version != current).then(|| routes::confirm_restore(&path, old.version, false));
    let is_same = old.version == new.version;
    let counts = ChangeKind::ALL.map(|counted| {
        let totals = difference.totals(counted);
        let is_chosen = kind == Some(counted);
        let is_lost = counted == ChangeKind::Removed && totals.files > 0;
        let href = if is_chosen { of.clone() } else { format!("{of}&kind={}", counted.as_str()) };
        view! {
            <a class="figure figure-link" href=href aria-current=is_chosen.then_some("true")>
                <span class="change-kind">{counted.as_str()}</span>
                <data class="figure-number" class:bad=is_lost value=totals.files.to_string()>
                    {format::count(totals.files)}
                </data>
                <span class="figure-usual">{format::bytes(totals.bytes)}</span>
            </a>
        }
    });
    let number = difference.files.len() as u64;
    let unchanged = difference.unchanged;
    let (row_totals, columns) = (difference.rows, columns_of(&difference));
    let rows = difference.files.into_iter().take(FILES_PER_PAGE as usize).map(row).collect_view();
    let with_kind = kind.map_or_else(|| of.clone(), |kind| format!("{of}&kind={}", kind.as_str()));
    let address = |page: u64| if page == 0 { with_kind.clone() } else { format!("{with_kind}&page={page}") };
    let previous = page.checked_sub(1).map(address);
    let next = (number > FILES_PER_PAGE).then(|| address(page + 1));
    let folded = (kind.is_none() && unchanged.files > 0).then(|| {
        let href = format!("{of}&kind=unchanged");
        view! {
            <p class="quiet">
                {format!("{} unchanged. ", format::counted(unchanged.files, "file"))}
                <a href=href>"Show unchanged files"</a>
            </p>
        }
    });
    let nothing = if is_same {
        "Select two different versions."
    } else if kind.is_some() {
        "No files of this kind."
    } else {
        "No differences."
    };
    view! {
        <div class="heading">
            <h2 class="section-title">
                {format!("Changes from version {} to version {}", old.version, new.version)}
            </h2>
            {restore
                .map(|href| {
                    view! {
                        <div class="heading-side">
                            <a class="button" href=href>
                                <Picture icon=Icon::Restore/>
                                {format!("Restore version {}…", old.version)}
                            </a>
                        </div>
                    }
                })}
        </div>
        <p class="quiet">
            <a href=routes::version(&path, old.version)>{format!("Version {}", old.version)}</a>
            ", "
            <RelativeTime at=old.at as_of/>
            "; "
            <a href=routes::version(&path, new.version)>{format!("version {}", new.version)}</a>
            ", "
            <RelativeTime at=new.at as_of/>
        </p>
        <div class="figures">{counts.collect_view()}</div>
        <RowChanges rows=row_totals columns/>
        {if number == 0 {
            view! { <p class="hint">{nothing}</p> }.into_any()
        } else {
            view! {
                <table class="table table-changes">
                    {table_head([column("File"), column("Change"), column("Before").number(), column("After").number()])}
                    <tbody>{rows}</tbody>
                </table>
            }
                .into_any()
        }}
        {folded}
        <PageLinks previous next words=["Previous", "Next"]/>
    }
    .into_any()
}

fn row(change: Change) -> impl IntoView {
    let size = |bytes: Option<u64>, rows: Option<u64>| {
        view! {
            {bytes.map_or_else(|| "—".to_owned(), format::bytes)}
            {rows.map(|rows| view! { <span class="path">{format::counted(rows, "row")}</span> })}
        }
    };
    let class = match change.kind {
        ChangeKind::Added => "pill pill-finished",
        ChangeKind::Changed => "pill pill-syncing-still",
        ChangeKind::Removed => "pill pill-failed",
        ChangeKind::Unchanged => "pill pill-off",
    };
    view! {
        <tr>
            <td class="cell-main">
                <span class="path-main path">{visible(change.path)}</span>
            </td>
            <td data-label="Change">
                <span class=format!("{class} change-kind")>{change.kind.as_str()}</span>
            </td>
            <td data-label="Before" class="number">
                {size(change.old_size_bytes, change.old_rows)}
            </td>
            <td data-label="After" class="number">
                {size(change.size_bytes, change.rows)}
            </td>
        </tr>
    }
    .into_any()
}
