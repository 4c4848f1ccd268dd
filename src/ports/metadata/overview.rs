//! Queries of the overview, apart from the days. The cost of each depends on the size of its result.

use crate::model::dataset::day::Day;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait OverviewState: Send + std::marker::Sync {
    /// Datasets with the most bytes since a day, at most `size`.
    async fn busiest(&self, first: Day, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Held syncs, in ascending order.
    async fn held_syncs(&self, scope: Option<&LakePath>) -> Result<Vec<SyncJob>, Error>;

    /// Syncs that failed since a time, newest first, at most `size`.
    async fn failed_syncs(&self, since: Timestamp, scope: Option<&LakePath>, size: u64) -> Result<Vec<SyncJob>, Error>;

    /// Bytes of all counted trash.
    async fn trash_bytes(&self) -> Result<u64, Error>;
}
