//! What has changed in a dataset since a version of it went to the trash.

use crate::api::datasets::FILES_PER_PAGE;
use crate::components::empty::Empty;
use crate::components::row_changes::{RowChanges, columns_of};
use crate::components::table_head::{column, table_head};
use crate::components::time::RelativeTime;
use crate::format;
use crate::pages::dataset::files::Pages;
use crate::visible::visible;
use lakeshore::model::id::TrashId;
use lakeshore::model::sync::difference::{Change, ChangeKind, Difference};
use lakeshore::model::time::Timestamp;
use lakeshore::model::trash::TrashEntry;
use leptos::prelude::*;

#[component]
pub fn Versions(
    base: String,
    versions: Vec<TrashEntry>,
    chosen: Option<TrashId>,
    difference: Option<Difference>,
    kind: Option<ChangeKind>,
    page: u64,
    as_of: Timestamp,
) -> impl IntoView {
    if versions.is_empty() {
        return view! {
            <Empty title="No earlier versions">
                <p>
                    "When a full sync replaces this dataset, the previous version moves to the trash. Compare it with the current files here: added, changed and removed."
                </p>
            </Empty>
        }
        .into_any();
    }
    let links = versions
        .into_iter()
        .map(|version| {
            let href = format!("{base}?tab=diff&version={}", version.trash_id);
            let current = (Some(version.trash_id) == chosen).then_some("true");
            view! {
                <li>
                    <a href=href aria-current=current>
                        "Replaced "
                        <RelativeTime at=version.trashed_at as_of/>
                        {version.sync_id.map(|id| format!(" by sync {id}"))}
                        {version.totals.map(|totals| format!(", {}", format::totals(totals)))}
                    </a>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 class="section-title">"Compare with an earlier version"</h2>
        <ul class="versions">{links}</ul>
        {chosen.zip(difference).map(|(chosen, difference)| view! { <Changes base chosen difference kind page/> })}
    }
    .into_any()
}

#[component]
fn Changes(
    base: String,
    chosen: TrashId,
    difference: Difference,
    kind: Option<ChangeKind>,
    page: u64,
) -> impl IntoView {
    let of = format!("{base}?tab=diff&version={chosen}");
    let number = difference.files.len() as u64;
    let (row_totals, columns) = (difference.rows, columns_of(&difference));
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
    let rows = difference.files.into_iter().take(FILES_PER_PAGE as usize).map(row).collect_view();
    let with_kind = kind.map_or_else(|| of.clone(), |kind| format!("{of}&kind={}", kind.as_str()));
    let address = move |page: u64| if page == 0 { with_kind.clone() } else { format!("{with_kind}&page={page}") };
    view! {
        <div class="figures">{counts.collect_view()}</div>
        <RowChanges rows=row_totals columns/>
        {if number == 0 {
            view! { <p class="hint">"No files of this kind."</p> }.into_any()
        } else {
            view! {
                <table class="table table-changes">
                    {table_head([column("File"), column("Change"), column("Before").number(), column("After").number()])}
                    <tbody>{rows}</tbody>
                </table>
            }
                .into_any()
        }}
        <Pages page number address/>
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
}
