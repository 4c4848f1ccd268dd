//! Datasets: every lake path that a sync has written, how much it holds, and what each day has brought.

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

/// Days of the past, today among them, that charts and lists show.
pub const RECENT_DAYS: i64 = 30;
/// Days that the calendar of a dataset shows: the weeks of a quarter.
pub const CALENDAR_DAYS: i64 = 13 * 7;

/// How much a dataset held when its files were last counted, which happens aside, soon after something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    #[serde(flatten)]
    pub totals: Totals,
    pub at: Timestamp,
    /// Nothing has changed since, as far as the lake knows.
    pub is_current: bool,
}

/// A dataset as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRecord {
    pub path: LakePath,
    pub last_sync_id: SyncId,
    /// When files of an incremental sync landed here, or a full one was published, first and last.
    pub first_landed: Timestamp,
    pub last_landed: Timestamp,
    pub rhythm: Option<DeliverySchedule>,
    /// Absent before the first count.
    pub counted: Option<Counted>,
}

/// What has happened on a day, or on several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayCounts {
    /// Files that have arrived: in their dataset, or, of full syncs, in what is published at their end.
    pub files: u64,
    pub bytes: u64,
    /// Uploads that have failed.
    pub failed: u64,
    /// Syncs that have begun.
    pub syncs: u64,
    /// Syncs that have failed.
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

/// What the syncs of one type have brought on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfType {
    pub day: Day,
    pub sync_type: SyncType,
    pub counts: DayCounts,
}

/// A day in the list of those that something has happened on.
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
    /// Absent until it has been counted.
    pub holds: Option<Counted>,
    /// Absent where nothing is expected of it.
    pub rhythm: Option<DeliverySchedule>,
    /// The deadline that it has missed; absent while it is in time.
    pub late_since: Option<Timestamp>,
    /// The next deadline.
    pub due: Option<Timestamp>,
    /// The last [`RECENT_DAYS`] days, the oldest first, without those on which nothing has happened.
    pub days: Vec<RecentDay>,
}

/// A dataset with all that is known of it but for its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetDetail {
    pub dataset: Dataset,
    /// The last [`CALENDAR_DAYS`] days, the oldest first.
    pub calendar: Vec<CalendarDay>,
    /// What of it lies whole in the trash, the newest first.
    pub versions: Vec<TrashEntry>,
}

/// Which datasets a list shows, by their paths: `from` skipped, `size` given.
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
    /// Datasets here or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
}

/// The body of the call, without its key: what is expected of a dataset from now on; without a rhythm, nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRhythm {
    pub path: LakePath,
    pub rhythm: Option<DeliverySchedule>,
}
