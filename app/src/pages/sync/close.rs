//! Ending and aborting a sync, after a dialog that states exactly what will happen.

use crate::api::{abort_sync, end_preview, end_sync};
use crate::components::dialog::Confirm;
use crate::components::error_box::ErrorBox;
use crate::error::ApiError;
use crate::format;
use crate::visible::visible;
use lakeshore::model::sync::end::EndPreview;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::status::SyncType;
use leptos::prelude::*;
use leptos::task::spawn_local;

#[component]
pub fn CloseButtons(sync: RwSignal<SyncJob>, refresh: Callback<()>) -> impl IntoView {
    let end_open = RwSignal::new(false);
    let abort_open = RwSignal::new(false);
    view! {
        <button type="button" class="button button-danger-quiet" on:click=move |_| abort_open.set(true)>
            "Abort sync"
        </button>
        <button type="button" class="button button-primary" on:click=move |_| end_open.set(true)>
            "End sync"
        </button>
        <EndDialog sync open=end_open refresh/>
        <AbortDialog sync open=abort_open refresh/>
    }
}

/// State of a closing call, for the dialog that requested it.
pub(in crate::pages) fn closing<F>(
    open: RwSignal<bool>,
    refresh: Callback<()>,
    call: impl Fn(EndSync) -> F + Copy + Send + std::marker::Sync + 'static,
) -> (RwSignal<bool>, RwSignal<Option<ApiError>>, Callback<EndSync>)
where
    F: Future<Output = Result<(), ApiError>> + 'static,
{
    let is_pending = RwSignal::new(false);
    let error = RwSignal::new(None);
    let close = Callback::new(move |end: EndSync| {
        is_pending.set(true);
        error.set(None);
        spawn_local(async move {
            let result = call(end).await;
            is_pending.try_set(false);
            match result {
                Ok(()) => drop(open.try_set(false)),
                Err(refused) => drop(error.try_set(Some(refused))),
            }
            // The state of the sync may have changed in either case.
            refresh.try_run(());
        });
    });
    (is_pending, error, close)
}

#[component]
fn EndDialog(sync: RwSignal<SyncJob>, open: RwSignal<bool>, refresh: Callback<()>) -> impl IntoView {
    let id = sync.with_untracked(|sync| sync.sync_id);
    let sync_type = sync.with_untracked(|sync| sync.sync_type);
    let preview = RwSignal::new(None::<Result<EndPreview, ApiError>>);
    let discard_in_flight = RwSignal::new(false);
    let allow_empty = RwSignal::new(false);
    let allow_shrinking = RwSignal::new(false);
    let (is_pending, error, close) = closing(open, refresh, end_sync);
    // Fetched when the dialog opens, because it counts every file.
    Effect::new(move |_| {
        if open.get() {
            preview.set(None);
            discard_in_flight.set(false);
            allow_empty.set(false);
            allow_shrinking.set(false);
            spawn_local(async move {
                let answer = end_preview(id).await;
                preview.try_set(Some(answer));
            });
        }
    });
    let in_flight = Memo::new(move |_| sync.with(|sync| sync.num_in_flight));
    let empties = Memo::new(move |_| {
        sync_type == SyncType::FullSync
            && preview.with(|preview| matches!(preview, Some(Ok(preview)) if preview.landed.files == 0))
    });
    let shrinks =
        Memo::new(move |_| preview.with(|preview| matches!(preview, Some(Ok(preview)) if preview.is_shrinking)));
    let is_ready = Signal::derive(move || {
        preview.with(|preview| matches!(preview, Some(Ok(_))))
            && (in_flight.get() == 0 || discard_in_flight.get())
            && (!empties.get() || allow_empty.get())
            && (!shrinks.get() || allow_shrinking.get())
    });
    let on_confirm = move |()| {
        close.run(EndSync {
            sync_id: id,
            discard_in_flight: discard_in_flight.get_untracked(),
            allow_empty: empties.get_untracked() && allow_empty.get_untracked(),
            confirm: shrinks.get_untracked() && allow_shrinking.get_untracked(),
        });
    };
    view! {
        <Confirm
            id="end-title"
            open
            title=format!("End sync {id}?")
            confirm="End this sync"
            running="Ending…"
            is_ready
            is_pending
            error
            on_confirm
        >
            {move || match preview.get() {
                None => view! { <p class="quiet">"Counting files…"</p> }.into_any(),
                Some(Err(error)) => view! { <ErrorBox error/> }.into_any(),
                Some(Ok(preview)) => {
                    let path = sync.with_untracked(|sync| sync.path.to_string());
                    view! { <p>{visible(consequence(sync_type, &path, preview))}</p> }.into_any()
                }
            }}
            <Show when=move || empties.get()>
                <label class="check check-danger">
                    <input type="checkbox" prop:checked=allow_empty on:change=move |event| allow_empty.set(event_target_checked(&event))/>
                    "Publish without files, which empties the dataset"
                </label>
            </Show>
            <Show when=move || shrinks.get()>
                <label class="check check-danger">
                    <input type="checkbox" prop:checked=allow_shrinking on:change=move |event| allow_shrinking.set(event_target_checked(&event))/>
                    "Publish although it shrinks the dataset"
                </label>
            </Show>
            <Show when=move || { in_flight.get() > 0 }>
                <label class="check check-danger">
                    <input type="checkbox" prop:checked=discard_in_flight on:change=move |event| discard_in_flight.set(event_target_checked(&event))/>
                    {move || format!("Discard {} in flight", format::counted(in_flight.get(), "upload"))}
                </label>
            </Show>
        </Confirm>
    }
}

