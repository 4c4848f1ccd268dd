//! Changes of a sync: each file that it adds, changes, removes or leaves unchanged. Also the changes since a version of
//! a dataset went to the trash.

use crate::model::dataset::schema::SchemaDifference;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::path::LakePath;
use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Added,
    /// Different size or SHA-256; or equal size, where one SHA-256 is unknown.
    Changed,
    Removed,
    /// Equal size and SHA-256.
    Unchanged,
}

impl ChangeKind {
    pub const ALL: [Self; 4] = [Self::Added, Self::Changed, Self::Removed, Self::Unchanged];

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One file of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Relative to the sync's path.
    pub path: String,
    pub kind: ChangeKind,
    /// Size of the new file; absent for a removed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Size of the replaced or removed file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_size_bytes: Option<u64>,
    /// Rows of the new file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Rows of the replaced or removed file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_rows: Option<u64>,
}

/// Rows of all files, as far as known: of files that were read after their landing and are unchanged since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowTotals {
    /// Rows before; 0 for an incremental sync, which is compared with nothing.
    pub old: u64,
    pub new: u64,
    /// Old and new files whose rows are unknown.
    pub num_unknown: u64,
}

/// Requested page of the changed files of a comparison: `from` skipped, `size` returned, of one kind or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangesPage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ChangeKind>,
}

/// A version in the trash, to compare with the current dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareTrashed {
    pub path: LakePath,
    pub trash_id: TrashId,
}

/// Changes of a sync, or since a version: totals of each kind, and one page of the files. Bytes are those of the new
/// files; for removed files, those of the old ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Set for a sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    /// Set for a version: its trash item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash_id: Option<TrashId>,
    pub added: Totals,
    pub changed: Totals,
    pub removed: Totals,
    pub unchanged: Totals,
    pub rows: RowTotals,
    /// Difference of the columns of most new files from those of most old ones. Absent if none, or if either are
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaDifference>,
    pub files: Vec<Change>,
}

impl Difference {
    /// Without any change.
    pub(crate) fn empty(sync_id: Option<SyncId>, trash_id: Option<TrashId>) -> Self {
        let none = Totals::default();
        Self {
            sync_id,
            trash_id,
            added: none,
            changed: none,
            removed: none,
            unchanged: none,
            rows: RowTotals::default(),
            schema: None,
            files: Vec::new(),
        }
    }

    pub fn totals(&self, kind: ChangeKind) -> Totals {
        match kind {
            ChangeKind::Added => self.added,
            ChangeKind::Changed => self.changed,
            ChangeKind::Removed => self.removed,
            ChangeKind::Unchanged => self.unchanged,
        }
    }

    pub(crate) fn count(&mut self, change: &Change) {
        let totals = match change.kind {
            ChangeKind::Added => &mut self.added,
            ChangeKind::Changed => &mut self.changed,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Unchanged => &mut self.unchanged,
        };
        totals.files += 1;
        totals.bytes += change.size_bytes.or(change.old_size_bytes).unwrap_or(0);
    }
}
