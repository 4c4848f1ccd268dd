//! What a sync is to hold, and what it has landed.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::sync::comparison::Comparison;
use crate::model::sync::manifest::Declaration;
use crate::model::time::Timestamp;
use async_trait::async_trait;

/// A file that an incremental sync has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedChange {
    /// Of the last upload to it, in its sync.
    pub ordinal: u64,
    pub target: LakePath,
    pub size_bytes: u64,
    /// It took the place of a file that the sync had not brought itself.
    pub has_replaced: bool,
    /// Where they are known.
    pub row_count: Option<u64>,
}

#[async_trait]
pub trait BatchState: Send + std::marker::Sync {
    /// Remembers durably what a sync is to hold, in place of what was said before, if
    /// [`crate::model::sync::job::may_accept_uploads`] allows it.
    async fn expect(&self, id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error>;

    /// What was declared beside what the sync has landed: the last of its uploads to each target. `None` when nothing was
    /// declared. Visits each of its files.
    async fn compare_expected(&self, id: SyncId) -> Result<Option<Comparison>, Error>;

    /// What the sync has landed, each target once, in the order of their last uploads: at most `size` of those behind the
    /// upload of this ordinal. Of each, whether the first of its uploads found a file there.
    async fn landed_changes(&self, id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error>;
}
