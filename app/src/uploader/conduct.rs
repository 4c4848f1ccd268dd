//! The course of an upload: start the sync, send, retry, end or abort it.

use super::browser::{self, Refused};
use super::queue::{Item, ItemId};
use super::{Phase, Target, Uploader};
use crate::api;
use crate::browser::now_ms;
use crate::error::ApiError;
use crate::query::percent_encoded;
use lakeshore::ErrorCode;
use lakeshore::list::{ListParameters, Order};
use lakeshore::path::LakePath;
use lakeshore::service::{EndSync, StartSync};
use lakeshore::sync::{Status, Sync, SyncId};
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
                Ok(sync_id) => self.send_to(Target { sync_id, path: start.path }),
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

    /// Sends to a sync that is open.
    pub fn send_to(self, target: Target) {
        self.target.set(Some(target));
        self.phase.set(Phase::Sending);
        self.pump();
    }

    pub fn cancel(self, id: ItemId) {
        if self.queue.try_update_value(|queue| queue.cancel(id)) == Some(true) {
            browser::abort(id);
        }
        self.resume();
    }

    pub fn cancel_all(self) {
        for id in self.queue.try_update_value(|queue| queue.cancel_all()).unwrap_or_default() {
            browser::abort(id);
        }
        self.resume();
    }

    pub fn retry(self, id: ItemId) {
        self.queue.update_value(|queue| queue.retry(id));
        self.resume();
    }

    pub fn retry_failed(self) {
        self.queue.update_value(|queue| queue.retry_failed());
        self.resume();
    }

    /// Ends the sync, whatever has arrived.
    pub fn end(self) {
        let Some(target) = self.target.get_untracked() else { return };
        self.error.set(None);
        self.phase.set(Phase::Ending);
        spawn_local(async move {
            match api::end_sync(EndSync::new(target.sync_id)).await {
                Ok(()) => self.phase.set(Phase::Ended),
                Err(error) => self.refused(error),
            }
        });
    }

    pub fn abort(self) {
        let Some(target) = self.target.get_untracked() else { return };
        self.error.set(None);
        // First, so that nothing which is cancelled now ends the sync.
        self.phase.set(Phase::Ending);
        self.cancel_all();
        spawn_local(async move {
            match api::abort_sync(EndSync::new(target.sync_id)).await {
                Ok(()) => self.phase.set(Phase::Aborted),
                Err(error) => self.refused(error),
            }
        });
    }

    fn refused(self, error: ApiError) {
        self.error.set(Some(error));
        self.phase.set(Phase::Settled);
    }

    /// Goes on with what the queue now holds.
    pub(super) fn resume(self) {
        match self.phase.get_untracked() {
            Phase::Sending | Phase::Settled => {
                self.phase.set(Phase::Sending);
                self.pump();
            }
            _ => self.publish(),
        }
    }

    /// Fills the free places, and settles when there is nothing left to do.
    fn pump(self) {
        let Some(target) = self.target.get_untracked() else { return };
        while let Some(item) = self.queue.try_update_value(|queue| queue.next(now_ms())).flatten() {
            self.send(target.sync_id, item);
        }
        self.publish();
        let totals = self.totals.get_untracked();
        if !totals.is_settled() || self.phase.get_untracked() != Phase::Sending {
            return;
        }
        self.phase.set(Phase::Settled);
        // What failed or was cancelled may be missed: then the person decides.
        let all_arrived = totals.arrived > 0 && totals.failed == 0 && totals.cancelled == 0;
        if all_arrived && self.end_when_done.get_untracked() {
            self.end();
        }
    }

    fn send(self, sync_id: SyncId, item: Item) {
        let Item { id, name, folder, .. } = item;
        let on_progress = move |bytes| self.queue.update_value(|queue| queue.progress(id, bytes, now_ms()));
        let request = browser::send(id, address(sync_id, &folder), name, on_progress);
        spawn_local(async move {
            match request.await {
                Ok(()) => {
                    self.queue.update_value(|queue| queue.arrived(id, now_ms()));
                    browser::release(id);
                }
                Err(Refused { message }) => self.queue.update_value(|queue| queue.failed(id, message)),
            }
            self.pump();
        });
    }
}

/// The documented upload.
fn address(sync_id: SyncId, folder: &str) -> String {
    if folder.is_empty() {
        format!("/api/lake/file/upload?sync_id={sync_id}")
    } else {
        format!("/api/lake/file/upload?sync_id={sync_id}&path={}", percent_encoded(folder))
    }
}

/// The open sync that holds `path`, as far as it can be found among the newest.
async fn holder(path: &str) -> Option<Sync> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_travels_in_the_address() {
        assert_eq!(address(SyncId(8), ""), "/api/lake/file/upload?sync_id=8");
        assert_eq!(address(SyncId(8), "dt=1/ä"), "/api/lake/file/upload?sync_id=8&path=dt%3D1/%C3%A4");
    }
}
