//! Totals of each day, and arrivals of each quarter of an hour, counted in the transactions of their rows.

use crate::query::{Connection, Dialect, Select, Text, Value, WritingConnection, execute, fetch_optional, values};
use crate::row::{DbRow, id, parsed, path};
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::record::{DayCounts, DayOfType};
use lakeshore::model::dataset::schedule::{Arrival, SLOT_MS};
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::totals::Totals;
use lakeshore::{Error, Timestamp};
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

pub(crate) async fn counted(connection: &mut impl Connection, sync_id: SyncId) -> Result<Counted, Error> {
    let sql = "SELECT folder_id, sync_type FROM syncs JOIN folders USING (path) WHERE sync_id = ?";
    let counted = fetch_optional(connection, sql, values![id(sync_id.0)], counted_of).await?;
    counted.ok_or(Error::NoSuchSync(sync_id))
}

/// Counts failed uploads of a sync.
pub(crate) async fn failed(
    writing: &mut impl WritingConnection,
    sync_id: SyncId,
    at: Timestamp,
    failed: u64,
) -> Result<(), Error> {
    if failed == 0 {
        return Ok(());
    }
    one(writing, sync_id, at, DayCounts { failed, ..DayCounts::default() }).await
}

pub(crate) async fn one(
    writing: &mut impl WritingConnection,
    sync_id: SyncId,
    at: Timestamp,
    counts: DayCounts,
) -> Result<(), Error> {
    let mut tally = DayTally::default();
    tally.add(counted(writing, sync_id).await?, at, counts);
    write(&tally, writing).await
}

pub(crate) async fn write<W: WritingConnection>(tally: &DayTally, writing: &mut W) -> Result<(), Error> {
    let rows = vec![Value::rows(&tally.days())?, Value::rows(&tally.arrivals())?];
    execute(writing, addition::<W::Db>(), rows).await.map(drop)
}

/// Statements that add the days and the arrivals of a [`DayTally`].
pub(crate) fn addition<D: Dialect>() -> &'static str {
    static ADD: Text = Text::new();
    ADD.of::<D>(|| format!("{}; {}", add_days::<D>("$1"), add_arrivals::<D>("$2")))
}

/// Statement that adds the days of a [`DayTally`], bound at `place`.
pub(crate) fn add_days<D: Dialect>(place: &str) -> String {
    let [folder_id, day, _, files, bytes, failed, syncs, failed_syncs] =
        std::array::from_fn(|column| D::number(&format!("value ->> {column}")));
    format!(
        "INSERT INTO day_counts SELECT {folder_id}, {day}, value ->> 2, {files}, {bytes}, {failed}, {syncs}, \
             {failed_syncs} FROM json_each({place}) WHERE true \
         ON CONFLICT (folder_id, day, sync_type) DO UPDATE SET files = day_counts.files + excluded.files, \
             bytes = day_counts.bytes + excluded.bytes, failed = day_counts.failed + excluded.failed, \
             syncs = day_counts.syncs + excluded.syncs, failed_syncs = day_counts.failed_syncs + excluded.failed_syncs"
    )
}

/// Statement that adds the arrivals of a [`DayTally`], bound at `place`.
pub(crate) fn add_arrivals<D: Dialect>(place: &str) -> String {
    let [folder_id, slot, files, bytes] = std::array::from_fn(|column| D::number(&format!("value ->> {column}")));
    format!(
        "INSERT INTO arrivals SELECT {folder_id}, {slot}, {files}, {bytes} FROM json_each({place}) WHERE true \
         ON CONFLICT (folder_id, slot) DO UPDATE SET files = arrivals.files + excluded.files, \
             bytes = arrivals.bytes + excluded.bytes"
    )
}

/// Query of a range of days of the lake or of the datasets within a path, by type of sync.
pub(crate) fn days(within: Option<&LakePath>, first: Day, last: Day) -> Select {
    let mut select = Select::new(
        "SELECT day, sync_type, CAST(sum(files) AS BIGINT), CAST(sum(bytes) AS BIGINT), CAST(sum(failed) AS BIGINT), \
         CAST(sum(syncs) AS BIGINT), CAST(sum(failed_syncs) AS BIGINT) FROM day_counts WHERE ",
    );
    match within {
        None => select.push("folder_id = ").bind(LAKE),
        within => {
            select.push("folder_id IN (SELECT folder_id FROM folders WHERE true").within("path", within).push(")")
        }
    };
    select.push(" AND day >= ").bind(first.0).push(" AND day <= ").bind(last.0);
    select.push(" GROUP BY day, sync_type ORDER BY day, sync_type");
    select
}

/// Query of a range of days of each dataset, by type of sync. The column `asked` is the index of the path.
pub(crate) fn days_of(paths: &[LakePath], first: Day, last: Day) -> Result<Select, Error> {
    let columns = "day, sync_type, files, bytes, failed, syncs, failed_syncs";
    let mut select = of_each(columns, "day_counts", paths)?;
    select.push(" AND day >= ").bind(first.0).push(" AND day <= ").bind(last.0);
    select.push(" ORDER BY asked.key, day, sync_type");
    Ok(select)
}

/// Query of a table of counts for each of the paths.
fn of_each(columns: &str, table: &str, paths: &[LakePath]) -> Result<Select, Error> {
    let mut select = Select::new(format!("SELECT {columns}, asked.key AS asked FROM json_each("));
    select.bind(Value::column(paths.iter().map(LakePath::as_str))?);
    select.push(") AS asked CROSS JOIN folders f CROSS JOIN ").push(table);
    select.push(" WHERE f.path = asked.value ->> 0 AND ").push(table).push(".folder_id = f.folder_id");
    Ok(select)
}

pub(crate) fn day_of_type(row: &impl DbRow) -> sqlx::Result<DayOfType> {
    let count = |column: usize| row.at::<i64>(column).map(i64::cast_unsigned);
    Ok(DayOfType {
        day: Day(row.at(0)?),
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

/// Query of the datasets with the most bytes since a day.
pub(crate) fn busiest<D: Dialect>(first: Day, scope: Option<&LakePath>, size: i64) -> Select {
    let by_day = D::indexed_by("day_counts_by_day");
    let mut select = Select::new(format!(
        "SELECT path FROM (SELECT folder_id, sum(bytes) AS bytes FROM day_counts{by_day} WHERE day >= "
    ));
    select.bind(first.0).push(" AND folder_id > ").bind(LAKE);
    select.push(" GROUP BY folder_id) AS busy JOIN folders USING (folder_id) WHERE bytes > 0").within("path", scope);
    select.push(" ORDER BY bytes DESC, path LIMIT ").bind(size);
    select
}

pub(crate) fn busiest_path(row: &impl DbRow) -> sqlx::Result<LakePath> {
    path(row, "path")
}

/// Query of the arrivals of each dataset since a time. The column `asked` is the index of the path.
pub(crate) fn arrivals(paths: &[LakePath], since: Timestamp) -> Result<Select, Error> {
    let mut select = of_each("slot, files, bytes", "arrivals", paths)?;
    select.push(" AND slot >= ").bind(since.0.div_euclid(SLOT_MS)).push(" ORDER BY asked.key, slot");
    Ok(select)
}

pub(crate) fn arrival(row: &impl DbRow) -> sqlx::Result<Arrival> {
    Ok(Arrival {
        slot: Timestamp(row.at::<i64>(0)? * SLOT_MS),
        files: row.at::<i64>(1)?.cast_unsigned(),
        bytes: row.at::<i64>(2)?.cast_unsigned(),
    })
}
