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
    /// Why it failed; empty otherwise.
    pub message: String,
    /// Bytes that landed, or, of a failed upload, that had arrived.
    pub size_bytes: u64,
    /// Where readers find it (once a full sync is published); absent until it has landed.
    pub landed_path: Option<LakePath>,
    /// SHA-256 of the bytes, in hexadecimal; absent until it has landed.
    pub sha256: Option<String>,
    /// Its bytes were not sent: they are those of the file that the dataset had there before.
    #[serde(default)]
    pub taken_over: bool,
    /// Absent until it was looked at, and where counting would mean reading it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// Why its rows and columns are not known; absent where they are, and where it was not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection_problem: Option<String>,
    /// In what its columns differ from those of its dataset before, in short; absent where they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_difference: Option<Box<SchemaDifference>>,
}
