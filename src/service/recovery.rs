//! Recovery at a restart: finishes or undoes every step that was begun. Idempotent.

use super::Lake;
use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::storage_path::PartialName;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashKind, TrashReason};
use crate::ports::metadata::upload::{CompletedUpload, FinishedLandings};
use crate::service::uploads::landing_step::{Step, landing_of};
use crate::service::uploads::unsettled::UnsettledGroup;
use std::collections::BTreeSet;

/// Result of a recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Landed uploads without a row.
    pub uploads_finished: u64,
    pub uploads_failed: u64,
    pub syncs_completed: u64,
    /// Syncs that could not be published now and are open again.
    pub syncs_reopened: u64,
    pub restores_completed: u64,
    pub restores_cancelled: u64,
    /// Staging folders without an open sync, but with files: they were moved to the trash.
    pub stagings_kept: u64,
    /// Errors of steps that remain incomplete. Their paths stay held; the steps are tried again, at the latest by the
    /// next start.
    pub faults: Vec<Error>,
}

pub(super) const INTERRUPTED: &str = "the server stopped before the upload was complete; send it again";

/// For a restore that copies files.
pub(super) const RESTORE_INTERRUPTED: &str = "the server stopped before the version was restored; restore it again";

impl Lake {
    /// Finishes or undoes steps that a stop interrupted. Only at start, before any request. Beside other nodes, nothing: what
    /// is unfinished may be theirs, and nodes that have ended are recovered by [`Self::recover_dead_nodes`].
    pub async fn recover(&self) -> Result<Recovered, Error> {
        if self.0.state.is_joining() {
            return Ok(Recovered::default());
        }
        let mut recovered = Recovered::default();
        let unsettled = self.recover_uploads(&mut recovered).await?;
        for record in self.0.state.closing_syncs().await? {
            match self.complete(&record).await {
                Ok(()) => recovered.syncs_completed += 1,
                Err(fault @ Error::Internal(_)) => recovered.faults.push(fault),
                Err(_) => recovered.syncs_reopened += 1,
            }
        }
        for sync_id in self.0.state.restoring_syncs().await? {
            let message = RESTORE_INTERRUPTED.to_owned();
            match self.abandon(sync_id, TrashReason::Aborted, message, Actor::lake()).await {
                Err(fault @ Error::Internal(_)) => recovered.faults.push(fault),
                _ => recovered.restores_cancelled += 1,
            }
        }
        for record in self.0.state.unfinished_restores().await? {
            let Some((identity, by)) = record.restoring.clone() else { continue };
            match self.complete_restore(&record, identity, by).await {
                Ok(()) => recovered.restores_completed += 1,
                Err(fault @ Error::Internal(_)) => recovered.faults.push(fault),
                Err(_) => recovered.restores_cancelled += 1,
            }
        }
        if let Err(fault) = self.recover_snapshots().await {
            recovered.faults.push(fault);
        }
        // Folders that cannot be moved now, because the disk is full, are not swept either.
        let mut owners = self.keep_stray_stagings(&mut recovered).await?;
        owners.extend(self.0.state.open_syncs().await?);
        let steps = unsettled.iter().flat_map(|group| &group.steps);
        let mut kept: BTreeSet<_> = steps.map(|(step, _)| step.upload.partial.clone()).collect();
        kept.extend(self.unfinished_resumables().await?.into_keys());
        if let Err(fault) = self.0.files.sweep(&owners, &kept).await {
            recovered.faults.push(fault);
        }
        self.track_unfinished().await?;
        unsettled.into_iter().for_each(|group| self.0.commit_queue.leave_unsettled(group));
        self.0.state.mark_ready().await?;
        Ok(recovered)
    }

