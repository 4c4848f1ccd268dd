//! Course of an upload: start the sync, send files, end or abort it, and record its state meanwhile.

use super::browser;
use super::{Phase, Target, Unfinished, Uploader};
use crate::api;
use crate::browser::now_ms;
use crate::error::ApiError;
use lakeshore::ErrorCode;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::{ListParameters, Order};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::Status;
use leptos::prelude::*;
use leptos::task::spawn_local;

impl Uploader {
    /// Starts a sync, and sends to it.
    pub fn start(self, start: StartSync) {
        self.error.set(None);
        self.in_the_way.set(None);
        self.phase.set(Phase::Starting);
        spawn_local(async move {
            match api::start_sync(start.clone()).await {
                Ok(sync_id) => {
                    browser::nothing_is_unfinished();
                    self.send_to(Target { sync_id, path: start.path, sync_type: start.sync_type });
                }
                Err(error) => {
                    if error.is(ErrorCode::PathHeld) {
                        self.in_the_way.set(holder(&start.path).await);
                    }
                    self.error.set(Some(error));
                    self.phase.set(Phase::Preparing);
                }
            }
        });
    }

    /// Sends to an open sync.
    pub fn send_to(self, target: Target) {
        self.target.set(Some(target));
        self.phase.set(Phase::Sending);
        self.pump();
        self.publish();
    }

    /// Ends the sync with the files that arrived. `discards` drops unfinished uploads instead of refusing to end.
    pub fn end(self, discards: bool) {
        let Some(target) = self.target.get_untracked() else { return };
        self.error.set(None);
        self.phase.set(Phase::Ending);
        spawn_local(async move {
            let end = EndSync { discard_in_flight: discards, ..EndSync::new(target.sync_id) };
            match api::end_sync(end).await {
                Ok(()) => self.close(target.sync_id, Phase::Ended),
                Err(error) => self.refused(error),
            }
        });
    }

    pub fn abort(self) {
        let Some(target) = self.target.get_untracked() else { return };
        self.error.set(None);
        // Set first, so that the cancelled files do not end the sync.
        self.phase.set(Phase::Ending);
        self.cancel_all();
        spawn_local(async move {
            match api::abort_sync(EndSync::new(target.sync_id)).await {
                Ok(()) => self.close(target.sync_id, Phase::Aborted),
                Err(error) => self.refused(error),
            }
        });
    }

    fn close(self, sync_id: SyncId, phase: Phase) {
        browser::discard_record(sync_id);
        self.phase.set(phase);
    }

    fn refused(self, error: ApiError) {
        self.error.set(Some(error));
        self.phase.set(Phase::Settled);
    }

    /// Unfinished uploads of earlier pages, newest first.
    pub fn left_unfinished(self) -> Vec<Unfinished> {
        browser::recall().into_iter().filter(|record| record.missing() > 0).collect()
    }

    pub fn discard(self, sync_id: SyncId) {
        browser::discard_record(sync_id);
    }

    /// Resumes the upload of an earlier page to this sync.
    pub fn resume_record(self, sync_id: SyncId) {
        let before = self.left_unfinished().into_iter().find(|record| record.sync_id == sync_id);
        if let Some(before) = &before {
            self.end_when_done.set(before.ends);
        }
        self.before.set(before);
    }

    /// Records the upload's state, in case the page ends before it.
    pub(super) fn remember(self) {
        let Some(target) = self.target.get_untracked() else { return };
        if self.phase.get_untracked() != Phase::Sending {
            return;
        }
        let ends = self.end_when_done.get_untracked();
        let record = self.totals.with_untracked(|totals| {
            let before = self.before.get_untracked();
            Unfinished::new(target.sync_id, target.path.clone(), totals, ends, before.as_ref(), now_ms())
        });
        let is_new = self.remembered.with_value(|last| last.as_ref().is_none_or(|last| record.differs(last)));
        if is_new {
            browser::remember(&record);
            self.remembered.set_value(Some(record));
        }
    }
}

/// The open sync that holds `path`, if it is among the newest.
async fn holder(path: &str) -> Option<SyncJob> {
    const LOOKED_AT: u64 = 200;
    let path = LakePath::parse(path).ok()?;
    let parameters = ListParameters {
        size: Some(LOOKED_AT),
        order: Order::Desc,
        status: Some(Status::Syncing),
        ..ListParameters::default()
    };
    let syncs = api::list_syncs(parameters).await.ok()?.value;
    syncs.into_iter().find(|sync| sync.path.overlaps(&path))
}
