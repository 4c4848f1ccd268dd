//! Publishing of events to all subscribers.
//!
//! A call that changes something records it in [`PendingChanges`] after its commit, at the cost of a lock and a few
//! words; it never waits for a subscriber. One publisher ([`Lake::publish_events`]), called a few times a second, takes
//! the pending changes, reads the current state of the syncs, and appends events to a ring. So thousands of landings
//! become one event, events of one sync stay in order, and each is serialized once for all subscribers.

mod log;
mod pending_changes;

use super::Lake;
use crate::model::access::key::{Caller, may_administer};
use crate::model::access::network::Network;
use crate::model::access::principal::Principal;
use crate::model::access::shares::{Holder, Share, Shares};
use crate::model::error::Error;
use crate::model::event::{Event, EventFilter, EventId, EventKind};
use crate::model::id::SyncId;
use crate::model::limits::{
    EVENTS_AT_ONCE_MAX, EVENTS_KEPT_BYTES_MAX, EVENTS_KEPT_MAX, SUBSCRIBERS_MAX, SUBSCRIBERS_SHARE_MAX,
};
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::ports::{Randomness, random_bytes};
use crate::service::uploads::in_flight::SampledUploads;
use parking_lot::{Mutex, MutexGuard};
use pending_changes::{PendingChanges, PendingSyncChanges, UnscopedChanges};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// A published event, ready to send.
#[derive(Debug)]
pub struct SerializedEvent {
    pub id: EventId,
    pub kind: &'static str,
    /// Serialized [`Event`].
    pub json: String,
    sync_id: Option<SyncId>,
    path: Option<LakePath>,
    /// Of the progress of an upload.
    restricted: Option<Restricted>,
}

impl SerializedEvent {
    fn size_bytes(&self) -> usize {
        self.json.len() + self.restricted.as_ref().map_or(0, |restricted| restricted.for_others.json.len())
    }
}

/// Variant of an event for subscribers that may not see all of it.
#[derive(Debug)]
struct Restricted {
    /// Principal that sees the event itself, beside administrators of the whole lake.
    owner: Principal,
    for_others: Arc<SerializedEvent>,
}

pub(super) struct Events {
    /// Of this process, or of the log of several.
    start: AtomicU64,
    /// Events of the log may be missing.
    owes_reset: AtomicBool,
    ring: Mutex<Ring>,
    arrived: event_listener::Event,
    subscribers: Arc<AtomicUsize>,
    shares: Shares<Holder>,
    pending_changes: Mutex<PendingChanges>,
    /// Held by the publisher.
    publisher: async_lock::Mutex<SampledUploads>,
}

/// Last events, in order.
#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<SerializedEvent>>,
    /// Number of the last event.
    number: u64,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, event: SerializedEvent) {
        self.number = event.id.number;
        self.bytes += event.size_bytes();
        self.events.push_back(Arc::new(event));
        while self.events.len() > EVENTS_KEPT_MAX || self.bytes > EVENTS_KEPT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.size_bytes();
        }
    }

    /// Events after this number, at most `count_max`; `None` when some of them are no longer kept.
    fn after(&self, number: u64, count_max: usize) -> Option<Vec<Arc<SerializedEvent>>> {
        let behind = usize::try_from(self.number.checked_sub(number)?).ok()?;
        let skipped = self.events.len().checked_sub(behind)?;
        Some(self.events.iter().skip(skipped).take(count_max).cloned().collect())
    }
}

impl Events {
    pub(super) fn new(now: Timestamp, randomness: &dyn Randomness) -> Self {
        let start = match random_bytes(randomness) {
            Ok(start) => u64::from_le_bytes(start),
            // Without randomness, the time of the start is nearly as unique.
            Err(_) => now.0.unsigned_abs(),
        };
        Self {
            start: AtomicU64::new(start),
            owes_reset: AtomicBool::new(false),
            ring: Mutex::default(),
            arrived: event_listener::Event::new(),
            subscribers: Arc::default(),
            shares: Shares::new(SUBSCRIBERS_SHARE_MAX),
            pending_changes: Mutex::default(),
            publisher: async_lock::Mutex::default(),
        }
    }

    /// Pending changes, to record one that was just committed.
    pub(super) fn pending_changes(&self) -> MutexGuard<'_, PendingChanges> {
        self.pending_changes.lock()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }

    fn id(&self, number: u64) -> EventId {
        EventId { start: self.start.load(Ordering::Relaxed), number }
    }

    fn publish(&self, at: Timestamp, happened: EventKind) {
        let mut ring = self.ring();
        let id = self.id(ring.number + 1);
        ring.push(serialize(id, at, happened));
    }
}

fn json_of(at: Timestamp, happened: EventKind) -> String {
    // Plain structs of text and numbers always serialize.
    serde_json::to_string(&Event { at, happened }).unwrap_or_default()
}

