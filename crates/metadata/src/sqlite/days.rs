//! Writes and reads the totals of [`crate::days`].

use super::query::{Row, Select, Value, changed, found, values};
use super::row::{id, parsed, path};
use super::writing::Writing;
use crate::days::{Counted, DayTally, LAKE, counted_of};
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::record::{DayCounts, DayOfType};
use lakeshore::model::dataset::schedule::{Arrival, SLOT_MS};
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::SyncType;
use lakeshore::ports::metadata::dataset::DaysOf;
use lakeshore::{Error, Timestamp};
use sqlx::{Row as _, SqliteConnection};
use std::sync::LazyLock;

pub(super) async fn counted(connection: &mut SqliteConnection, sync_id: SyncId) -> Result<Counted, Error> {
    let sql = "SELECT folder_id, sync_type FROM syncs JOIN folders USING (path) WHERE sync_id = ?";
    let counted = found(connection, sql, values![id(sync_id.0)], counted_of).await?;
    counted.ok_or(Error::NoSuchSync(sync_id))
}

/// Counts failed uploads of a sync.
pub(super) async fn failed(writing: &mut Writing, sync_id: SyncId, at: Timestamp, failed: u64) -> Result<(), Error> {
    if failed == 0 {
        return Ok(());
    }
    one(writing, sync_id, at, DayCounts { failed, ..DayCounts::default() }).await
}

pub(super) async fn one(writing: &mut Writing, sync_id: SyncId, at: Timestamp, counts: DayCounts) -> Result<(), Error> {
    let mut tally = DayTally::default();
    tally.add(counted(writing, sync_id).await?, at, counts);
    write(&tally, writing).await
}

pub(super) async fn write(tally: &DayTally, writing: &mut Writing) -> Result<(), Error> {
    static ADD: LazyLock<String> = LazyLock::new(|| format!("{}; {}", add_days("$1"), add_arrivals("$2")));
    changed(writing, ADD.as_str(), vec![Value::rows(&tally.days())?, Value::rows(&tally.arrivals())?]).await.map(drop)
}

/// Statement that adds the days of a [`DayTally`], bound at `place`.
pub(super) fn add_days(place: &str) -> String {
    format!(
        "INSERT INTO day_counts SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
             value ->> 6, value ->> 7 FROM json_each({place}) WHERE true \
         ON CONFLICT DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes, \
             failed = failed + excluded.failed, syncs = syncs + excluded.syncs, \
             failed_syncs = failed_syncs + excluded.failed_syncs"
    )
}

/// Statement that adds the arrivals of a [`DayTally`], bound at `place`.
pub(super) fn add_arrivals(place: &str) -> String {
    format!(
        "INSERT INTO arrivals SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each({place}) WHERE true \
         ON CONFLICT DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes"
    )
}

/// Query of a range of days, by type of sync.
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
            select.bind(path.as_str()).push(")")
        }
    };
    select.push(" AND day >= ").bind(first.0).push(" AND day <= ").bind(last.0);
    select.push(" GROUP BY day, sync_type ORDER BY day, sync_type");
    select
}

pub(super) fn day_of_type(row: &Row) -> sqlx::Result<DayOfType> {
    let count = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(DayOfType {
        day: Day(row.try_get(0)?),
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
pub(super) fn busiest(first: Day, scope: Option<&LakePath>, size: i64) -> Select {
    let mut select = Select::new(
        "SELECT path FROM (SELECT folder_id, sum(bytes) AS bytes FROM day_counts INDEXED BY day_counts_by_day WHERE day >= ",
    );
    select.bind(first.0).push(" AND folder_id > ").bind(LAKE);
    select.push(" GROUP BY folder_id) JOIN folders USING (folder_id) WHERE bytes > 0").within("path", scope);
    select.push(" ORDER BY bytes DESC, path LIMIT ").bind(size);
    select
}

pub(super) fn busiest_path(row: &Row) -> sqlx::Result<LakePath> {
    path(row, "path")
}

/// Query of the arrivals of a dataset since a time.
pub(super) fn arrivals(of: &LakePath, since: Timestamp) -> Select {
    let mut select = Select::new("SELECT slot, files, bytes FROM arrivals WHERE folder_id = ");
    select.push("(SELECT folder_id FROM folders WHERE path = ").bind(of.as_str());
    select.push(") AND slot >= ").bind(since.0.div_euclid(SLOT_MS)).push(" ORDER BY slot");
    select
}

pub(super) fn arrival(row: &Row) -> sqlx::Result<Arrival> {
    Ok(Arrival {
        slot: Timestamp(row.try_get::<i64, _>(0)? * SLOT_MS),
        files: row.try_get::<i64, _>(1)?.cast_unsigned(),
        bytes: row.try_get::<i64, _>(2)?.cast_unsigned(),
    })
}
