//! Versions of datasets. They are made by the calls that change datasets, in the same transactions:
//! [`UploadState::finish_landings`](super::state::UploadState::finish_landings),
//! [`SyncState::settle_sync`](super::state::SyncState::settle_sync) and
//! [`TrashState::finish_restore`](super::state::TrashState::finish_restore).

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

/// Which files of a version are wanted, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFilesQuery {
    pub dataset: LakePath,
    pub version: VersionNumber,
    /// Only these here and below.
    pub below: Option<LakePath>,
    /// Only those behind this path.
    pub after: Option<LakePath>,
    pub size: u64,
}

#[async_trait]
pub trait VersionStore: Send + Sync {
    /// The dataset that a place belongs to: the lowest one at or above it that has a version.
    async fn dataset_of(&self, place: &LakePath) -> Result<Option<LakePath>, Error>;

    /// Versions of a dataset, the newest first: `size` of them, `from` left out before.
    async fn list_versions(&self, dataset: &LakePath, from: u64, size: u64) -> Result<Vec<Version>, Error>;

    async fn find_version(&self, dataset: &LakePath, which: WhichVersion) -> Result<Option<Version>, Error>;

    /// The number of the newest version. Asked often.
    async fn current_version(&self, dataset: &LakePath) -> Result<Option<VersionNumber>, Error>;

    /// Files of a version, and where each is now.
    async fn version_files(&self, wanted: &VersionFilesQuery) -> Result<Vec<VersionFile>, Error>;

    /// One file of a version; `None` where the version has none of that path.
    async fn version_file(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        file: &LakePath,
    ) -> Result<Option<VersionFile>, Error>;

    /// The piece of the trash that is the version, whole and as it was; `None` where there is no such piece.
    async fn trash_of_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<Option<TrashId>, Error>;

    /// Remembers that publishing this open full sync brings that version back.
    async fn set_restored_version(&self, sync_id: SyncId, version: VersionNumber) -> Result<(), Error>;

    /// Open full syncs whose publishing would bring a version back: a stop has cut them short.
    async fn restoring_syncs(&self) -> Result<Vec<SyncId>, Error>;

    /// Keeps a version from being removed with the trash, durably; or not any more. False where there is no such version, or
    /// nothing to change.
    async fn pin_version(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        note: Option<&str>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Remembers that the lake has touched these files without changing their bytes: what is known of them stays known. One that
    /// was not as it had landed before is left as it is.
    async fn set_touched(&self, touched: &[(LakePath, Touched)]) -> Result<(), Error>;

    /// Remembers a snapshot that is about to be made, durably, unless its owner, or everybody together, has as many as there
    /// may be.
    async fn begin_snapshot(&self, new: &NewSnapshot) -> Result<(), Error>;

    async fn snapshot(&self, token: &SnapshotToken) -> Result<Option<Snapshot>, Error>;

    /// All there are, also such as are being made or dropped.
    async fn snapshots(&self) -> Result<Vec<Snapshot>, Error>;

    /// Remembers durably how far a snapshot is, and until when it is kept.
    async fn set_snapshot(
        &self,
        token: &SnapshotToken,
        state: SnapshotState,
        expires_at: Timestamp,
    ) -> Result<(), Error>;

    /// Nothing is left of it.
    async fn forget_snapshot(&self, token: &SnapshotToken) -> Result<(), Error>;
}
