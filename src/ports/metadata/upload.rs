//! Stored uploads, and the groups in which they land.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::{SyncId, UploadId};
use crate::model::page::UploadQuery;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::timeline::TimelineUpload;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::upload::row::Upload;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An upload before its bytes arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    /// Target of the landing.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub at: Timestamp,
}

/// An upload that failed before it had a row. It is always counted, and gets a row while its sync has few such rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedUpload {
    pub sync_id: SyncId,
    pub file_name: String,
    pub folder: LakePath,
    /// Target of the landing; absent when the name was refused.
    pub target: Option<LakePath>,
    pub message: String,
    /// Received bytes.
    pub size_bytes: u64,
    /// Maximum rows of such uploads in the sync: beyond, this one is only counted.
    pub rows_max: u64,
    pub begun_at: Timestamp,
    pub at: Timestamp,
}

/// An upload with all its bytes, before it lands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedUpload {
    /// Its row, if any; otherwise one is created at its landing.
    pub upload_id: Option<UploadId>,
    pub sync_id: SyncId,
    pub file_name: String,
    /// Target of the landing.
    pub target: LakePath,
    pub partial: PartialName,
    pub identity: Identity,
    pub digest: Digest,
    pub begun_at: Timestamp,
    pub by: String,
    /// Whether its bytes are a copy of a file of the dataset.
    #[serde(default)]
    pub taken_over: bool,
}

/// Stored content of a landed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandedContent {
    pub digest: Digest,
    /// Time of the landing: a later change of the file was not made by the lake.
    pub landed_at: Timestamp,
}

/// Id of a group of uploads that land together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingsId(pub u64);

/// An upload whose file has its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedUpload {
    pub upload: CompletedUpload,
    /// Item of the replaced file, if any.
    pub trash: Option<NewTrash>,
}

/// Result of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedLandings {
    pub id: LandingsId,
    /// Landed uploads, with the items of the files that they replaced.
    pub landed: Vec<LandedUpload>,
    /// Uploads whose result is unknown: they stay in the group. All others were discarded.
    pub left: Vec<CompletedUpload>,
    pub at: Timestamp,
}

/// An upload in flight at a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    pub upload_id: UploadId,
    pub partial: PartialName,
}

#[async_trait]
pub trait UploadState: Send + std::marker::Sync {
    /// Stores an upload as `Syncing`, if [`crate::model::sync::job::may_accept_uploads`] allows it. Not durable by
    /// itself.
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error>;

    /// Stores an upload without a row as `Failed`, if [`crate::model::sync::job::may_accept_uploads`] allows it.
    /// `None`: it was only counted.
    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error>;

    /// Stores durably that these uploads are about to land, so that a restart knows even those without a row. Each is
    /// checked by [`crate::model::sync::job::may_accept_uploads`]; a refused one is not in the group. With `finished`,
    /// also does [`Self::finish_landings`]; an error then applies to both.
    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error>;

    /// Stores the result of a group durably. Idempotent.
    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error>;

    /// Takes the result of a group that has an intent, to be stored a little later. If it returns true, every later call
    /// sees the result as if it were stored. The caller still has to store it soon, by [`Self::finish_landings`] or
    /// [`Self::write_intents`]; until then a crash leaves the intent. A store that returns false takes nothing.
    fn defer_landings(&self, _finished: &Arc<FinishedLandings>) -> bool {
        false
    }

    /// Stores all deferred results now, or says why not.
    async fn finish_deferred_landings(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Takes back a deferred result that cannot be stored: calls go on without it.
    fn withdraw_landings(&self, _id: LandingsId) {}

    /// Unfinished groups at a restart, in ascending order.
    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<CompletedUpload>)>, Error>;

    /// Stores the failure of an upload after `size_bytes`. Does nothing unless it is `Syncing`.
    async fn fail_upload(&self, id: UploadId, message: &str, size_bytes: u64, at: Timestamp) -> Result<(), Error>;

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error>;

    /// The upload `Syncing` whose bytes have this name: finds out whether a [`Self::begin_upload`] took place whose answer
    /// was lost.
    async fn upload_in_flight(&self, sync_id: SyncId, partial: &PartialName) -> Result<Option<UploadId>, Error>;

    /// Content of the file at each path, if the file has this identity. Known for the last hundred uploads to a path.
    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error>;

    async fn uploads(&self, query: &UploadQuery) -> Result<Vec<Upload>, Error>;

    /// Uploads of a sync at these stretches of its list (first from 0, number), and its first `failures_max` failed ones, in no
    /// order, possibly twice. Of those at and below `scope`, if there is one.
    async fn timeline_uploads(
        &self,
        sync_id: SyncId,
        stretches: &[(u64, u64)],
        failures_max: u64,
        scope: Option<&LakePath>,
    ) -> Result<Vec<TimelineUpload>, Error>;

    /// Uploads of a sync, later than that with the id `after`, that landed at these paths: path and name, each pair once, in no order.
    async fn landed_at(
        &self,
        sync_id: SyncId,
        places: &[LakePath],
        after: UploadId,
    ) -> Result<Vec<(LakePath, String)>, Error>;

    /// Uploads that are `Syncing` at a restart, in ascending order, without resumable ones.
    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error>;
}
