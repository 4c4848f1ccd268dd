//! Trash: lists, counts and single restores. Purges are in [`crate::service::trash::purge`].

use crate::model::access::actor::Actor;
use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::page::{ListParameters, Order, Page, TrashQuery};
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::storage_path::StoragePath;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashEntry, TrashGroup, TrashReason, TrashSummary};
use crate::ports::metadata::trash::{TrashRecord, TrashSum};
use crate::ports::storage::{LandingOutcome, Restoration};
use crate::service::Lake;
use async_lock::MutexGuard;
use std::time::Duration;

fn query(parameters: &ListParameters, scope: Option<LakePath>) -> Result<TrashQuery, Error> {
    Ok(TrashQuery {
        page: Page::new(parameters.from, parameters.size, parameters.order)?,
        sync_id: parameters.sync_id,
        path: parameters.path.clone(),
        text: parameters.q.clone().filter(|text| !text.is_empty()),
        scope,
    })
}

/// A restore from the trash that holds its path and has moved nothing yet.
pub(in crate::service) struct BegunRestore<'a> {
    record: TrashRecord,
    identity: Identity,
    by: Actor,
    _alone: MutexGuard<'a, ()>,
}

impl Lake {
    pub async fn trash(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<TrashEntry>, Error> {
        let scope = caller.may_read()?;
        let query = query(parameters, scope)?;
        let _turn = self.search_turn(caller, query.text.as_deref()).await?;
        let mut entries = self.0.state.trash(&query).await?;
        entries.iter_mut().for_each(|entry| entry.expires_at = self.trash_ends(entry.trashed_at));
        Ok(entries)
    }

    /// Trash items grouped by sync, in the order of the last item of each, newest first.
    pub async fn trash_groups(&self, caller: &Caller, parameters: &ListParameters) -> Result<Vec<TrashGroup>, Error> {
        let scope = caller.may_read()?;
        let query = query(parameters, scope)?;
        let _turn = self.search_turn(caller, query.text.as_deref()).await?;
        let mut groups = self.0.state.trash_groups(&query).await?;
        for group in &mut groups {
            group.expires_at = self.trash_ends(group.first_at);
            // A sync above the caller's prefix may have replaced files below it.
            if group.path.as_ref().is_some_and(|path| !caller.sees(path)) {
                group.sync_name.clear();
                group.path = None;
            }
        }
        Ok(groups)
    }

    /// Size of the trash, and its retention.
    pub async fn trash_summary(&self, caller: &Caller) -> Result<TrashSummary, Error> {
        let scope = caller.may_read()?;
        let TrashSum { items, totals, num_uncounted } = self.0.state.trash_sum(scope.as_ref()).await?;
        let limits = &self.0.limits;
        let kept_ms = limits.trash_kept().map(|kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        Ok(TrashSummary { items, totals, num_uncounted, kept_ms, bytes_max: limits.trash_bytes_max })
    }

    pub(in crate::service) fn trash_ends(&self, trashed_at: Timestamp) -> Option<Timestamp> {
        self.0.limits.trash_kept().map(|kept| trashed_at.plus(kept))
    }

    /// Restores a trash item to its path. The current content of that path goes to the trash.
    pub async fn restore(&self, caller: &Caller, id: TrashId) -> Result<(), Error> {
        self.restore_item(caller, id).await.map(drop)
    }

    /// Restores an item, and returns the item that it moved to the trash: restoring that one undoes it.
    pub(in crate::service) async fn restore_item(
        &self,
        caller: &Caller,
        id: TrashId,
    ) -> Result<Option<TrashId>, Error> {
        caller.may_write_somewhere()?;
        let alone = self.0.restoring.lock().await;
        let begun = self.begin_restore(caller, id, alone).await?;
        self.finish_restore(&begun).await?;
        self.displaced_by(&begun.record.entry).await
    }

    /// Begins a restore, which holds the path until [`Self::finish_restore`] or [`Self::cancel_restore`]. `alone` is the
    /// lock of restores from the trash.
    pub(in crate::service) async fn begin_restore<'a>(
        &self,
        caller: &Caller,
        id: TrashId,
        alone: MutexGuard<'a, ()>,
    ) -> Result<BegunRestore<'a>, Error> {
        let record = self.seen_trash(caller, id).await?;
        let identity = self.0.files.identify_trash(&record.key, &record.entry.origin).await?;
        let identity = identity.ok_or(Error::NoSuchTrash(id))?;
        let by = caller.actor();
        let begin = || self.0.state.begin_restore(id, &identity, &by);
        match self.between_moves(begin).await {
            // Datasets removed from the lake by hand must not prevent the restore.
            Err(Error::DatasetsBelow { below, .. }) if self.delete_missing_datasets(&below).await? => {
                self.between_moves(begin).await.map_err(|refused| refused.for_caller(caller))?;
            }
            begun => begun.map_err(|refused| refused.for_caller(caller))?,
        }
        Ok(BegunRestore { record, identity, by, _alone: alone })
    }

