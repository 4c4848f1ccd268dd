//! Totals of each day, and arrivals of each quarter of an hour, counted in the transactions of their rows.

use crate::row::{DbRow, parsed};
use lakeshore::Timestamp;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::dataset::schedule::SLOT_MS;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::totals::Totals;
use serde::Serialize;
use std::collections::BTreeMap;

/// Folder id that stands for the whole lake.
pub(crate) const LAKE: i64 = 0;

/// Details of a sync that counting needs.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    /// Folder of the sync's path.
    pub(crate) folder_id: i64,
    pub(crate) is_full: bool,
}

/// Decodes `folder_id, sync_type`.
pub(crate) fn counted_of(row: &impl DbRow) -> sqlx::Result<Counted> {
    let is_full = parsed(row, "sync_type", SyncType::parse)? == SyncType::FullSync;
    Ok(Counted { folder_id: row.get("folder_id")?, is_full })
}

/// Changes of counts, summed over a transaction.
#[derive(Default)]
pub(crate) struct DayTally {
    days: BTreeMap<(i64, Day, bool), DayCounts>,
    arrivals: BTreeMap<(i64, i64), Totals>,
}

impl DayTally {
    pub(crate) fn add(&mut self, of: Counted, at: Timestamp, counts: DayCounts) {
        for folder_id in [of.folder_id, LAKE] {
            *self.days.entry((folder_id, Day::of(at), of.is_full)).or_default() += counts;
        }
    }

    /// Counts files that readers of the dataset can see now.
    pub(crate) fn arrived(&mut self, of: Counted, at: Timestamp, totals: Totals) {
        let arrival = self.arrivals.entry((of.folder_id, at.0.div_euclid(SLOT_MS))).or_default();
        arrival.files += totals.files;
        arrival.bytes += totals.bytes;
    }

    /// Rows to add: folder, day, type of the sync, and the changes.
    pub(crate) fn days(&self) -> Vec<impl Serialize> {
        let row = |((folder_id, day, is_full), counts): (&(i64, Day, bool), &DayCounts)| {
            let sync_type = if *is_full { SyncType::FullSync } else { SyncType::IncrementalSync }.as_str();
            let DayCounts { files, bytes, failed, syncs, failed_syncs } = *counts;
            (*folder_id, day.0, sync_type, files, bytes, failed, syncs, failed_syncs)
        };
        self.days.iter().map(row).collect()
    }

    /// Rows to add: folder, quarter of an hour, files and bytes.
    pub(crate) fn arrivals(&self) -> Vec<impl Serialize> {
        let row = |((folder_id, slot), totals): (&(i64, i64), &Totals)| (*folder_id, *slot, totals.files, totals.bytes);
        self.arrivals.iter().map(row).collect()
    }
}
