//! Drives the queue: files to the digest worker, questions to the lake, bytes to the server, and their results back.

use super::answer::Refused;
use super::browser;
use super::item::{Failure, Item, ItemId};
use super::totals::Totals;
use super::{HashEvent, Job, Phase, Progress, Target, Uploader};
use crate::api;
use crate::browser::{now_ms, random};
use crate::error::ApiError;
use lakeshore::ErrorCode;
use lakeshore::model::error::Refusal;
use lakeshore::model::id::SyncId;
use lakeshore::model::upload::offer::{Offer, OfferedFile};
use leptos::prelude::*;
use leptos::task::spawn_local;

impl Uploader {
    pub fn cancel(self, id: ItemId) {
        self.cancel_one(id);
        self.resume();
    }

    pub(super) fn cancel_one(self, id: ItemId) {
        self.queue.update_value(|queue| {
            queue.cancel(id);
        });
        self.drop_bytes(id);
    }

    pub fn cancel_all(self) {
        for id in self.queue.try_update_value(|queue| queue.cancel_all()).unwrap_or_default() {
            self.drop_bytes(id);
        }
        self.resume();
    }

    fn drop_bytes(self, id: ItemId) {
        browser::cancel_hashing(id);
        browser::discard(id);
    }

    pub fn pause(self, id: ItemId) {
        if self.queue.try_update_value(|queue| queue.pause(id)) == Some(true) {
            browser::abort(id);
        }
        self.resume();
    }

    pub fn go_on(self, id: ItemId) {
        self.queue.update_value(|queue| queue.resume(id));
        self.resume();
    }

    pub fn pause_all(self) {
        for id in self.queue.try_update_value(|queue| queue.pause_all()).unwrap_or_default() {
            browser::abort(id);
        }
        self.publish();
    }

    /// Pauses everything until the person has signed in again: each file would fail for the same reason.
    fn pause_signed_out(self) {
        self.pause_all();
        let msg = "your session has ended; sign in in another tab, then press Resume".to_owned();
        self.error.set(Some(ApiError(Refusal { code: 0, msg, data: None })));
    }

    pub fn go_on_all(self) {
        self.error.set(None);
        self.queue.update_value(|queue| queue.resume_all());
        self.resume();
    }

    pub fn retry(self, id: ItemId) {
        self.queue.update_value(|queue| queue.retry(id));
        self.resume();
    }

    /// Retries all failed files, or those with the same reason.
    pub fn retry_failed(self, like: Option<&Failure>) {
        self.queue.update_value(|queue| queue.retry_failed(like));
        self.resume();
    }

    /// Retries a broken link without delay.
    pub fn try_now(self) {
        self.queue.update_value(|queue| queue.link.try_now());
        self.pump();
    }

    /// Continues with the current queue.
    pub(super) fn resume(self) {
        match self.phase.get_untracked() {
            Phase::Sending | Phase::Settled => {
                self.phase.set(Phase::Sending);
                self.pump();
            }
            _ => self.publish(),
        }
    }

    pub(super) fn tick(self) {
        for (id, turn) in self.queue.with_value(|queue| queue.stalled(now_ms())) {
            browser::abort(id);
            self.queue.update_value(|queue| queue.broke(id, turn, now_ms(), random()));
        }
        self.pump();
        self.publish();
    }

    /// Fills free slots, and settles when no work is left.
    pub(super) fn pump(self) {
        let Some(target) = self.target.get_untracked() else { return };
        if self.phase.get_untracked() != Phase::Sending {
            return;
        }
        let to_read = self.queue.try_update_value(|queue| queue.next_to_read()).unwrap_or_default();
        if !to_read.is_empty() {
            browser::hash(&to_read, move |events| self.apply_hash_events(events));
        }
        if let Some(files) = self.queue.try_update_value(|queue| queue.next_question(now_ms())).flatten() {
            self.ask(target.sync_id, files);
        }
        while let Some(item) = self.queue.try_update_value(|queue| queue.next(now_ms())).flatten() {
            self.send(target.sync_id, item);
        }
        let totals = self.queue.with_value(|queue| queue.totals(now_ms()));
        if totals.is_settled() {
            self.publish();
            self.settle(&target);
        }
    }

