//! End of a sync: finish, publish or abort.
//!
//! A full sync ends in two steps around the move of its folder: the intent is stored durably, the folder moves, the
//! result is stored. [`crate::service::recovery`] finishes these steps after a crash.

use crate::model::access::actor::Actor;
use crate::model::access::key::{Caller, may_destroy};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::sync::end::EndPreview;
use crate::model::sync::end::EndSync;
use crate::model::sync::end::Settlement;
use crate::model::sync::job::{Closing, SyncJob, SyncRecord, may_accept_uploads, refuse_restoring};
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashKind, TrashReason};
use crate::ports::storage::{LandingOutcome, Publication};
use crate::service::Lake;
use crate::service::syncs::sync_lock::SyncLock;

impl Lake {
    /// Ends a sync; publishes a full one. Idempotent.
    pub async fn end_sync(&self, caller: &Caller, end: &EndSync) -> Result<(), Error> {
        // Checked before waiting for the lock: a caller without the right must neither delay the sync nor learn that it
        // is busy.
        refuse_restoring(&self.writable(caller, end.sync_id).await?)?;
        self.finish_sync(caller, end).await
    }

    /// [`Self::end_sync`] without the check of the caller.
    pub(in crate::service) async fn finish_sync(&self, caller: &Caller, end: &EndSync) -> Result<(), Error> {
        let id = end.sync_id;
        let lock = self.0.sync_locks.of(id);
        let _exclusive = self.lock_exclusive(&lock).await?;
        self.note_call(id).await?;
        let record = self.resume_closing(id).await?;
        if record.sync.sync_status == Status::Finished {
            return Ok(());
        }
        may_accept_uploads(&record)?;
        if record.sync.sync_type == SyncType::FullSync
            && record.sync.num_landed() > 0
            && !self.0.files.exists(&StoragePath::Staging(id)).await?
        {
            return Err(self.give_up_lost(&lock, &record, end.discard_in_flight, caller.actor()).await);
        }
        self.refuse_unexpected(end).await?;
        self.refuse_differing(caller, &record, end).await?;
        self.refuse_shrinking(caller, &record, end).await?;
        let closing = match record.sync.sync_type {
            SyncType::IncrementalSync => Closing::Finish { by: caller.actor() },
            SyncType::FullSync => Closing::Publish {
                staging: self.0.files.stage(id).await?,
                allow_empty: end.allow_empty,
                by: caller.actor(),
            },
        };
        match self.close(&lock, &closing, end.discard_in_flight).await {
            Err(refused @ Error::EmptyFullSync(_)) => {
                self.hold_empty(caller, &record).await?;
                return Err(refused);
            }
            closed => closed?,
        }
        match &closing {
            Closing::Finish { .. } => Ok(()),
            _ => {
                let record = SyncRecord { closing: Some(closing.clone()), ..record };
                self.persistently(|| self.complete(&record)).await
            }
        }
    }

    /// Closes the sync to uploads; with `discard_in_flight`, also ends those in flight. Requires the exclusive sync
    /// lock.
    async fn close(&self, lock: &SyncLock, closing: &Closing, discard_in_flight: bool) -> Result<(), Error> {
        self.0.state.close_sync(lock.sync_id(), closing, discard_in_flight, self.now()).await?;
        let ends_uploads = discard_in_flight || matches!(closing, Closing::Abort { .. });
        self.closed(lock, ends_uploads).await
    }

    /// For a sync that the metadata store has closed.
    async fn closed(&self, lock: &SyncLock, ends_uploads: bool) -> Result<(), Error> {
        let id = lock.sync_id();
        self.0.sync_locks.remove_open(id);
        self.0.size_cache.ended(id);
        self.0.events.pending_changes().sync(id).has_ended = true;
        if ends_uploads {
            lock.discard_in_flight();
            self.0.in_flight.remove_all_of(id);
            self.drop_failed_resumables(id).await?;
        }
        Ok(())
    }

