//! What each day has brought, and each quarter of an hour: counted beside the rows, in their transactions.

use super::query::{Select, changed, found};
use super::row::{id, parsed, path};
use lakeshore::dataset::{DayCounts, DayOfType};
use lakeshore::day::Day;
use lakeshore::path::LakePath;
use lakeshore::ports::datasets::DaysOf;
use lakeshore::rhythm::{Arrival, SLOT_MS};
use lakeshore::sync::{SyncId, SyncType};
use lakeshore::trash::Totals;
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Stands for the whole lake among folders.
const LAKE: i64 = 0;

/// What counting a sync needs to know of it.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    /// Of the folder that is its path.
    pub(super) folder_id: i64,
    pub(super) is_full: bool,
}

pub(super) fn counted(connection: &Connection, sync_id: SyncId) -> Result<Counted, Error> {
    let sql = "SELECT folder_id, sync_type FROM syncs JOIN folders USING (path) WHERE sync_id = ?";
    let counted = found(connection, sql, [id(sync_id.0)], |row| {
        let is_full = parsed(row, "sync_type", SyncType::parse)? == SyncType::FullSync;
        Ok(Counted { folder_id: row.get(0)?, is_full })
    })?;
    counted.ok_or(Error::NoSuchSync(sync_id))
}

/// Changes of counts, gathered over a transaction.
#[derive(Default)]
pub(super) struct DayTally {
    days: BTreeMap<(i64, Day, bool), DayCounts>,
    arrivals: BTreeMap<(i64, i64), Totals>,
}

impl DayTally {
    pub(super) fn add(&mut self, of: Counted, at: Timestamp, counts: DayCounts) {
        for folder_id in [of.folder_id, LAKE] {
            *self.days.entry((folder_id, Day::of(at), of.is_full)).or_default() += counts;
        }
    }

    /// Something has come to the dataset, for its readers to see.
    pub(super) fn arrived(&mut self, of: Counted, at: Timestamp, totals: Totals) {
        let arrival = self.arrivals.entry((of.folder_id, at.0.div_euclid(SLOT_MS))).or_default();
        arrival.files += totals.files;
        arrival.bytes += totals.bytes;
    }

    /// So many uploads of a sync have failed.
    pub(super) fn failed(connection: &Connection, sync_id: SyncId, at: Timestamp, failed: u64) -> Result<(), Error> {
        if failed == 0 {
            return Ok(());
        }
        Self::one(connection, sync_id, at, DayCounts { failed, ..DayCounts::default() })
    }

    pub(super) fn one(connection: &Connection, sync_id: SyncId, at: Timestamp, counts: DayCounts) -> Result<(), Error> {
        let mut tally = Self::default();
        tally.add(counted(connection, sync_id)?, at, counts);
        tally.write(connection)
    }

    pub(super) fn write(self, connection: &Connection) -> Result<(), Error> {
        let sql = "INSERT INTO day_counts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
                   files = files + excluded.files, bytes = bytes + excluded.bytes, failed = failed + excluded.failed, \
                   syncs = syncs + excluded.syncs, failed_syncs = failed_syncs + excluded.failed_syncs";
        for ((folder_id, day, is_full), counts) in self.days {
            let sync_type = if is_full { SyncType::FullSync } else { SyncType::IncrementalSync }.as_str();
            let DayCounts { files, bytes, failed, syncs, failed_syncs } = counts;
            let counts = (id(files), id(bytes), id(failed), id(syncs), id(failed_syncs));
            let values = params![folder_id, day.0, sync_type, counts.0, counts.1, counts.2, counts.3, counts.4];
            changed(connection, sql, values)?;
        }
        let sql = "INSERT INTO arrivals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
                   files = files + excluded.files, bytes = bytes + excluded.bytes";
        for ((folder_id, slot), totals) in self.arrivals {
            changed(connection, sql, params![folder_id, slot, id(totals.files), id(totals.bytes)])?;
        }
        Ok(())
    }
}

/// The query of some days, of each type apart.
pub(super) fn of_days(of: &DaysOf, first: Day, last: Day) -> Select {
    let mut select = Select::new(
        "SELECT day, sync_type, sum(files), sum(bytes), sum(failed), sum(syncs), sum(failed_syncs) \
         FROM day_counts WHERE ",
    );
    match of {
        DaysOf::Lake => select.push("folder_id = ").bind(LAKE),
        DaysOf::Within(path) => {
            select.push("folder_id IN (SELECT folder_id FROM folders WHERE 1").within("path", Some(path)).push(")")
        }
        DaysOf::Dataset(path) => {
            select.push("folder_id = (SELECT folder_id FROM folders WHERE path = ");
            select.bind(path.as_str().to_owned()).push(")")
        }
    };
    select.push(" AND day >= ").bind(first.0).push(" AND day <= ").bind(last.0);
    select.push(" GROUP BY day, sync_type ORDER BY day, sync_type");
    select
}

pub(super) fn day_of_type(row: &rusqlite::Row<'_>) -> rusqlite::Result<DayOfType> {
    let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(DayOfType {
        day: Day(row.get(0)?),
        sync_type: parsed(row, "sync_type", SyncType::parse)?,
        counts: DayCounts {
            files: count(2)?,
            bytes: count(3)?,
            failed: count(4)?,
            syncs: count(5)?,
            failed_syncs: count(6)?,
        },
    })
}

/// The query of the datasets with most bytes since a day.
pub(super) fn busiest(first: Day, scope: Option<&LakePath>, size: i64) -> Select {
    let mut select =
        Select::new("SELECT path FROM (SELECT folder_id, sum(bytes) AS bytes FROM day_counts WHERE day >= ");
    select.bind(first.0).push(" AND folder_id > ").bind(LAKE);
    select.push(" GROUP BY folder_id) JOIN folders USING (folder_id) WHERE bytes > 0").within("path", scope);
    select.push(" ORDER BY bytes DESC, path LIMIT ").bind(size);
    select
}

pub(super) fn busiest_path(row: &rusqlite::Row<'_>) -> rusqlite::Result<LakePath> {
    path(row, "path")
}

/// The query of what came to a dataset since a time.
pub(super) fn arrivals(of: &LakePath, since: Timestamp) -> Select {
    let mut select = Select::new("SELECT slot, files, bytes FROM arrivals WHERE folder_id = ");
    select.push("(SELECT folder_id FROM folders WHERE path = ").bind(of.as_str().to_owned());
    select.push(") AND slot >= ").bind(since.0.div_euclid(SLOT_MS)).push(" ORDER BY slot");
    select
}

pub(super) fn arrival(row: &rusqlite::Row<'_>) -> rusqlite::Result<Arrival> {
    Ok(Arrival {
        slot: Timestamp(row.get::<_, i64>(0)? * SLOT_MS),
        files: row.get::<_, i64>(1)?.cast_unsigned(),
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
    })
}
