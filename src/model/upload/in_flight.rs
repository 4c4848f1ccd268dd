//! Uploads in flight, as the API shows them: progress, sender, and whether bytes still arrive.

use crate::model::access::key::{Caller, may_administer};
use crate::model::access::principal::Principal;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An upload that has begun and has neither landed nor failed. Small uploads that arrive at once never appear here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadInFlight {
    pub history_id: UploadId,
    pub sync_id: SyncId,
    /// Dataset of its sync.
    pub dataset: LakePath,
    /// As the client sent it.
    pub file_name: String,
    /// Target of the landing.
    pub path: LakePath,
    pub sender: Sender,
    /// Principal that sends it. Unknown where another server receives it.
    #[serde(skip)]
    pub owner: Principal,
    /// Whether a later request may continue it.
    pub is_resumable: bool,
    pub received_bytes: u64,
    /// Announced size: the length of a resumable upload, or the size of the request. Absent if none was announced.
    pub expected_bytes: Option<u64>,
    pub start_time: Timestamp,
    /// Time of its last byte, to about a second.
    pub last_byte_time: Timestamp,
    pub activity: Activity,
}

impl UploadInFlight {
    /// Removes where the upload comes from, unless `caller` administers the lake or sends it.
    #[must_use]
    pub fn for_caller(self, caller: &Caller) -> Self {
        let sees_origin = may_administer(caller).is_ok() || caller.principal().owns(self.owner);
        if sees_origin { self } else { self.without_origin() }
    }

    /// Removes address and program of the sender.
    #[must_use]
    pub fn without_origin(mut self) -> Self {
        self.sender = Sender { by: self.sender.by, ..Sender::default() };
        self
    }
}

/// Sender of an upload, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sender {
    /// Name of the key, or of the key that started the sync if the upload came without one.
    pub by: String,
    /// Network address; absent after a restart, until the next byte, and for callers that may not see it.
    pub address: Option<String>,
    /// Name that the program gives itself (RFC 9110, `User-Agent`).
    pub program: Option<String>,
}

/// Whether bytes of an upload in flight still arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    Receiving,
    /// The request is open, and no byte arrived for [`crate::model::settings::Limits::stalled_after`].
    Stalled,
    /// No request is open, and no byte arrived for as long. A resumable upload waits for its sender until it expires.
    Abandoned,
}

impl Activity {
    /// `is_late`: no byte arrived for [`crate::model::settings::Limits::stalled_after`].
    pub fn of(is_late: bool, has_request: bool) -> Self {
        match (is_late, has_request) {
            (false, _) => Self::Receiving,
            (true, true) => Self::Stalled,
            (true, false) => Self::Abandoned,
        }
    }
}
