//! Datasets: the table `datasets`. Syncs and uploads record here which datasets they write to.

use crate::backend::{Backend, MetadataStore};
use crate::days::{arrival, arrivals, busiest, busiest_path, day_of_type, days, days_of};
use crate::query::{Connection, Dialect, RowOf, Select, Text, Value, clamp, execute, fetch_optional, values};
use crate::row::{DbRow, SYNC_COLUMNS, id, index, number, path, sync, time, trash_entry, unexpected};
use crate::transaction::Durability::{Passing, Synced};
use crate::transaction::WriteTransaction;
use crate::trash::held_bytes;
use crate::versions::heads::all_above;
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::dataset::day::Day;
use lakeshore::model::dataset::record::{Counted, DatasetRecord, DayOfType};
use lakeshore::model::dataset::schedule::{Arrival, DeliverySchedule};
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::totals::Totals;
use lakeshore::model::trash::TrashEntry;
use lakeshore::ports::OverviewState;
use lakeshore::ports::metadata::dataset::{DatasetQuery, DatasetState, Uncounted};
use lakeshore::{Error, Timestamp};

/// Condition that a dataset has changed since its last count, as the index of these datasets has it.
fn is_uncounted<D: Dialect>() -> &'static str {
    if D::HAS_UNCOUNTED_FLAG { "is_uncounted = 1" } else { "change <> counted_change" }
}

fn selected<D: Dialect>() -> String {
    format!(
        "SELECT path, last_sync_id, first_landed, last_landed, rhythm, files, bytes, counted_at, \
         NOT ({}) AS is_current FROM datasets",
        is_uncounted::<D>()
    )
}

/// Of a count: files, bytes, time, change, time of the next, path.
fn count_text<D: Dialect>() -> String {
    let flag = if D::HAS_UNCOUNTED_FLAG { ", is_uncounted = (change <> $4)" } else { "" };
    format!(
        "UPDATE datasets SET files = $1, bytes = $2, counted_at = $3, counted_change = $4, count_after = $5{flag} \
         WHERE path = $6 AND counted_change < $4"
    )
}

#[async_trait]
impl<B: Backend> DatasetState for MetadataStore<B> {
    async fn dataset_records(&self, query: &DatasetQuery) -> Result<Vec<DatasetRecord>, Error> {
        self.0
            .view_by(query.text.as_deref(), query, |view, query| {
                Box::pin(async move { records::<B::Db>(query).fetch_all(view, record).await })
            })
            .await
    }

    async fn dataset_record(&self, path: &LakePath) -> Result<Option<DatasetRecord>, Error> {
        let sql = format!("{} WHERE path = ?", selected::<B::Db>());
        fetch_optional(&mut self.0.look().await?, sql, values![path.as_str()], record).await
    }

    async fn set_schedule(
        &self,
        path: &LakePath,
        rhythm: Option<&DeliverySchedule>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let entry = AuditEntry::schedule_set(path, rhythm, by, at);
        let rhythm = rhythm.map(serde_json::to_string).transpose().map_err(Error::internal)?;
        self.0
            .write(Synced, (path.clone(), rhythm, entry), |writing, (path, rhythm, entry)| {
                Box::pin(async move {
                    let sql = "UPDATE datasets SET rhythm = ? WHERE path = ?";
                    let is_there = execute(writing, sql, values![rhythm, path.as_str()]).await? > 0;
                    if is_there {
                        writing.record(entry).await?;
                    }
                    Ok(is_there)
                })
            })
            .await
    }

    async fn days(&self, within: Option<&LakePath>, first: Day, last: Day) -> Result<Vec<DayOfType>, Error> {
        days(within, first, last).fetch_all(&mut self.0.list().await?, day_of_type).await
    }

    async fn days_of(&self, paths: &[LakePath], first: Day, last: Day) -> Result<Vec<Vec<DayOfType>>, Error> {
        let select = days_of(paths, first, last)?;
        rows_of_each(&mut self.0.list().await?, paths, select, day_of_type).await
    }

    async fn arrivals(&self, paths: &[LakePath], since: Timestamp) -> Result<Vec<Vec<Arrival>>, Error> {
        let select = arrivals(paths, since)?;
        rows_of_each(&mut self.0.list().await?, paths, select, arrival).await
    }

    async fn uncounted_datasets(&self, now: Timestamp, size: u64) -> Result<Vec<Uncounted>, Error> {
        uncounted::<B::Db>(now, size).fetch_all(&mut self.0.look().await?, uncounted_of).await
    }

    async fn count_dataset(
        &self,
        counted: &Uncounted,
        totals: Totals,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), Error> {
        static COUNT: Text = Text::new();
        let (files, bytes, change) = (id(totals.files), id(totals.bytes), id(counted.change));
        let values = values![files, bytes, at.0, change, next.0, counted.path.as_str()];
        self.0.change_aside(Passing, COUNT.of::<B::Db>(count_text::<B::Db>), values).await
    }