    /// No work is left. If every file is in the lake, the sync may end automatically. If a file failed, was cancelled,
    /// or was chosen only before a reload, the person decides.
    fn settle(self, target: &Target) {
        self.phase.set(Phase::Settled);
        if untrack(|| self.is_whole()) {
            browser::discard_record(target.sync_id);
            if self.end_when_done.get_untracked() {
                self.end(false);
            }
        }
    }

    /// Whether files were chosen, and each of them is in the lake.
    pub fn is_whole(self) -> bool {
        let has_all = |totals: &Totals| totals.done() > 0 && totals.failed + totals.cancelled == 0;
        self.totals.with(has_all) && self.missing_files() == 0
    }

    /// Files that were chosen before a reload, and not again.
    pub fn missing_files(self) -> usize {
        let chosen = self.totals.with(|totals| totals.files() + totals.cancelled);
        self.before.with(|before| before.as_ref().map_or(0, |before| before.files.saturating_sub(chosen)))
    }

    fn apply_hash_events(self, events: Vec<HashEvent>) {
        self.queue.update_value(|queue| {
            for event in events {
                match event {
                    HashEvent::Read(id, bytes) => queue.read(id, bytes),
                    HashEvent::Hashed(id, result) => queue.hashed(id, result),
                    HashEvent::Impossible => queue.send_unread(),
                }
            }
        });
        self.pump();
    }

    /// Asks the lake which files it lacks. In a full sync, unchanged files become part of it.
    fn ask(self, sync_id: SyncId, files: Vec<OfferedFile>) {
        spawn_local(async move {
            let answer = api::missing_files(Offer { sync_id, path: None, files, take_over: true }).await;
            let unchanged = self.queue.try_update_value(|queue| match &answer {
                Ok(missing) => queue.answered(Some(missing)),
                Err(error) if is_no_answer(error) => {
                    queue.unanswered(now_ms(), random());
                    Vec::new()
                }
                Err(error) if error.needs_key() => {
                    queue.ask_again();
                    Vec::new()
                }
                Err(_) => queue.answered(None),
            });
            if answer.is_err_and(|error| error.needs_key()) {
                self.pause_signed_out();
            }
            for id in unchanged.unwrap_or_default() {
                browser::release(id);
            }
            self.pump();
        });
    }

    fn send(self, sync_id: SyncId, item: Item) {
        let (id, turn) = (item.id, item.turn);
        let on_progress = move |progress| {
            self.queue.update_value(|queue| match progress {
                Progress::At(bytes) => queue.goes_on_at(id, turn, bytes, now_ms()),
                Progress::Sent(bytes) => queue.progress(id, turn, bytes, now_ms()),
            });
        };
        let relative_path = item.relative_path();
        let is_small = item.is_small();
        let Item { name, folder, size_bytes, sha256, .. } = item;
        let job = Job { id, sync_id, folder, name, relative_path, size_bytes, sha256, is_small };
        let sent = browser::send(job, on_progress);
        spawn_local(async move {
            let result = sent.await;
            let is_this_turn = self
                .queue
                .with_value(|queue| queue.item(id).is_some_and(|item| item.turn == turn && item.is_sending()));
            if result.is_ok() && is_this_turn {
                browser::release(id);
            }
            if is_this_turn && result == Err(Refused::SignedOut) {
                self.pause_signed_out();
            }
            self.queue.update_value(|queue| match result {
                // The pause has put the file back.
                Err(Refused::SignedOut) => {}
                Ok(()) => queue.arrived(id, turn, now_ms()),
                Err(Refused::Broken) => queue.broke(id, turn, now_ms(), random()),
                Err(Refused::Fault(failure)) => queue.faulted(id, turn, failure, now_ms(), random()),
                Err(Refused::Final(failure)) => queue.failed(id, turn, failure),
            });
            self.pump();
        });
    }
}

/// Whether the server was not reached, or is stopping.
fn is_no_answer(error: &ApiError) -> bool {
    error.is_no_answer() || error.is(ErrorCode::ShuttingDown)
}
