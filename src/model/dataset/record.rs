//! Datasets: every lake path that a sync has written, with its size and its counts by day.

use crate::model::dataset::day::Day;
use crate::model::dataset::schedule::{CalendarDay, DeliverySchedule};
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::TrashEntry;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Days that charts and lists show, including today.
pub const RECENT_DAYS: i64 = 30;
/// Days that the calendar of a dataset shows: 13 weeks.
pub const CALENDAR_DAYS: i64 = 13 * 7;

/// Size of a dataset at its last count, which a background job does soon after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    #[serde(flatten)]
    pub totals: Totals,
    pub at: Timestamp,
    /// Whether no change is known since.
    pub is_current: bool,
}

/// A stored dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRecord {
    pub path: LakePath,
    pub last_sync_id: SyncId,
    /// First and last time that files of an incremental sync landed here, or a full sync was published.
    pub first_landed: Timestamp,
    pub last_landed: Timestamp,
    pub rhythm: Option<DeliverySchedule>,
    /// Absent before the first count.
    pub counted: Option<Counted>,
}

/// Counts of one day, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayCounts {
    /// Files that became part of the dataset: landed ones, or those of full syncs at their publish.
    pub files: u64,
    pub bytes: u64,
    /// Failed uploads.
    pub failed: u64,
    /// Started syncs.
    pub syncs: u64,
    /// Failed syncs.
    pub failed_syncs: u64,
}

impl AddAssign for DayCounts {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.syncs += other.syncs;
        self.failed_syncs += other.failed_syncs;
    }
}

/// Counts of one type of sync on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfType {
    pub day: Day,
    pub sync_type: SyncType,
    pub counts: DayCounts,
}

/// A day with at least one count, in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentDay {
    pub day: Day,
    #[serde(flatten)]
    pub counts: DayCounts,
}

/// A dataset, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    pub path: LakePath,
    pub last_sync_id: SyncId,
    pub first_landed: Timestamp,
    pub last_landed: Timestamp,
    /// Absent before the first count.
    pub holds: Option<Counted>,
    /// Absent for a dataset without a schedule.
    pub rhythm: Option<DeliverySchedule>,
    /// The missed deadline; absent while the dataset is on time.
    pub late_since: Option<Timestamp>,
    /// Next deadline.
    pub due: Option<Timestamp>,
    /// The last [`RECENT_DAYS`] days, oldest first, without empty ones.
    pub days: Vec<RecentDay>,
}

/// A dataset with everything except its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetDetail {
    pub dataset: Dataset,
    /// The last [`CALENDAR_DAYS`] days, oldest first.
    pub calendar: Vec<CalendarDay>,
    /// Complete versions in the trash, newest first.
    pub versions: Vec<TrashEntry>,
}

/// Filter of a list of datasets, ordered by path: `from` skipped, `size` returned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Text in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Datasets on this path or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
}

/// Body of the call that sets a schedule, without the key. Without a `rhythm`, the schedule is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSchedule {
    pub path: LakePath,
    pub rhythm: Option<DeliverySchedule>,
}
