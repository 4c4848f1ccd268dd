//! Files that a client offers to send, and those of them that the lake does not have.

use crate::model::bounded_list::just_beyond;
use crate::model::id::SyncId;
use crate::model::limits::OFFERED_FILES_MAX;
use serde::{Deserialize, Serialize};

/// Files that a client could send to an open sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub sync_id: SyncId,
    /// As the `path` of an upload.
    #[serde(default)]
    pub path: Option<String>,
    /// At most [`OFFERED_FILES_MAX`], each once.
    #[serde(deserialize_with = "just_beyond::<_, _, OFFERED_FILES_MAX>")]
    pub files: Vec<OfferedFile>,
    /// For a full sync: makes unchanged files part of it without sending them.
    #[serde(default)]
    pub take_over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedFile {
    /// Below the folder, as the file name of an upload.
    pub path: String,
    pub size_bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// Files to send, and counts of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Missing {
    /// Paths of the files to send, as requested.
    pub missing: Vec<String>,
    /// Files that the dataset has, or that this sync has already received.
    pub unchanged: u64,
    /// Unchanged files that this call has made part of the sync.
    pub taken_over: u64,
}
