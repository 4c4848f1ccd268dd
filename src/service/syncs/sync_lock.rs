//! Lock of each active sync: landings share it, an ending takes it exclusively.
//!
//! An ending that discards uploads in flight increments the generation of the lock. An upload with a lease of an older
//! generation fails at its next step, so it never lands after the ending.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::sync::job::{SyncJob, superseded_message};
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::service::weak_map::WeakMap;
use async_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum cached open syncs; beyond it, the cache is cleared.
const OPEN_SYNCS_MAX: usize = 4096;

#[derive(Default)]
pub(in crate::service) struct SyncLocks {
    locks: WeakMap<SyncId, SyncLock>,
    /// Syncs that were open at the last look-up, and whose ending has not begun since.
    open: Mutex<HashMap<SyncId, Arc<SyncJob>>>,
    /// Time of the last call to a sync that did not change its row.
    calls: Mutex<HashMap<SyncId, Timestamp>>,
}

pub(in crate::service) struct SyncLock {
    sync_id: SyncId,
    lock: RwLock<()>,
    generation: AtomicU64,
    /// Id of the sync that superseded it; 0: none.
    successor: AtomicU64,
}

/// Permission of an upload to land, valid while the lock has the same generation.
#[derive(Clone)]
pub(in crate::service) struct UploadLease {
    lock: Arc<SyncLock>,
    generation: u64,
}

impl SyncLocks {
    pub(in crate::service) fn of(&self, sync_id: SyncId) -> Arc<SyncLock> {
        self.locks.get(sync_id, || SyncLock {
            sync_id,
            lock: RwLock::new(()),
            generation: AtomicU64::new(0),
            successor: AtomicU64::new(0),
        })
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

    /// Makes the next look-up read the sync.
    pub(in crate::service) fn forget_open(&self, sync_id: SyncId) {
        self.open.lock().remove(&sync_id);
    }

    /// Must be called with the exclusive lock, after the ending is committed.
    pub(in crate::service) fn remove_open(&self, sync_id: SyncId) {
        self.open.lock().remove(&sync_id);
        self.calls.lock().remove(&sync_id);
    }

    /// Records activity of a sync that does not change its row.
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

    /// Lease for a new upload. Taken before the upload is stored, so that an ending in between is noticed.
    pub(in crate::service) fn lease(self: &Arc<Self>) -> UploadLease {
        UploadLease { lock: self.clone(), generation: self.generation.load(Ordering::SeqCst) }
    }

    /// Waits for landings in progress, and excludes others.
    pub(in crate::service) async fn lock_exclusive(&self) -> RwLockWriteGuard<'_, ()> {
        self.lock.write().await
    }

    /// Invalidates the leases of uploads in flight, because another sync supersedes this one.
    pub(in crate::service) fn supersede(&self, successor: SyncId) {
        self.successor.store(successor.0, Ordering::SeqCst);
        self.discard_in_flight();
    }

    /// Invalidates the leases of uploads in flight.
    pub(in crate::service) fn discard_in_flight(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl UploadLease {
    pub(in crate::service) fn check(&self) -> Result<(), Error> {
        if self.lock.generation.load(Ordering::SeqCst) == self.generation {
            return Ok(());
        }
        let sync_id = self.lock.sync_id;
        match self.lock.successor.load(Ordering::SeqCst) {
            0 => Err(Error::Discarded(sync_id)),
            successor => {
                let message = superseded_message(SyncId(successor));
                Err(Error::SyncEnded { sync_id, status: Status::Failed, message })
            }
        }
    }

    /// Excludes endings until the landing is committed.
    pub(in crate::service) async fn enter(&self) -> Result<RwLockReadGuard<'_, ()>, Error> {
        let guard = self.lock.lock.read().await;
        self.check()?;
        Ok(guard)
    }
}
