//! Queue of an upload: decides which file is read, asked about and sent next, and keeps the state of each. Independent
//! of browser and clock: times and random numbers are parameters.
//!
//! A file is read for its digest, the lake is asked whether it has the file, and missing files are sent. Interrupted
//! files continue once the link is whole again; refused files wait for the person.

mod controls;
mod views;

pub use views::{FailureGroup, Shown};

use super::item::{Failure, Item, ItemId, State};
use super::link::Link;
use super::rate::RateMeter;
use lakeshore::model::upload::offer::{Missing, OfferedFile};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Concurrent files. Browsers open at most six connections to a host over HTTP/1.1, and the page itself needs one.
pub const PARALLEL_MAX: usize = 5;
/// Concurrent large files; more would only share the link.
pub const LARGE_PARALLEL_MAX: usize = 3;
/// Files that are queued for the digest worker.
const HASHING_MAX: usize = 64;
/// Most files of one `missing` call, so that its answer is fast.
const ASKED_MAX: usize = 500;
/// Temporary faults in a row after which a file has failed.
const FAULTS_MAX: u32 = 5;
/// Time without progress after which a request is aborted, in milliseconds: some networks drop packets silently.
const STALLED_MS: i64 = 90_000;

/// Outcome of adding a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    New(ItemId),
    /// The file is in the queue already.
    Known,
    /// The file is in the queue unfinished, and continues with these bytes.
    Again(ItemId),
    /// Replaces an older version of the file that was not sent.
    Instead {
        new: ItemId,
        old: ItemId,
    },
}

#[derive(Debug, Default)]
pub struct Queue {
    items: Vec<Item>,
    /// Newest item of each relative path.
    paths: HashMap<String, ItemId>,
    /// Queues may contain files that have moved on; the item's state decides.
    to_read: VecDeque<ItemId>,
    to_ask: VecDeque<ItemId>,
    to_send: VecDeque<ItemId>,
    to_send_large: VecDeque<ItemId>,
    asked: Vec<ItemId>,
    reading: usize,
    sending: usize,
    sending_large: usize,
    pub link: Link,
    is_paused: bool,
    /// Files are sent without digests, because the browser cannot compute them.
    is_blind: bool,
    /// Bytes transferred in all, failed attempts included, for the rate.
    bytes_moved: u64,
    rate: RateMeter,
}

