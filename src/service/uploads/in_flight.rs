//! Register of uploads in flight: the progress of each, in memory.
//!
//! An upload enters when it gets its row, and leaves when it has landed or failed. A received chunk costs one relaxed
//! store; the time of the last byte is sampled once a second. A resumable upload stays between its requests, and across
//! restarts. Of several nodes, each has those that it receives, and tells the others of them once a second.

use crate::model::access::key::Caller;
use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::event::{Event, EventKind};
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::limits::{IN_FLIGHT_KNOWN_MAX, PROGRESS_INTERVAL, PROGRESS_TOLD_MAX};
use crate::model::page::{ListParameters, Order, Page};
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::{Activity, Sender, UploadInFlight};
use crate::ports::metadata::event_log::ReportedUpload;
use crate::ports::metadata::resumable::ResumableRecord;
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
    new: NewEntry,
    received_bytes: AtomicU64,
    /// Requests that send it: one or none, and two while one preempts the other.
    requests: AtomicUsize,
    state: Mutex<MutableState>,
}

struct MutableState {
    sender: Sender,
    expected_bytes: Option<u64>,
    /// Bytes at the last sample.
    seen_bytes: u64,
    last_byte_at: Timestamp,
}

/// Details of an upload that enters the register.
pub(in crate::service) struct NewEntry {
    pub(in crate::service) upload_id: UploadId,
    pub(in crate::service) sync_id: SyncId,
    pub(in crate::service) dataset: LakePath,
    pub(in crate::service) file_name: String,
    pub(in crate::service) target: LakePath,
    pub(in crate::service) owner: Principal,
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
        self.entry.state().expected_bytes = bytes;
    }

    pub(in crate::service) fn sent_by(&self, sender: &Sender) {
        let mut state = self.entry.state();
        // The owner of the upload stays.
        state.sender = Sender { by: std::mem::take(&mut state.sender.by), ..sender.clone() };
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

    /// Whether a request of this node sends the upload.
    pub(in crate::service) fn has_request(&self, id: UploadId) -> bool {
        self.entries().get(&id).is_some_and(|entry| entry.has_request())
    }

    /// Uploads without a request.
    fn waiting(&self) -> Vec<UploadId> {
        let entries = self.entries();
        let waiting = entries.iter().filter(|(_, entry)| !entry.has_request());
        waiting.map(|(id, _)| *id).collect()
    }

    fn num_idle_of(&self, sync_id: SyncId, since: Timestamp, now: Timestamp) -> u64 {
        let entries: Vec<_> = self.entries().values().filter(|entry| entry.new.sync_id == sync_id).cloned().collect();
        let is_idle = |entry: &&Arc<Entry>| {
            let seen = entry.snapshot(now, Duration::MAX);
            seen.is_resumable && seen.last_byte_time <= since && !entry.has_request()
        };
        entries.iter().filter(is_idle).count() as u64
    }

    /// Entry of the upload, new or existing.
    fn enter(&self, new: NewEntry, by: &str, received_bytes: u64, last_byte_at: Timestamp) -> Arc<Entry> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(&new.upload_id) {
            return entry.clone();
        }
        let state = MutableState {
            sender: Sender { by: by.to_owned(), ..Sender::default() },
            expected_bytes: None,
            seen_bytes: received_bytes,
            last_byte_at,
        };
        let (received_bytes, requests) = (AtomicU64::new(received_bytes), AtomicUsize::new(0));
        let entry = Arc::new(Entry { new, received_bytes, requests, state: Mutex::new(state) });
        if entries.len() < IN_FLIGHT_KNOWN_MAX {
            entries.insert(entry.new.upload_id, entry.clone());
        }
        entry
    }
}

impl Entry {
    fn has_request(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    fn state(&self) -> MutexGuard<'_, MutableState> {
        self.state.lock()
    }

    fn snapshot(&self, now: Timestamp, stalled_after: Duration) -> UploadInFlight {
        let received_bytes = self.received_bytes.load(Ordering::Relaxed);
        let mut state = self.state();
        if received_bytes != state.seen_bytes {
            state.seen_bytes = received_bytes;
            state.last_byte_at = now;
        }
        let is_late = now >= state.last_byte_at.plus(stalled_after);
        let activity = Activity::of(is_late, self.has_request());
        let new = &self.new;
        UploadInFlight {
            history_id: new.upload_id,
            sync_id: new.sync_id,
            dataset: new.dataset.clone(),
            file_name: new.file_name.clone(),
            path: new.target.clone(),
            sender: state.sender.clone(),
            owner: new.owner,
            is_resumable: new.is_resumable,
            received_bytes,
            expected_bytes: state.expected_bytes,
            start_time: new.begun_at,
            last_byte_time: state.last_byte_at,
            activity,
        }
    }
}

