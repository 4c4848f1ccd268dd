//! Register of uploads in flight: the progress of each, in memory.
//!
//! An upload enters when it gets its row, and leaves when it has landed or failed. A received chunk costs one relaxed
//! store; the time of the last byte is sampled once a second. A resumable upload stays between its requests, and across
//! restarts.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::event::Happened;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::limits::{IN_FLIGHT_KNOWN_MAX, PROGRESS_INTERVAL, PROGRESS_TOLD_MAX};
use crate::model::page::{ListParameters, Page};
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::{Activity, Sender, UploadInFlight};
use crate::service::Lake;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

type Entries = BTreeMap<UploadId, Arc<Entry>>;

#[derive(Default)]
pub(in crate::service) struct InFlight(Mutex<Entries>);

struct Entry {
    new: Entering,
    received_bytes: AtomicU64,
    /// Requests that send it: one or none, and two while one preempts the other.
    requests: AtomicUsize,
    moving: Mutex<Moving>,
}

struct Moving {
    sender: Sender,
    expected_bytes: Option<u64>,
    /// Bytes at the last sample.
    seen_bytes: u64,
    last_byte_at: Timestamp,
}

/// Details of an upload that enters the register.
pub(in crate::service) struct Entering {
    pub(in crate::service) upload_id: UploadId,
    pub(in crate::service) sync_id: SyncId,
    pub(in crate::service) dataset: LakePath,
    pub(in crate::service) file_name: String,
    pub(in crate::service) target: LakePath,
    pub(in crate::service) is_resumable: bool,
    pub(in crate::service) begun_at: Timestamp,
}

/// Handle of a request on the entry of its upload. Dropping it removes the entry of a plain upload; that of a resumable
/// one stays until [`InFlight::remove`].
pub(in crate::service) struct Tracked {
    lake: Lake,
    entry: Arc<Entry>,
}

impl Tracked {
    /// Updates the number of received bytes.
    pub(in crate::service) fn received(&self, bytes: u64) {
        self.entry.received_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(in crate::service) fn expects(&self, bytes: Option<u64>) {
        self.entry.moving().expected_bytes = bytes;
    }

    pub(in crate::service) fn sent_by(&self, sender: &Sender) {
        let mut moving = self.entry.moving();
        // The owner of the upload stays.
        moving.sender = Sender { by: std::mem::take(&mut moving.sender.by), ..sender.clone() };
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.entry.requests.fetch_sub(1, Ordering::Relaxed);
        if !self.entry.new.is_resumable {
            self.lake.0.in_flight.remove(self.entry.new.upload_id);
        }
    }
}

impl InFlight {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock()
    }

    /// Removes an upload that has landed or failed.
    pub(in crate::service) fn remove(&self, id: UploadId) {
        self.entries().remove(&id);
    }

    /// Removes the discarded uploads of a sync.
    pub(in crate::service) fn remove_all_of(&self, sync_id: SyncId) {
        self.entries().retain(|_, entry| entry.new.sync_id != sync_id);
    }

    /// Number of resumable uploads of the sync without a byte since `since` and without an open request.
    pub(in crate::service) fn num_idle_of(&self, sync_id: SyncId, since: Timestamp, now: Timestamp) -> u64 {
        let entries: Vec<_> = self.entries().values().filter(|entry| entry.new.sync_id == sync_id).cloned().collect();
        let is_idle = |entry: &&Arc<Entry>| {
            let seen = entry.look(now, Duration::MAX);
            seen.is_resumable && seen.last_byte_time <= since && entry.requests.load(Ordering::Relaxed) == 0
        };
        entries.iter().filter(is_idle).count() as u64
    }

    /// Entry of the upload, new or existing.
    fn enter(&self, new: Entering, by: &str, received_bytes: u64, last_byte_at: Timestamp) -> Arc<Entry> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(&new.upload_id) {
            return entry.clone();
        }
        let moving = Moving {
            sender: Sender { by: by.to_owned(), ..Sender::default() },
            expected_bytes: None,
            seen_bytes: received_bytes,
            last_byte_at,
        };
        let (received_bytes, requests) = (AtomicU64::new(received_bytes), AtomicUsize::new(0));
        let entry = Arc::new(Entry { new, received_bytes, requests, moving: Mutex::new(moving) });
        if entries.len() < IN_FLIGHT_KNOWN_MAX {
            entries.insert(entry.new.upload_id, entry.clone());
        }
        entry
    }
}

impl Entry {
    fn moving(&self) -> MutexGuard<'_, Moving> {
        self.moving.lock()
    }

    fn look(&self, now: Timestamp, stalled_after: Duration) -> UploadInFlight {
        let received_bytes = self.received_bytes.load(Ordering::Relaxed);
        let mut moving = self.moving();
        if received_bytes != moving.seen_bytes {
            moving.seen_bytes = received_bytes;
            moving.last_byte_at = now;
        }
        let is_late = now >= moving.last_byte_at.plus(stalled_after);
        let activity = match (is_late, self.requests.load(Ordering::Relaxed)) {
            (false, _) => Activity::Receiving,
            (true, 0) => Activity::Abandoned,
            (true, _) => Activity::Stalled,
        };
        let new = &self.new;
        UploadInFlight {
            history_id: new.upload_id,
            sync_id: new.sync_id,
            dataset: new.dataset.clone(),
            file_name: new.file_name.clone(),
            path: new.target.clone(),
            sender: moving.sender.clone(),
            is_resumable: new.is_resumable,
            received_bytes,
            expected_bytes: moving.expected_bytes,
            start_time: new.begun_at,
            last_byte_time: moving.last_byte_at,
            activity,
        }
    }
}

