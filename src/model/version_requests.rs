//! Versions in requests and answers: lists, files, comparisons, restores and pins.

use crate::model::id::{SyncId, UploadId, VersionNumber};
use crate::model::path::LakePath;
use crate::model::sync::difference::Difference;
use crate::model::time::Timestamp;
use crate::model::version::{FileLocation, Version, VersionFile};
use serde::{Deserialize, Serialize};

/// Parameters of a list of versions, newest first: `from` skipped, `size` returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionsParameters {
    /// The dataset, or a path in it.
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Requested version, and the requested files of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionParameters {
    /// The dataset; or a path in it, which limits the files to those there.
    pub path: String,
    pub version: Option<VersionNumber>,
    pub as_of: Option<Timestamp>,
    /// Files after this path.
    pub after: Option<LakePath>,
    pub size: Option<u64>,
}

/// A version, with a page of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionDetail {
    #[serde(flatten)]
    pub version: Version,
    /// Ordered by path.
    #[serde(rename = "list")]
    pub files: Vec<ListedVersionFile>,
    /// Set if there are more files: request those `after` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LakePath>,
}

/// A file of a version, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVersionFile {
    pub path: LakePath,
    pub size_bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
    /// Absent until known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    pub history_id: UploadId,
    pub sync_id: SyncId,
    /// Whether its bytes were purged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// URL of its bytes. Filled in by the layer that knows the address of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl From<VersionFile> for ListedVersionFile {
    fn from(file: VersionFile) -> Self {
        Self {
            size_bytes: file.content.size_bytes,
            sha256: hex::encode(file.content.sha256),
            rows: file.rows,
            history_id: file.upload_id,
            sync_id: file.sync_id,
            is_gone: file.location == FileLocation::Gone,
            address: None,
            path: file.path,
        }
    }
}

/// Versions to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareVersions {
    pub path: LakePath,
    pub old: VersionNumber,
    pub new: VersionNumber,
}

/// Body of the calls, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinVersion {
    pub path: LakePath,
    pub version: VersionNumber,
    /// Reason for the pin.
    #[serde(default)]
    pub note: String,
}

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
    /// Files that were purged, or were changed or removed by hand: they prevent the restore.
    pub num_gone: u64,
    /// Changes from the dataset to the version, with the first files of each kind.
    pub difference: Difference,
}
