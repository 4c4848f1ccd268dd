//! Uploads: one file of a sync, one row of the history.

use crate::model::dataset::schema::SchemaDifference;
use crate::model::id::{SyncId, UploadId};
use crate::model::path::LakePath;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A row of the history, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub org_id: u64,
    pub history_id: UploadId,
    pub sync_id: SyncId,
    /// As the client sent it.
    pub file_name: String,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub sync_status: Status,
    /// Reason for the failure; empty otherwise.
    pub message: String,
    /// Landed bytes; for a failed upload, received bytes.
    pub size_bytes: u64,
    /// Lake path of the file (of a full sync, after its publish); absent until it has landed.
    pub landed_path: Option<LakePath>,
    /// Where it was sent to, landed or not; of an upload whose target was refused, the folder of its sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<LakePath>,
    /// SHA-256 of the bytes, in hexadecimal; absent until it has landed.
    pub sha256: Option<String>,
    /// Whether the file was taken over unchanged from the dataset, without sending its bytes.
    #[serde(default)]
    pub taken_over: bool,
    /// Absent until the file was read, and where counting would need a full read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// Reason why rows and columns are unknown; absent if they are known, or if the file was not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection_problem: Option<String>,
    /// Short form of the difference of its columns from those of the dataset before; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_difference: Option<Box<SchemaDifference>>,
}

const CANCELLED: &str = "discarded";
const CANCELLED_ENDS: [&str; 2] = [" before it was complete", " before it was whole"];

/// Message of an upload that was cancelled on purpose. `by`: the name of the key that did.
pub fn cancelled_message(by: &str) -> String {
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    format!("{CANCELLED}{by}{}", CANCELLED_ENDS[0])
}

impl Upload {
    /// Whether it was cancelled on purpose, which is no failure. Earlier releases ended the message differently.
    pub fn is_cancelled(&self) -> bool {
        let is_message = CANCELLED_ENDS.iter().any(|end| self.message.ends_with(end));
        self.sync_status == Status::Failed && self.message.starts_with(CANCELLED) && is_message
    }
}
