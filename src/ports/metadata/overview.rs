//! What the overview asks for beside the days: each answer costs what it shows.

use crate::model::dataset::day::Day;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait OverviewState: Send + std::marker::Sync {
    /// The datasets to which most bytes have come since a day, at most `size`.
    async fn busiest(&self, first: Day, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Syncs that are held, in ascending order.
    async fn held_syncs(&self, scope: Option<&LakePath>) -> Result<Vec<SyncJob>, Error>;

    /// Syncs that have failed since, the last first, at most `size`.
    async fn failed_syncs(&self, since: Timestamp, scope: Option<&LakePath>, size: u64) -> Result<Vec<SyncJob>, Error>;

    /// The bytes of all trash that was counted.
    async fn trash_bytes(&self) -> Result<u64, Error>;
}
