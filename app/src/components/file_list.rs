//! Folded list of the first files of a kind, and a changed file as a line of text.

use crate::format;
use crate::visible::visible;
use lakeshore::model::sync::difference::{Change, ChangeKind};
use leptos::prelude::*;

/// Most files of a list that are named.
const NAMED_MAX: usize = 20;

/// Folded list of the first `lines`; `None` without files. `number` counts all files.
pub fn file_list(summary: String, number: u64, lines: impl Iterator<Item = String>) -> Option<AnyView> {
    let lines: Vec<_> = lines.take(NAMED_MAX).collect();
    let more = number.saturating_sub(lines.len() as u64);
    (number > 0).then(|| {
        view! {
            <details class="names">
                <summary>{summary}</summary>
                <ul>
                    {lines.into_iter().map(|line| view! { <li class="path">{visible(line)}</li> }).collect_view()}
                    {(more > 0).then(|| view! { <li class="quiet">{format::and_more(more)}</li> })}
                </ul>
            </details>
        }
        .into_any()
    })
}

/// `/data/t/a.csv, 1.2 kB`, or `/data/t/a.csv, 1.2 kB instead of 900 B` where its size is known before and after.
pub fn change_line(change: &Change) -> String {
    let size = change.size_bytes.or(change.old_size_bytes).map(format::bytes).unwrap_or_default();
    match (change.kind, change.old_size_bytes) {
        (ChangeKind::Changed, Some(old)) => format!("{}, {size} instead of {}", change.path, format::bytes(old)),
        _ => format!("{}, {size}", change.path),
    }
}
