//! Restore of a version by copies: its files are copied into a full sync that only the lake fills and ends
//! ([`crate::model::sync::job::refuse_restoring`]). Its publish restores the version atomically.

use super::super::Lake;
use super::moving::Lookups;
use super::reading::CHANGED;
use super::unchanged::{Verified, is_it};
use crate::model::access::actor::Actor;
use crate::model::access::key::Caller;
use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::id::{SyncId, VersionNumber};
use crate::model::limits::VERSION_LOOK_UPS_MAX;
use crate::model::path::LakePath;
use crate::model::sync::end::EndSync;
use crate::model::trash::TrashReason;
use crate::model::version::VersionFile;
use crate::ports::metadata::version::VersionFilesQuery;
use crate::service::uploads::destination::Destination;
use crate::service::uploads::missing::Wanted;
use crate::service::uploads::reuse_unchanged::Unchanged;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Callers that began the running restores.
#[derive(Default)]
pub(in super::super) struct RunningRestores(Mutex<HashMap<SyncId, Principal>>);

impl RunningRestores {
    fn is_of(&self, sync_id: SyncId, caller: &Caller) -> bool {
        self.0.lock().get(&sync_id).is_some_and(|owner| caller.principal().owns(*owner))
    }
}

impl Lake {
    /// Starts the sync of a restore, which holds the path until [`Self::publish_copies`] or [`Self::drop_copies`].
    pub(super) async fn begin_copies(
        &self,
        caller: &Caller,
        dataset: &LakePath,
        version: VersionNumber,
    ) -> Result<SyncId, Error> {
        let sync_id = self.start_restore(caller, dataset, version).await?;
        self.0.running_restores.0.lock().insert(sync_id, caller.principal());
        // Where this fails, other nodes leave an abort to administrators.
        let _ = self.0.state.set_restorer(sync_id, caller.principal()).await;
        Ok(sync_id)
    }

    /// Whether the caller began the restore, at any node.
    pub(in super::super) async fn has_begun_restore(&self, caller: &Caller, sync_id: SyncId) -> Result<bool, Error> {
        if self.0.running_restores.is_of(sync_id, caller) {
            return Ok(true);
        }
        Ok(self.0.state.restorer(sync_id).await?.is_some_and(|owner| caller.principal().owns(owner)))
    }

    /// Copies the files of the version, and publishes them. On failure the sync is still open.
    pub(super) async fn publish_copies(
        &self,
        caller: &Caller,
        sync_id: SyncId,
        dataset: &LakePath,
        version: VersionNumber,
    ) -> Result<(), Error> {
        let published = async {
            self.copy_version(caller, sync_id, dataset, version).await?;
            // The figures of the shrink guard were checked with the path held.
            let end = EndSync { allow_empty: true, confirm: true, ..EndSync::new(sync_id) };
            self.finish_sync(caller, &end).await
        };
        match published.await {
            Ok(()) => {
                self.0.running_restores.0.lock().remove(&sync_id);
                Ok(())
            }
            Err(Error::Discarded(_) | Error::SyncEnding(_) | Error::SyncEnded { .. }) => {
                let message = self.record(sync_id).await?.sync.message;
                Err(Error::RestoreStopped { sync_id, path: dataset.clone(), version, message })
            }
            Err(error) => Err(error),
        }
    }

    /// Aborts the sync of a restore that has failed. If that fails too, the next start aborts it, or its idle time
    /// expires.
    pub(super) async fn drop_copies(&self, sync_id: SyncId, cause: Option<&Error>) {
        let message = match cause {
            Some(cause) => format!("not restored: {cause}"),
            None => "not restored: the dataset has the files of this version already".to_owned(),
        };
        let _ = self.abandon(sync_id, TrashReason::Aborted, message, Actor::lake()).await;
        self.0.running_restores.0.lock().remove(&sync_id);
    }

    async fn copy_version(
        &self,
        caller: &Caller,
        sync_id: SyncId,
        dataset: &LakePath,
        version: VersionNumber,
    ) -> Result<(), Error> {
        let destination = self.own_destination(caller, self.record(sync_id).await?.sync);
        let mut query = all_files(dataset, version);
        loop {
            let files = self.0.state.version_files(&query).await?;
            let last = files.last().map(|file| file.path.clone()).filter(|_| files.len() as u64 == query.size);
            self.copy_files(&destination, dataset, version, files).await?;
            match last {
                Some(last) => query.after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Looks up again files that move meanwhile.
    async fn copy_files(
        &self,
        destination: &Destination,
        dataset: &LakePath,
        version: VersionNumber,
        mut files: Vec<VersionFile>,
    ) -> Result<(), Error> {
        files.iter_mut().for_each(|file| file.landed_at = self.changed_at_max(file));
        let mut lookups = Lookups::default();
        loop {
            files = self.try_to_copy(destination, files).await?;
            let Some(first) = files.first().map(|file| file.path.clone()) else { return Ok(()) };
            if !lookups.again(self, &first).await? {
                return Err(Error::VersionGone { dataset: dataset.clone(), version, path: first, why: CHANGED });
            }
            files = self.look_up_again(dataset, version, files).await?;
        }
    }

    /// Current locations of files of a version that were not found as recorded. Those whose change time is not explained
    /// are read.
    pub(in super::super) async fn look_up_again(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        files: Vec<VersionFile>,
    ) -> Result<Vec<VersionFile>, Error> {
        let mut again = Vec::with_capacity(files.len());
        for file in files {
            let Some(mut file) = self.0.state.version_file(dataset, version, &file.path).await? else { continue };
            match self.verified(&file).await? {
                Verified::Unchanged(changed_at) => file.landed_at = changed_at,
                Verified::Elsewhere => {}
                Verified::Changed => {
                    let (dataset, path) = (dataset.clone(), file.path);
                    return Err(Error::VersionGone { dataset, version, path, why: CHANGED });
                }
            }
            again.push(file);
        }
        Ok(again)
    }

    /// Returns the files that were not at their recorded location.
    async fn try_to_copy(&self, destination: &Destination, files: Vec<VersionFile>) -> Result<Vec<VersionFile>, Error> {
        let (there, mut left): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.place().is_some());
        let places: Vec<_> = there.iter().filter_map(VersionFile::place).collect();
        let found = self.0.files.find(&places).await?;
        let mut unchanged = Vec::with_capacity(there.len());
        let mut names = Vec::with_capacity(there.len());
        let mut copied = Vec::with_capacity(there.len());
        for ((file, place), found) in there.into_iter().zip(places).zip(found) {
            match found.filter(|found| is_it(&file, found) && found.changed_at <= file.landed_at) {
                Some(found) => {
                    let wanted = Wanted { index: copied.len(), target: file.path.clone(), digest: file.content };
                    unchanged.push(Unchanged { wanted, found, place });
                    names.push(destination.sync.path.relative(&file.path).unwrap_or(file.path.leaf()).to_owned());
                    copied.push(file);
                }
                None => left.push(file),
            }
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let not_taken = self.take_over(destination, unchanged, &names).await?;
        left.extend(not_taken.into_iter().filter_map(|index| copied.get(index).cloned()));
        Ok(left)
    }
}

pub(super) fn all_files(dataset: &LakePath, version: VersionNumber) -> VersionFilesQuery {
    VersionFilesQuery { dataset: dataset.clone(), version, below: None, after: None, size: VERSION_LOOK_UPS_MAX }
}
