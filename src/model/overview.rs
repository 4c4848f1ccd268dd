//! Overview of the lake: today compared with the days before, counts by day, running syncs, and what needs attention.

use crate::model::dataset::day::Day;
use crate::model::dataset::record::DayCounts;
use crate::model::dataset::schedule::DeliverySchedule;
use crate::model::error::DiskRole;
use crate::model::path::LakePath;
use crate::model::sync::job::SyncJob;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Full days before today in the mean that today is compared with.
pub const DAYS_BEFORE: i64 = 7;
/// Datasets with a series of their own in a chart; the others share one.
pub const DATASETS_NAMED_MAX: u64 = 5;
/// Syncs, or datasets, of each kind that the overview names. All are counted, except for running syncs.
pub const NAMED_MAX: u64 = 10;
/// Free space, in percent, below which a disk is nearly full.
const NEARLY_FULL_PERCENT: u64 = 10;
/// Size of the trash, in percent of its limit, from which the oldest items will soon be purged.
pub const NEAR_BOUND_PERCENT: u64 = 90;

/// Grouping of the bars of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Breakdown {
    /// By full and incremental syncs.
    #[default]
    Type,
    /// By the datasets with the most bytes, and the rest.
    Dataset,
}

/// One group of the bars, with a value for each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    /// Set for a single dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    /// One number for each day.
    pub files: Vec<u64>,
    pub bytes: Vec<u64>,
}

/// Mean of the days before, over fewer than [`DAYS_BEFORE`] where the lake is younger.
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

/// A dataset that missed a deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateDataset {
    pub path: LakePath,
    pub rhythm: DeliverySchedule,
    /// The missed deadline.
    pub since: Timestamp,
    pub last_landed: Timestamp,
}

/// State of the free space of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    Enough,
    NearlyFull,
    /// Uploads are refused.
    BelowReserve,
}

/// Disk of the lake or of its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub store: DiskRole,
    pub free_bytes: u64,
    pub total_bytes: u64,
    /// Bytes that uploads must leave free.
    pub reserve_bytes: u64,
    pub room: Room,
}

impl Disk {
    pub fn new(store: DiskRole, free_bytes: u64, total_bytes: u64, reserve_bytes: u64) -> Self {
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

/// Trash near its limit: the oldest items will soon be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullTrash {
    pub bytes: u64,
    pub bytes_max: u64,
}

/// Problems that need a decision or a look by a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attention {
    /// Syncs held until somebody confirms their end.
    pub held: Vec<SyncJob>,
    pub num_held: u64,
    /// Syncs that failed within the last 24 hours, newest first.
    pub failed: Vec<SyncJob>,
    pub num_failed: u64,
    /// Longest late first.
    pub late: Vec<LateDataset>,
    pub num_late: u64,
    /// Disks with too little free space.
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
    /// Whether no sync was ever started, as far as the caller may see.
    pub is_empty: bool,
    pub today: DayCounts,
    pub before: Mean,
    pub by: Breakdown,
    /// Days of the series, oldest first; the last one is today.
    pub days: Vec<Day>,
    pub series: Vec<Series>,
    /// Newest running syncs, at most [`NAMED_MAX`].
    pub running: Vec<SyncJob>,
    pub attention: Attention,
    pub disks: Vec<Disk>,
}

/// Parameters of the overview call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OverviewParameters {
    pub by: Breakdown,
}
