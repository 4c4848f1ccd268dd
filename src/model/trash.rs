//! Trash: what a sync replaced or dropped, whole, with who, when and why; one act brings it back.

use crate::model::id::{SyncId, TrashId};
use crate::model::path::LakePath;
use crate::model::storage_path::TrashKey;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// Why something is in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
pub enum TrashReason {
    /// A full sync replaced the dataset.
    Replaced,
    /// An upload of the same name replaced the file.
    Overwritten,
    /// The staged files of a full sync that was aborted.
    Aborted,
    /// The staged files of a full sync that was left alone for too long.
    Expired,
    /// The staged files of a full sync that gave way to a new start on its path.
    Superseded,
    /// A restore put something else in its place.
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

/// Which pieces are to be removed for good. Never one that is being restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeSelector {
    Piece(TrashId),
    /// Those that this sync has put there; of 0, those that none has.
    OfSync(SyncId),
    /// Those that came before this time.
    Before(Timestamp),
    /// The oldest ones, until the rest holds no more than so many bytes. What was not counted yet counts as nothing.
    Beyond {
        bytes_max: u64,
    },
}

/// Whether a piece of trash is a whole dataset or one file.
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

/// A piece of the trash, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    pub trash_id: TrashId,
    /// Where it was, and where a restore puts it.
    pub origin: LakePath,
    pub kind: TrashKind,
    pub reason: TrashReason,
    /// The sync that put it here.
    pub sync_id: Option<SyncId>,
    pub trashed_by: String,
    pub trashed_at: Timestamp,
    /// Absent until it has been counted, which happens aside, shortly after.
    pub totals: Option<Totals>,
    /// When it is removed for good, unless the trash grows too large before; absent where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What one sync has put into the trash and is there still, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashGroup {
    /// 0 for what no sync has put there: what a restore has displaced.
    pub sync_id: SyncId,
    pub sync_name: String,
    /// The dataset of the sync.
    pub path: Option<LakePath>,
    pub reason: TrashReason,
    pub pieces: u64,
    /// Of the pieces that were counted.
    pub totals: Totals,
    pub num_uncounted: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// When the first of its pieces is removed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// All of the trash that somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashSummary {
    pub pieces: u64,
    pub totals: Totals,
    pub num_uncounted: u64,
    /// How long a piece stays; absent: until somebody removes it.
    pub kept_ms: Option<i64>,
    /// Beyond so many bytes the oldest pieces go, whatever their age.
    pub bytes_max: Option<u64>,
}

/// Something in a dataset that lies in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedFile {
    pub name: String,
    /// From the top of the piece; parted by slashes.
    pub relative: String,
    pub is_folder: bool,
    /// Of a folder 0.
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
