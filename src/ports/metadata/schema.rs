//! Stored columns of files and datasets.

use crate::model::access::actor::Actor;
use crate::model::dataset::schema::{Schema, SchemaDifference, SchemaPolicy};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::preview::Inspected;
use crate::model::storage_path::Identity;
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use async_trait::async_trait;

/// A landed file whose columns were not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uninspected {
    pub upload_id: UploadId,
    pub sync_id: SyncId,
    /// Absent for a name that this version no longer accepts.
    pub target: Option<LakePath>,
    /// Absent for files that landed before identities were recorded.
    pub identity: Option<Identity>,
    pub attempts: Attempts,
}

/// Number of attempts to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Attempts without a known end: the server may have crashed during them.
    pub begun: u32,
    /// Attempts that failed for a reason that may be temporary.
    pub failed: u32,
}

/// Id of a stored list of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u64);

/// Columns of most files of the last finished sync of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineSchema {
    pub sync_id: SyncId,
    pub schema: Schema,
}

/// A file whose columns were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedUpload {
    pub upload_id: UploadId,
    pub inspected: Inspected,
}

/// Stored result of reading a landed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedRows {
    pub size_bytes: u64,
    /// Time of the landing: a later change of the file was not made by the lake.
    pub landed_at: Timestamp,
    /// Absent if the file was not read yet, or if counting would need a full read.
    pub row_count: Option<u64>,
    pub schema: Option<SchemaId>,
}

#[async_trait]
pub trait SchemaState: Send + Sync {
    /// Landed uploads that were not read yet, of one sync or of all: at most `size`, in ascending order, and in
    /// addition one that failed before and is due again.
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error>;

    /// Number of unread uploads of a sync, due or not.
    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error>;

    /// Stores the begin of an attempt for each of them, before the files are read: a file may crash the server.
    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error>;

    /// Cancels attempts that ended without a fault of the files, so that they do not count.
    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error>;

    /// Stores an attempt that failed for a reason that may be temporary, and the time of the next one.
    async fn fail_inspection(&self, id: UploadId, due: Timestamp) -> Result<(), Error>;

    /// Stores the results of reading, and compares each file with the columns of the last finished sync of its dataset;
    /// without one, with those of the first file of its own sync. A difference is stored unless the dataset's policy
    /// ignores it. Idempotent.
    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error>;

    /// Difference of a file's columns, in full; `None` if there is none.
    async fn schema_difference(&self, id: UploadId) -> Result<Option<SchemaDifference>, Error>;

    async fn schema(&self, id: SchemaId) -> Result<Option<Schema>, Error>;

    /// Columns of most files of the last finished sync of the dataset with any columns.
    async fn baseline_schema(&self, dataset: &LakePath) -> Result<Option<BaselineSchema>, Error>;

    /// Stored rows and columns of the file at each path, if it still has this identity.
    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error>;

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error>;

    /// Stores the schema policy of a dataset durably, for files read from now on.
    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Files of the sync whose columns differ, at most `size`.
    async fn differing_uploads(&self, id: SyncId, size: u64) -> Result<Vec<Upload>, Error>;
}