    pub(in crate::service) async fn finish_restore(&self, begun: &BegunRestore<'_>) -> Result<(), Error> {
        let BegunRestore { record, identity, by, .. } = begun;
        self.persistently(|| self.complete_restore(record, identity.clone(), by.clone())).await
    }

    /// Ends a restore that has moved nothing.
    pub(in crate::service) async fn cancel_restore(&self, begun: &BegunRestore<'_>) -> Result<(), Error> {
        self.0.state.cancel_restore(begun.record.entry.trash_id).await
    }

    /// The item that a restore moved to the trash. Call it while no other restore can run.
    async fn displaced_by(&self, restored: &TrashEntry) -> Result<Option<TrashId>, Error> {
        let newest = TrashQuery {
            page: Page { from: 0, size: 1, order: Order::Desc },
            sync_id: Some(SyncId(0)),
            path: Some(restored.origin.clone()),
            text: None,
            scope: None,
        };
        let newest = self.0.state.trash(&newest).await?.into_iter().next();
        let is_its = |entry: &TrashEntry| entry.origin == restored.origin && entry.trash_id > restored.trash_id;
        Ok(newest.filter(is_its).map(|entry| entry.trash_id))
    }

    /// Completes restores that a fault interrupted.
    pub async fn resume_restores(&self) -> Result<(), Error> {
        if self.0.state.unfinished_restores().await?.is_empty() {
            return Ok(());
        }
        let _alone = self.0.restoring.lock().await;
        let mut resumed = Ok(());
        // Read again with the lock held, as some may have been in progress.
        for record in self.0.state.unfinished_restores().await? {
            let Some((identity, by)) = record.restoring.clone() else { continue };
            resumed = self.complete_restore(&record, identity, by).await.and(resumed);
        }
        resumed
    }

    /// Trash item that the caller may see. One outside its prefix is reported as missing.
    pub(in crate::service) async fn seen_trash(&self, caller: &Caller, id: TrashId) -> Result<TrashRecord, Error> {
        let record = self.0.state.trash_record(id).await?;
        record.filter(|record| caller.sees(&record.entry.origin)).ok_or(Error::NoSuchTrash(id))
    }

    /// Moves the files of a restore and records it. Idempotent: a restart calls it again.
    pub(in crate::service) async fn complete_restore(
        &self,
        record: &TrashRecord,
        identity: Identity,
        by: Actor,
    ) -> Result<(), Error> {
        let entry = &record.entry;
        let restoration =
            Restoration { trash: record.key.clone(), identity, origin: entry.origin.clone(), kind: entry.kind };
        let _moving = self.0.moves.begin(vec![entry.origin.clone()]);
        match self.0.files.restore(&restoration).await {
            Ok(outcome) => {
                let replaced = (outcome == LandingOutcome::Replaced).then(|| NewTrash {
                    key: record.key.clone(),
                    origin: entry.origin.clone(),
                    kind: entry.kind,
                    reason: TrashReason::Restored,
                    sync_id: None,
                    by: by.name.clone(),
                    at: self.now(),
                });
                // The files are moved: after an error, even of a full disk, the restore stays begun and is completed
                // later.
                let finished = self.0.state.finish_restore(entry.trash_id, replaced.as_ref(), self.now()).await;
                finished.map_err(Error::as_unsettled)?;
                self.0.events.pending_changes().restored(entry.trash_id, &entry.origin, &by.name);
                Ok(())
            }
            // The progress is unknown, or the rest will be done later: the restore is tried again, also in the
            // background. So the caller must not be told that it was refused.
            Err(error @ Error::Internal(_)) => Err(error.as_unsettled()),
            Err(error) => {
                // On failure it stays begun, and is finished later.
                self.0.state.cancel_restore(entry.trash_id).await.map_err(Error::as_unsettled)?;
                Err(error)
            }
        }
    }

    /// Counts items without a count for about this long. Slow, so it runs in the background. Returns the number of
    /// counted items; the rest is left to the next call.
    pub async fn count_trash_for(&self, time_max: Duration) -> Result<usize, Error> {
        let end = self.0.clock.steady() + time_max;
        let mut counted = 0;
        loop {
            match self.count_some_trash().await {
                Ok(some) if some.is_empty() => return Ok(counted),
                Ok(some) => counted += some.len(),
                // The next call reports it.
                Err(_) if counted > 0 => return Ok(counted),
                Err(error) => return Err(error),
            }
            if self.0.clock.steady() >= end {
                return Ok(counted);
            }
        }
    }

    /// Counts a few items without a count, those that arrived first, and returns them.
    pub(super) async fn count_some_trash(&self) -> Result<Vec<TrashId>, Error> {
        const ITEMS_MAX: u64 = 16;
        let uncounted = self.0.state.uncounted_trash(ITEMS_MAX).await?;
        for record in &uncounted {
            let place = StoragePath::trashed(&record.key, &record.entry.origin);
            let totals = self.0.files.measure(&place).await?;
            self.0.state.count_trash(record.entry.trash_id, totals).await?;
            self.0.events.pending_changes().trash_changed();
        }
        Ok(uncounted.into_iter().map(|record| record.entry.trash_id).collect())
    }
}
