//! Parts that the confirmation pages of restores share: the figures, the files, and the check by the shrink guard.

use crate::components::icon::{Icon, Picture};
use crate::components::row_changes::{RowChanges, columns_of};
use crate::format;
use crate::visible::visible;
use lakeshore::model::sync::difference::{Change, ChangeKind, Difference};
use lakeshore::model::totals::Totals;
use leptos::prelude::*;

/// Files named of each kind.
const NAMED_MAX: usize = 20;

/// Counts of files that come back, go to the trash and stay, then the files.
#[component]
pub(in crate::pages) fn ComesAndGoes(difference: Difference) -> impl IntoView {
    let kinds = [
        (ChangeKind::Added, "Restored"),
        (ChangeKind::Changed, "Changed back"),
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
    let lists = kinds
        .into_iter()
        .filter(|(kind, _)| *kind != ChangeKind::Unchanged)
        .map(|(kind, words)| names(words, difference.totals(kind), of_kind(&difference.files, kind)));
    let lists = lists.collect_view();
    view! {
        <dl class="figures">{figures.into_iter().collect_view()}</dl>
        <RowChanges rows=difference.rows columns=columns_of(&difference)/>
        {lists}
    }
    .into_any()
}

fn of_kind(files: &[Change], kind: ChangeKind) -> Vec<String> {
    let line = |change: &Change| {
        let size = change.size_bytes.or(change.old_size_bytes).map(format::bytes).unwrap_or_default();
        match (change.kind, change.old_size_bytes) {
            (ChangeKind::Changed, Some(old)) => format!("{}, {size} instead of {}", change.path, format::bytes(old)),
            _ => format!("{}, {size}", change.path),
        }
    };
    files.iter().filter(|change| change.kind == kind).take(NAMED_MAX).map(line).collect()
}

fn names(words: &'static str, totals: Totals, lines: Vec<String>) -> Option<AnyView> {
    let more = totals.files.saturating_sub(lines.len() as u64);
    (totals.files > 0).then(|| {
        view! {
            <details class="names">
                <summary>{format!("{words}: {}", format::counted(totals.files, "file"))}</summary>
                <ul>
                    {lines.into_iter().map(|line| view! { <li class="path">{visible(line)}</li> }).collect_view()}
                    {(more > 0).then(|| view! { <li class="quiet">{format!("and {} more", format::count(more))}</li> })}
                </ul>
            </details>
        }
        .into_any()
    })
}

/// The check by the shrink guard, within the form. Where it `holds` the restore, a checkbox confirms it.
#[component]
pub(in crate::pages) fn GuardCheck(holds: bool, replaced: Totals, restored: Totals) -> impl IntoView {
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