impl Lake {
    /// Registers the upload as in flight, sent by a request.
    pub(in crate::service) fn track(&self, new: NewEntry, by: &str, received_bytes: u64) -> Tracked {
        let entry = self.0.in_flight.enter(new, by, received_bytes, self.now());
        entry.requests.fetch_add(1, Ordering::Relaxed);
        entry.received_bytes.store(received_bytes, Ordering::Relaxed);
        Tracked { lake: self.clone(), entry }
    }

    /// Registers resumable uploads that a stop interrupted and that wait for their senders. Only at start.
    pub(in crate::service) async fn track_unfinished(&self) -> Result<(), Error> {
        let unfinished = self.unfinished_resumables().await?;
        self.track_resumables(unfinished.into_values()).await
    }

    /// Registers resumable uploads without a request.
    pub(in crate::service) async fn track_resumables(
        &self,
        unfinished: impl Iterator<Item = ResumableRecord> + Send,
    ) -> Result<(), Error> {
        let mut syncs: BTreeMap<SyncId, SyncJob> = BTreeMap::new();
        for record in unfinished {
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
            let (file_name, owner, begun_at) = (record.file_name, record.owner, record.begun_at);
            let new = NewEntry { upload_id, sync_id, dataset, file_name, target, owner, is_resumable: true, begun_at };
            let entry = self.0.in_flight.enter(new, &record.by, record.checkpoint.offset, last_byte_at);
            entry.state().expected_bytes = record.length;
        }
        Ok(())
    }

    /// Uploads in flight of all nodes, in the order of their begin; only those of one sync if `sync_id` is given. Only
    /// an administrator of the whole lake and the sender of an upload see where it comes from.
    pub async fn in_flight(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<UploadInFlight>, Error> {
        let scope = caller.may_read()?;
        let page = Page::new(parameters.from, parameters.size, parameters.order)?;
        let skip = usize::try_from(page.from).unwrap_or(usize::MAX);
        let take = usize::try_from(page.size).unwrap_or(usize::MAX);
        let is_seen = |dataset: &LakePath| scope.as_ref().is_none_or(|scope| scope.contains(dataset));
        if self.0.state.has_other_nodes() {
            let all = self.in_flight_of_all_nodes(parameters.sync_id).await?;
            let wanted =
                all.into_iter().map(|(upload, _)| upload.for_caller(caller)).filter(|upload| is_seen(&upload.dataset));
            return Ok(match page.order {
                Order::Asc => wanted.skip(skip).take(take).collect(),
                Order::Desc => wanted.rev().skip(skip).take(take).collect(),
            });
        }
        let is_wanted = |entry: &&Arc<Entry>| {
            is_seen(&entry.new.dataset) && parameters.sync_id.is_none_or(|sync_id| entry.new.sync_id == sync_id)
        };
        let entries = self.0.in_flight.entries();
        let wanted: Vec<_> = match page.order {
            Order::Asc => entries.values().filter(is_wanted).skip(skip).take(take).cloned().collect(),
            Order::Desc => entries.values().rev().filter(is_wanted).skip(skip).take(take).cloned().collect(),
        };
        drop(entries);
        let (now, stalled_after) = (self.now(), self.0.limits.stalled_after);
        Ok(wanted.iter().map(|entry| entry.snapshot(now, stalled_after).for_caller(caller)).collect())
    }

    /// Number of resumable uploads of the sync without a byte since `since` and without an open request.
    pub(in crate::service) async fn num_idle_of(&self, sync_id: SyncId, since: Timestamp) -> Result<u64, Error> {
        if !self.0.state.has_other_nodes() {
            return Ok(self.0.in_flight.num_idle_of(sync_id, since, self.now()));
        }
        let is_idle = |(upload, has_request): &&(UploadInFlight, bool)| {
            upload.is_resumable && upload.last_byte_time <= since && !has_request
        };
        Ok(self.in_flight_of_all_nodes(Some(sync_id)).await?.iter().filter(is_idle).count() as u64)
    }

    /// Each with whether it has a request. Those whose request is here are as they are, others as their node told last.
    async fn in_flight_of_all_nodes(&self, sync_id: Option<SyncId>) -> Result<Vec<(UploadInFlight, bool)>, Error> {
        let all = self.0.state.uploads_in_flight(sync_id, IN_FLIGHT_KNOWN_MAX as u64).await?;
        let (now, stalled_after) = (self.now(), self.0.limits.stalled_after);
        let entries = self.0.in_flight.entries();
        let merged = |upload: ReportedUpload| {
            let here = entries.get(&upload.upload_id);
            let has_request = here.is_some_and(|entry| entry.has_request());
            let here = here.map(|entry| entry.snapshot(now, stalled_after));
            if has_request {
                return Some((here?, true));
            }
            let has_request = upload.is_elsewhere && upload.has_request;
            let there = seen_elsewhere(&upload, now, stalled_after);
            // Requests may have sent it to one node after another.
            let seen = [there, here].into_iter().flatten().max_by_key(|seen| seen.last_byte_time);
            seen.map(|seen| (seen, has_request))
        };
        Ok(all.into_iter().filter_map(merged).collect())
    }

    /// Leaves uploads without a request to the nodes that go on with them, and forgets those that another node has ended.
    pub(in crate::service) async fn leave_in_flight(&self) -> Result<(), Error> {
        let waiting = self.0.in_flight.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let all = self.0.state.uploads_in_flight(None, IN_FLIGHT_KNOWN_MAX as u64).await?;
        let all: BTreeMap<_, _> = all.into_iter().map(|upload| (upload.upload_id, upload)).collect();
        let (now, stalled_after) = (self.now(), self.0.limits.stalled_after);
        let mut entries = self.0.in_flight.entries();
        for id in waiting {
            let Some(entry) = entries.get(&id).filter(|entry| !entry.has_request()) else { continue };
            let is_left = match all.get(&id) {
                None => true,
                Some(upload) if !upload.is_elsewhere => false,
                // This node may not have told yet what it received.
                Some(upload) => seen_elsewhere(upload, now, stalled_after)
                    .is_some_and(|there| there.last_byte_time > entry.snapshot(now, stalled_after).last_byte_time),
            };
            if is_left {
                entries.remove(&id);
            }
        }
        Ok(())
    }
}

/// An upload as another node told it.
fn seen_elsewhere(upload: &ReportedUpload, now: Timestamp, stalled_after: Duration) -> Option<UploadInFlight> {
    let event: Event = serde_json::from_str(upload.json.as_deref()?).ok()?;
    let EventKind::UploadProgress { upload: mut seen } = event.happened else { return None };
    let is_late = now >= seen.last_byte_time.plus(stalled_after);
    seen.activity = Activity::of(is_late, upload.is_elsewhere && upload.has_request);
    Some(seen)
}

/// Last published state of the uploads in flight.
#[derive(Default)]
pub(in crate::service) struct SampledUploads {
    /// Each with whether it had a request.
    reported: BTreeMap<UploadId, (UploadInFlight, bool)>,
    looked_at: Timestamp,
    /// Where the next round continues.
    after: u64,
}

impl SampledUploads {
    /// Events of the last call did not arrive: everything is news again.
    pub(in crate::service) fn forget(&mut self) {
        self.reported.clear();
    }