    /// Moves staging folders without an open sync to the trash, since nobody can tell what they are worth. There they
    /// expire as usual. Returns those that a fault of the disk keeps in place.
    async fn keep_stray_stagings(&self, recovered: &mut Recovered) -> Result<Vec<SyncId>, Error> {
        let Lake(lake) = self;
        let open = lake.state.open_syncs().await?;
        let mut left = Vec::new();
        for entry in lake.files.list(&StoragePath::Stagings).await? {
            let owner = StoragePath::staging_owner(&entry.name).filter(|owner| !open.contains(owner));
            let Some(sync_id) = owner else { continue };
            let record = lake.state.sync(sync_id).await?;
            let origin = match &record {
                Some(record) => record.sync.path.clone(),
                None => LakePath::parse(&format!("/lost-and-found/{}", entry.name))?,
            };
            let key = TrashKey::found(sync_id, self.now());
            let dropped = match lake.files.drop_staging(sync_id, &origin, &key).await {
                Ok(dropped) => dropped,
                Err(fault) => {
                    recovered.faults.push(fault);
                    left.push(sync_id);
                    continue;
                }
            };
            if dropped {
                let found = NewTrash {
                    key,
                    origin,
                    kind: TrashKind::Dataset,
                    reason: TrashReason::Aborted,
                    sync_id: record.map(|_| sync_id),
                    by: String::new(),
                    at: self.now(),
                };
                lake.state.adopt_trash(&found).await?;
                recovered.stagings_kept += 1;
            }
        }
        Ok(left)
    }

    /// Returns the landings that a fault of the disk, such as a full one, keeps unsettled: they are tried again in the
    /// background.
    async fn recover_uploads(&self, recovered: &mut Recovered) -> Result<Vec<UnsettledGroup>, Error> {
        let resumables = self.unfinished_resumables().await?;
        let mut unsettled: Vec<UnsettledGroup> = Vec::new();
        for (id, uploads) in self.0.state.unfinished_landings().await? {
            let mut landed = Vec::with_capacity(uploads.len());
            let (mut left, mut steps) = (Vec::new(), Vec::new());
            for upload in uploads {
                let sync = self.record(upload.sync_id).await?.sync;
                match self.0.files.recover_landing(&landing_of(&sync, &upload)).await {
                    Ok(Some(outcome)) => landed.push(self.landed(upload, outcome)),
                    // Its sender continues it.
                    Ok(None) if resumables.contains_key(&upload.partial) => {}
                    Ok(None) => self.discard(&upload.partial).await,
                    Err(fault) => {
                        recovered.faults.push(fault);
                        left.push(upload.clone());
                        steps.push((Step::unheard(sync, upload), Error::IncompleteUpload(INTERRUPTED.into())));
                    }
                }
            }
            recovered.uploads_finished += landed.len() as u64;
            let finished = FinishedLandings { id, landed, left, at: self.now() };
            self.0.state.finish_landings(&finished).await?;
            unsettled.push(UnsettledGroup { id, steps });
        }
        unsettled.retain(|group| !group.steps.is_empty());
        let steps = unsettled.iter().flat_map(|group| &group.steps);
        let in_doubt: BTreeSet<_> = steps.map(|(step, _)| step.upload.partial.clone()).collect();
        // Uploads about to land were handled above; the others had not come that far.
        for upload in self.0.state.unfinished_uploads().await? {
            if !in_doubt.contains(&upload.partial) {
                self.0.state.fail_upload(upload.upload_id, INTERRUPTED, 0, self.now()).await?;
                self.discard(&upload.partial).await;
                recovered.uploads_failed += 1;
            }
        }
        self.fail_lost_resumables(&in_doubt, recovered).await?;
        Ok(unsettled)
    }

    /// Fails an upload that has not landed and whose sender gets no response. A resumable one stays with its sender.
    pub(super) async fn give_up_landing(&self, upload: &CompletedUpload, cause: &Error) -> Result<(), Error> {
        if self.unfinished_resumables().await?.contains_key(&upload.partial) {
            return Ok(());
        }
        if let Some(upload_id) = upload.upload_id {
            let size_bytes = upload.digest.size_bytes;
            self.0.state.fail_upload(upload_id, &cause.to_string(), size_bytes, self.now()).await?;
        }
        self.0.files.discard_partial(&upload.partial).await
    }

    /// Fails the resumable uploads that nobody can continue.
    async fn fail_lost_resumables(
        &self,
        in_doubt: &BTreeSet<PartialName>,
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        let mut unfinished = self.unfinished_resumables().await?;
        unfinished.retain(|partial, _| !in_doubt.contains(partial));
        for (record, message) in self.lost_resumables(&unfinished).await? {
            match record.upload_id {
                Some(upload_id) => {
                    let size_bytes = record.checkpoint.offset;
                    self.0.state.fail_upload(upload_id, &message, size_bytes, self.now()).await?;
                }
                None => self.0.state.delete_resumable(&record.token).await?,
            }
            recovered.uploads_failed += 1;
        }
        Ok(())
    }
}
