//! Actions of the person on queued files: pause, resume, cancel, retry.

use super::super::item::{Failure, Item, ItemId, State};
use super::Queue;

impl Queue {
    /// Pauses everything. Returns the running files, whose requests have to be aborted.
    pub fn pause_all(&mut self) -> Vec<ItemId> {
        self.is_paused = true;
        let ids: Vec<_> = self.items.iter().filter(|item| item.is_sending()).map(|item| item.id).collect();
        // In reverse order, because each goes to the front of its queue.
        for id in ids.iter().rev() {
            self.go_back(*id);
        }
        ids
    }

    /// Resumes everything, files that were paused individually included.
    pub fn resume_all(&mut self) {
        self.is_paused = false;
        self.link.try_now();
        let ids: Vec<_> = self.items.iter().filter(|item| item.is_paused()).map(|item| item.id).collect();
        for id in ids {
            self.resume(id);
        }
    }

    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Pauses one file. Returns whether it was running, so that its request has to be aborted.
    pub fn pause(&mut self, id: ItemId) -> bool {
        let Some(item) = self.items.get(id.0).filter(|item| item.may_pause()) else { return false };
        let (was_sending, bytes_sent) = (item.is_sending(), item.bytes_done());
        self.leave(id, State::Paused { bytes_sent });
        was_sending
    }

    pub fn resume(&mut self, id: ItemId) {
        if self.item(id).is_some_and(Item::is_paused) {
            self.line_up(id, true);
        }
    }

    /// Cancels one file. Returns whether it was running, so that its request has to be aborted.
    pub fn cancel(&mut self, id: ItemId) -> bool {
        let Some(item) = self.items.get(id.0).filter(|item| item.may_cancel()) else { return false };
        let was_sending = item.is_sending();
        self.leave(id, State::Cancelled);
        was_sending
    }

    /// Cancels all unfinished files, and returns them.
    pub fn cancel_all(&mut self) -> Vec<ItemId> {
        let ids: Vec<_> = self.items.iter().filter(|item| item.may_cancel()).map(|item| item.id).collect();
        for id in &ids {
            self.cancel(*id);
        }
        ids
    }

    /// Restarts a file from its digest, since it may have changed.
    pub fn retry(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(id.0)
            && item.may_retry()
        {
            (item.sha256, item.is_missing, item.faults) = (None, false, 0);
            self.line_up(id, false);
        }
    }

    /// Retries all failed files, or those with this failure.
    pub fn retry_failed(&mut self, like: Option<&Failure>) {
        let is_meant = |item: &&Item| match &item.state {
            State::Failed(failure) => like.is_none_or(|like| failure.is_like(like)),
            _ => false,
        };
        let ids: Vec<_> = self.items.iter().filter(is_meant).map(|item| item.id).collect();
        for id in ids {
            self.retry(id);
        }
    }
}
