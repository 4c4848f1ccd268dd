//! Storage paths: every path below the lake root is built here only, for datasets and for the engine's own folder.

use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::snapshot::SnapshotToken;
use crate::model::time::Timestamp;

use serde::{Deserialize, Serialize};

/// Engine's own folder below the lake root. Engines that list the lake skip names that begin with a dot.
pub const ENGINE_FOLDER: &str = ".lakeshore";

/// A path below the lake root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoragePath {
    /// A dataset, or a path in one, as readers see it.
    Live(LakePath),
    /// Folder of all partial files.
    Partials,
    /// Folder of all staged syncs.
    Stagings,
    /// Folder of all trash items.
    TrashSlots,
    /// Partial file of an upload.
    Partial(PartialName),
    /// Folder that becomes the dataset when the sync is published.
    Staging(SyncId),
    /// A path in that folder.
    Staged { sync: SyncId, relative: String },
    /// Folder of one trash item.
    TrashSlot(TrashKey),
    /// Single entry of that folder, under its name in the lake.
    Trashed { key: TrashKey, leaf: String },
    /// A path in a dataset in the trash.
    InTrash { key: TrashKey, leaf: String, relative: String },
    /// Folder of all snapshots.
    Snapshots,
    /// Folder of a snapshot. Its single entry is the version, under the name of the dataset.
    Snapshot(SnapshotToken),
    /// Folder of a snapshot that is being made.
    UnfinishedSnapshot(SnapshotToken),
    /// A path in that folder.
    InUnfinishedSnapshot { token: SnapshotToken, relative: String },
}

impl StoragePath {
    /// Path of `file` in a sync of `dataset`: staged when `staging` names a full sync, else live. `file` is below
    /// `dataset`; the path rule of uploads guarantees that.
    pub fn of_upload(staging: Option<SyncId>, dataset: &LakePath, file: &LakePath) -> Self {
        match (staging, dataset.relative(file)) {
            (Some(sync), Some(relative)) => Self::Staged { sync, relative: relative.to_owned() },
            _ => Self::Live(file.clone()),
        }
    }

    /// Path of `origin` in the trash.
    pub fn trashed(key: &TrashKey, origin: &LakePath) -> Self {
        Self::Trashed { key: key.clone(), leaf: origin.leaf().to_owned() }
    }

    /// Path below the lake root, for messages.
    pub fn shown(&self) -> String {
        self.components().join("/")
    }

    /// Components below the lake root, outermost first.
    pub fn components(&self) -> Vec<String> {
        let own = |rest: &[&str]| {
            let mut components = vec![ENGINE_FOLDER.to_owned()];
            components.extend(rest.iter().map(|&component| component.to_owned()));
            components
        };
        match self {
            Self::Live(path) => path.components().map(str::to_owned).collect(),
            Self::Partials => own(&[UPLOADS_FOLDER]),
            Self::Stagings => own(&["staging"]),
            Self::TrashSlots => own(&["trash"]),
            Self::Partial(name) => own(&[UPLOADS_FOLDER, name.as_str()]),
            Self::Staging(sync) => own(&["staging", &staging_name(*sync)]),
            Self::Staged { sync, relative } => {
                let mut components = own(&["staging", &staging_name(*sync)]);
                components.extend(relative.split('/').map(str::to_owned));
                components
            }
            Self::TrashSlot(key) => own(&["trash", key.as_str()]),
            Self::Trashed { key, leaf } => own(&["trash", key.as_str(), leaf]),
            Self::Snapshots => own(&[SNAPSHOTS_FOLDER]),
            Self::Snapshot(token) => own(&[SNAPSHOTS_FOLDER, token.as_str()]),
            Self::UnfinishedSnapshot(token) => own(&[SNAPSHOTS_FOLDER, &unfinished_name(token)]),
            Self::InUnfinishedSnapshot { token, relative } => {
                let mut components = own(&[SNAPSHOTS_FOLDER, &unfinished_name(token)]);
                components.extend(relative.split('/').map(str::to_owned));
                components
            }
            Self::InTrash { key, leaf, relative } => {
                let mut components = own(&["trash", key.as_str(), leaf]);
                components.extend(relative.split('/').map(str::to_owned));
                components
            }
        }
    }