/// The progress of an upload, without where it comes from.
fn restricted(id: EventId, at: Timestamp, happened: &EventKind) -> Option<Restricted> {
    let EventKind::UploadProgress { upload } = happened else { return None };
    let for_others = EventKind::UploadProgress { upload: upload.clone().without_origin() };
    let (kind, sync_id, path) = (for_others.kind(), for_others.sync_id(), for_others.path().cloned());
    let json = json_of(at, for_others);
    let for_others = Arc::new(SerializedEvent { id, kind, json, sync_id, path, restricted: None });
    Some(Restricted { owner: upload.owner, for_others })
}

fn serialize(id: EventId, at: Timestamp, happened: EventKind) -> SerializedEvent {
    let (kind, sync_id, path) = (happened.kind(), happened.sync_id(), happened.path().cloned());
    let restricted = restricted(id, at, &happened);
    let json = json_of(at, happened);
    SerializedEvent { id, kind, json, sync_id, path, restricted }
}

/// A subscriber. Frees its slot when dropped.
pub struct Subscription {
    lake: Lake,
    /// Number of the last event that was returned or skipped.
    after: u64,
    /// Event sent before all others.
    greeting: Option<EventKind>,
    filter: EventFilter,
    scope: Option<LakePath>,
    principal: Principal,
    administers: bool,
    _place: SubscriptionSlot,
    _share: Share<Holder>,
}

struct SubscriptionSlot(Arc<AtomicUsize>);

impl Drop for SubscriptionSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lake {
    /// Id of the last event. State that is read after this call includes all events up to it.
    pub fn last_event(&self) -> EventId {
        let events = &self.0.events;
        events.id(events.ring().number)
    }

    /// Subscribes from now on, or, after a reconnect, from the event after `last`. `network` is that of the caller.
    pub fn subscribe(
        &self,
        caller: &Caller,
        network: Network,
        filter: EventFilter,
        last: Option<EventId>,
    ) -> Result<Subscription, Error> {
        let scope = caller.may_read()?;
        let events = &self.0.events;
        let over = Error::OverShare { what: "event streams", share_max: SUBSCRIBERS_SHARE_MAX };
        let share = events.shares.take(Holder::new(caller, network)).ok_or(over)?;
        let place = SubscriptionSlot(events.subscribers.clone());
        if events.subscribers.fetch_add(1, Ordering::Relaxed) >= SUBSCRIBERS_MAX {
            return Err(Error::TooManySubscribers);
        }
        let ring = events.ring();
        // Another node may have taken more of the log than this one.
        let is_ahead = |last: EventId| self.0.state.has_other_nodes() && last.number > ring.number;
        let known = last.filter(|last| {
            last.start == events.start.load(Ordering::Relaxed)
                && (ring.after(last.number, 0).is_some() || is_ahead(*last))
        });
        let (after, greeting) = match (last, known) {
            (_, Some(known)) => (known.number, EventKind::Ready),
            (None, None) => (ring.number, EventKind::Ready),
            (Some(_), None) => (ring.number, EventKind::Reset),
        };
        drop(ring);
        Ok(Subscription {
            lake: self.clone(),
            after,
            greeting: Some(greeting),
            filter,
            scope,
            principal: caller.principal(),
            administers: may_administer(caller).is_ok(),
            _place: place,
            _share: share,
        })
    }

    /// Publishes the changes since the last call. To be called a few times a second.
    pub async fn publish_events(&self) {
        let events = &self.0.events;
        let mut uploads = events.publisher.lock().await;
        let before = events.ring().number;
        let (syncs, unscoped) = {
            let mut pending_changes = events.pending_changes();
            (pending_changes.take_syncs(), pending_changes.take_unscoped())
        };
        let now = self.now();
        if self.0.state.has_other_nodes() {
            if uploads.is_due(now) {
                // Tried again at the next call; until then, uploads of other nodes may be told as waiting.
                let _ = self.leave_in_flight().await;
            }
            let sampled = uploads.take_events(
                &self.0.in_flight,
                now,
                self.0.limits.stalled_after,
                self.0.state.has_other_nodes(),
            );
            if self.publish_to_log(syncs, unscoped, sampled).await.is_err() {
                // Tried again at the next call, with a reset.
                uploads.forget();
            }
            return;
        }
        for (sync_id, changes) in syncs {
            match self.0.state.sync(sync_id).await {
                Ok(Some(record)) => {
                    sync_events(&record.sync, &changes).into_iter().for_each(|happened| events.publish(now, happened));
                }
                Ok(None) => {}
                // The changes cannot be described, so all clients must reload.
                Err(_) => events.publish(now, EventKind::Reset),
            }
        }
        unscoped_events(unscoped).into_iter().for_each(|happened| events.publish(now, happened));
        for happened in
            uploads.take_events(&self.0.in_flight, now, self.0.limits.stalled_after, self.0.state.has_other_nodes())
        {
            events.publish(now, happened);
        }
        if events.ring().number > before {
            events.arrived.notify(usize::MAX);
        }
    }
}

