//! Stored declarations, compared with landed files.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::sync::comparison::Comparison;
use crate::model::sync::manifest::Declaration;
use crate::model::time::Timestamp;
use async_trait::async_trait;

/// A file landed by an incremental sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedChange {
    /// Ordinal of its last upload within the sync.
    pub ordinal: u64,
    pub target: LakePath,
    pub size_bytes: u64,
    /// Whether it replaced a file that this sync had not landed itself.
    pub has_replaced: bool,
    /// Absent if unknown.
    pub row_count: Option<u64>,
}

#[async_trait]
pub trait BatchState: Send + std::marker::Sync {
    /// Stores the declaration of a sync durably, and replaces an earlier one, if
    /// [`crate::model::sync::job::may_accept_uploads`] allows it.
    async fn expect(&self, id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error>;

    /// Compares the declaration of a sync with the last of its uploads to each target. `None` without a declaration.
    /// Visits each file.
    async fn compare_expected(&self, id: SyncId) -> Result<Option<Comparison>, Error>;

    /// Landed files of a sync, each target once, ordered by their last uploads: at most `size` after the ordinal
    /// `after`. Each tells whether the first of its uploads replaced a file.
    async fn landed_changes(&self, id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error>;
}
