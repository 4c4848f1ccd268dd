//! Uploads in flight, as everybody sees them: how far each is, who sends it, and whether anything still comes.

use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An upload that has begun and has neither landed nor failed. Small ones that come at once are never seen so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadInFlight {
    pub history_id: UploadId,
    pub sync_id: SyncId,
    /// That of its sync.
    pub dataset: LakePath,
    /// As the client sent it.
    pub file_name: String,
    /// Where it will land.
    pub path: LakePath,
    pub sender: Sender,
    /// It may be gone on with after a break.
    pub is_resumable: bool,
    pub received_bytes: u64,
    /// As its sender has announced it: of a resumable upload, its length; of another, what its request holds. Absent where
    /// nothing was.
    pub expected_bytes: Option<u64>,
    pub start_time: Timestamp,
    /// When its last byte came, to a second or so.
    pub last_byte_time: Timestamp,
    pub activity: Activity,
}

/// Who sends an upload, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sender {
    /// The name of the key, or of the key that started the sync where the upload came without one.
    pub by: String,
    /// The network address; absent after a restart, until more comes.
    pub address: Option<String>,
    /// What the program calls itself (RFC 9110, `User-Agent`).
    pub program: Option<String>,
}

/// Whether an upload in flight still moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    Receiving,
    /// Its request is there, and no byte has come for [`crate::model::settings::Limits::stalled_after`].
    Stalled,
    /// No request has brought any of it for as long. A resumable upload waits for its sender until it expires.
    Abandoned,
}