impl Queue {
    pub fn add(&mut self, folder: String, name: String, size_bytes: u64, modified_ms: i64) -> Added {
        let id = ItemId(self.items.len());
        let item = Item::new(id, folder, name, size_bytes, modified_ms);
        let old = self.paths.get(&item.relative_path()).and_then(|id| self.items.get(id.0));
        let old = old.map(|old| (old.id, (old.size_bytes, old.modified_ms) == (size_bytes, modified_ms), old.clone()));
        if let Some((old, true, known)) = &old {
            if !known.may_retry() {
                return Added::Known;
            }
            self.retry(*old);
            return Added::Again(*old);
        }
        self.paths.insert(item.relative_path(), id);
        self.items.push(item);
        self.line_up(id, false);
        match old {
            Some((old, _, known)) if !known.is_settled() => Added::Instead { new: id, old },
            _ => Added::New(id),
        }
    }

    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(id.0)
    }

    /// Puts a file into the queue for its next step. `first` puts it at the front.
    fn line_up(&mut self, id: ItemId, first: bool) {
        let Some(item) = self.items.get_mut(id.0) else { return };
        let bytes_sent = item.bytes_done();
        let line = if item.sha256.is_none() && !self.is_blind {
            item.state = State::Waiting;
            &mut self.to_read
        } else if item.sha256.is_some() && !item.is_missing {
            item.state = State::Asking;
            &mut self.to_ask
        } else {
            item.state = State::Ready { bytes_sent };
            if item.is_small() { &mut self.to_send } else { &mut self.to_send_large }
        };
        if first { line.push_front(id) } else { line.push_back(id) }
    }

    /// Next files for the digest worker, while it has few.
    pub fn next_to_read(&mut self) -> Vec<ItemId> {
        let mut files = Vec::new();
        // At least half of the limit, so that files are handed over in batches.
        if self.is_paused || self.reading > HASHING_MAX / 2 {
            return files;
        }
        while self.reading < HASHING_MAX {
            let Some(id) = self.to_read.pop_front() else { break };
            let Some(item) = self.items.get_mut(id.0).filter(|item| item.state == State::Waiting) else { continue };
            item.state = State::Hashing { bytes_read: 0 };
            self.reading += 1;
            files.push(id);
        }
        files
    }

    pub fn read(&mut self, id: ItemId, bytes: u64) {
        if let Some(Item { state: State::Hashing { bytes_read }, .. }) = self.items.get_mut(id.0) {
            *bytes_read = bytes;
        }
    }

    /// Records the digest of a file, or why it cannot be read.
    pub fn hashed(&mut self, id: ItemId, result: Result<String, Failure>) {
        self.reading = self.reading.saturating_sub(1);
        let Some(item) = self.items.get_mut(id.0) else { return };
        let was_hashing = matches!(item.state, State::Hashing { .. });
        match result {
            Ok(sha256) => item.sha256 = Some(sha256),
            Err(failure) if was_hashing => item.state = State::Failed(failure),
            Err(_) => {}
        }
        if was_hashing && item.sha256.is_some() {
            self.line_up(id, false);
        }
    }

    /// Sends files without digests, because the browser cannot compute them.
    pub fn send_unread(&mut self) {
        self.is_blind = true;
        self.reading = 0;
        let unread = |item: &&Item| matches!(item.state, State::Waiting | State::Hashing { .. });
        let ids: Vec<_> = self.items.iter().filter(unread).map(|item| item.id).collect();
        for id in ids {
            self.line_up(id, false);
        }
    }

    /// Files for the next `missing` call. One call at a time: files that come meanwhile are asked for together.
    pub fn next_question(&mut self, now_ms: i64) -> Option<Vec<OfferedFile>> {
        if self.is_paused || !self.asked.is_empty() || !self.link.lets_through(now_ms, self.sending) {
            return None;
        }
        let mut files = Vec::new();
        let mut paths = BTreeSet::new();
        let mut twice = Vec::new();
        while files.len() < ASKED_MAX {
            let Some(id) = self.to_ask.pop_front() else { break };
            let Some(item) = self.items.get(id.0).filter(|item| item.state == State::Asking) else { continue };
            let Some(sha256) = item.sha256.clone() else { continue };
            let path = item.relative_path();
            if !paths.insert(path.clone()) {
                twice.push(id);
                continue;
            }
            files.push(OfferedFile { path, size_bytes: item.size_bytes, sha256 });
            self.asked.push(id);
        }
        self.to_ask.extend(twice);
        (!files.is_empty()).then_some(files)
    }

    /// Handles the answer of the lake. Files that could not be asked about are sent. Returns the unchanged files.
    pub fn answered(&mut self, missing: Option<&Missing>) -> Vec<ItemId> {
        self.link.answered();
        let mut unchanged = Vec::new();
        let missing = missing.map(|missing| missing.missing.iter().map(String::as_str).collect::<BTreeSet<_>>());
        for id in std::mem::take(&mut self.asked) {
            let Some(item) = self.items.get_mut(id.0) else { continue };
            let is_missing = missing.as_ref().is_none_or(|missing| missing.contains(item.relative_path().as_str()));
            item.is_missing = is_missing;
            if item.state == State::Asking {
                if is_missing {
                    self.line_up(id, false);
                } else {
                    item.state = State::Unchanged;
                    unchanged.push(id);
                }
            }
        }
        unchanged
    }

    /// Handles a call without an answer.
    pub fn unanswered(&mut self, now_ms: i64, random: f64) {
        self.link.broke(now_ms, random);
        self.ask_again();
    }

    /// Puts the files of the last question back, before the others.
    pub fn ask_again(&mut self) {
        for id in std::mem::take(&mut self.asked).into_iter().rev() {
            if self.item(id).is_some_and(|item| item.state == State::Asking) {
                self.to_ask.push_front(id);
            }
        }
    }

    /// Takes the next file to send, while a slot is free.
    pub fn next(&mut self, now_ms: i64) -> Option<Item> {
        let asking = usize::from(!self.asked.is_empty());
        if self.is_paused || self.sending >= PARALLEL_MAX || !self.link.lets_through(now_ms, self.sending + asking) {
            return None;
        }
        let small = Self::head(&self.items, &mut self.to_send);
        let large = Self::head(&self.items, &mut self.to_send_large);
        let large = large.filter(|_| self.sending_large < LARGE_PARALLEL_MAX);
        // In the order in which they were added.
        let id = [small, large].into_iter().flatten().min()?;
        let is_large = Some(id) == large;
        let line = if is_large { &mut self.to_send_large } else { &mut self.to_send };
        line.pop_front();
        self.sending += 1;
        self.sending_large += usize::from(is_large);
        let item = self.items.get_mut(id.0)?;
        let bytes_sent = item.bytes_done();
        item.turn += 1;
        item.state = State::Sending { bytes_sent, rate: begun_at(now_ms, bytes_sent), moved_at_ms: now_ms };
        Some(item.clone())
    }

    /// First file of a queue that is still to be sent.
    fn head(items: &[Item], line: &mut VecDeque<ItemId>) -> Option<ItemId> {
        loop {
            let id = *line.front()?;
            if items.get(id.0).is_some_and(|item| matches!(item.state, State::Ready { .. })) {
                return Some(id);
            }
            line.pop_front();
        }
    }

    /// The item, if its attempt number `turn` is running.
    fn sending(&mut self, id: ItemId, turn: u32) -> Option<&mut Item> {
        self.items.get_mut(id.0).filter(|item| item.turn == turn && item.is_sending())
    }

    /// Records the offset from which the server continues.
    pub fn goes_on_at(&mut self, id: ItemId, turn: u32, offset: u64, now_ms: i64) {
        let Some(item) = self.sending(id, turn) else { return };
        item.faults = 0;
        if let State::Sending { bytes_sent, rate, moved_at_ms } = &mut item.state {
            *moved_at_ms = now_ms;
            if *bytes_sent != offset {
                *bytes_sent = offset;
                *rate = begun_at(now_ms, offset);
            }
        }
        self.link.answered();
    }

    /// Records sent bytes. The wire also carries the form around the file, which does not count.
    pub fn progress(&mut self, id: ItemId, turn: u32, bytes: u64, now_ms: i64) {
        let Some(item) = self.sending(id, turn) else { return };
        let size_bytes = item.size_bytes;
        if let State::Sending { bytes_sent, rate, moved_at_ms } = &mut item.state {
            let bytes = bytes.min(size_bytes);
            let moved = bytes.saturating_sub(*bytes_sent);
            *bytes_sent = bytes;
            *moved_at_ms = now_ms;
            rate.record(now_ms, bytes);
            self.bytes_moved += moved;
            self.rate.record(now_ms, self.bytes_moved);
        }
    }

    pub fn arrived(&mut self, id: ItemId, turn: u32, now_ms: i64) {
        let size_bytes = self.item(id).map_or(0, |item| item.size_bytes);
        self.progress(id, turn, size_bytes, now_ms);
        if self.sending(id, turn).is_some() {
            self.leave(id, State::Arrived);
            self.link.answered();
        }
    }

    pub fn failed(&mut self, id: ItemId, turn: u32, failure: Failure) {
        if self.sending(id, turn).is_some() {
            self.leave(id, State::Failed(failure));
            self.link.answered();
        }
    }

    /// Handles a broken link: the file continues later from its offset.
    pub fn broke(&mut self, id: ItemId, turn: u32, now_ms: i64, random: f64) {
        if self.sending(id, turn).is_some() {
            self.link.broke(now_ms, random);
            self.go_back(id);
        }
    }

    /// Handles a temporary fault. Too many in a row fail the file.
    pub fn faulted(&mut self, id: ItemId, turn: u32, failure: Failure, now_ms: i64, random: f64) {
        let Some(item) = self.sending(id, turn) else { return };
        item.faults += 1;
        if item.faults >= FAULTS_MAX {
            self.leave(id, State::Failed(failure));
        } else {
            self.broke(id, turn, now_ms, random);
        }
    }

    /// Returns a file to the front of its queue. A small file may have landed although the answer was lost, so the lake
    /// is asked again. The offset of a large file comes from the server.
    fn go_back(&mut self, id: ItemId) {
        let Some(item) = self.items.get(id.0) else { return };
        let bytes_sent = item.bytes_done();
        self.leave(id, State::Ready { bytes_sent });
        if let Some(item) = self.items.get_mut(id.0) {
            item.is_missing &= !item.is_small();
        }
        self.line_up(id, true);
    }

    /// Releases the slot of a running file.
    fn leave(&mut self, id: ItemId, state: State) {
        let Some(item) = self.items.get_mut(id.0) else { return };
        if item.is_sending() {
            self.sending -= 1;
            self.sending_large -= usize::from(!item.is_small());
        }
        item.state = state;
    }

    /// Requests without progress, which have to be aborted.
    pub fn stalled(&self, now_ms: i64) -> Vec<(ItemId, u32)> {
        let is_stalled = |item: &&Item| match item.state {
            State::Sending { moved_at_ms, .. } => now_ms - moved_at_ms > STALLED_MS,
            _ => false,
        };
        self.items.iter().filter(is_stalled).map(|item| (item.id, item.turn)).collect()
    }
}

fn begun_at(now_ms: i64, bytes: u64) -> RateMeter {
    let mut rate = RateMeter::default();
    rate.record(now_ms, bytes);
    rate
}

#[cfg(test)]
mod tests;
