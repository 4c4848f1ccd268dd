//! End of a sync: the body of the call, and the stored result.

use crate::model::id::SyncId;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use serde::{Deserialize, Serialize};

/// Result of the end of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub sync_id: SyncId,
    pub status: Status,
    pub message: String,
    pub trash: Option<NewTrash>,
    pub at: Timestamp,
}

/// Body of the documented end call, without the key, and of abort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSync {
    pub sync_id: SyncId,
    /// Drops uploads in flight instead of refusing the end.
    #[serde(default)]
    pub discard_in_flight: bool,
    /// Allows an empty full sync, which empties the dataset.
    #[serde(default)]
    pub allow_empty: bool,
    /// Publishes a full sync that the guard would hold.
    #[serde(default)]
    pub confirm: bool,
}

impl EndSync {
    pub fn new(sync_id: SyncId) -> Self {
        Self { sync_id, discard_in_flight: false, allow_empty: false, confirm: false }
    }
}

/// Effect that ending a sync would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPreview {
    /// Size of the published dataset (for a full sync), or the landed files of this sync.
    pub landed: Totals,
    /// Size of the current dataset, which would go to the trash.
    pub replaced: Totals,
    /// Whether the guard would hold the sync.
    pub is_shrinking: bool,
}
