//! Tables of datasets on object storage. They follow the versions of their datasets, one after the other: what a version
//! adds to the bucket is fixed here first, byte by byte, so that every node writes the same.

use crate::model::error::Error;
use crate::model::id::{SyncId, UploadId, VersionNumber};
use crate::model::object_key::ObjectKey;
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::table::{DraftId, EntryKind, TableDescription};
use crate::model::time::Timestamp;
use crate::model::version::VersionKind;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::{Range, RangeInclusive};

/// A table that has not come as far as its dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaggingTable {
    pub dataset: LakePath,
    /// Versions that are not in the bucket yet, or that are owed their manifest.
    pub versions: u64,
    /// Nothing is missing but a manifest.
    pub lacks_manifest_alone: bool,
}

/// A table after the version that was followed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredTable {
    /// 0 where none was.
    pub version: u64,
    pub dataset_files: u64,
    pub table_files: u64,
    /// In JSON. Absent while no file has fitted a table.
    pub state: Option<String>,
    /// Number of its last commit.
    pub commit: Option<u64>,
    /// The version that has the newest manifest.
    pub manifest: Option<u64>,
    /// Number of the commit that has the newest checkpoint.
    pub checkpoint: Option<u64>,
    /// Actions of files since.
    pub actions: u64,
    pub problem: Option<String>,
}

/// A version, as far as its table goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionHead {
    pub version: VersionNumber,
    pub at: Timestamp,
    pub kind: VersionKind,
    pub files: u64,
    /// There was no newer one.
    pub is_newest: bool,
}

/// A file that landed with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedInVersion {
    pub version: VersionNumber,
    pub upload_id: UploadId,
    pub path: LakePath,
    pub landed_at: Timestamp,
    /// The file that lay at the path before.
    pub replaced: Option<UploadId>,
}

/// A file of a full sync that is not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    pub upload_id: UploadId,
    pub path: LakePath,
    pub landed_at: Timestamp,
}

/// An upload as tables know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    pub upload_id: UploadId,
    /// Absent where the object was gone before it was read.
    pub key: Option<ObjectKey>,
    pub size_bytes: u64,
    /// Absent for other formats than Parquet.
    pub schema: Option<TableSchemaId>,
    pub stats: Option<String>,
    /// It is of Parquet and of the version that was followed last, and not in the table.
    pub is_outside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableSchemaId(pub i64);

/// A file of a version that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutside {
    pub upload_id: UploadId,
    /// In JSON.
    pub reasons: String,
}

/// New bucket entries of a version, or of several that follow each other.
#[derive(Debug, Clone)]
pub struct FixedVersions {
    pub dataset: LakePath,
    /// As it was when the versions were derived.
    pub before: u64,
    /// After the last of them. The problem and the checkpoint are not changed.
    pub table: StoredTable,
    pub entries: Vec<NewEntry>,
    /// Files that have come and stayed, and are not in the table.
    pub outside: Vec<FileOutside>,
    /// Files that have gone; `None` where all have.
    pub gone: Option<Vec<UploadId>>,
}

#[derive(Debug, Clone)]
pub struct NewEntry {
    pub version: VersionNumber,
    pub kind: EntryKind,
    pub number: u64,
    pub draft: DraftId,
    /// All of its bytes, where they were not written as a draft before.
    pub bytes: Option<Bytes>,
}

/// An entry whose bytes are fixed, and which may not be in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedEntry {
    pub version: VersionNumber,
    pub kind: EntryKind,
    pub number: u64,
    pub draft: DraftId,
}

/// Entries of the log of a table that may be in the bucket, and that no readable version needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnneededLog {
    /// Commits, and checkpoints of them.
    pub commits: Range<u64>,
    /// Manifests, by their versions.
    pub manifests: Range<u64>,
}

impl UnneededLog {
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.manifests.is_empty()
    }
}

#[async_trait]
pub trait TableStore: Send + Sync {
    /// Number of the last change of a dataset. Called often.
    async fn last_change(&self) -> Result<i64, Error>;

    /// Tables that lag behind their datasets, by path, at most `size`. Visits every dataset.
    async fn lagging_tables(&self, size: u64) -> Result<Vec<LaggingTable>, Error>;

    async fn table(&self, dataset: &LakePath) -> Result<Option<StoredTable>, Error>;

    /// Versions whose entries are fixed, and may not be in the bucket.
    async fn versions_unwritten(&self, dataset: &LakePath) -> Result<u64, Error>;

