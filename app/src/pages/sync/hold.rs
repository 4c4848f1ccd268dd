//! Held sync: the figures of the hold, and a button that publishes it.

use crate::api::end_sync;
use crate::components::dialog::Confirm;
use crate::components::icon::{Icon, Picture};
use crate::components::time::RelativeTime;
use crate::format;
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
                                        {move || visible(consequence(&path, hold, columns.get().as_deref()))}
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
fn consequence(path: &str, hold: Hold, columns: Option<&str>) -> String {
    if hold.differing_files > 0 {
        let files = format::counted(hold.differing_files, "file");
        let do_not = if hold.differing_files == 1 { "does" } else { "do" };
        return match columns {
            Some(columns) => format!("{files} {do_not} not match the schema of {path}: {columns}."),
            None => format!("{files} {do_not} not match the schema of {path}; see the marks below."),
        };
    }
    if hold.published.files == 0 && hold.replaced.files == 0 {
        return format!("No files have landed, and {path} is empty: publishing would change nothing.");
    }
    if hold.published.files == 0 {
        return format!(
            "No files have landed: publishing would empty {path}, which holds {}.",
            format::totals(hold.replaced)
        );
    }
    format!(
        "Publishing would replace {} at {path} with only {}.",
        format::totals(hold.replaced),
        format::totals(hold.published)
    )
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
            is_danger=true
            is_ready=Signal::derive(move || held.with(Option::is_some))
            is_pending
            error
            on_confirm
        >
            <p>
                {move || match held.get() {
                    Some(hold) => visible(consequence(&path.get_value(), hold, columns.get().as_deref())),
                    None => "The sync is no longer held. Close this dialog and end the sync.".to_owned(),
                }}
            </p>
            <p>"The old files move to the trash and can be restored from there."</p>
        </Confirm>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::totals::Totals;

    #[test]
    fn the_figures_say_what_would_be_lost() {
        let hold = |files, bytes| Hold {
            since: Timestamp(1),
            replaced: Totals { files: 12, bytes: 3_100_000_000 },
            published: Totals { files, bytes },
            differing_files: 0,
        };
        assert_eq!(
            consequence("/d", hold(1, 5), None),
            "Publishing would replace 12 files, 3.1 GB at /d with only 1 file, 5 B."
        );
        let differing = Hold { differing_files: 2, ..hold(9, 9) };
        let told = consequence("/d", differing, Some("amount is string, was int64"));
        assert_eq!(told, "2 files do not match the schema of /d: amount is string, was int64.");
        assert_eq!(consequence("/d", differing, None), "2 files do not match the schema of /d; see the marks below.");
        assert!(consequence("/d", hold(0, 0), None).contains("would empty /d, which holds 12 files"));
    }
}
