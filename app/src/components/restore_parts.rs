//! Parts that the confirmation pages of restores share: the figures, the files, and the check by the shrink guard.

use crate::components::file_list::{change_line, file_list};
use crate::components::icon::{Icon, Picture};
use crate::components::row_changes::{RowChanges, columns_of};
use crate::format;
use lakeshore::model::sync::difference::{ChangeKind, Difference};
use lakeshore::model::totals::Totals;
use leptos::prelude::*;

/// Counts of files that come back, go to the trash and stay, then the files.
#[component]
pub fn ComesAndGoes(difference: Difference) -> impl IntoView {
    let kinds = [
        (ChangeKind::Added, "Restored"),
        (ChangeKind::Changed, "Reverted"),
        (ChangeKind::Removed, "Moved to trash"),
        (ChangeKind::Unchanged, "Unchanged"),
    ];
    let figures = kinds.map(|(kind, words)| {
        let totals = difference.totals(kind);
        let is_lost = kind == ChangeKind::Removed && totals.files > 0;
        view! {
            <div class="figure">
                <dt>{words}</dt>
                <dd class="figure-number" class:bad=is_lost>
                    {format::counted(totals.files, "file")}
                </dd>
                <dd class="figure-usual">{format::bytes(totals.bytes)}</dd>
            </div>
        }
    });
    let lists = kinds.into_iter().filter(|(kind, _)| *kind != ChangeKind::Unchanged).map(|(kind, words)| {
        let number = difference.totals(kind).files;
        let files = difference.files.iter().filter(|change| change.kind == kind);
        file_list(format!("{words}: {}", format::counted(number, "file")), number, files.map(change_line))
    });
    let lists = lists.collect_view();
    view! {
        <dl class="figures">{figures.into_iter().collect_view()}</dl>
        <RowChanges rows=difference.rows columns=columns_of(&difference)/>
        {lists}
    }
    .into_any()
}

/// The check by the shrink guard, within the form. Where it `holds` the restore, a checkbox confirms it.
#[component]
pub fn GuardCheck(holds: bool, replaced: Totals, restored: Totals) -> impl IntoView {
    let figures = format!("{} would be replaced with {}", format::totals(replaced), format::totals(restored));
    if holds {
        view! {
            <div class="notice notice-held">
                <Picture icon=Icon::Warning/>
                <div>
                    <p>
                        <strong>"The shrink guard holds this restore. "</strong>
                        {format!("{figures}.")}
                    </p>
                    <label class="check check-danger">
                        <input type="checkbox" name="confirm" value="true" required/>
                        "Restore it anyway"
                    </label>
                </div>
            </div>
        }
        .into_any()
    } else {
        view! {
            <p class="with-icon good">
                <Picture icon=Icon::Check/>
                <span>{format!("The shrink guard allows this: {figures}.")}</span>
            </p>
        }
        .into_any()
    }
}