    /// The first version that a new table follows.
    async fn first_version(&self, dataset: &LakePath) -> Result<VersionNumber, Error>;

    /// Versions from `first` on, in their order, at most `size`; none where the dataset has no such version yet.
    async fn version_heads(
        &self,
        dataset: &LakePath,
        first: VersionNumber,
        size: u64,
    ) -> Result<Vec<VersionHead>, Error>;

    /// `None` where the dataset has no such version yet.
    async fn version_head(&self, dataset: &LakePath, version: VersionNumber) -> Result<Option<VersionHead>, Error> {
        Ok(self.version_heads(dataset, version, 1).await?.pop())
    }

    /// Files landed with versions that groups of landings made, in the order of their uploads.
    async fn landed_in(
        &self,
        dataset: &LakePath,
        versions: RangeInclusive<VersionNumber>,
    ) -> Result<Vec<LandedInVersion>, Error>;

    /// Files that are staged for a full sync, by their paths, at most `size` after the path `after`.
    async fn staged_files(
        &self,
        sync_id: SyncId,
        after: Option<&LakePath>,
        size: u64,
    ) -> Result<Vec<StagedFile>, Error>;

    /// Identities of the files of uploads, in no order.
    async fn file_identities(&self, ids: &[UploadId]) -> Result<Vec<(UploadId, Identity)>, Error>;

    /// Files that were described, in no order.
    async fn table_files(&self, dataset: &LakePath, ids: &[UploadId]) -> Result<Vec<TableFile>, Error>;

    /// Remembers what was read of uploads, and where their objects are. `None` for other formats than Parquet. What is
    /// known stays.
    async fn describe(&self, files: &[(UploadId, Option<TableDescription>)]) -> Result<(), Error>;

    /// Schemas, in no order.
    async fn table_schemas(&self, ids: &[TableSchemaId]) -> Result<Vec<(TableSchemaId, String)>, Error>;

    /// Remembers a chunk of bytes that are not fixed yet.
    async fn write_draft(&self, draft: DraftId, number: u64, bytes: Bytes, at: Timestamp) -> Result<(), Error>;

    /// Fixes what versions add, durably. False where the table is another meanwhile: then nothing has changed.
    async fn fix_versions(&self, fixed: &FixedVersions) -> Result<bool, Error>;

    /// Fixed entries of a dataset that may not be in the bucket, in the order in which they have to come there.
    async fn fixed_entries(&self, dataset: &LakePath) -> Result<Vec<FixedEntry>, Error>;

    /// The bytes of a draft, in chunks; none where it was forgotten.
    async fn draft(&self, draft: DraftId) -> Result<Vec<Bytes>, Error>;

    /// Deletes the stored bytes of entries, which are in the bucket.
    async fn forget_entries(&self, dataset: &LakePath, drafts: &[DraftId]) -> Result<(), Error>;

    /// Forgets a draft that will not be fixed. One that was fixed after all stays.
    async fn forget_draft(&self, draft: DraftId) -> Result<(), Error>;

    /// Forgets drafts from before a time that were not fixed.
    async fn forget_drafts(&self, before: Timestamp) -> Result<(), Error>;

    /// Whether this is still the version that was followed last, by a write, which a fenced node cannot do. What
    /// [`Self::table_files`] says of files outside the table is of that version alone.
    async fn confirm_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<bool, Error>;

    /// Records that a checkpoint of this commit is in the bucket. It covers the versions up to `version`.
    async fn set_checkpoint(&self, dataset: &LakePath, commit: u64, version: VersionNumber) -> Result<(), Error>;

    /// Entries that no version needs from `oldest` on, nor from the oldest pinned one on.
    async fn unneeded_log(&self, dataset: &LakePath, oldest: VersionNumber) -> Result<Option<UnneededLog>, Error>;

    /// These entries, the oldest of all, are not in the bucket any more.
    async fn forget_log(&self, dataset: &LakePath, gone: &UnneededLog) -> Result<(), Error>;

    /// Remembers why a table cannot go on, or that it can.
    async fn set_table_problem(&self, dataset: &LakePath, problem: Option<&str>) -> Result<(), Error>;

    /// Files of Parquet that are not in the table, by their upload, at most `size`.
    async fn files_outside(&self, dataset: &LakePath, size: u64) -> Result<Vec<(LakePath, FileOutside)>, Error>;
}
