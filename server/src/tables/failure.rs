//! Failures of a table that follows its dataset, and the times of their retries.

use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore_delta::checkpoint::CheckpointError;
use lakeshore_delta::commit::CommitError;
use lakeshore_delta::plan::PlanError;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Pause after the first failure; each later one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Its text is shown to people who see the dataset. The cause of an internal fault is in the log alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Lake(#[from] Error),
    #[error(
        "object {0} differs from the database: another program wrote it, or the database was restored from an older backup; to rebuild the table, stop the server, move the log folder away and delete the rows of the table (docs/operations/object-storage.md)"
    )]
    Taken(ObjectKey),
    #[error(
        "the database has no bytes for {0}, which the log of the table needs next; restore a backup of the database, or rebuild the table: stop the server, move the log folder away and delete the rows of the table (docs/operations/object-storage.md)"
    )]
    NoBytes(ObjectKey),
    #[error("another server has followed a version of the dataset meanwhile")]
    Overtaken,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the stored state of the table is unreadable: {0}")]
    Json(#[from] serde_json::Error),
    #[error("an internal task stopped: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Datasets that failed, and when they are tried again.
#[derive(Default)]
pub(super) struct Failures(HashMap<LakePath, (u32, Instant)>);

impl Failures {
    pub(super) fn is_waiting(&self, dataset: &LakePath) -> bool {
        self.0.get(dataset).is_some_and(|(_, next)| *next > Instant::now())
    }

    /// Whether a dataset is to be tried again now.
    pub(super) fn is_any_due(&self) -> bool {
        let now = Instant::now();
        self.0.values().any(|(_, next)| *next <= now)
    }

    /// Forgets the others. A dataset that does not lag any more is not tried again until its next version.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&LakePath) -> bool) {
        self.0.retain(|dataset, _| is_wanted(dataset));
    }

    /// Whether it is the first failure in a row.
    pub(super) fn add(&mut self, dataset: LakePath) -> bool {
        let (count, next) = self.0.entry(dataset).or_insert((0, Instant::now()));
        *next = Instant::now() + PAUSE_MIN.saturating_mul(1 << (*count).min(16)).min(PAUSE_MAX);
        *count = count.saturating_add(1);
        *count == 1
    }

    /// Whether it had failed.
    pub(super) fn remove(&mut self, dataset: &LakePath) -> bool {
        self.0.remove(dataset).is_some()
    }
}