/// Events that belong to no sync.
fn unscoped_events(unscoped: UnscopedChanges) -> Vec<EventKind> {
    let restored =
        unscoped.restored.into_iter().map(|(trash_id, path, by)| EventKind::TrashRestored { trash_id, path, by });
    let mut events: Vec<_> = restored.collect();
    events.extend(unscoped.trash_changed.then_some(EventKind::TrashChanged));
    events.extend(unscoped.late.into_iter().map(|dataset| EventKind::DatasetLate { dataset }));
    events.extend(unscoped.has_activity.then_some(EventKind::ActivityChanged));
    events
}

/// Events of the changes of a sync, in its current state.
fn sync_events(sync: &SyncJob, changes: &PendingSyncChanges) -> Vec<EventKind> {
    let mut events = Vec::new();
    let has_started = changes.started_at == Some(sync.start_time);
    if has_started {
        events.push(EventKind::SyncStarted { sync: sync.clone() });
    }
    for failed in &changes.failed {
        let (sync_id, path) = (sync.sync_id, sync.path.clone());
        let (file_name, message) = (failed.file_name.clone(), failed.message.clone());
        events.push(EventKind::UploadFailed { sync_id, path, file_name, message });
    }
    if changes.num_landed > 0 {
        events.push(EventKind::UploadsLanded {
            sync: sync.clone(),
            num_files: changes.num_landed,
            size_bytes: changes.landed_bytes,
            num_replaced: changes.num_replaced,
            files: changes.landed.clone(),
        });
    }
    let is_told = has_started || changes.num_landed > 0;
    let sync = sync.clone();
    events.extend(match (sync.sync_status, sync.sync_type) {
        (Status::Finished, SyncType::FullSync) if changes.has_ended => Some(EventKind::SyncPublished { sync }),
        (Status::Finished, SyncType::IncrementalSync) if changes.has_ended => Some(EventKind::SyncFinished { sync }),
        (Status::Failed, _) if changes.has_ended => Some(EventKind::SyncFailed { sync }),
        (Status::Syncing, _) if changes.is_held && sync.held.is_some() => Some(EventKind::SyncHeld { sync }),
        _ if !is_told => Some(EventKind::SyncChanged { sync }),
        _ => None,
    });
    events
}

impl Subscription {
    /// Waits for the next events, in order, at most [`EVENTS_AT_ONCE_MAX`]. Cancel safe: no event is lost when the
    /// future is dropped.
    pub async fn next(&mut self) -> Vec<Arc<SerializedEvent>> {
        loop {
            let listener = self.lake.0.events.arrived.listen();
            if let Some(found) = self.take() {
                return found;
            }
            listener.await;
        }
    }

    /// Id of the last event that was returned or filtered out, for a reconnect.
    pub fn last(&self) -> EventId {
        self.lake.0.events.id(self.after)
    }

    fn take(&mut self) -> Option<Vec<Arc<SerializedEvent>>> {
        let events = &self.lake.0.events;
        if let Some(greeting) = self.greeting.take() {
            return Some(vec![Arc::new(serialize(self.last(), self.lake.now(), greeting))]);
        }
        loop {
            let ring = events.ring();
            if self.after > ring.number {
                return None;
            }
            let Some(found) = ring.after(self.after, EVENTS_AT_ONCE_MAX) else {
                // The subscriber was too slow, and missed events are no longer kept.
                self.after = ring.number;
                drop(ring);
                return Some(vec![Arc::new(serialize(self.last(), self.lake.now(), EventKind::Reset))]);
            };
            drop(ring);
            self.after = found.last()?.id.number;
            let wanted = found.into_iter().filter(|event| self.wants(event));
            let wanted: Vec<_> = wanted.map(|event| self.visible(event)).collect();
            if !wanted.is_empty() {
                return Some(wanted);
            }
        }
    }

    /// The event as the caller of the subscription may see it.
    fn visible(&self, event: Arc<SerializedEvent>) -> Arc<SerializedEvent> {
        match &event.restricted {
            Some(Restricted { owner, for_others }) if !self.administers && !self.principal.owns(*owner) => {
                for_others.clone()
            }
            _ => event,
        }
    }

    fn wants(&self, event: &SerializedEvent) -> bool {
        let EventFilter { sync_id, path } = &self.filter;
        if event.kind == "reset" {
            return true;
        }
        let is_within = |prefix: &Option<LakePath>, otherwise: bool| match (prefix, &event.path) {
            (None, _) => true,
            (Some(prefix), Some(path)) => prefix.contains(path),
            (Some(_), None) => otherwise,
        };
        // Events without a path go to all subscribers, except those that filter by path.
        is_within(&self.scope, true) && is_within(path, false) && (sync_id.is_none() || event.sync_id == *sync_id)
    }
}