    async fn versions(&self, path: &LakePath, size: u64) -> Result<Vec<TrashEntry>, Error> {
        versions(path, size).fetch_all(&mut self.0.list().await?, trash_entry).await
    }
}

#[async_trait]
impl<B: Backend> OverviewState for MetadataStore<B> {
    async fn busiest(&self, first: Day, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        busiest::<B::Db>(first, scope, clamp(size)).fetch_all(&mut self.0.list().await?, busiest_path).await
    }

    async fn held_syncs(&self, scope: Option<&LakePath>) -> Result<Vec<SyncJob>, Error> {
        held(scope).fetch_all(&mut self.0.list().await?, sync).await
    }

    async fn failed_syncs(&self, since: Timestamp, scope: Option<&LakePath>, size: u64) -> Result<Vec<SyncJob>, Error> {
        failed::<B::Db>(since, scope, size).fetch_all(&mut self.0.list().await?, sync).await
    }

    async fn trash_bytes(&self) -> Result<u64, Error> {
        held_bytes(&mut self.0.list().await?).await
    }
}

/// Rows of each of the paths, whose index is the column `asked`.
async fn rows_of_each<C: Connection, T: Send>(
    connection: &mut C,
    paths: &[LakePath],
    select: Select,
    decode: fn(&RowOf<C>) -> sqlx::Result<T>,
) -> Result<Vec<Vec<T>>, Error> {
    let mut of_each: Vec<_> = paths.iter().map(|_| Vec::new()).collect();
    if paths.is_empty() {
        return Ok(of_each);
    }
    let found = |row: &RowOf<C>| {
        if let Some(of) = of_each.get_mut(index(row, "asked")?) {
            of.push(decode(row)?);
        }
        Ok(())
    };
    select.fetch_all(connection, found).await?;
    Ok(of_each)
}

fn records<D: Dialect>(query: &DatasetQuery) -> Select {
    let mut select = Select::new(format!("{} WHERE TRUE", selected::<D>()));
    if query.has_schedule {
        select.push(" AND rhythm IS NOT NULL");
    }
    select.within("path", query.path.as_ref()).within("path", query.scope.as_ref());
    select.holding::<D>(["path", "path"], query.text.as_deref());
    let page = &query.page;
    select.page("path", page.order, page.size, page.from);
    select
}

fn uncounted<D: Dialect>(now: Timestamp, size: u64) -> Select {
    let is_uncounted = is_uncounted::<D>();
    let mut select = Select::new(format!("SELECT path, change FROM datasets WHERE {is_uncounted} AND count_after <= "));
    select.bind(now.0).push(" ORDER BY count_after LIMIT ").bind(clamp(size));
    select
}

fn held(scope: Option<&LakePath>) -> Select {
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE phase <> 'Ended'"));
    select.push(" AND held_since IS NOT NULL").within("path", scope).push(" ORDER BY sync_id");
    select
}

fn failed<D: Dialect>(since: Timestamp, scope: Option<&LakePath>, size: u64) -> Select {
    let index = D::indexed_by("syncs_failed");
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs{index} WHERE status = 'Failed'"));
    select.push(" AND end_time >= ").bind(since.0).within("path", scope);
    select.push(" ORDER BY end_time DESC LIMIT ").bind(clamp(size));
    select
}

fn versions(of: &LakePath, size: u64) -> Select {
    let mut select = Select::new("SELECT * FROM trash WHERE kind = 'Dataset' AND restored_at IS NULL");
    select.push(" AND emptying_at IS NULL AND origin = ").bind(of.as_str());
    select.push(" ORDER BY trash_id DESC LIMIT ").bind(clamp(size));
    select
}

fn uncounted_of(row: &impl DbRow) -> sqlx::Result<Uncounted> {
    Ok(Uncounted { path: path(row, "path")?, change: number(row, "change")? })
}

fn record(row: &impl DbRow) -> sqlx::Result<DatasetRecord> {
    let rhythm: Option<String> = row.get("rhythm")?;
    let rhythm = rhythm.map(|text| serde_json::from_str(&text)).transpose();
    let rhythm = rhythm.map_err(|error| unexpected("rhythm", &error.to_string()))?;
    let counted_at: Option<i64> = row.get("counted_at")?;
    let counted = match counted_at {
        Some(at) => Some(Counted {
            totals: Totals { files: number(row, "files")?, bytes: number(row, "bytes")? },
            at: Timestamp(at),
            is_current: row.get("is_current")?,
        }),
        None => None,
    };
    Ok(DatasetRecord {
        path: path(row, "path")?,
        last_sync_id: SyncId(number(row, "last_sync_id")?),
        first_landed: time(row, "first_landed")?,
        last_landed: time(row, "last_landed")?,
        rhythm,
        counted,
    })
}

