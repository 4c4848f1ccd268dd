//! Datasets: the table `datasets`. [`super::syncs`] and [`super::uploads`] record here which datasets they write to.

use super::PostgresState;
use super::query::{Row, Select, changed, clamp, found, values};
use super::writing::Durability::{Passing, Synced};
use super::writing::transaction;
use crate::backend::Backend as _;
use crate::days::{arrival, arrivals, busiest, busiest_path, day_of_type, of_days};
use crate::row::{SYNC_COLUMNS, id, number, path, sync, time, trash_entry, unexpected};
use crate::trash::held_bytes;
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
use lakeshore::ports::metadata::dataset::{DatasetQuery, DatasetState, DaysOf, Uncounted};
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};

const COLUMNS: &str = "path, last_sync_id, first_landed, last_landed, rhythm, files, bytes, counted_at, \
     change = counted_change AS is_current";

#[async_trait]
impl DatasetState for PostgresState {
    async fn dataset_records(&self, query: &DatasetQuery) -> Result<Vec<DatasetRecord>, Error> {
        let mut connection = self.list_by(query.text.as_deref()).await?;
        records(query).rows(&mut connection, record).await
    }

    async fn dataset_record(&self, path: &LakePath) -> Result<Option<DatasetRecord>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM datasets WHERE path = ?");
        let mut connection = self.look().await?;
        found(&mut connection, sql, values![path.as_str()], record).await
    }

    async fn set_rhythm(
        &self,
        path: &LakePath,
        rhythm: Option<&DeliverySchedule>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let deed = AuditEntry::rhythm_set(path, rhythm, by, at);
        let rhythm = rhythm.map(serde_json::to_string).transpose().map_err(Error::internal)?;
        let sql = "UPDATE datasets SET rhythm = ? WHERE path = ?";
        transaction!(self, Synced, |writing| {
            let is_there = changed(writing, sql, values![rhythm, path.as_str()]).await? > 0;
            if is_there {
                writing.record(&deed);
            }
            Ok(is_there)
        })
    }

    async fn days(&self, of: &[DaysOf], first: Day, last: Day) -> Result<Vec<Vec<DayOfType>>, Error> {
        let selects = of.iter().map(|of| of_days(of, first, last)).collect();
        rows_of_each(&mut *self.list().await?, selects, day_of_type).await
    }

    async fn arrivals(&self, paths: &[LakePath], since: Timestamp) -> Result<Vec<Vec<Arrival>>, Error> {
        let selects = paths.iter().map(|path| arrivals(path, since)).collect();
        rows_of_each(&mut *self.list().await?, selects, arrival).await
    }

    async fn uncounted_datasets(&self, now: Timestamp, size: u64) -> Result<Vec<Uncounted>, Error> {
        let one = |row: &Row| Ok(Uncounted { path: path(row, "path")?, change: number(row, "change")? });
        uncounted(now, size).rows(&mut *self.look().await?, one).await
    }

    async fn count_dataset(
        &self,
        counted: &Uncounted,
        totals: Totals,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), Error> {
        let sql = "UPDATE datasets SET files = ?, bytes = ?, counted_at = ?, counted_change = ?, count_after = ? \
                   WHERE path = ? AND counted_change < ?";
        let (files, bytes, change) = (id(totals.files), id(totals.bytes), id(counted.change));
        let values = values![files, bytes, at.0, change, next.0, counted.path.as_str(), change];
        transaction!(self, Passing, |writing| changed(writing, sql, values.clone()).await.map(drop))
    }

    async fn versions(&self, path: &LakePath, size: u64) -> Result<Vec<TrashEntry>, Error> {
        versions(path, size).rows(&mut *self.list().await?, trash_entry).await
    }
}

#[async_trait]
impl OverviewState for PostgresState {
    async fn busiest(&self, first: Day, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        busiest::<sqlx::Postgres>(first, scope, clamp(size)).rows(&mut *self.list().await?, busiest_path).await
    }

    async fn held_syncs(&self, scope: Option<&LakePath>) -> Result<Vec<SyncJob>, Error> {
        held(scope).rows(&mut *self.list().await?, sync).await
    }

    async fn failed_syncs(&self, since: Timestamp, scope: Option<&LakePath>, size: u64) -> Result<Vec<SyncJob>, Error> {
        failed(since, scope, size).rows(&mut *self.list().await?, sync).await
    }

    async fn trash_bytes(&self) -> Result<u64, Error> {
        held_bytes(&mut *self.list().await?).await
    }
}

async fn rows_of_each<T: Send>(
    connection: &mut PgConnection,
    selects: Vec<Select>,
    decode: fn(&Row) -> sqlx::Result<T>,
) -> Result<Vec<Vec<T>>, Error> {
    let mut of_each = Vec::with_capacity(selects.len());
    for select in selects {
        of_each.push(select.rows(connection, decode).await?);
    }
    Ok(of_each)
}

fn records(query: &DatasetQuery) -> Select {
    let mut select = Select::new(format!("SELECT {COLUMNS} FROM datasets WHERE true"));
    if query.has_rhythm {
        select.push(" AND rhythm IS NOT NULL");
    }
    select.within("path", query.path.as_ref()).within("path", query.scope.as_ref());
    select.holding::<sqlx::Postgres>(["path", "path"], query.text.as_deref());
    let page = &query.page;
    select.page("path", page.order, page.size, page.from);
    select
}

fn uncounted(now: Timestamp, size: u64) -> Select {
    let mut select =
        Select::new("SELECT path, change FROM datasets WHERE change <> counted_change AND count_after <= ");
    select.bind(now.0).push(" ORDER BY count_after LIMIT ").bind(clamp(size));
    select
}

fn held(scope: Option<&LakePath>) -> Select {
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE phase <> 'Ended'"));
    select.push(" AND held_since IS NOT NULL").within("path", scope).push(" ORDER BY sync_id");
    select
}

fn failed(since: Timestamp, scope: Option<&LakePath>, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE status = 'Failed'"));
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

fn record(row: &Row) -> sqlx::Result<DatasetRecord> {
    let rhythm: Option<String> = row.try_get("rhythm")?;
    let rhythm = rhythm.map(|text| serde_json::from_str(&text)).transpose();
    let rhythm = rhythm.map_err(|error| unexpected("rhythm", &error.to_string()))?;
    let counted_at: Option<i64> = row.try_get("counted_at")?;
    let counted = match counted_at {
        Some(at) => Some(Counted {
            totals: Totals { files: number(row, "files")?, bytes: number(row, "bytes")? },
            at: Timestamp(at),
            is_current: row.try_get("is_current")?,
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
