//! Held sync: the figures of the hold, and a button that publishes it.

use crate::api::end_sync;
use crate::components::dialog::Confirm;
use crate::components::held::consequence;
use crate::components::icon::{Icon, Picture};
use crate::components::time::RelativeTime;
use crate::pages::sync::close::closing;
use crate::visible::visible;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::hold::Hold;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::time::Timestamp;
use leptos::prelude::*;

#[component]
pub fn HoldNotice(
    sync: RwSignal<SyncJob>,
    /// Columns that differ, in words.
    columns: Memo<Option<String>>,
    may_write: bool,
    as_of: Timestamp,
    refresh: Callback<()>,
) -> impl IntoView {
    let held = Memo::new(move |_| sync.with(|sync| sync.held));
    let open = RwSignal::new(false);
    view! {
        <div aria-live="polite">
            {move || {
                held.get()
                    .map(|hold| {
                        let path = sync.with_untracked(|sync| sync.path.to_string());
                        view! {
                            <div class="notice notice-held">
                                <Picture icon=Icon::Warning/>
                                <div>
                                    <p>
                                        <strong>"Held, not published"</strong>
                                        " since "
                                        <RelativeTime at=hold.since as_of/>
                                        ". "
                                        {move || visible(effect(&path, hold, columns.get().as_deref()))}
                                    </p>
                                    <p class="quiet">
                                        "Add the missing files and end the sync again, or abort it. A new sync at this path replaces it."
                                    </p>
                                </div>
                                {may_write
                                    .then(|| {
                                        view! {
                                            <button
                                                type="button"
                                                class="button button-danger-quiet"
                                                on:click=move |_| open.set(true)
                                            >
                                                "Publish anyway…"
                                            </button>
                                        }
                                    })}
                            </div>
                        }
                    })
            }}
        </div>
        <PublishDialog sync columns held=held.into() open refresh/>
    }
    .into_any()
}

/// Effect of publishing. `columns` names the columns that differ.
fn effect(path: &str, hold: Hold, columns: Option<&str>) -> String {
    match columns {
        Some(columns) => consequence(path, hold, &format!(": {columns}")),
        None => consequence(path, hold, "; see the files below"),
    }
}

#[component]
fn PublishDialog(
    sync: RwSignal<SyncJob>,
    columns: Memo<Option<String>>,
    held: Signal<Option<Hold>>,
    open: RwSignal<bool>,
    refresh: Callback<()>,
) -> impl IntoView {
    let id = sync.with_untracked(|sync| sync.sync_id);
    let path = StoredValue::new(sync.with_untracked(|sync| sync.path.to_string()));
    let (is_pending, error, close) = closing(open, refresh, end_sync);
    let empties = move || held.with(|held| held.is_some_and(|hold| hold.published.files == 0));
    let on_confirm = move |()| {
        close.run(EndSync { confirm: true, allow_empty: untrack(empties), ..EndSync::new(id) });
    };
    view! {
        <Confirm
            id="publish-title"
            open
            title=format!("Publish sync {id} as it is?")
            confirm="Publish anyway"
            running="Publishing…"
            is_danger=true
            is_ready=Signal::derive(move || held.with(Option::is_some))
            is_pending
            error
            on_confirm
        >
            <p>
                {move || match held.get() {
                    Some(hold) => visible(effect(&path.get_value(), hold, columns.get().as_deref())),
                    None => "The sync is no longer held. Close this dialog and end the sync.".to_owned(),
                }}
            </p>
            <p>"The old files move to the trash and can be restored from there."</p>
        </Confirm>
    }
}
