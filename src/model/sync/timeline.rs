//! Timeline of a sync, from which its waterfall chart is drawn.

use crate::model::id::UploadId;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Uploads of a sync in the order of their rows: all, or evenly spaced samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Uploads of the sync in the history.
    pub num_uploads: u64,
    pub uploads: Vec<TimelineUpload>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineUpload {
    pub history_id: UploadId,
    pub file_name: String,
    pub start_time: Timestamp,
    /// 0 while it is in flight.
    pub end_time: Timestamp,
    pub sync_status: Status,
    pub size_bytes: u64,
}
