//! The lake at a glance: today against the days before, what came day by day, what runs, and what needs a person.

use crate::model::dataset::day::Day;
use crate::model::dataset::record::DayCounts;
use crate::model::dataset::schedule::DeliverySchedule;
use crate::model::error::Store;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Whole days that today is compared with.
pub const DAYS_BEFORE: i64 = 7;
/// Datasets that a chart tells apart; the others are one.
pub const DATASETS_NAMED_MAX: u64 = 5;
/// Syncs, or datasets, that the overview names of each kind; it counts them all, but for syncs that run.
pub const NAMED_MAX: u64 = 10;
/// A disk with less room than so many percent is nearly full.
pub const NEARLY_FULL_PERCENT: u64 = 10;
/// Trash that has come to so many percent of its bound will soon be removed for its size.
pub const NEAR_BOUND_PERCENT: u64 = 90;

/// What the bars of a day are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Breakdown {
    /// Full and incremental syncs.
    #[default]
    Type,
    /// The datasets to which most bytes have come, and the others.
    Dataset,
}

/// One of the parts that the days are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    /// Set where it is one dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    /// One number for each day.
    pub files: Vec<u64>,
    pub bytes: Vec<u64>,
}

/// The mean of the days before; of less than [`DAYS_BEFORE`] where the lake is younger.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Mean {
    pub days: u64,
    pub files: f64,
    pub bytes: f64,
    pub failed: f64,
    pub syncs: f64,
    pub failed_syncs: f64,
}

impl Mean {
    pub fn of(counts: &DayCounts, days: u64) -> Self {
        if days == 0 {
            return Self::default();
        }
        let mean = |sum: u64| sum as f64 / days as f64;
        Self {
            days,
            files: mean(counts.files),
            bytes: mean(counts.bytes),
            failed: mean(counts.failed),
            syncs: mean(counts.syncs),
            failed_syncs: mean(counts.failed_syncs),
        }
    }
}

/// A dataset whose files have not come in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateDataset {
    pub path: LakePath,
    pub rhythm: DeliverySchedule,
    /// The deadline that has passed.
    pub since: Timestamp,
    pub last_landed: Timestamp,
}

/// How much room a disk has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    Enough,
    NearlyFull,
    /// Uploads are refused.
    BelowReserve,
}

/// A disk on which the lake, or its database, is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub store: Store,
    pub free_bytes: u64,
    pub total_bytes: u64,
    /// What is kept free.
    pub reserve_bytes: u64,
    pub room: Room,
}

impl Disk {
    pub fn new(store: Store, free_bytes: u64, total_bytes: u64, reserve_bytes: u64) -> Self {
        let room = if free_bytes < reserve_bytes {
            Room::BelowReserve
        } else if free_bytes < total_bytes / 100 * NEARLY_FULL_PERCENT || free_bytes / 2 < reserve_bytes {
            Room::NearlyFull
        } else {
            Room::Enough
        };
        Self { store, free_bytes, total_bytes, reserve_bytes, room }
    }
}

/// Trash that is near its bound: the oldest pieces are about to be removed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullTrash {
    pub bytes: u64,
    pub bytes_max: u64,
}

/// What somebody has to decide or to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attention {
    /// Syncs that wait for somebody to confirm their end.
    pub held: Vec<SyncJob>,
    pub num_held: u64,
    /// Syncs that have failed within the last 24 hours, the last first.
    pub failed: Vec<SyncJob>,
    pub num_failed: u64,
    /// The longest late first.
    pub late: Vec<LateDataset>,
    pub num_late: u64,
    /// Disks that have not enough room.
    pub disks: Vec<Disk>,
    pub trash: Option<FullTrash>,
}

impl Attention {
    pub fn is_needed(&self) -> bool {
        self.num_held + self.num_failed + self.num_late > 0 || !self.disks.is_empty() || self.trash.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    pub now: Timestamp,
    /// Whether any sync was ever started, as far as the caller may know.
    pub is_empty: bool,
    pub today: DayCounts,
    pub before: Mean,
    pub by: Breakdown,
    /// The days of the series, the last of them today.
    pub days: Vec<Day>,
    pub series: Vec<Series>,
    /// The newest syncs that run, at most [`NAMED_MAX`].
    pub running: Vec<SyncJob>,
    pub attention: Attention,
    pub disks: Vec<Disk>,
}

/// What the overview is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OverviewParameters {
    pub by: Breakdown,
}