/// Statement of [`remember`]; the arguments say where the ids of the syncs and the time are bound. Two syncs may have one
/// path, whose row is written once.
pub(crate) fn remember_text<D: Dialect>(syncs: &str, at: &str) -> String {
    let sync_id = D::number("value ->> 0");
    format!(
        "INSERT INTO datasets (path, last_sync_id, first_landed, last_landed) \
         SELECT s.path, max(s.sync_id), {at}, {at} FROM json_each({syncs}) CROSS JOIN syncs s \
         WHERE s.sync_id = {sync_id} GROUP BY s.path ON CONFLICT (path) DO UPDATE SET \
         last_sync_id = max(datasets.last_sync_id, excluded.last_sync_id), \
         last_landed = max(datasets.last_landed, excluded.last_landed)"
    )
}

/// Statements of [`touch`]; the argument says where the folders are bound. The second, for the flag, finds no row where the
/// dataset waits for its count already.
pub(crate) fn touch_text<D: Dialect>(places: &str) -> String {
    let places = format!("WHERE path IN (SELECT value ->> 0 FROM json_each({places}))");
    let change = format!("UPDATE datasets SET change = change + 1 {places}");
    if D::HAS_UNCOUNTED_FLAG {
        format!("{change}; UPDATE datasets SET is_uncounted = 1 {places} AND is_uncounted = 0")
    } else {
        change
    }
}

/// Records that the path of the sync holds a dataset, which has received files.
pub(crate) async fn remember<W: WriteTransaction>(
    writing: &mut W,
    sync_id: SyncId,
    at: Timestamp,
) -> Result<(), Error> {
    static REMEMBER: Text = Text::new();
    let sql = REMEMBER.of::<W::Db>(|| remember_text::<W::Db>("$1", "$2"));
    execute(writing, sql, values![Value::column([id(sync_id.0)])?, at.0]).await.map(drop)
}

/// Records that the content of these folders has changed, so that the datasets around them are counted again.
pub(crate) async fn touch<'a, W: WriteTransaction>(
    writing: &mut W,
    folders: impl IntoIterator<Item = &'a str>,
) -> Result<(), Error> {
    static TOUCH: Text = Text::new();
    let places = Value::column(all_above(folders))?;
    execute(writing, TOUCH.of::<W::Db>(|| touch_text::<W::Db>("$1")), vec![places]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use lakeshore::model::page::{Order, Page};

    #[tokio::test]
    async fn every_question_about_datasets_and_days_goes_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.0.look().await.unwrap();
        let path = LakePath::parse("/a/b").unwrap();
        let paths = std::slice::from_ref(&path);
        let page = Page { from: 0, size: 10, order: Order::Asc };
        let by_path = DatasetQuery { page, path: Some(path.clone()), text: None, scope: None, has_schedule: false };
        let expected = DatasetQuery { path: None, has_schedule: true, ..by_path.clone() };
        let touch = touch_text::<sqlx::Sqlite>("'[]'");
        let remember = remember_text::<sqlx::Sqlite>("'[]'", "9");
        let asked = [
            (records::<sqlx::Sqlite>(&by_path), "PRIMARY KEY (path="),
            (records::<sqlx::Sqlite>(&expected), "USING INDEX datasets_with_rhythm"),
            (uncounted::<sqlx::Sqlite>(Timestamp(9), 10), "USING INDEX datasets_uncounted (count_after<?)"),
            (held(None), "USING INDEX syncs_not_ended"),
            (failed::<sqlx::Sqlite>(Timestamp(9), None, 10), "USING INDEX syncs_failed (end_time>?)"),
            (versions(&path, 10), "USING INDEX trash_of_datasets (origin=?)"),
            (days(None, Day(1), Day(9)), "PRIMARY KEY (folder_id=? AND day>? AND day<?)"),
            (days(Some(&path), Day(1), Day(9)), "PRIMARY KEY (folder_id=? AND day>? AND day<?)"),
            (days_of(paths, Day(1), Day(9)).unwrap(), "PRIMARY KEY (folder_id=? AND day>? AND day<?)"),
            (busiest::<sqlx::Sqlite>(Day(1), None, 5), "USING INDEX day_counts_by_day (day>?)"),
            (arrivals(paths, Timestamp(9)).unwrap(), "PRIMARY KEY (folder_id=? AND slot>?)"),
            (Select::new(touch.split("; ").next().unwrap()), "SEARCH datasets USING PRIMARY KEY (path=?)"),
            (Select::new(remember), "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"),
        ];
        for (select, index) in asked {
            let plan = select.plan(&mut connection).await.join("; ");
            assert!(plan.contains(index), "{plan}");
            // The scanned index holds nothing but the requested rows.
            let tables = ["uploads", "syncs", "trash", "datasets", "folders", "day_counts", "arrivals"];
            let is_whole = |step: &str| tables.iter().any(|table| step == format!("SCAN {table}"));
            assert!(!plan.split("; ").any(is_whole), "{plan}");
        }
    }
}
