//! Difference between a version and the one before: files to remove, and files to consider.

use super::describing::TOGETHER_MAX;
use super::{FollowError, Shared};
use lakeshore::Error;
use lakeshore::model::id::{SyncId, UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::time::Timestamp;
use lakeshore::model::version::VersionFile;
use lakeshore::ports::metadata::table::{
    LandedInVersion, StagedFile, StoredTable, TableFile, TableSchemaId, VersionHead,
};
use lakeshore::ports::metadata::version::VersionFilesQuery;
use lakeshore_delta::commit::RemoveFile;
use lakeshore_delta::partition::PartitionValues;
use lakeshore_delta::path::TablePath;
use lakeshore_delta::unfit::Unfit;
use std::collections::{BTreeMap, BTreeSet};

/// Files of a page of a version.
const PAGE_FILES: u64 = 1000;

/// A file of a version.
pub(super) struct Member {
    pub(super) upload_id: UploadId,
    pub(super) path: LakePath,
    pub(super) landed_at: Timestamp,
}

impl From<VersionFile> for Member {
    fn from(file: VersionFile) -> Self {
        Self { upload_id: file.upload_id, path: file.path, landed_at: file.landed_at }
    }
}

impl From<StagedFile> for Member {
    fn from(file: StagedFile) -> Self {
        Self { upload_id: file.upload_id, path: file.path, landed_at: file.landed_at }
    }
}

impl From<&LandedInVersion> for Member {
    fn from(file: &LandedInVersion) -> Self {
        Self { upload_id: file.upload_id, path: file.path.clone(), landed_at: file.landed_at }
    }
}

/// A file of Parquet that the table may get.
pub(super) struct Candidate {
    pub(super) upload_id: UploadId,
    pub(super) landed_at: Timestamp,
    pub(super) size_bytes: u64,
    pub(super) schema: TableSchemaId,
    pub(super) stats: Option<String>,
    /// Where it is in the table, or why it cannot be there.
    pub(super) place: Result<(TablePath, PartitionValues), Unfit>,
}

/// Changes of a version.
pub(super) struct Change {
    /// Files that the table loses, in no order.
    pub(super) removed: Vec<RemoveFile>,
    /// In no order.
    pub(super) candidates: Vec<Candidate>,
    /// Files of the table that stay.
    pub(super) kept: u64,
    /// Uploads that have gone; `None` where all files of the version are looked at.
    pub(super) gone: Option<Vec<UploadId>>,
}

/// Returns where a file is in the table of its dataset, or why it cannot be there.
pub(super) fn place_of(
    dataset: &LakePath,
    path: &LakePath,
    file: &TableFile,
) -> Result<(TablePath, PartitionValues), Unfit> {
    let relative = file.key.as_ref().and_then(|key| key.relative_to(dataset)).ok_or(Unfit::Elsewhere)?;
    let place = TablePath::parse(relative).map_err(|_| Unfit::Elsewhere)?;
    Ok((place, PartitionValues::of_path(dataset.relative(path).unwrap_or_default())?))
}

pub(super) fn candidate(dataset: &LakePath, member: &Member, file: &TableFile, schema: TableSchemaId) -> Candidate {
    Candidate {
        upload_id: member.upload_id,
        landed_at: member.landed_at,
        size_bytes: file.size_bytes,
        schema,
        stats: file.stats.clone(),
        place: place_of(dataset, &member.path, file),
    }
}

/// Returns the removal of a file that was in the table at the version before, `None` if it was outside.
pub(super) fn removal(dataset: &LakePath, path: &LakePath, file: &TableFile, removed: Timestamp) -> Option<RemoveFile> {
    if file.schema.is_none() || file.is_outside {
        return None;
    }
    let (path, partition) = place_of(dataset, path, file).ok()?;
    Some(RemoveFile { path, partition, size_bytes: file.size_bytes, removed })
}

impl Shared {
    /// Returns how a version changes the table, by all of its files.
    pub(super) async fn change(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        version: &VersionHead,
    ) -> Result<Change, FollowError> {
        let files = Members::Version(VersionFilePages::new(dataset, version.version));
        self.difference(dataset, table, files, version.at).await
    }

    /// Compares all files with those of the version that was followed last. A file that was taken over has its object in
    /// both, so the table keeps it.
    pub(super) async fn difference(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        mut files: Members,
        at: Timestamp,
    ) -> Result<Change, FollowError> {
        let mut before = BTreeMap::new();
        if table.version > 0 {
            let mut pages = VersionFilePages::new(dataset, VersionNumber(table.version));
            while let Some(page) = pages.next(self).await? {
                for some in page.chunks(TOGETHER_MAX) {
                    let ids: Vec<_> = some.iter().map(|file| file.upload_id).collect();
                    let known = self.known_already(dataset, &ids).await?;
                    let removals =
                        some.iter().filter_map(|file| removal(dataset, &file.path, known.get(&file.upload_id)?, at));
                    before.extend(removals.map(|removal| (removal.path.clone(), removal)));
                }
            }
        }
        let (mut kept, mut candidates) = (BTreeSet::new(), Vec::new());
        while let Some(members) = files.next(self).await? {
            for some in members.chunks(TOGETHER_MAX) {
                let known = self.known(dataset, some).await?;
                for member in some {
                    let Some(file) = known.get(&member.upload_id) else { continue };
                    let Some(schema) = file.schema else { continue };
                    let mut new = candidate(dataset, member, file, schema);
                    if let Ok((path, partition)) = &new.place
                        && let Some(there) = before.get(path)
                    {
                        if there.partition == *partition && kept.insert(path.clone()) {
                            continue;
                        }
                        new.place = Err(Unfit::SharedObject);
                    }
                    candidates.push(new);
                }
            }
        }
        let num_kept = kept.len() as u64;
        let removed = before.into_values().filter(|file| !kept.contains(&file.path)).collect();
        Ok(Change { removed, candidates, kept: num_kept, gone: None })
    }
}

/// Pages of the files of a version, or of the staged files of a full sync.
pub(super) enum Members {
    Version(VersionFilePages),
    /// Staged files of a full sync, and the last path of the page before.
    Staged(SyncId, Option<LakePath>),
}

impl Members {
    async fn next(&mut self, shared: &Shared) -> Result<Option<Vec<Member>>, Error> {
        match self {
            Self::Version(pages) => {
                let page = pages.next(shared).await?;
                Ok(page.map(|page| page.into_iter().map(Member::from).collect()))
            }
            Self::Staged(sync_id, after) => {
                let page = shared.state.staged_files(*sync_id, after.as_ref(), PAGE_FILES).await?;
                let Some(last) = page.last() else { return Ok(None) };
                *after = Some(last.path.clone());
                Ok(Some(page.into_iter().map(Member::from).collect()))
            }
        }
    }
}

/// Pages of the files of a version.
pub(super) struct VersionFilePages {
    query: VersionFilesQuery,
    is_done: bool,
}

impl VersionFilePages {
    pub(super) fn new(dataset: &LakePath, version: VersionNumber) -> Self {
        let query = VersionFilesQuery { dataset: dataset.clone(), version, below: None, after: None, size: PAGE_FILES };
        Self { query, is_done: false }
    }

    pub(super) async fn next(&mut self, shared: &Shared) -> Result<Option<Vec<VersionFile>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let page = shared.state.version_files(&self.query).await?;
        self.is_done = (page.len() as u64) < PAGE_FILES;
        match page.last() {
            Some(last) => self.query.after = Some(last.path.clone()),
            None => return Ok(None),
        }
        Ok(Some(page))
    }
}
