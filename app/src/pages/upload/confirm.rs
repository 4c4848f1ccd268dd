//! Dialog before an action on the whole upload that cannot be undone.

use crate::components::dialog::Confirm;
use crate::format;
use crate::uploader::totals::Totals;
use crate::uploader::{Target, Uploader};
use crate::visible::visible;
use lakeshore::model::sync::status::SyncType;
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadAction {
    /// Ends the sync although files of the upload are not in the lake.
    End,
    /// Ends it and discards uploads in flight.
    DiscardAndEnd,
    Abort,
    CancelAll,
}

/// The action that the dialog asks about.
#[derive(Clone, Copy)]
pub struct PendingAction {
    action: RwSignal<UploadAction>,
    open: RwSignal<bool>,
}

impl PendingAction {
    pub fn new() -> Self {
        Self { action: RwSignal::new(UploadAction::End), open: RwSignal::new(false) }
    }

    pub fn ask(self, action: UploadAction) {
        self.action.set(action);
        self.open.set(true);
    }
}

#[component]
pub fn UploadDialog(pending: PendingAction) -> impl IntoView {
    let uploader = Uploader::here();
    let PendingAction { action, open } = pending;
    let words = move || match action.get() {
        UploadAction::End => ("End the sync with files missing?", "End this sync"),
        UploadAction::DiscardAndEnd => ("Discard uploads in flight and end the sync?", "End this sync"),
        UploadAction::Abort => ("Abort the sync?", "Abort this sync"),
        UploadAction::CancelAll => ("Cancel all unfinished files?", "Stop sending"),
    };
    let text = move || {
        let missing = uploader.missing_files();
        let target = uploader.target.get();
        target.map(|target| uploader.totals.with(|totals| consequence(action.get(), &target, totals, missing)))
    };
    let on_confirm = move |()| {
        // The status above tells how the action goes on.
        open.set(false);
        match action.get_untracked() {
            UploadAction::End => uploader.end(false),
            UploadAction::DiscardAndEnd => uploader.end(true),
            UploadAction::Abort => uploader.abort(),
            UploadAction::CancelAll => uploader.cancel_all(),
        }
    };
    view! {
        <Confirm
            id="upload-dialog-title"
            open
            title=Signal::derive(move || words().0.to_owned())
            confirm=Signal::derive(move || words().1.to_owned())
            is_danger=true
            is_ready=true
            is_pending=false
            error=RwSignal::new(None)
            on_confirm
        >
            <p>{move || text().map(visible)}</p>
        </Confirm>
    }
}

/// Text for the effect of the action. `missing` counts files that were chosen before a reload, and not again.
fn consequence(action: UploadAction, target: &Target, totals: &Totals, missing: usize) -> String {
    let path = &target.path;
    let files = |number: usize| format::counted(number as u64, "file");
    let is_full = target.sync_type == SyncType::FullSync;
    let arrived = files(totals.done());
    match action {
        UploadAction::CancelAll => {
            format!("{} will not be sent. The sync stays open.", files(totals.unfinished()))
        }
        UploadAction::Abort => format::effect_of_abort(target.sync_type, path, &format!("{arrived} of this upload")),
        UploadAction::End | UploadAction::DiscardAndEnd => {
            let all = totals.files() + totals.cancelled + missing;
            let absent = [(totals.failed, "failed"), (totals.cancelled, "cancelled"), (missing, "not selected again")];
            let absent: String = absent
                .iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, word)| format!(", {} {word}", format::count(*number as u64)))
                .collect();
            let arrived = format!("{} of {} arrived{absent}.", format::count(totals.done() as u64), files(all));
            let effect = if is_full {
                format!(
                    "Unless a check holds it, the sync is published as it is: its files replace those at {path}, which \
                     move to the trash."
                )
            } else {
                "The sync then accepts no more files.".to_owned()
            };
            let discards = match action {
                UploadAction::DiscardAndEnd => " Uploads in flight are discarded.",
                _ => "",
            };
            format!("{arrived} {effect}{discards}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::id::SyncId;

    #[test]
    fn the_question_has_the_figures_of_the_upload() {
        let target = |sync_type| Target { sync_id: SyncId(7), path: "/d".into(), sync_type };
        let (full, incremental) = (target(SyncType::FullSync), target(SyncType::IncrementalSync));
        let totals = Totals { arrived: 70, unchanged: 10, failed: 20, cancelled: 3, ..Totals::default() };
        let text = consequence(UploadAction::End, &full, &totals, 0);
        assert!(
            text.starts_with(
                "80 of 103 files arrived, 20 failed, 3 cancelled. Unless a check holds it, the sync is published"
            ),
            "{text}"
        );
        let text = consequence(UploadAction::DiscardAndEnd, &incremental, &totals, 2);
        assert!(text.starts_with("80 of 105 files arrived") && text.ends_with("in flight are discarded."), "{text}");
        assert!(consequence(UploadAction::Abort, &full, &totals, 0).starts_with("Nothing is published"));
        assert!(consequence(UploadAction::Abort, &incremental, &totals, 0).contains("(80 files of this upload) stay"));
        let running = Totals { waiting: 2, sending: 1, ..Totals::default() };
        assert!(consequence(UploadAction::CancelAll, &full, &running, 0).starts_with("3 files will not be sent"));
    }
}
