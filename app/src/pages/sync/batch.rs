//! Declared files of a sync, and its changes to the dataset.

use crate::api::get_difference;
use crate::components::error_box::MaybeError;
use crate::components::file_list::{change_line, file_list};
use crate::components::row_changes::{RowChanges, columns_of};
use crate::error::ApiError;
use crate::format;
use lakeshore::model::sync::comparison::{Comparison, DifferentFile, ManifestEntry};
use lakeshore::model::sync::difference::{ChangeKind, Difference};
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::{Status, SyncType};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Progress of a declared sync, and its mismatches.
#[component]
pub fn ExpectedFiles(comparison: RwSignal<Option<Comparison>>) -> impl IntoView {
    move || {
        comparison.get().map(|comparison| {
            let (done, of) = match comparison.expected {
                expected if expected.is_named => (comparison.num_as_expected, expected.count.unwrap_or(0)),
                expected => match (expected.count, expected.size_bytes) {
                    (Some(count), _) => (comparison.landed.files, count),
                    (None, bytes) => (comparison.landed.bytes, bytes.unwrap_or(0)),
                },
            };
            let text = progress(&comparison);
            let agrees = comparison.agrees();
            let named = |file: &ManifestEntry| format!("{}, {}", file.path, format::bytes(file.size_bytes));
            let lists = [
                names("missing", comparison.num_missing, comparison.missing.iter().map(named)),
                names("unexpected", comparison.num_extra, comparison.extra.iter().map(named)),
                names("different", comparison.num_different, comparison.different.iter().map(different)),
            ];
            view! {
                <section class="section" aria-labelledby="expected-title">
                    <h2 id="expected-title">"Expected files"</h2>
                    <p id="expected-progress" class:good=agrees>
                        {text}
                    </p>
                    <progress class="progress progress-expected" max=of.max(1) value=done.min(of.max(1)) aria-labelledby="expected-progress"></progress>
                    {lists.into_iter().collect_view()}
                </section>
            }
            .into_any()
        })
    }
}

fn progress(comparison: &Comparison) -> String {
    let expected = comparison.expected;
    if expected.is_named {
        let count = expected.count.unwrap_or(0);
        let done = comparison.num_as_expected;
        return format!("{} of {} have landed.", format::count(done), format::counted(count, "expected file"));
    }
    let landed = comparison.landed;
    let count = expected
        .count
        .map(|count| format!("{} of {}", format::count(landed.files), format::counted(count, "expected file")));
    let bytes = expected.size_bytes.map(|bytes| format!("{} of {}", format::bytes(landed.bytes), format::bytes(bytes)));
    let parts: Vec<_> = count.into_iter().chain(bytes).collect();
    format!("{} have landed.", parts.join(", "))
}

fn different(file: &DifferentFile) -> String {
    let (expected, landed) = (file.expected.size_bytes, file.landed.size_bytes);
    if expected == landed {
        format!("{}, checksum mismatch", file.path)
    } else {
        format!("{}, expected {}, got {}", file.path, format::bytes(expected), format::bytes(landed))
    }
}

/// Number of files of a kind, and the first names.
fn names(kind: &'static str, number: u64, lines: impl Iterator<Item = String>) -> Option<AnyView> {
    file_list(format!("{} {kind}", format::counted(number, "file")), number, lines)
}

/// Changes of a sync. Shown at once if available; otherwise fetched on request, because the comparison visits every
/// file.
#[component]
pub fn Changes(sync: RwSignal<SyncJob>, difference: RwSignal<Option<Difference>>) -> impl IntoView {
    let id = sync.with_untracked(|sync| sync.sync_id);
    let is_full = sync.with_untracked(|sync| sync.sync_type == SyncType::FullSync);
    // A full sync that has ended cannot be compared.
    let is_offered = Memo::new(move |_| !is_full || sync.with(|sync| sync.sync_status == Status::Syncing));
    let is_pending = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let ask = move |_| {
        is_pending.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = get_difference(id).await;
            is_pending.try_set(false);
            match answer {
                Ok(found) => drop(difference.try_set(Some(found))),
                Err(refused) => drop(error.try_set(Some(refused))),
            }
        });
    };
    view! {
        <Show when=move || is_offered.get()>
            <section class="section" aria-labelledby="changes-title">
                <h2 id="changes-title">
                    {if is_full { "Preview of changes" } else { "Changes" }}
                </h2>
                <MaybeError error/>
                {move || difference.get().map(|difference| view! { <ChangeCounts difference is_full/> })}
                <button type="button" class="button button-small" disabled=is_pending on:click=ask>
                    {move || match (is_pending.get(), difference.with(Option::is_some)) {
                        (true, _) => "Comparing…",
                        (false, true) => "Compare again",
                        (false, false) => "Compare files",
                    }}
                </button>
            </section>
        </Show>
    }
    .into_any()
}

#[component]
fn ChangeCounts(difference: Difference, is_full: bool) -> impl IntoView {
    let lists = ChangeKind::ALL.map(|kind| {
        let files = difference.files.iter().filter(|change| change.kind == kind).map(change_line);
        names(kind.as_str(), difference.totals(kind).files, files)
    });
    let counts = ChangeKind::ALL.map(|kind| {
        let totals = difference.totals(kind);
        let is_lost = kind == ChangeKind::Removed && totals.files > 0;
        view! {
            <div>
                <dt class="change-kind">{kind.as_str()}</dt>
                <dd class:bad=is_lost>{format::totals(totals)}</dd>
            </div>
        }
    });
    view! {
        <dl class="facts">{counts.into_iter().collect_view()}</dl>
        <RowChanges rows=difference.rows columns=columns_of(&difference) only_new=!is_full/>
        {lists.into_iter().collect_view()}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::sync::comparison::ExpectedTotals;
    use lakeshore::model::totals::Totals;

    fn comparison(count: Option<u64>, size_bytes: Option<u64>, is_named: bool) -> Comparison {
        Comparison {
            expected: ExpectedTotals { count, size_bytes, is_named },
            landed: Totals { files: 3, bytes: 1200 },
            num_as_expected: 312,
            missing: Vec::new(),
            num_missing: 0,
            extra: Vec::new(),
            num_extra: 0,
            different: Vec::new(),
            num_different: 0,
        }
    }

    #[test]
    fn progress_says_how_much_of_what_was_declared_is_there() {
        assert_eq!(progress(&comparison(Some(400), Some(9), true)), "312 of 400 expected files have landed.");
        assert_eq!(progress(&comparison(Some(1), None, false)), "3 of 1 expected file have landed.");
        let both = progress(&comparison(Some(4), Some(2000), false));
        assert_eq!(both, "3 of 4 expected files, 1.2 kB of 2.0 kB have landed.");
    }
}
