//! Restore of a version. A complete version in the trash is exchanged with the dataset, as by a restore from the trash.
//! The files of any other version are copied into a full sync that the lake runs itself, whose publish restores them
//! atomically. In both cases the old content goes to the trash, and restoring the version before undoes it.

use super::super::Lake;
use super::reading::{CHANGED, MOVING_PAUSES, PURGED, is_it};
use crate::model::access::key::{Caller, may_write};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::VersionNumber;
use crate::model::limits::{DIFFERENCES_NAMED_MAX, VERSION_LOOK_UPS_MAX};
use crate::model::path::LakePath;
use crate::model::sync::difference::Difference;
use crate::model::sync::end::EndSync;
use crate::model::sync::start::StartSync;
use crate::model::sync::status::SyncType;
use crate::model::totals::Totals;
use crate::model::version::{Version, VersionFile, WhichVersion};
use crate::ports::metadata::version::VersionFilesQuery;
use crate::service::syncs::difference::EntryName;
use crate::service::uploads::missing::Wanted;
use crate::service::uploads::receive::Destination;
use crate::service::uploads::reuse_unchanged::Unchanged;
use serde::{Deserialize, Serialize};

/// Body of the call, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreVersion {
    pub path: LakePath,
    pub version: VersionNumber,
    /// Only returns the changes.
    #[serde(default)]
    pub dry_run: bool,
    /// Restores even if the shrink guard would hold it.
    #[serde(default)]
    pub confirm: bool,
}

/// Result of a restore, or of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredVersion {
    /// Requested version.
    pub version: VersionNumber,
    /// Version before: restoring it undoes this.
    pub replaced_version: VersionNumber,
    /// Version that the restore made; absent for a dry run, and if the dataset was already the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_version: Option<VersionNumber>,
    /// Whether the shrink guard would hold it without confirmation.
    pub is_shrinking: bool,
    /// Purged files, which prevent the restore.
    pub num_gone: u64,
    /// Changes from the dataset to the version, with the first files of each kind.
    pub difference: Difference,
}

fn totals(version: &Version) -> Totals {
    Totals { files: version.files, bytes: version.size_bytes }
}

impl Lake {
    pub async fn restore_version(&self, caller: &Caller, wanted: &RestoreVersion) -> Result<RestoredVersion, Error> {
        caller.may_write_somewhere()?;
        let dataset = self.exact_dataset(caller, &wanted.path).await?;
        may_write(caller, &dataset)?;
        let version = self.seen_version(&dataset, WhichVersion::Number(wanted.version)).await?;
        let current = self.seen_version(&dataset, WhichVersion::Current).await?;
        let named = EntryName::FirstOfEachKind(DIFFERENCES_NAMED_MAX);
        let difference = self.compare_lists(caller, &dataset, current.version, version.version, named).await?;
        let (replaced, restored) = (totals(&current), totals(&version));
        let guard = &self.0.limits.shrink_guard;
        let is_emptying = restored.files == 0 && replaced.files > 0;
        let is_shrinking = is_emptying || (replaced.files > 0 && guard.holds(&dataset, replaced, restored));
        let (num_gone, first_gone) = self.gone_files(&dataset, version.version).await?;
        let mut answer = RestoredVersion {
            version: version.version,
            replaced_version: current.version,
            new_version: None,
            is_shrinking,
            num_gone,
            difference,
        };
        if wanted.dry_run {
            return Ok(answer);
        }
        if let Some(path) = first_gone {
            return Err(Error::VersionGone { dataset, version: version.version, path, why: PURGED });
        }
        if is_shrinking && !wanted.confirm {
            return Err(Error::RestoreHeld { path: dataset, version: version.version, replaced, restored });
        }
        if version.list_digest == current.list_digest && version.is_complete && current.is_complete {
            return Ok(answer);
        }
        match self.0.state.trash_of_version(&dataset, version.version).await? {
            Some(trash_id) => self.restore(caller, trash_id).await?,
            None if !version.is_complete => {
                let why = "the lake does not know all of its files; restore it from the trash";
                return Err(Error::VersionGone { path: dataset.clone(), dataset, version: version.version, why });
            }
            None => self.restore_copies(caller, &dataset, &version).await?,
        }
        answer.new_version = self.0.state.current_version(&dataset).await?;
        Ok(answer)
    }

    /// Number of purged files of the version, and the first of them.
    async fn gone_files(&self, dataset: &LakePath, version: VersionNumber) -> Result<(u64, Option<LakePath>), Error> {
        let mut query = all_files(dataset, version);
        let (mut count, mut first) = (0, None);
        loop {
            let files = self.0.state.version_files(&query).await?;
            for file in files.iter().filter(|file| file.place().is_none()) {
                count += 1;
                first.get_or_insert_with(|| file.path.clone());
            }
            match files.last() {
                Some(last) if files.len() as u64 == query.size => query.after = Some(last.path.clone()),
                _ => return Ok((count, first)),
            }
        }
    }

    async fn restore_copies(&self, caller: &Caller, dataset: &LakePath, version: &Version) -> Result<(), Error> {
        let start = StartSync {
            name: format!("restore of version {}", version.version),
            path: dataset.to_string(),
            sync_type: SyncType::FullSync,
            expected: None,
        };
        let sync_id = self.start_sync(caller, &start).await?;
        let restored = async {
            self.0.state.set_restored_version(sync_id, version.version).await?;
            self.copy_version(caller, sync_id, dataset, version.version).await?;
            let end = EndSync { allow_empty: true, confirm: true, ..EndSync::new(sync_id) };
            self.end_sync(caller, &end).await
        };
        let Err(error) = restored.await else { return Ok(()) };
        // If the abort fails, the next start aborts it, or its idle time expires.
        let _ = self.abort_sync(caller, &EndSync::new(sync_id)).await;
        Err(error)
    }

    async fn copy_version(
        &self,
        caller: &Caller,
        sync_id: SyncId,
        dataset: &LakePath,
        version: VersionNumber,
    ) -> Result<(), Error> {
        let destination = self.destination(caller, sync_id, None).await?;
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
        for pause in MOVING_PAUSES {
            files = self.try_to_copy(destination, files).await?;
            if files.is_empty() {
                return Ok(());
            }
            self.pause(pause).await;
            let mut again = Vec::with_capacity(files.len());
            for file in &files {
                again.extend(self.0.state.version_file(dataset, version, &file.path).await?);
            }
            files = again;
        }
        let path = files.first().map_or_else(|| dataset.clone(), |file| file.path.clone());
        Err(Error::VersionGone { dataset: dataset.clone(), version, path, why: CHANGED })
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
            match found.filter(|found| is_it(&file, found)) {
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

fn all_files(dataset: &LakePath, version: VersionNumber) -> VersionFilesQuery {
    VersionFilesQuery { dataset: dataset.clone(), version, below: None, after: None, size: VERSION_LOOK_UPS_MAX }
}