    /// Ends a sync that was closed because another one superseded it. The new sync stays open even if this fails:
    /// [`Self::resume_closings`] continues after a fault, as does a restart. Requires the exclusive sync lock.
    pub(in crate::service) async fn finish_superseded(&self, lock: &SyncLock, record: &SyncRecord, successor: SyncId) {
        let id = lock.sync_id();
        lock.supersede(successor);
        self.0.sync_locks.remove_open(id);
        self.0.size_cache.ended(id);
        self.0.in_flight.remove_all_of(id);
        // Partial files left by a fault are swept by the next start.
        let _ = self.drop_failed_resumables(id).await;
        let _ = self.complete(record).await;
        self.0.events.pending_changes().sync(id).has_ended = true;
    }

    /// Fails a sync whose staged files are missing, for example after a restore of older metadata: publishing an empty
    /// folder instead would empty the dataset. Returns the error for its sender.
    async fn give_up_lost(&self, lock: &SyncLock, record: &SyncRecord, discard_in_flight: bool, by: Actor) -> Error {
        let id = record.sync.sync_id;
        let lost = Error::StagingLost(id);
        let closing = Closing::Abort { reason: TrashReason::Aborted, message: lost.to_string(), by };
        if let Err(refused) = self.close(lock, &closing, discard_in_flight).await {
            return refused;
        }
        let record = SyncRecord { closing: Some(closing), ..record.clone() };
        self.complete(&record).await.err().unwrap_or(lost)
    }

    /// Aborts a sync: staged files of a full one go to the trash; landed files of an incremental one stay. Uploads in
    /// flight are dropped. A restore of a version is aborted only by the caller that began it and by administrators of
    /// its path. Idempotent.
    pub async fn abort_sync(&self, caller: &Caller, end: &EndSync) -> Result<(), Error> {
        let record = self.writable(caller, end.sync_id).await?;
        if record.restores_version.is_some()
            && may_destroy(caller, &record.sync.path).is_err()
            && !self.has_begun_restore(caller, end.sync_id).await?
        {
            refuse_restoring(&record)?;
        }
        let by = caller.actor();
        let message = if by.name.is_empty() { "aborted".to_owned() } else { format!("aborted by {}", by.name) };
        self.abandon(end.sync_id, TrashReason::Aborted, message, by).await
    }

    /// Fails a sync, with its uploads in flight, and moves its staging to the trash.
    pub(in crate::service) async fn abandon(
        &self,
        id: SyncId,
        reason: TrashReason,
        message: String,
        by: Actor,
    ) -> Result<(), Error> {
        let lock = self.0.sync_locks.of(id);
        let _exclusive = self.lock_exclusive(&lock).await?;
        if self.resume_closing(id).await?.sync.sync_status == Status::Failed {
            return Ok(());
        }
        let closing = Closing::Abort { reason, message, by };
        self.close(&lock, &closing, true).await?;
        let record = self.record(id).await?;
        self.persistently(|| self.complete(&record)).await
    }

    /// Fails an idle sync, and moves its staging to the trash. False if it was used since `idle_before`: it may have been
    /// while this waited for the sync lock.
    pub(in crate::service) async fn expire(
        &self,
        id: SyncId,
        message: String,
        idle_before: Timestamp,
    ) -> Result<bool, Error> {
        let lock = self.0.sync_locks.of(id);
        let _exclusive = self.lock_exclusive(&lock).await?;
        self.resume_closing(id).await?;
        let closing = Closing::Abort { reason: TrashReason::Expired, message, by: Actor::lake() };
        if !self.0.state.expire_sync(id, &closing, idle_before, self.now()).await? {
            return Ok(false);
        }
        self.closed(&lock, true).await?;
        let record = self.record(id).await?;
        self.persistently(|| self.complete(&record)).await.map(|()| true)
    }

    /// Completes a closing that an earlier fault interrupted, and returns the sync. Requires the exclusive sync lock.
    pub(in crate::service) async fn resume_closing(&self, id: SyncId) -> Result<SyncRecord, Error> {
        // Otherwise a failed upload would count as in flight.
        self.remember_failures_of(id).await?;
        self.settle_landings_of(id).await?;
        let record = self.record(id).await?;
        if record.closing.is_none() {
            return Ok(record);
        }
        self.complete(&record).await?;
        self.record(id).await
    }