/// Text for the effect of ending.
fn consequence(sync_type: SyncType, path: &str, preview: EndPreview) -> String {
    let EndPreview { landed, replaced, .. } = preview;
    match (sync_type, landed.files, replaced.files) {
        (SyncType::IncrementalSync, ..) => format!(
            "{} landed at {path} and are already visible to readers. After the end, the sync accepts no more files.",
            format::totals(landed)
        ),
        (SyncType::FullSync, 0, 0) => format!("No files landed in this sync, and {path} stays empty."),
        (SyncType::FullSync, 0, _) => format!(
            "No files landed in this sync. Publishing it empties {path}: {} move to the trash.",
            format::totals(replaced)
        ),
        (SyncType::FullSync, _, 0) => {
            format!("Publishes {} at {path}; nothing is replaced.", format::totals(landed))
        }
        (SyncType::FullSync, ..) => format!(
            "Replaces {} at {path} with {}; the old files move to the trash.",
            format::totals(replaced),
            format::totals(landed)
        ),
    }
}

#[component]
fn AbortDialog(sync: RwSignal<SyncJob>, open: RwSignal<bool>, refresh: Callback<()>) -> impl IntoView {
    let id = sync.with_untracked(|sync| sync.sync_id);
    let (is_pending, error, close) = closing(open, refresh, abort_sync);
    let text = move || {
        sync.with(|sync| {
            let landed = format!("{}, {}", format::counted(sync.num_landed(), "file"), format::bytes(sync.size_bytes));
            let in_flight = match sync.num_in_flight {
                0 => String::new(),
                number => format!(" {} in flight will be discarded.", format::counted(number, "upload")),
            };
            format::effect_of_abort(sync.sync_type, sync.path.as_str(), &landed) + &in_flight
        })
    };
    view! {
        <Confirm
            id="abort-title"
            open
            title=format!("Abort sync {id}?")
            confirm="Abort this sync"
            running="Aborting…"
            is_danger=true
            is_ready=true
            is_pending
            error
            on_confirm=move |()| close.run(EndSync::new(id))
        >
            <p>{move || visible(text())}</p>
        </Confirm>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::totals::Totals;

    #[test]
    fn the_question_says_what_will_happen() {
        let some = |files, bytes| Totals { files, bytes };
        let full = |landed, replaced| {
            consequence(SyncType::FullSync, "/d", EndPreview { landed, replaced, is_shrinking: false })
        };
        assert_eq!(
            full(some(4, 1_000_000_000), some(12, 3_100_000_000)),
            "Replaces 12 files, 3.1 GB at /d with 4 files, 1.0 GB; the old files move to the trash."
        );
        assert_eq!(full(some(1, 5), some(0, 0)), "Publishes 1 file, 5 B at /d; nothing is replaced.");
        assert!(full(some(0, 0), some(2, 5)).contains("empties /d"));
        assert!(full(some(0, 0), some(0, 0)).contains("stays empty"));
    }
}
