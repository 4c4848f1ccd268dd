//! What is remembered of the columns of files and datasets.

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

/// A file that has landed and was not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uninspected {
    pub upload_id: UploadId,
    pub sync_id: SyncId,
    /// Absent where it is a name that this version does not take any more.
    pub target: Option<LakePath>,
    /// Absent for what landed before it was remembered.
    pub identity: Option<Identity>,
    pub attempts: Attempts,
}

/// How often it was tried to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Attempts of which no end is known: the server may have ended with them.
    pub begun: u32,
    /// Attempts that failed for a reason that may pass.
    pub failed: u32,
}

/// A list of columns that the state keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u64);

/// What the last sync that finished has left in a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineSchema {
    pub sync_id: SyncId,
    pub schema: Schema,
}

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedUpload {
    pub upload_id: UploadId,
    pub inspected: Inspected,
}

/// What was read of a file that has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedRows {
    pub size_bytes: u64,
    /// When it had landed: whatever changed the file later was not the lake.
    pub landed_at: Timestamp,
    /// Absent where it was not looked at yet, or where counting would mean reading it all.
    pub row_count: Option<u64>,
    pub schema: Option<SchemaId>,
}

#[async_trait]
pub trait SchemaState: Send + Sync {
    /// Uploads that have landed and were not looked at yet, of one sync or of all: at most `size`, in ascending order, and one
    /// besides that was tried before, if the time for that has come.
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error>;

    /// Of a sync, all of them, whether it is time for them or not.
    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error>;

    /// An attempt at each of them begins. That is remembered before it does: the file may end the server.
    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error>;

    /// The attempts have come to nothing by no fault of the files: they do not count.
    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error>;

    /// The attempt has failed for a reason that may pass; the next one is due then.
    async fn fail_inspection(&self, id: UploadId, due: Timestamp) -> Result<(), Error>;

    /// Remembers what was read of files, and compares each with what was there before its sync: with the columns that the last
    /// sync left that had finished in its dataset; where none has, with those of the sync's own first file. What differs is
    /// remembered as differing, unless the dataset's policy ignores it. Doing it again changes nothing.
    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error>;

    /// In what the columns of a file differ, with all of them; `None` where they do not.
    async fn schema_difference(&self, id: UploadId) -> Result<Option<SchemaDifference>, Error>;

    async fn schema(&self, id: SchemaId) -> Result<Option<Schema>, Error>;

    /// What most files of the last sync have that finished in the dataset and brought columns.
    async fn good_schema(&self, dataset: &LakePath) -> Result<Option<BaselineSchema>, Error>;

    /// What was read of each file that has landed at a place, if it is still the one of this identity.
    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error>;

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error>;

    /// Remembers durably what is to become of files that differ, from now on.
    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Files of the sync that differ, the first `size` of them.
    async fn differing_uploads(&self, id: SyncId, size: u64) -> Result<Vec<Upload>, Error>;
}
