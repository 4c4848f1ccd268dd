//! Events of several nodes: each appends its own to the log of the metadata store, and takes all from there, so that every
//! stream has every event, and goes on at any node.

use super::{
    PendingSyncChanges, Ring, SerializedEvent, UnscopedChanges, json_of, restricted, sync_events, unscoped_events,
};
use crate::model::error::Error;
use crate::model::event::{Event, EventId, EventKind};
use crate::model::id::SyncId;
use crate::model::limits::{EVENTS_AT_ONCE_MAX, EVENTS_KEPT_MAX};
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use crate::ports::metadata::event_log::{LoggedEvent, NewEvent, Progress};
use crate::service::Lake;
use crate::service::uploads::in_flight::InFlight;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

fn serialized(at: Timestamp, happened: EventKind, in_flight: &InFlight) -> NewEvent {
    let (kind, sync_id, path) = (happened.kind(), happened.sync_id(), happened.path().cloned());
    let upload = match &happened {
        EventKind::UploadProgress { upload } => {
            Some((upload.history_id, Progress::Sends { has_request: in_flight.has_request(upload.history_id) }))
        }
        EventKind::UploadLeft { history_id, .. } => Some((*history_id, Progress::Left)),
        _ => None,
    };
    let json = json_of(at, happened);
    NewEvent { kind, json, sync_id, path, upload }
}

impl Ring {
    /// Takes an event of the log. Where some before it are missing, subscribers that wait for them are told so.
    fn take(&mut self, start: u64, logged: LoggedEvent) {
        let Some(kind) = EventKind::KINDS.iter().find(|kind| **kind == logged.kind) else { return };
        if logged.number != self.number + 1 {
            self.events.clear();
            self.bytes = 0;
        }
        let LoggedEvent { number, json, sync_id, path, .. } = logged;
        let id = EventId { start, number };
        let restricted = match *kind {
            "upload_progress" => match serde_json::from_str::<Event>(&json) {
                // The log does not say whose it is.
                Ok(event) => restricted(id, event.at, &event.happened),
                Err(_) => {
                    // Nobody may see it as it is, so it counts as missing.
                    (self.number, self.bytes) = (number, 0);
                    self.events.clear();
                    return;
                }
            },
            _ => None,
        };
        self.push(SerializedEvent { id, kind, json, sync_id, path, restricted });
    }
}

impl Lake {
    /// Takes the last events of the log, where several nodes serve the lake. Only at start.
    pub async fn open_event_log(&self) -> Result<(), Error> {
        if !self.0.state.has_other_nodes() {
            return Ok(());
        }
        let events = &self.0.events;
        let (start, last) = self.0.state.event_log_position().await?;
        events.start.store(start, Ordering::Relaxed);
        events.ring().number = last.saturating_sub(EVENTS_KEPT_MAX as u64);
        self.take_events().await
    }

    /// Makes all streams of all nodes reload: events of a node that has ended may be missing.
    pub(in crate::service) fn owe_reset(&self) {
        self.0.events.owes_reset.store(true, Ordering::Relaxed);
    }

    /// Appends changes to the log, and takes the events of all nodes from it.
    pub(super) async fn publish_to_log(
        &self,
        syncs: Vec<(SyncId, PendingSyncChanges)>,
        unscoped: UnscopedChanges,
        sampled: Vec<EventKind>,
    ) -> Result<(), Error> {
        let (events, now) = (&self.0.events, self.now());
        let owes_reset = events.owes_reset.swap(false, Ordering::Relaxed);
        let mut others: Vec<_> = unscoped_events(unscoped).into_iter().chain(sampled).collect();
        if owes_reset {
            others.push(EventKind::Reset);
        }
        if !(syncs.is_empty() && others.is_empty()) {
            let describe = |known: &BTreeMap<SyncId, SyncJob>| {
                let of_syncs = syncs.iter().filter_map(|(id, changes)| Some(sync_events(known.get(id)?, changes)));
                let all = of_syncs.flatten().chain(others.iter().cloned());
                all.map(|happened| serialized(now, happened, &self.0.in_flight)).collect()
            };
            let ids: Vec<_> = syncs.iter().map(|(id, _)| *id).collect();
            if let Err(error) = self.0.state.append_events(&ids, &describe, EVENTS_KEPT_MAX as u64).await {
                // The changes cannot be described any more.
                self.owe_reset();
                return Err(error);
            }
        }
        self.take_events().await
    }

    async fn take_events(&self) -> Result<(), Error> {
        let events = &self.0.events;
        let start = events.start.load(Ordering::Relaxed);
        loop {
            let after = events.ring().number;
            let logged = self.0.state.events_after(after, EVENTS_AT_ONCE_MAX as u64).await?;
            let count = logged.len();
            for event in logged {
                if let (Some(sync_id), "sync_published" | "sync_finished" | "sync_failed") =
                    (event.sync_id, event.kind.as_str())
                {
                    // Ended by any node. What still comes for it is refused at its next step.
                    self.0.sync_locks.remove_open(sync_id);
                    self.0.sync_locks.of(sync_id).discard_in_flight();
                    self.0.in_flight.remove_all_of(sync_id);
                }
                events.ring().take(start, event);
            }
            if count > 0 {
                events.arrived.notify(usize::MAX);
            }
            if count < EVENTS_AT_ONCE_MAX {
                return Ok(());
            }
        }
    }
}
