//! Every place below the lake root, made here and nowhere else: what readers see, and the engine's own folder.

use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::snapshot::SnapshotToken;
use crate::model::time::Timestamp;

use serde::{Deserialize, Serialize};

/// The engine's own folder below the lake root. Engines that list the lake skip names that begin with a dot.
pub const ENGINE_FOLDER: &str = ".lakeshore";

/// A place below the lake root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoragePath {
    /// What readers see: a dataset, or something in one.
    Live(LakePath),
    /// The folder of every partial file.
    Partials,
    /// The folder of every staging.
    Stagings,
    /// The folder of every piece of trash.
    TrashSlots,
    /// The bytes of an upload that has not landed.
    Partial(PartialName),
    /// The folder that becomes the dataset when the sync is published.
    Staging(SyncId),
    /// Something in that folder.
    Staged { sync: SyncId, relative: String },
    /// The folder of one piece of trash.
    TrashSlot(TrashKey),
    /// The one thing in that folder, under the name that it had in the lake.
    Trashed { key: TrashKey, leaf: String },
    /// Something in a dataset that lies in the trash.
    InTrash { key: TrashKey, leaf: String, relative: String },
    /// The folder of every snapshot.
    Snapshots,
    /// A snapshot: a folder that holds one thing, the version, under the name of its dataset.
    Snapshot(SnapshotToken),
    /// The same, while it is made.
    UnfinishedSnapshot(SnapshotToken),
    /// Something in that one.
    InUnfinishedSnapshot { token: SnapshotToken, relative: String },
}

impl StoragePath {
    /// The place of `file` within a sync of `dataset`: staged when `staging` names a full sync, else live.
    /// `file` is below `dataset`, which the upload's path rule has made sure of.
    pub fn of_upload(staging: Option<SyncId>, dataset: &LakePath, file: &LakePath) -> Self {
        match (staging, dataset.relative(file)) {
            (Some(sync), Some(relative)) => Self::Staged { sync, relative: relative.to_owned() },
            _ => Self::Live(file.clone()),
        }
    }

    /// The place where `origin` lies, or would lie, in the trash.
    pub fn trashed(key: &TrashKey, origin: &LakePath) -> Self {
        Self::Trashed { key: key.clone(), leaf: origin.leaf().to_owned() }
    }

    /// How a person finds it below the lake root.
    pub fn shown(&self) -> String {
        self.components().join("/")
    }

    /// The components of this place, from the lake root down.
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

    /// The snapshot that a name in the folder of snapshots belongs to, finished or not.
    pub fn snapshot_of(name: &str) -> Option<SnapshotToken> {
        SnapshotToken::parse(name.strip_prefix(UNFINISHED).unwrap_or(name))
    }

    /// The sync that a name in the staging folder belongs to.
    pub fn staging_owner(name: &str) -> Option<SyncId> {
        name.strip_prefix("sync-")?.parse().ok().map(SyncId)
    }
}

/// The folders of [`ENGINE_FOLDER`], which a backend makes at its start.
pub const ENGINE_SUBFOLDERS: [&str; 4] = [UPLOADS_FOLDER, "staging", "trash", SNAPSHOTS_FOLDER];
/// In [`ENGINE_FOLDER`], the beginning of the name of an empty folder that says which lake it is.
pub const IDENTITY_PREFIX: &str = "identity-";
/// The folder of the partial files, in [`ENGINE_FOLDER`].
pub const UPLOADS_FOLDER: &str = "uploads";

/// The folder of the snapshots, in [`ENGINE_FOLDER`].
pub const SNAPSHOTS_FOLDER: &str = "snapshots";
/// Begins the name of a snapshot that is being made.
const UNFINISHED: &str = ".making-";

fn unfinished_name(token: &SnapshotToken) -> String {
    format!("{UNFINISHED}{token}")
}

fn staging_name(sync: SyncId) -> String {
    format!("sync-{sync}")
}

/// The name of the folder in the trash that holds one piece. It is known before anything moves, so that a restart
/// knows where to look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrashKey(String);

impl TrashKey {
    pub fn of_sync(sync: SyncId) -> Self {
        Self(format!("sync-{sync}"))
    }

    /// What the upload of this partial name replaces.
    pub fn of_upload(partial: &PartialName) -> Self {
        Self(format!("upload-{}", partial.as_str()))
    }

    /// A key that was made by one of the above and remembered.
    pub fn remembered(key: String) -> Self {
        Self(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sync that made it; also of a slot that was renamed by [`Self::adopted`] since.
    pub fn sync(&self) -> Option<SyncId> {
        self.0.strip_prefix(ADOPTED).unwrap_or(&self.0).strip_prefix("sync-")?.parse().ok().map(SyncId)
    }

    /// The name of a slot that somebody has found and that is a piece again. No sync and no upload comes to it by itself.
    pub fn adopted(&self) -> Self {
        if self.0.starts_with(ADOPTED) { self.clone() } else { Self(format!("{ADOPTED}{}", self.0)) }
    }

    /// What was found in the staging of a sync that is not open.
    pub fn found(sync: SyncId, at: Timestamp) -> Self {
        Self(format!("found-{}-sync-{sync}", at.0))
    }

    /// The name of a slot that is in the way of a sync to come, and of which nobody knows what it was.
    pub fn set_aside(&self) -> Self {
        Self(format!("lost-{}", self.0))
    }
}

const ADOPTED: &str = "adopted-";

/// The name of an upload's bytes before they land: random, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartialName(String);

impl PartialName {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// A name that was made by [`Self::from_random`] and remembered.
    pub fn remembered(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a file or folder from another one that came to its name: how a backend recognises, after a restart,
/// what it was moving. Only the backend that made it reads it.
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
