//! The end of a sync: the body of the call, and what is remembered of it.

use crate::model::id::SyncId;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use serde::{Deserialize, Serialize};

/// How a sync has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub sync_id: SyncId,
    pub status: Status,
    pub message: String,
    pub trash: Option<NewTrash>,
    pub at: Timestamp,
}

/// The body of the documented end call, without its key, and of abort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSync {
    pub sync_id: SyncId,
    /// Drop the uploads in flight instead of refusing.
    #[serde(default)]
    pub discard_in_flight: bool,
    /// An empty full sync is meant: it empties the dataset.
    #[serde(default)]
    pub allow_empty: bool,
    /// A full sync that the guard would hold is meant as it is.
    #[serde(default)]
    pub confirm: bool,
}

impl EndSync {
    pub fn new(sync_id: SyncId) -> Self {
        Self { sync_id, discard_in_flight: false, allow_empty: false, confirm: false }
    }
}
