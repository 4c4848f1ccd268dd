//! Snapshots in requests and answers.

use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::snapshot::{Snapshot, SnapshotToken};
use crate::model::storage_path::StoragePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Version and lifetime of a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeSnapshot {
    pub path: LakePath,
    pub version: Option<VersionNumber>,
    pub as_of: Option<Timestamp>,
    pub lifetime: Option<Duration>,
}

/// A snapshot, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSnapshot {
    /// Token for renewing and dropping it.
    pub snapshot: SnapshotToken,
    /// Folder of the version, below the lake root.
    pub folder: String,
    /// Lake path of the dataset.
    pub path: LakePath,
    pub version: VersionNumber,
    pub made_by: String,
    pub made_at: Timestamp,
    /// Time of its removal, unless it is renewed.
    pub expires_at: Timestamp,
}

impl From<Snapshot> for ListedSnapshot {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { token, path, version, made_by, made_at, expires_at, .. } = snapshot;
        let folder = format!("{}/{}", StoragePath::Snapshot(token.clone()).shown(), path.leaf());
        Self { snapshot: token, folder, path, version, made_by, made_at, expires_at }
    }
}
