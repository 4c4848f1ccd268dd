//! Stored datasets, with their counts by day and by slot of 15 minutes.
//!
//! Counters are updated in the transactions that write the rows, never by a scan, so the cost of a call depends on the
//! size of its result.

use crate::model::access::actor::Actor;
use crate::model::dataset::day::Day;
use crate::model::dataset::record::{DatasetRecord, DayOfType};
use crate::model::dataset::schedule::{Arrival, DeliverySchedule};
use crate::model::error::Error;
use crate::model::page::Page;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::TrashEntry;
use async_trait::async_trait;

/// Filter of a list of datasets. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetQuery {
    pub page: Page,
    pub path: Option<LakePath>,
    pub text: Option<String>,
    pub scope: Option<LakePath>,
    /// Only datasets with a schedule.
    pub has_schedule: bool,
}

/// A dataset that has changed since its last count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    pub path: LakePath,
    /// Number of its last change, which distinguishes later states.
    pub change: u64,
}

#[async_trait]
pub trait DatasetState: Send + std::marker::Sync {
    /// Datasets, ordered by path.
    async fn dataset_records(&self, query: &DatasetQuery) -> Result<Vec<DatasetRecord>, Error>;

    async fn dataset_record(&self, path: &LakePath) -> Result<Option<DatasetRecord>, Error>;

    /// Stores the schedule of a dataset durably. False if the dataset does not exist.
    async fn set_schedule(
        &self,
        path: &LakePath,
        rhythm: Option<&DeliverySchedule>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Daily counts of the lake, or of all syncs on this path or below it, from `first` to `last`, in order, without
    /// empty days, and separate for each type of sync. A file counts on the day on which it landed or failed; a sync on
    /// the day of its start, and on that of its failure.
    async fn days(&self, within: Option<&LakePath>, first: Day, last: Day) -> Result<Vec<DayOfType>, Error>;

    /// Daily counts of syncs on exactly each of these paths, as [`days`](Self::days) returns them.
    async fn days_of(&self, paths: &[LakePath], first: Day, last: Day) -> Result<Vec<Vec<DayOfType>>, Error>;

    /// Arrivals of each dataset since a time, by slot, in order: files of incremental syncs at their landing, those of
    /// full syncs at their publish.
    async fn arrivals(&self, paths: &[LakePath], since: Timestamp) -> Result<Vec<Vec<Arrival>>, Error>;

    /// Datasets that have changed since their last count and may be counted again at `now`, at most `size`.
    async fn uncounted_datasets(&self, now: Timestamp, size: u64) -> Result<Vec<Uncounted>, Error>;

    /// Stores the size of a dataset at that change. The dataset is not returned for another count before `next`.
    async fn count_dataset(
        &self,
        counted: &Uncounted,
        totals: Totals,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), Error>;

    /// Datasets in the trash that were at exactly this path, newest first, at most `size`.
    async fn versions(&self, path: &LakePath, size: u64) -> Result<Vec<TrashEntry>, Error>;
}
