//! Datasets as they are remembered, and what each day and each quarter of an hour has brought.
//!
//! Counted as rows are written, in their transactions, never by visiting them: so each answer costs what it shows.

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

/// Which datasets a list shows. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetQuery {
    pub page: Page,
    pub path: Option<LakePath>,
    pub text: Option<String>,
    pub scope: Option<LakePath>,
    /// Only those of which something is expected.
    pub has_rhythm: bool,
}

/// Whose days are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaysOf {
    Lake,
    /// Of every sync on this path or below it.
    Within(LakePath),
    /// Of the syncs on this very path.
    Dataset(LakePath),
}

/// A dataset that has changed since it was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    pub path: LakePath,
    /// Tells the state of the dataset that is about to be counted from later ones.
    pub change: u64,
}

#[async_trait]
pub trait DatasetState: Send + std::marker::Sync {
    /// Datasets by their paths.
    async fn dataset_records(&self, query: &DatasetQuery) -> Result<Vec<DatasetRecord>, Error>;

    async fn dataset_record(&self, path: &LakePath) -> Result<Option<DatasetRecord>, Error>;

    /// Remembers durably what is expected of a dataset. False where there is no such dataset.
    async fn set_rhythm(
        &self,
        path: &LakePath,
        rhythm: Option<&DeliverySchedule>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Of each that is asked for, what has happened on these days, those without anything left out, in their order; the days
    /// of the syncs of each type apart. A file counts on the day on which it landed, or failed; a sync where it began, and where it failed.
    async fn days(&self, of: &[DaysOf], first: Day, last: Day) -> Result<Vec<Vec<DayOfType>>, Error>;

    /// Of each dataset, what has come to it since, by quarters of an hour, in their order: the files of incremental syncs as they
    /// landed, those of full syncs as they were published.
    async fn arrivals(&self, paths: &[LakePath], since: Timestamp) -> Result<Vec<Vec<Arrival>>, Error>;

    /// Datasets in which something has changed since they were counted, and that may be counted again by now; at most `size`.
    async fn uncounted_datasets(&self, now: Timestamp, size: u64) -> Result<Vec<Uncounted>, Error>;

    /// Remembers what a dataset held at that change. It is not asked for again before `next`.
    async fn count_dataset(
        &self,
        counted: &Uncounted,
        totals: Totals,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), Error>;

    /// What was at this very path as a dataset and lies in the trash, the newest first, at most `size`.
    async fn versions(&self, path: &LakePath, size: u64) -> Result<Vec<TrashEntry>, Error>;
}
