//! Versions tab of a dataset: the list, newest first, or a comparison of two.

use super::compare::{CompareForm, Comparison};
use super::summary::{Badges, Figure, Origin, before, rows};
use crate::api::versions::VersionList;
use crate::components::copy::Command;
use crate::components::empty::Empty;
use crate::components::error_box::ErrorBox;
use crate::components::icon::{Icon, Picture};
use crate::components::pager::PageLinks;
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::error::ApiError;
use crate::format;
use crate::query::ROWS_PER_PAGE;
use crate::routes;
use crate::snippet::shell_word;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::sync::difference::ChangeKind;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::Version;
use leptos::prelude::*;

/// Only forms and links, so that it works without a script.
#[component]
pub fn VersionsTab(
    path: String,
    list: VersionList,
    kind: Option<ChangeKind>,
    page: u64,
    /// Set after a restore that changed nothing.
    is_unchanged: bool,
    fault: Option<ApiError>,
    may_write: bool,
    as_of: Timestamp,
) -> impl IntoView {
    let VersionList { versions, current, restored, comparison, note, offered } = list;
    let Some(current) = current else { return nothing(path).into_any() };
    let form = {
        let (mut offered, mut pair) = (offered, (before(current).unwrap_or(current), current));
        offered.extend(versions.iter().cloned());
        if let Some(comparison) = &comparison {
            pair = (comparison.old.version, comparison.new.version);
            offered.extend([comparison.old.clone(), comparison.new.clone()]);
        }
        offered.sort_by_key(|version| std::cmp::Reverse(version.version));
        offered.dedup_by_key(|version| version.version);
        let is_comparing = comparison.is_some() || note.is_some();
        view! { <CompareForm path=path.clone() offered pair is_comparing/> }
    };
    let shown = match comparison {
        Some(comparison) => view! {
            {note.map(|note| view! { <p class="hint">{note}</p> })}
            <Comparison path=path.clone() comparison current kind page may_write as_of/>
        }
        .into_any(),
        None if note.is_some() => view! { <p class="hint">{note}</p> }.into_any(),
        None => view! { <Table path=path.clone() versions page may_write as_of/> }.into_any(),
    };
    view! {
        {fault.map(|error| view! { <ErrorBox error/> })}
        {restored.map(|made| view! { <RestoredNotice path=path.clone() made may_write/> })}
        {is_unchanged
            .then(|| {
                view! {
                    <div class="notice notice-good" role="status">
                        <Picture icon=Icon::Check/>
                        <p>"The dataset already has exactly these files. Nothing changed."</p>
                    </div>
                }
            })}
        {form}
        {shown}
    }
    .into_any()
}

/// Shown only while the restored version is current, so that an old address makes no false claim.
#[component]
fn RestoredNotice(path: String, made: VersionNumber, may_write: bool) -> impl IntoView {
    let undo = before(made).filter(|_| may_write);
    view! {
        <div class="notice notice-good" role="status">
            <Picture icon=Icon::Check/>
            <p>{format!("Restored as version {made}. Replaced files are now in the trash.")}</p>
            {undo
                .map(|before| {
                    view! {
                        <form method="post" action="/fn/restore-version">
                            <input type="hidden" name="path" value=path/>
                            <input type="hidden" name="version" value=before.to_string()/>
                            <input type="hidden" name="replaces" value=made.to_string()/>
                            // An undo needs no confirmation.
                            <input type="hidden" name="confirm" value="true"/>
                            <button type="submit" class="button" title=format!("Restores version {before}")>
                                <Picture icon=Icon::Restore/>
                                "Undo"
                            </button>
                        </form>
                    }
                })}
        </div>
    }
}

fn nothing(path: String) -> impl IntoView {
    let push = format!("lakeshore push ./export {} --full", shell_word(&path));
    view! {
        <Empty title="No versions yet">
            <p>
                "Each full sync, each group of uploads to an incremental sync and each restore creates a version. You can compare any two versions, and read or restore a version as long as its files are in the dataset or the trash."
            </p>
            <Command text=push label="Copy push command"/>
        </Empty>
    }
}

#[component]
fn Table(path: String, versions: Vec<Version>, page: u64, may_write: bool, as_of: Timestamp) -> impl IntoView {
    let number = versions.len() as u64;
    let address = |page: u64| match page {
        0 => routes::versions(&path),
        page => format!("{}&page={page}", routes::versions(&path)),
    };
    let previous = page.checked_sub(1).map(address);
    let next = (number > ROWS_PER_PAGE).then(|| address(page + 1));
    let older = versions.iter().skip(1).cloned().map(Some).chain([None]).collect::<Vec<_>>();
    let shown = versions.into_iter().zip(older).take(ROWS_PER_PAGE as usize);
    let table_rows = shown.map(|(version, older)| row(version, older, may_write, as_of)).collect_view();
    view! {
        <table class="table table-versions">
            {table_head([
                column("Version"), column("Created"), column("Created by"), column("Files").number(),
                column("Rows").class("number secondary"), column("Size").number(), column("Columns").secondary(),
                column("Actions").unseen(),
            ])}
            <tbody>{table_rows}</tbody>
        </table>
        <PageLinks previous next words=["Newer", "Older"]/>
    }
    .into_any()
}

fn row(version: Version, older: Option<Version>, may_write: bool, as_of: Timestamp) -> impl IntoView {
    let path = version.path.to_string();
    let number = version.version;
    let href = routes::version(&path, number);
    let compare = before(number).map(|before| routes::compare(&path, before, number));
    let columns = match older.as_ref().map(|older| (older.schema_id, version.schema_id)) {
        Some((Some(old), Some(new))) if old != new => view! { <span class="warned">"Changed"</span> }.into_any(),
        Some((Some(_), Some(_))) => "Same".into_any(),
        _ => view! { <span class="quiet">"—"</span> }.into_any(),
    };
    let known_rows = rows(&version);
    let row_change = older
        .as_ref()
        .filter(|older| older.num_rows_unknown == 0 && version.num_rows_unknown == 0)
        .and_then(|older| super::summary::change(version.rows, older.rows, format::count));
    let restore = (may_write && !version.is_current).then(|| routes::confirm_restore(&path, number, false));
    let pin = version.pin.as_ref().map(|pin| pin.note.clone());
    view! {
        <tr>
            <td class="cell-main">
                <a class="row-name" href=href>
                    {format!("Version {number}")}
                </a>
                <span class="badges">
                    <Badges is_current=version.is_current pin/>
                </span>
            </td>
            <td data-label="Created">
                <RelativeTime at=version.at as_of/>
            </td>
            <td data-label="Created by">
                <Origin version=version.clone()/>
            </td>
            <td data-label="Files" class="number">
                <Figure new=version.files old=older.as_ref().map(|older| older.files) write=format::count/>
            </td>
            <td data-label="Rows" class="number secondary">
                {known_rows}
                {row_change.map(|change| view! { <span class="path">{change}</span> })}
            </td>
            <td data-label="Size" class="number">
                <Figure new=version.size_bytes old=older.as_ref().map(|older| older.size_bytes) write=format::bytes/>
            </td>
            <td data-label="Columns" class="secondary">
                {columns}
            </td>
            <td class="cell-actions">
                {compare
                    .map(|href| {
                        view! {
                            <a class="button button-small" href=href aria-label=format!("Changes of version {number}")>
                                "Changes"
                            </a>
                        }
                    })}
                {restore
                    .map(|href| {
                        view! {
                            <a class="button button-small" href=href aria-label=format!("Restore version {number}…")>
                                <Picture icon=Icon::Restore/>
                                "Restore…"
                            </a>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