    /// Snapshot of a name in the folder of snapshots, finished or not.
    pub fn snapshot_of(name: &str) -> Option<SnapshotToken> {
        SnapshotToken::parse(name.strip_prefix(UNFINISHED).unwrap_or(name))
    }

    /// Sync of a name in the staging folder.
    pub fn staging_owner(name: &str) -> Option<SyncId> {
        name.strip_prefix("sync-")?.parse().ok().map(SyncId)
    }
}

/// Folders of [`ENGINE_FOLDER`], made by a backend at its start.
pub const ENGINE_SUBFOLDERS: [&str; 4] = [UPLOADS_FOLDER, "staging", "trash", SNAPSHOTS_FOLDER];
/// Prefix of an empty folder in [`ENGINE_FOLDER`] whose name identifies the lake.
pub const IDENTITY_PREFIX: &str = "identity-";
/// Folder of the partial files, in [`ENGINE_FOLDER`].
pub const UPLOADS_FOLDER: &str = "uploads";

/// Folder of the snapshots, in [`ENGINE_FOLDER`].
pub const SNAPSHOTS_FOLDER: &str = "snapshots";
/// Prefix of the name of a snapshot that is being made.
const UNFINISHED: &str = ".making-";

fn unfinished_name(token: &SnapshotToken) -> String {
    format!("{UNFINISHED}{token}")
}

fn staging_name(sync: SyncId) -> String {
    format!("sync-{sync}")
}

/// Name of the folder of one trash item. It is fixed before any move, so that a restart knows where to look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrashKey(String);

impl TrashKey {
    pub fn of_sync(sync: SyncId) -> Self {
        Self(format!("sync-{sync}"))
    }

    /// Key of the file replaced by the upload of this partial name.
    pub fn of_upload(partial: &PartialName) -> Self {
        Self(format!("upload-{}", partial.as_str()))
    }

    /// Restores a stored key, without a check.
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sync that made the key, also after a rename by [`Self::adopted`].
    pub fn sync(&self) -> Option<SyncId> {
        self.0.strip_prefix(ADOPTED).unwrap_or(&self.0).strip_prefix("sync-")?.parse().ok().map(SyncId)
    }

    /// Name for a found folder that becomes an item again. No sync and no upload ever chooses this name.
    pub fn adopted(&self) -> Self {
        if self.0.starts_with(ADOPTED) { self.clone() } else { Self(format!("{ADOPTED}{}", self.0)) }
    }

    /// Key for files found in the staging of a sync that is not open.
    pub fn found(sync: SyncId, at: Timestamp) -> Self {
        Self(format!("found-{}-sync-{sync}", at.0))
    }

    /// Name for a folder of unknown origin whose name a later sync will need.
    pub fn set_aside(&self) -> Self {
        Self(format!("lost-{}", self.0))
    }
}

const ADOPTED: &str = "adopted-";

/// Name of a partial file: random, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartialName(String);

impl PartialName {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Restores a stored name, without a check.
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identity of a file or folder, which distinguishes it from a later one of the same name. After a restart a backend
/// uses it to recognise what it was moving. Only the backend that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_syncs_file_waits_in_staging_and_an_incremental_ones_goes_live() {
        let dataset = LakePath::parse("/data/db").unwrap();
        let file = dataset.file("dt=1/a.csv").unwrap();
        let staged = StoragePath::of_upload(Some(SyncId(7)), &dataset, &file);
        assert_eq!(staged.components(), [".lakeshore", "staging", "sync-7", "dt=1", "a.csv"]);
        let live = StoragePath::of_upload(None, &dataset, &file);
        assert_eq!(live.components(), ["data", "db", "dt=1", "a.csv"]);
        assert_eq!(StoragePath::staging_owner("sync-7"), Some(SyncId(7)));
    }
}
