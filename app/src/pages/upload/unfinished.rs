//! Uploads that an earlier page left unfinished, because it was reloaded or its browser ended, with a way to resume
//! them.

use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::routes;
use crate::uploader::{Unfinished, Uploader};
use crate::visible::visible;
use leptos::prelude::*;

/// Unfinished uploads on the page of a new upload, each with a link to resume it.
#[component]
pub fn UnfinishedUploads() -> impl IntoView {
    let uploader = Uploader::here();
    let left = RwSignal::new(Vec::<Unfinished>::new());
    // Only the browser has the records.
    Effect::new(move |_| left.set(uploader.left_unfinished()));
    move || {
        let rows = left.get();
        (!rows.is_empty()).then(|| {
            let rows = rows.into_iter().map(|record| {
                let sync_id = record.sync_id;
                let discard = move |_| {
                    uploader.discard(sync_id);
                    left.update(|left| left.retain(|record| record.sync_id != sync_id));
                };
                view! {
                    <div class="notice unfinished">
                        <Picture icon=Icon::Warning/>
                        <p>
                            {unfinished(&record)} " Destination: "
                            <span class="path">{visible(record.path)}</span>
                            {format!(", sync {sync_id}.")}
                        </p>
                        <a class="button button-small" href=routes::upload_to_sync(sync_id)>
                            "Resume"
                        </a>
                        <button type="button" class="button button-small button-quiet" on:click=discard>
                            "Discard"
                        </button>
                    </div>
                }
            });
            view! { <section aria-label="Unfinished uploads">{rows.collect_view()}</section> }
        })
    }
}

/// Instructions on the page of an open sync for resuming its unfinished upload.
#[component]
pub fn ResumedUpload() -> impl IntoView {
    let uploader = Uploader::here();
    move || {
        uploader.before.get().map(|before| {
            view! {
                <div class="notice" role="status">
                    <Picture icon=Icon::Warning/>
                    <p>
                        {unfinished(&before)}
                        " Select the same files or folders again: files that have arrived are skipped, and interrupted files resume where they stopped."
                    </p>
                </div>
            }
        })
    }
}

/// `3 of 10 files were not finished.`
fn unfinished(record: &Unfinished) -> String {
    let were = if record.missing() == 1 { "was" } else { "were" };
    format!(
        "{} of {} ({}) {were} not finished.",
        format::count(record.missing() as u64),
        format::counted(record.files as u64, "file"),
        format::bytes(record.bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::id::SyncId;

    #[test]
    fn unfinished_files_are_counted() {
        let record = |done| Unfinished {
            sync_id: SyncId(1),
            path: "/a".into(),
            files: 10,
            done,
            bytes: 5000,
            ends: true,
            at_ms: 0,
        };
        assert_eq!(unfinished(&record(7)), "3 of 10 files (5.0 kB) were not finished.");
        assert_eq!(unfinished(&record(9)), "1 of 10 files (5.0 kB) was not finished.");
    }
}
