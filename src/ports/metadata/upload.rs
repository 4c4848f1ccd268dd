//! Uploads as they are remembered, and the groups in which they land.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::{SyncId, UploadId};
use crate::model::page::UploadQuery;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::upload::row::Upload;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// An upload whose bytes are about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    /// Where it will land.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub at: Timestamp,
}

/// An upload that failed before it had a row. It gets one as long as its sync has few of such, and counts in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    pub folder: LakePath,
    /// Where it would have landed; absent when its name was refused.
    pub target: Option<LakePath>,
    pub message: String,
    /// Bytes that had arrived.
    pub size_bytes: u64,
    /// Rows of such uploads that the sync may have: where it has as many, this one is counted only.
    pub rows_max: u64,
    pub begun_at: Timestamp,
    pub at: Timestamp,
}

/// An upload whose bytes are all there, and that is about to get its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedUpload {
    /// Its row, when it has one already; else it gets one when it has landed.
    pub upload_id: Option<UploadId>,
    pub sync_id: SyncId,
    pub file_name: String,
    /// Where it lands.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub digest: Digest,
    pub begun_at: Timestamp,
    pub by: String,
    /// Its bytes are a copy of the dataset's own file.
    #[serde(default)]
    pub taken_over: bool,
}

/// What is remembered of a file that has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandedContent {
    pub digest: Digest,
    /// When it had landed: whatever changed the file later was not the lake.
    pub landed_at: Timestamp,
}

/// A group of uploads that land together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingsId(pub u64);

/// An upload that has its name now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedUpload {
    pub upload: CompletedUpload,
    /// What it has replaced.
    pub trash: Option<NewTrash>,
}

/// How a group has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedLandings {
    pub id: LandingsId,
    /// Those that have landed, and what they replaced.
    pub landed: Vec<LandedUpload>,
    /// Those of which that is not known yet: they stay in the group. The others were given up.
    pub left: Vec<CompletedUpload>,
    pub at: Timestamp,
}

/// An upload that a restart found in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    pub upload_id: UploadId,
    pub partial: PartialName,
}

#[async_trait]
pub trait UploadState: Send + std::marker::Sync {
    /// Remembers an upload as `Syncing`, if [`crate::model::sync::job::may_accept_uploads`] allows it. Not durable by itself.
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error>;

    /// Remembers an upload that has no row as `Failed`, if [`crate::model::sync::job::may_accept_uploads`] allows it. `None`: it was
    /// counted only.
    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error>;

    /// Remembers durably that these uploads are about to get their names, so that a restart knows them even where they
    /// have no row yet. Each is asked for by [`crate::model::sync::job::may_accept_uploads`]; a refused one is not in the group. With
    /// `finished`, also what [`Self::finish_landings`] does; an error is one of both then.
    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error>;

    /// Remembers durably how a group has ended. Doing it again changes nothing.
    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error>;

    /// Groups that a restart found unfinished, in ascending order.
    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<CompletedUpload>)>, Error>;

    /// Remembers that an upload has failed after `size_bytes`. Does nothing to one that is not `Syncing`.
    async fn fail_upload(&self, id: UploadId, message: &str, size_bytes: u64, at: Timestamp) -> Result<(), Error>;

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error>;

    /// Of each file, by its place and what it is: what has landed there as just that. Known of the last hundred uploads to
    /// a place.
    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error>;

    async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, Error>;

    /// Uploads that a restart found `Syncing`, in ascending order; but for those that can be resumed.
    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error>;
}
