//! Trash: files and datasets that were replaced or dropped, complete and restorable, with the sync, the caller, the
//! time and the reason.

use crate::model::id::{SyncId, TrashId};
use crate::model::path::LakePath;
use crate::model::storage_path::TrashKey;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// Reason for which an item is in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
pub enum TrashReason {
    /// A full sync replaced the dataset.
    Replaced,
    /// An upload of the same name replaced the file.
    Overwritten,
    /// Staged files of an aborted full sync.
    Aborted,
    /// Staged files of a full sync that was idle for too long.
    Expired,
    /// Staged files of a full sync that was superseded by a new start on its path.
    Superseded,
    /// A restore replaced it.
    Restored,
}

impl TrashReason {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Selection of items to purge. Items that are being restored are never included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeSelector {
    Piece(TrashId),
    /// Items that this sync moved to the trash; 0 selects the items without a sync.
    OfSync(SyncId),
    /// Items moved to the trash before this time.
    Before(Timestamp),
    /// Oldest items, until the rest has no more than this many bytes. Items without a count count as 0 bytes.
    Beyond {
        bytes_max: u64,
    },
}

/// Whether an item is a dataset or one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
pub enum TrashKind {
    Dataset,
    File,
}

impl TrashKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Trash item, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    pub trash_id: TrashId,
    /// Lake path before the move, to which a restore returns it.
    pub origin: LakePath,
    pub kind: TrashKind,
    pub reason: TrashReason,
    /// Sync that moved it to the trash.
    pub sync_id: Option<SyncId>,
    pub trashed_by: String,
    pub trashed_at: Timestamp,
    /// Absent until a background job has counted it.
    pub totals: Option<Totals>,
    /// Time of its purge, unless the trash grows too large before; absent where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Items in the trash from one sync, as a list shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashGroup {
    /// 0 for items without a sync: those that a restore replaced.
    pub sync_id: SyncId,
    pub sync_name: String,
    /// Dataset of the sync.
    pub path: Option<LakePath>,
    pub reason: TrashReason,
    pub pieces: u64,
    /// Totals of the counted items.
    pub totals: Totals,
    pub num_uncounted: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// Time of the purge of its first item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Totals of the trash that a caller may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashSummary {
    pub pieces: u64,
    pub totals: Totals,
    pub num_uncounted: u64,
    /// Time for which an item stays; absent: until somebody purges it.
    pub kept_ms: Option<i64>,
    /// Size above which the oldest items are purged, whatever their age.
    pub bytes_max: Option<u64>,
}

/// A file or folder in a dataset in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedFile {
    pub name: String,
    /// Path below the top of the item, with slashes.
    pub relative: String,
    pub is_folder: bool,
    /// 0 for a folder.
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrash {
    pub key: TrashKey,
    pub origin: LakePath,
    pub kind: TrashKind,
    pub reason: TrashReason,
    pub sync_id: Option<SyncId>,
    pub by: String,
    pub at: Timestamp,
}
