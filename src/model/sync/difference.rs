//! What a sync changes: each file that it adds, changes, removes or leaves as it is. And what has changed since a version of
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
    /// Of another size or SHA-256; or of the same size, where the SHA-256 of one of the two is not known.
    Changed,
    Removed,
    /// Of the same size and SHA-256.
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
    /// Below the sync's path.
    pub path: String,
    pub kind: ChangeKind,
    /// What the sync brings; absent of a removed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// What it replaces or removes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_size_bytes: Option<u64>,
    /// Of what the sync brings, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Of what it replaces or removes, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_rows: Option<u64>,
}

/// The rows of all files, as far as they are known: of files that were looked at as they landed, and are as they were then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowTotals {
    /// Of what is replaced or compared with; 0 of an incremental sync, which is compared with nothing.
    pub old: u64,
    pub new: u64,
    /// Files, old and new ones, whose rows are not known.
    pub num_unknown: u64,
}

/// Which changes are asked for: `from` skipped, `size` given, of one kind or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceQuery {
    pub sync_id: SyncId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ChangeKind>,
}

/// Which changes are asked for between a version of a dataset, in the trash, and the dataset as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionQuery {
    pub path: LakePath,
    pub trash_id: TrashId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ChangeKind>,
}

/// What a sync changes, or what has changed since a version: files and bytes of each kind, and one page of the files. Bytes
/// are those that the sync brings, or that are there now; of removed files, those that go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Set of a sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    /// Set of a version: the piece of trash that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash_id: Option<TrashId>,
    pub added: Totals,
    pub changed: Totals,
    pub removed: Totals,
    pub unchanged: Totals,
    pub rows: RowTotals,
    /// In what the columns of most files now differ from those of most files before. Absent where they do not, or where either
    /// are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaDifference>,
    pub files: Vec<Change>,
}

impl Difference {
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
