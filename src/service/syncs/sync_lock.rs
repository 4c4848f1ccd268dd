//! One gate for each sync at work: landings pass it together, an ending passes it alone.
//!
//! An ending that discards what is in flight moves the gate's generation on; an upload of an older generation then
//! finds out at its next step, and never lands behind the ending's back.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use async_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Open syncs that are remembered here; when there are more, all are looked up again.
const OPEN_SYNCS_MAX: usize = 4096;

#[derive(Default)]
pub(in crate::service) struct SyncLocks {
    gates: Mutex<HashMap<SyncId, Weak<SyncLock>>>,
    /// Syncs that were open when they were last looked up, and whose ending has not begun since.
    open: Mutex<HashMap<SyncId, Arc<SyncJob>>>,
    /// When a call came to a sync that its row does not tell of, of late.
    calls: Mutex<HashMap<SyncId, Timestamp>>,
}

pub(in crate::service) struct SyncLock {
    sync_id: SyncId,
    lock: RwLock<()>,
    generation: AtomicU64,
    /// The sync that has superseded it; 0: none has.
    successor: AtomicU64,
}

/// An upload's permission to land, as long as the gate is of the same generation.
#[derive(Clone)]
pub(in crate::service) struct UploadLease {
    gate: Arc<SyncLock>,
    generation: u64,
}

impl SyncLocks {
    pub(in crate::service) fn of(&self, sync_id: SyncId) -> Arc<SyncLock> {
        let mut gates = self.gates.lock();
        if let Some(gate) = gates.get(&sync_id).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(SyncLock {
            sync_id,
            lock: RwLock::new(()),
            generation: AtomicU64::new(0),
            successor: AtomicU64::new(0),
        });
        gates.insert(sync_id, Arc::downgrade(&gate));
        gate
    }

    pub(in crate::service) fn open_sync(&self, sync_id: SyncId) -> Option<Arc<SyncJob>> {
        self.open.lock().get(&sync_id).cloned()
    }

    pub(in crate::service) fn remember_open(&self, sync: Arc<SyncJob>) {
        let mut open = self.open.lock();
        if open.len() >= OPEN_SYNCS_MAX {
            open.clear();
        }
        open.insert(sync.sync_id, sync);
    }

    /// Call it when the ending has been remembered, alone in the gate.
    pub(in crate::service) fn forget_open(&self, sync_id: SyncId) {
        self.open.lock().remove(&sync_id);
        self.calls.lock().remove(&sync_id);
    }

    /// Somebody is at work on the sync, though its row may not tell of it.
    pub(in crate::service) fn called(&self, sync_id: SyncId, now: Timestamp) {
        let mut calls = self.calls.lock();
        if calls.len() >= OPEN_SYNCS_MAX
            && let Some(oldest) = calls.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id)
        {
            calls.remove(&oldest);
        }
        calls.insert(sync_id, now);
    }

    pub(in crate::service) fn last_call(&self, sync_id: SyncId) -> Option<Timestamp> {
        self.calls.lock().get(&sync_id).copied()
    }
}

impl SyncLock {
    pub(in crate::service) fn sync_id(&self) -> SyncId {
        self.sync_id
    }

    /// A pass for an upload that begins. Taken before the upload is remembered, so that an ending in between is noticed.
    pub(in crate::service) fn pass(self: &Arc<Self>) -> UploadLease {
        UploadLease { gate: self.clone(), generation: self.generation.load(Ordering::SeqCst) }
    }

    /// Waits for the landings that are under way, and keeps others out.
    pub(in crate::service) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.lock.write().await
    }

    /// What is in flight will not land, as another sync has taken the place of this one.
    pub(in crate::service) fn supersede(&self, successor: SyncId) {
        self.successor.store(successor.0, Ordering::SeqCst);
        self.discard_in_flight();
    }

    /// What is in flight will not land.
    pub(in crate::service) fn discard_in_flight(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl UploadLease {
    pub(in crate::service) fn check(&self) -> Result<(), Error> {
        if self.gate.generation.load(Ordering::SeqCst) == self.generation {
            return Ok(());
        }
        let sync_id = self.gate.sync_id;
        match self.gate.successor.load(Ordering::SeqCst) {
            0 => Err(Error::Discarded(sync_id)),
            successor => {
                let message = format!("superseded by sync {successor}");
                Err(Error::SyncEnded { sync_id, status: Status::Failed, message })
            }
        }
    }

    /// Keeps endings out until the landing is remembered.
    pub(in crate::service) async fn enter(&self) -> Result<RwLockReadGuard<'_, ()>, Error> {
        let guard = self.gate.lock.read().await;
        self.check()?;
        Ok(guard)
    }
}
