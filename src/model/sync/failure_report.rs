//! Report of the failed uploads of a sync, by cause.

use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailureReport {
    /// The most frequent first.
    pub causes: Vec<FailureCause>,
    /// Failed uploads whose file landed later in the same sync.
    pub num_sent_again: u64,
    /// Uploads that were cancelled on purpose, which are no failures.
    pub num_cancelled: u64,
    /// Failed uploads beyond [`crate::model::limits::FAILURES_LOOKED_AT_MAX`], or without a row in the history.
    pub num_not_looked_at: u64,
    /// The last finished sync on this very path before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Box<SyncJob>>,
}

/// Uploads that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCause {
    /// Follows a number of files: `failed their checksum`.
    pub cause: String,
    pub count: u64,
    /// The first files, up to [`crate::model::limits::FAILURE_FILES_NAMED_MAX`].
    pub files: Vec<FailedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    pub history_id: UploadId,
    pub file_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    pub message: String,
}

impl FailureReport {
    /// `3 files failed their checksum, 1 file lost its connection`; empty where no upload has failed.
    pub fn in_words(&self) -> String {
        const NAMED_MAX: usize = 3;
        let words = self.causes.iter().take(NAMED_MAX).map(FailureCause::in_words);
        let is_cut = !self.causes.is_empty() && (self.causes.len() > NAMED_MAX || self.num_not_looked_at > 0);
        let rest = if is_cut { ", and more" } else { "" };
        words.collect::<Vec<_>>().join(", ") + rest
    }
}

impl FailureCause {
    /// `3 files failed their checksum`.
    pub fn in_words(&self) -> String {
        match self.count {
            1 => format!("1 file {}", self.cause.replace(" their ", " its ")),
            count => format!("{count} files {}", self.cause),
        }
    }
}
