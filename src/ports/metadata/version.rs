//! Stored versions of datasets. They are created by the calls that change datasets, in the same transactions:
//! [`UploadState::finish_landings`](super::upload::UploadState::finish_landings),
//! [`SyncState::settle_sync`](super::sync::SyncState::settle_sync) and
//! [`TrashState::finish_restore`](super::trash::TrashState::finish_restore).

use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::snapshot::{NewSnapshot, Snapshot, SnapshotState, SnapshotToken};
use crate::model::time::Timestamp;
use crate::model::version::{Version, VersionFile, WhichVersion};
use crate::ports::storage::Touched;
use async_trait::async_trait;

/// Filter of the files of a version, ordered by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFilesQuery {
    pub dataset: LakePath,
    pub version: VersionNumber,
    /// Only files on this path and below.
    pub below: Option<LakePath>,
    /// Only files after this path.
    pub after: Option<LakePath>,
    pub size: u64,
}

#[async_trait]
pub trait VersionStore: Send + Sync {
    /// Dataset of a path: the deepest one at or above it with a version.
    async fn dataset_of(&self, place: &LakePath) -> Result<Option<LakePath>, Error>;

    /// Versions of a dataset, newest first: skips `from` and returns `size`.
    async fn list_versions(&self, dataset: &LakePath, from: u64, size: u64) -> Result<Vec<Version>, Error>;

    async fn find_version(&self, dataset: &LakePath, which: WhichVersion) -> Result<Option<Version>, Error>;

    /// Number of the newest version. Called often.
    async fn current_version(&self, dataset: &LakePath) -> Result<Option<VersionNumber>, Error>;

    /// Files of a version, with their current locations.
    async fn version_files(&self, wanted: &VersionFilesQuery) -> Result<Vec<VersionFile>, Error>;

    /// One file of a version; `None` if the version has no such path.
    async fn version_file(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        file: &LakePath,
    ) -> Result<Option<VersionFile>, Error>;

    /// Trash item with the complete, unchanged version; `None` if there is none.
    async fn trash_of_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<Option<TrashId>, Error>;

    /// Open full syncs that would restore a version when published, interrupted by a stop.
    async fn restoring_syncs(&self) -> Result<Vec<SyncId>, Error>;

    /// Pins a version durably, so that it is kept beyond the limits of the trash; without a note, unpins it. False if
    /// there is no such version, or nothing to change.
    async fn pin_version(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        note: Option<&str>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Updates the change times of files that the lake has touched without changing their bytes, so that they still
    /// count as unchanged. A file that had changed before is skipped.
    async fn set_touched(&self, touched: &[(LakePath, Touched)]) -> Result<(), Error>;

    /// Stores a snapshot durably before it is made, unless its owner, or all owners together, have the maximum.
    async fn begin_snapshot(&self, new: &NewSnapshot) -> Result<(), Error>;

    async fn snapshot(&self, token: &SnapshotToken) -> Result<Option<Snapshot>, Error>;

    /// All snapshots, including those being made or dropped.
    async fn snapshots(&self) -> Result<Vec<Snapshot>, Error>;

    /// Stores the state and the expiry of a snapshot durably.
    async fn set_snapshot(
        &self,
        token: &SnapshotToken,
        state: SnapshotState,
        expires_at: Timestamp,
    ) -> Result<(), Error>;

    /// Deletes the row of a removed snapshot.
    async fn delete_snapshot(&self, token: &SnapshotToken) -> Result<(), Error>;
}