    /// Carries out the closing of a sync, and ends it. Idempotent: a restart calls it again.
    pub(in crate::service) async fn complete(&self, record: &SyncRecord) -> Result<(), Error> {
        let sync = &record.sync;
        match &record.closing {
            Some(Closing::Publish { staging, by, .. }) => {
                let publication = Publication {
                    sync: sync.sync_id,
                    identity: staging.clone(),
                    dataset: sync.path.clone(),
                    trash: TrashKey::of_sync(sync.sync_id),
                };
                let _moving = self.0.moves.begin(vec![sync.path.clone()]);
                match self.0.files.publish(&publication).await {
                    Ok(outcome) => {
                        let replaced = outcome == LandingOutcome::Replaced;
                        let trash = replaced.then(|| self.trash_of(sync, TrashReason::Replaced, &by.name));
                        self.settle(sync.sync_id, Status::Finished, String::new(), trash).await
                    }
                    Err(error @ Error::StagingLost(_)) => {
                        self.settle(sync.sync_id, Status::Failed, error.to_string(), None).await?;
                        Err(error)
                    }
                    // The progress is unknown, or the rest will be done later: the sync stays closed, and is tried
                    // again, also in the background. So the caller must not be told that it was refused.
                    Err(error @ Error::Internal(_)) => Err(error.as_unsettled()),
                    Err(error) => {
                        let reopened = self.0.state.reopen_sync(sync.sync_id, &error.to_string(), self.now()).await;
                        // On failure it stays closed, and is published later.
                        reopened.map_err(Error::as_unsettled)?;
                        self.0.events.pending_changes().sync(sync.sync_id);
                        Err(error)
                    }
                }
            }
            Some(Closing::Abort { reason, message, by }) => {
                let key = TrashKey::of_sync(sync.sync_id);
                let dropped = match sync.sync_type {
                    SyncType::FullSync => self.0.files.drop_staging(sync.sync_id, &sync.path, &key).await,
                    SyncType::IncrementalSync => Ok(false),
                };
                let dropped = dropped.map_err(Error::as_unsettled)?;
                let trash = dropped.then(|| self.trash_of(sync, *reason, &by.name));
                self.settle(sync.sync_id, Status::Failed, message.clone(), trash).await
            }
            Some(Closing::Finish { .. }) | None => Ok(()),
        }
    }

    fn trash_of(&self, sync: &SyncJob, reason: TrashReason, by: &str) -> NewTrash {
        NewTrash {
            key: TrashKey::of_sync(sync.sync_id),
            origin: sync.path.clone(),
            kind: TrashKind::Dataset,
            reason,
            sync_id: Some(sync.sync_id),
            by: by.to_owned(),
            at: self.now(),
        }
    }

    /// After an error, even of a full disk, the sync stays closed and its files stay where they were moved: the end is
    /// completed later.
    async fn settle(
        &self,
        sync_id: SyncId,
        status: Status,
        message: String,
        trash: Option<NewTrash>,
    ) -> Result<(), Error> {
        let settlement = Settlement { sync_id, status, message, trash, at: self.now() };
        self.0.state.settle_sync(&settlement).await.map_err(Error::as_unsettled)?;
        self.0.events.pending_changes().sync(sync_id).has_ended = true;
        Ok(())
    }

    /// Effect that ending this sync would have. Visits every file of the dataset and of the staging if their sizes are
    /// not cached.
    pub async fn end_preview(&self, caller: &Caller, id: SyncId) -> Result<EndPreview, Error> {
        let sync = self.sync(caller, id).await?;
        match sync.sync_type {
            SyncType::FullSync => {
                let (replaced, landed) = self.totals_of_end(&sync).await?;
                let guard = &self.0.limits.shrink_guard;
                let is_shrinking = landed.files > 0 && guard.holds(&sync.path, replaced, landed);
                Ok(EndPreview { landed, replaced, is_shrinking })
            }
            SyncType::IncrementalSync => Ok(EndPreview {
                landed: Totals { files: sync.num_landed(), bytes: sync.size_bytes },
                replaced: Totals::default(),
                is_shrinking: false,
            }),
        }
    }
}