impl Lake {
    /// Registers the upload as in flight, sent by a request.
    pub(in crate::service) fn track(&self, new: Entering, by: &str, received_bytes: u64) -> Tracked {
        let entry = self.0.in_flight.enter(new, by, received_bytes, self.now());
        entry.requests.fetch_add(1, Ordering::Relaxed);
        entry.received_bytes.store(received_bytes, Ordering::Relaxed);
        Tracked { lake: self.clone(), entry }
    }

    /// Registers resumable uploads that a stop interrupted and that wait for their senders. Only at start.
    pub(in crate::service) async fn track_unfinished(&self) -> Result<(), Error> {
        let mut syncs: BTreeMap<SyncId, SyncJob> = BTreeMap::new();
        for record in self.unfinished_resumables().await?.into_values() {
            let (Some(upload_id), Some(sync_id), Some(target)) = (record.upload_id, record.sync_id, record.target)
            else {
                continue;
            };
            let dataset = match syncs.get(&sync_id) {
                Some(sync) => sync.path.clone(),
                None => syncs.entry(sync_id).or_insert(self.record(sync_id).await?.sync).path.clone(),
            };
            // A checkpoint postpones the expiry, which gives the time of the last bytes.
            let last_byte_at = record.expires_at.minus(self.0.limits.idle_max(record.checkpoint.offset));
            let last_byte_at = last_byte_at.clamp(record.begun_at, self.now().max(record.begun_at));
            let (file_name, begun_at) = (record.file_name, record.begun_at);
            let new = Entering { upload_id, sync_id, dataset, file_name, target, is_resumable: true, begun_at };
            let entry = self.0.in_flight.enter(new, &record.by, record.checkpoint.offset, last_byte_at);
            entry.moving().expected_bytes = record.length;
        }
        Ok(())
    }

    /// Uploads in flight, in the order of their begin; only those of one sync if `sync_id` is given.
    pub fn in_flight(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<UploadInFlight>, Error> {
        let scope = caller.may_read()?;
        let page = Page::new(parameters.from, parameters.size, parameters.order)?;
        let is_wanted = |entry: &&Arc<Entry>| {
            scope.as_ref().is_none_or(|scope| scope.contains(&entry.new.dataset))
                && parameters.sync_id.is_none_or(|sync_id| entry.new.sync_id == sync_id)
        };
        let skip = usize::try_from(page.from).unwrap_or(usize::MAX);
        let take = usize::try_from(page.size).unwrap_or(usize::MAX);
        let entries = self.0.in_flight.entries();
        let wanted: Vec<_> = match page.order {
            crate::model::page::Order::Asc => {
                entries.values().filter(is_wanted).skip(skip).take(take).cloned().collect()
            }
            crate::model::page::Order::Desc => {
                entries.values().rev().filter(is_wanted).skip(skip).take(take).cloned().collect()
            }
        };
        drop(entries);
        let (now, stalled_after) = (self.now(), self.0.limits.stalled_after);
        Ok(wanted.iter().map(|entry| entry.look(now, stalled_after)).collect())
    }
}

/// Last published state of the uploads in flight.
#[derive(Default)]
pub(in crate::service) struct SampledUploads {
    told: BTreeMap<UploadId, UploadInFlight>,
    looked_at: Timestamp,
    /// Where the next round continues.
    after: u64,
}

impl SampledUploads {
    /// Events since the last call: at most one a second for each upload, and only one for an upload without progress.
    pub(in crate::service) fn told(
        &mut self,
        in_flight: &InFlight,
        now: Timestamp,
        stalled_after: Duration,
    ) -> Vec<Happened> {
        if now < self.looked_at.plus(PROGRESS_INTERVAL) && now >= self.looked_at {
            return Vec::new();
        }
        self.looked_at = now;
        let entries = in_flight.entries();
        let has_left = |id: &UploadId| !entries.contains_key(id);
        let left: Vec<_> = self.told.keys().copied().filter(has_left).collect();
        let behind = entries.range((Bound::Excluded(UploadId(self.after)), Bound::Unbounded));
        let round: Vec<_> =
            behind.chain(entries.range(..=UploadId(self.after))).map(|(_, entry)| entry.clone()).collect();
        drop(entries);
        let mut happened = Vec::new();
        for id in left {
            if let Some(upload) = self.told.remove(&id) {
                let (sync_id, path) = (upload.sync_id, upload.dataset);
                happened.push(Happened::UploadLeft { sync_id, path, history_id: id });
            }
        }
        let mut count = 0;
        for entry in round {
            // Sampled even without an event; otherwise the time of its last byte would be unknown.
            let upload = entry.look(now, stalled_after);
            let is_old = now >= upload.start_time.plus(PROGRESS_INTERVAL);
            let id = upload.history_id;
            let is_news = self.told.get(&id).is_none_or(|before| *before != upload);
            if is_old && is_news && count < PROGRESS_TOLD_MAX {
                count += 1;
                self.after = id.0;
                self.told.insert(id, upload.clone());
                happened.push(Happened::UploadProgress { upload });
            }
        }
        happened
    }
}
