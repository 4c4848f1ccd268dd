//! Work beside other servers of the lake: exclusive use of a sync, and the work of a node that has ended.

use super::Lake;
use super::recovery::{INTERRUPTED, RESTORE_INTERRUPTED, Recovered};
use super::syncs::sync_lock::SyncLock;
use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::time::Timestamp;
use crate::model::trash::TrashReason;
use crate::ports::metadata::node::{Held, ServingNode};
use async_lock::RwLockWriteGuard;
use std::time::Duration;

/// A sync, for one caller of all nodes.
pub(in crate::service) struct ExclusiveSync<'a> {
    /// Released before the lock of this node.
    _everywhere: Box<dyn Held>,
    _here: RwLockWriteGuard<'a, ()>,
}

/// Time for which a node keeps calls to itself that change no row.
fn call_delay(silence: Duration) -> Duration {
    silence / 10
}

impl Lake {
    /// Waits for landings in progress, and excludes others, and other ends, on all nodes.
    pub(in crate::service) async fn lock_exclusive<'a>(&self, lock: &'a SyncLock) -> Result<ExclusiveSync<'a>, Error> {
        let here = lock.lock_exclusive().await;
        Ok(ExclusiveSync { _everywhere: self.0.state.take_gate(lock.sync_id()).await?, _here: here })
    }

    /// Records activity of a sync that does not change its row. Other nodes learn of it with a delay, see [`call_delay`].
    pub(in crate::service) async fn note_call(&self, sync_id: SyncId) -> Result<(), Error> {
        let now = self.now();
        if self.0.state.has_other_nodes() {
            let Some(silence) = self.0.limits.supersede_after else { return Ok(()) };
            if self.0.sync_locks.last_call(sync_id) > Some(self.older_than(call_delay(silence))) {
                return Ok(());
            }
            self.0.state.note_call(sync_id, now).await?;
        }
        self.0.sync_locks.called(sync_id, now);
        Ok(())
    }

    /// Time since when a sync has to be silent to be superseded.
    pub(in crate::service) fn silent_since(&self, silence: Duration) -> Timestamp {
        let delay = if self.0.state.has_other_nodes() { call_delay(silence) } else { Duration::ZERO };
        self.older_than(silence + delay)
    }

    /// Whether other nodes may serve the lake too.
    pub fn has_other_nodes(&self) -> bool {
        self.0.state.has_other_nodes()
    }

    /// Whether this node does the jobs of the lake.
    pub fn is_first_node(&self) -> bool {
        self.0.state.is_first_node()
    }

    /// Completes or undoes what nodes have left that have ended. Idempotent.
    pub async fn recover_dead_nodes(&self) -> Result<Recovered, Error> {
        let mut recovered = Recovered::default();
        for node in self.0.state.dead_nodes().await? {
            self.recover_node(node, &mut recovered).await?;
        }
        Ok(recovered)
    }

    async fn recover_node(&self, node: ServingNode, recovered: &mut Recovered) -> Result<(), Error> {
        let left = self.0.state.unfinished_work(node).await?;
        for upload in &left.uploads {
            self.while_busy(|| self.0.state.fail_upload(upload.upload_id, INTERRUPTED, 0, self.now())).await?;
            recovered.uploads_failed += 1;
        }
        let resumables = self.unfinished_resumables().await?;
        let mut waiting = Vec::new();
        for partial in &left.partials {
            match resumables.get(partial) {
                // Its sender goes on with it, at any node.
                Some(record) if record.is_told => waiting.push(record.clone()),
                Some(record) => {
                    match record.upload_id {
                        Some(upload_id) => {
                            let size_bytes = record.checkpoint.offset;
                            let fail = || self.0.state.fail_upload(upload_id, INTERRUPTED, size_bytes, self.now());
                            self.while_busy(fail).await?;
                        }
                        None => self.0.state.delete_resumable(&record.token).await?,
                    }
                    self.0.files.discard_partial(partial).await?;
                    recovered.uploads_failed += 1;
                }
                None => self.0.files.discard_partial(partial).await?,
            }
        }
        for sync_id in left.restoring_syncs {
            let message = RESTORE_INTERRUPTED.to_owned();
            match self.abandon(sync_id, TrashReason::Aborted, message, Actor::lake()).await {
                Err(fault @ (Error::Internal(_) | Error::SyncBusy(_))) => return Err(fault),
                _ => recovered.restores_cancelled += 1,
            }
        }
        for record in left.restores {
            // Read again: one that has ended meanwhile must not be done twice, since its slot may have the file that it
            // displaced.
            let _alone = self.0.restoring.lock().await;
            let Some(record) = self.0.state.trash_record(record.entry.trash_id).await? else { continue };
            let Some((identity, by)) = record.restoring.clone() else { continue };
            match self.complete_restore(&record, identity, by).await {
                Ok(()) => recovered.restores_completed += 1,
                Err(fault @ Error::Internal(_)) => return Err(fault),
                Err(_) => recovered.restores_cancelled += 1,
            }
        }
        self.track_resumables(waiting.into_iter()).await?;
        self.0.state.mark_recovered(node).await?;
        self.owe_reset();
        Ok(())
    }
}