    /// Whether a call of [`Self::take_events`] looks at them.
    pub(in crate::service) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.looked_at.plus(PROGRESS_INTERVAL) || now < self.looked_at
    }

    /// Events since the last call: at most one a second for each upload, and one in total for an upload without progress.
    /// `is_shared`: other nodes read them, so a change of `has_request` counts too.
    pub(in crate::service) fn take_events(
        &mut self,
        in_flight: &InFlight,
        now: Timestamp,
        stalled_after: Duration,
        is_shared: bool,
    ) -> Vec<EventKind> {
        if !self.is_due(now) {
            return Vec::new();
        }
        self.looked_at = now;
        let entries = in_flight.entries();
        let has_left = |id: &UploadId| !entries.contains_key(id);
        let left: Vec<_> = self.reported.keys().copied().filter(has_left).collect();
        let behind = entries.range((Bound::Excluded(UploadId(self.after)), Bound::Unbounded));
        let round: Vec<_> =
            behind.chain(entries.range(..=UploadId(self.after))).map(|(_, entry)| entry.clone()).collect();
        drop(entries);
        let mut events = Vec::new();
        for id in left {
            if let Some((upload, _)) = self.reported.remove(&id) {
                let (sync_id, path) = (upload.sync_id, upload.dataset);
                events.push(EventKind::UploadLeft { sync_id, path, history_id: id });
            }
        }
        let mut count = 0;
        for entry in round {
            // Sampled even without an event; otherwise the time of its last byte would be unknown.
            let upload = entry.snapshot(now, stalled_after);
            let is_old = now >= upload.start_time.plus(PROGRESS_INTERVAL);
            let id = upload.history_id;
            // Other nodes have to know whether it has a request; for everybody else its activity says enough.
            let has_request = entry.has_request();
            let is_news = self
                .reported
                .get(&id)
                .is_none_or(|(before, had_request)| *before != upload || (is_shared && *had_request != has_request));
            if is_old && is_news && count < PROGRESS_TOLD_MAX {
                count += 1;
                self.after = id.0;
                self.reported.insert(id, (upload.clone(), has_request));
                events.push(EventKind::UploadProgress { upload });
            }
        }
        events
    }
}
