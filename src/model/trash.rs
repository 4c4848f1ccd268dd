//! Trash: files and datasets that were replaced or dropped, complete and restorable, with the sync, the caller, the
//! time and the reason.

use crate::model::error::Refusal;
use crate::model::id::{SyncId, TrashId};
use crate::model::limits::RESTORE_PREVIEW_NAMED_MAX;
use crate::model::path::LakePath;
use crate::model::preview::Preview;
use crate::model::storage_path::TrashKey;
use crate::model::sync::difference::Difference;
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
    Item(TrashId),
    /// Items that this sync moved to the trash; 0 selects the items without a sync.
    OfSync(SyncId),
    /// Items moved to the trash before this time.
    Before(Timestamp),
    /// This item and those before it.
    UpTo(TrashId),
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
    #[serde(rename = "pieces")]
    pub items: u64,
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
    #[serde(rename = "pieces")]
    pub items: u64,
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

/// Body of the call, without the key: one item, those of one sync, all, or all that are older than some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EmptyTrash {
    pub trash_id: Option<TrashId>,
    /// Items of this sync; 0 selects the items without a sync.
    pub sync_id: Option<SyncId>,
    pub all: bool,
    pub older_than_days: Option<u32>,
}

/// Items that are purged, or marked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Emptied {
    #[serde(rename = "pieces")]
    pub items: u64,
    pub bytes: u64,
}

impl Emptied {
    pub(crate) fn add(&mut self, entries: &[TrashEntry]) {
        self.items += entries.len() as u64;
        self.bytes += entries.iter().filter_map(|entry| entry.totals).map(|totals| totals.bytes).sum::<u64>();
    }
}

/// Body of the call, without the key: one item, some, or those of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreTrash {
    pub trash_id: Option<TrashId>,
    pub trash_ids: Vec<TrashId>,
    /// For each path that the sync has changed, the content before it; 0 selects the items without a sync.
    pub sync_id: Option<SyncId>,
}

impl RestoreTrash {
    /// A single item.
    pub fn item(trash_id: TrashId) -> Self {
        Self { trash_id: Some(trash_id), ..Self::default() }
    }
}

/// Result of the call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestoredTrash {
    pub restored: u64,
    pub num_failed: u64,
    /// The first [`crate::model::limits::DISPLACED_NAMED_MAX`] items that it moved to the trash: restoring them undoes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displaced: Vec<TrashId>,
    /// The first [`crate::model::limits::NOT_RESTORED_NAMED_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<NotRestored>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRestored {
    pub trash_id: TrashId,
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// Effect of restoring one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemPreview {
    #[serde(rename = "piece")]
    pub item: TrashEntry,
    /// Current content of its path, which would move to the trash.
    pub replaced: Totals,
    /// Content that would come back.
    pub restored: Totals,
    /// The shrink guard would hold it unless confirmed.
    pub is_shrinking: bool,
}

/// Effect of restoring items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestorePreview {
    #[serde(rename = "num_pieces")]
    pub num_items: u64,
    pub replaced: Totals,
    pub restored: Totals,
    pub is_shrinking: bool,
    /// The first [`RESTORE_PREVIEW_NAMED_MAX`] items; those that the shrink guard would hold come first.
    #[serde(rename = "pieces")]
    pub items: Vec<ItemPreview>,
    /// Changed files, for a single dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl RestorePreview {
    pub(crate) fn add(&mut self, item: ItemPreview) {
        self.num_items += 1;
        for (sum, totals) in [(&mut self.replaced, item.replaced), (&mut self.restored, item.restored)] {
            sum.files = sum.files.saturating_add(totals.files);
            sum.bytes = sum.bytes.saturating_add(totals.bytes);
        }
        self.is_shrinking |= item.is_shrinking;
        if item.is_shrinking {
            self.items.insert(0, item);
            self.items.truncate(RESTORE_PREVIEW_NAMED_MAX);
        } else if self.items.len() < RESTORE_PREVIEW_NAMED_MAX {
            self.items.push(item);
        }
    }
}

/// Requested part of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookIntoTrash {
    pub trash_id: TrashId,
    /// A folder in it, or a file; absent: the top.
    #[serde(default)]
    pub relative: Option<String>,
    #[serde(default)]
    pub from: Option<u64>,
    #[serde(default)]
    pub size: Option<u64>,
}

/// Content of the requested part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InTrash {
    pub entry: TrashEntry,
    /// Path below the top of the item; empty for the top itself.
    pub relative: String,
    #[serde(flatten)]
    pub content: TrashContent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrashContent {
    /// A page of a folder: folders first, then files, each by name.
    Files(Vec<TrashedFile>),
    Preview(Box<Preview>),
}
