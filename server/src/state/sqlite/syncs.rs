//! Syncs: the table `syncs`, and `datasets`, which they write.

use super::row::{SYNC_COLUMNS, dense_page, holding, id, ordered_page, path, sync, sync_record, within};
use super::trash::insert_trash;
use super::uploads::in_flight;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::limits::IN_FLIGHT_NAMED_MAX;
use lakeshore::list::SyncQuery;
use lakeshore::path::LakePath;
use lakeshore::ports::state::{NewSync, Settlement, SyncState};
use lakeshore::sync::{Closing, OpenSync, Status, Sync, SyncId, SyncRecord, SyncType, may_close, obstacle};
use lakeshore::trash::TrashId;
use lakeshore::{Error, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection};

#[async_trait]
impl SyncState for SqliteState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        let new = new.clone();
        self.writer.write(Synced, move |connection| Box::pin(start_sync(connection, new))).await
    }

    async fn sync(&self, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
        let mut connection = self.readers.acquire().await.map_err(fault)?;
        record(&mut connection, sync_id).await
    }

    async fn syncs(&self, wanted: &SyncQuery) -> Result<Vec<Sync>, Error> {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE 1"));
        let mut dense = true;
        if let Some(status) = wanted.status {
            query.push(" AND status = ").push_bind(status.as_str());
            dense = false;
        }
        if let Some(sync_type) = wanted.sync_type {
            query.push(" AND sync_type = ").push_bind(sync_type.as_str());
            dense = false;
        }
        dense &= wanted.path.is_none() && wanted.scope.is_none() && wanted.text.is_none();
        within(&mut query, "path", wanted.path.as_ref());
        within(&mut query, "path", wanted.scope.as_ref());
        holding(&mut query, ["name", "path"], wanted.text.as_deref());
        if dense {
            dense_page(&mut query, "sync_id", "(SELECT max(sync_id) FROM syncs)", &wanted.page);
        } else {
            ordered_page(&mut query, "sync_id", &wanted.page);
        }
        let rows = query.build().fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(sync).collect::<Result<_, _>>().map_err(fault)
    }

    async fn close_sync(
        &self,
        sync_id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        let closing = closing.clone();
        self.writer
            .write(Synced, move |connection| Box::pin(close_sync(connection, sync_id, closing, discard_in_flight, at)))
            .await
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        let settlement = settlement.clone();
        self.writer.write(Synced, move |connection| Box::pin(settle_sync(connection, settlement))).await
    }

    async fn reopen_sync(&self, sync_id: SyncId) -> Result<(), Error> {
        self.writer
            .write(Synced, move |connection| {
                Box::pin(async move {
                    let sql =
                        "UPDATE syncs SET phase = 'Open' WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
                    sqlx::query(sql).bind(id(sync_id.0)).execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let sql = format!(
            "SELECT {SYNC_COLUMNS} FROM syncs WHERE phase <> 'Ended' AND phase IN ('Publishing', 'Aborting') ORDER BY sync_id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(sync_record).collect::<Result<_, _>>().map_err(fault)
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let sql = "SELECT sync_id FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(fault)?;
        ids(&rows)
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let sql = "SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open' AND num_in_flight = 0 \
                   AND last_activity < ? ORDER BY sync_id";
        let rows = sqlx::query(sql).bind(before.0).fetch_all(&self.readers).await.map_err(fault)?;
        ids(&rows)
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT path FROM datasets WHERE path >= ");
        // Every path that begins so sorts before the same text with the highest character behind it.
        query.push_bind(beginning.to_owned()).push(" AND path < ").push_bind(format!("{beginning}\u{10FFFF}"));
        within(&mut query, "path", scope);
        query.push(" ORDER BY last_sync_id DESC, path LIMIT ").push_bind(id(size));
        let rows = query.build().fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(|row| path(row, "path")).collect::<Result<_, _>>().map_err(fault)
    }

    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error> {
        let path = path.as_str().to_owned();
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    let sql = "DELETE FROM datasets WHERE path = ?";
                    sqlx::query(sql).bind(path).execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }
}

fn ids(rows: &[SqliteRow]) -> Result<Vec<SyncId>, Error> {
    let id = |row: &SqliteRow| Ok(SyncId(row.try_get::<i64, _>(0)?.cast_unsigned()));
    rows.iter().map(id).collect::<Result<_, sqlx::Error>>().map_err(fault)
}

pub(super) async fn record(connection: &mut SqliteConnection, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
    let sql = format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id(sync_id.0)).fetch_optional(connection).await.map_err(fault)?;
    row.as_ref().map(sync_record).transpose().map_err(fault)
}

/// Refuses what an open sync or a restore on an overlapping path keeps from starting.
pub(super) async fn refuse_if_held(
    connection: &mut SqliteConnection,
    wanted: &LakePath,
    sync_type: SyncType,
) -> Result<(), Error> {
    let sql = "SELECT sync_id, path, sync_type FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id";
    let rows = sqlx::query(sql).fetch_all(&mut *connection).await.map_err(fault)?;
    let mut open = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind: &str = row.try_get("sync_type").map_err(fault)?;
        open.push(OpenSync {
            sync_id: SyncId(row.try_get::<i64, _>("sync_id").map_err(fault)?.cast_unsigned()),
            path: path(row, "path").map_err(fault)?,
            sync_type: SyncType::parse(kind).unwrap_or(SyncType::FullSync),
        });
    }
    if let Some(held) = obstacle(wanted, sync_type, &open) {
        return Err(Error::PathHeld {
            path: wanted.clone(),
            sync_id: held.sync_id,
            sync_type: held.sync_type,
            held_path: held.path.clone(),
        });
    }
    let sql = "SELECT trash_id, origin FROM trash WHERE restoring IS NOT NULL";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await.map_err(fault)? {
        if path(&row, "origin").map_err(fault)?.overlaps(wanted) {
            let trash_id = TrashId(row.try_get::<i64, _>("trash_id").map_err(fault)?.cast_unsigned());
            return Err(Error::PathRestoring { path: wanted.clone(), trash_id });
        }
    }
    Ok(())
}

async fn start_sync(connection: &mut SqliteConnection, new: NewSync) -> Result<SyncId, Error> {
    refuse_if_held(connection, &new.path, new.sync_type).await?;
    if new.sync_type == SyncType::FullSync {
        const NAMED_MAX: i64 = 10;
        let (first, last) = new.path.range_below();
        let sql = "SELECT path FROM datasets WHERE path >= ? AND path < ? ORDER BY path LIMIT ?";
        let below = sqlx::query(sql).bind(first).bind(last).bind(NAMED_MAX).fetch_all(&mut *connection).await;
        let below: Vec<_> =
            below.map_err(fault)?.iter().map(|row| path(row, "path")).collect::<Result<_, _>>().map_err(fault)?;
        if !below.is_empty() {
            return Err(Error::DatasetsBelow { path: new.path, below });
        }
    }
    let sql =
        "INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity) VALUES (?, ?, ?, ?, ?, ?)";
    let inserted = sqlx::query(sql)
        .bind(new.name)
        .bind(new.path.as_str().to_owned())
        .bind(new.sync_type.as_str())
        .bind(new.at.0)
        .bind(new.started_by)
        .bind(new.at.0)
        .execute(connection)
        .await
        .map_err(fault)?;
    Ok(SyncId(inserted.last_insert_rowid().cast_unsigned()))
}

async fn close_sync(
    connection: &mut SqliteConnection,
    sync_id: SyncId,
    closing: Closing,
    discard_in_flight: bool,
    at: Timestamp,
) -> Result<(), Error> {
    let record = record(connection, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let uploads = in_flight(connection, sync_id, IN_FLIGHT_NAMED_MAX).await?;
    may_close(&record, uploads, &closing, discard_in_flight)?;
    let discarded = sqlx::query(
        "UPDATE uploads SET status = 'Failed', end_time = ?, message = ? WHERE sync_id = ? AND status = 'Syncing'",
    )
    .bind(at.0)
    .bind(Error::Discarded(sync_id).to_string())
    .bind(id(sync_id.0))
    .execute(&mut *connection)
    .await
    .map_err(fault)?
    .rows_affected();
    let sql = "UPDATE syncs SET num_failed = num_failed + ?, num_in_flight = 0 WHERE sync_id = ?";
    sqlx::query(sql).bind(id(discarded)).bind(id(sync_id.0)).execute(&mut *connection).await.map_err(fault)?;
    match closing {
        Closing::Finish => {
            let sql = "UPDATE syncs SET phase = 'Ended', status = 'Finished', end_time = ? WHERE sync_id = ?";
            sqlx::query(sql).bind(at.0).bind(id(sync_id.0)).execute(connection).await
        }
        Closing::Publish { staging, allow_empty, by } => {
            let sql = "UPDATE syncs SET phase = 'Publishing', closing_staging = ?, closing_allow_empty = ?, \
                       closing_by = ? WHERE sync_id = ?";
            let query = sqlx::query(sql).bind(staging.0).bind(allow_empty).bind(by).bind(id(sync_id.0));
            query.execute(connection).await
        }
        Closing::Abort { reason, message, by } => {
            let sql = "UPDATE syncs SET phase = 'Aborting', closing_reason = ?, closing_message = ?, closing_by = ? \
                       WHERE sync_id = ?";
            let query = sqlx::query(sql).bind(reason.as_str()).bind(message).bind(by).bind(id(sync_id.0));
            query.execute(connection).await
        }
    }
    .map_err(fault)?;
    Ok(())
}

async fn settle_sync(connection: &mut SqliteConnection, settlement: Settlement) -> Result<(), Error> {
    let sync_id = settlement.sync_id;
    let sql = "UPDATE syncs SET phase = 'Ended', status = ?, message = ?, end_time = ? \
               WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
    let settled = sqlx::query(sql)
        .bind(settlement.status.as_str())
        .bind(settlement.message)
        .bind(settlement.at.0)
        .bind(id(sync_id.0))
        .execute(&mut *connection)
        .await
        .map_err(fault)?
        .rows_affected();
    if settled == 0 {
        return Ok(());
    }
    if let Some(trash) = &settlement.trash {
        insert_trash(connection, trash).await?;
    }
    if settlement.status == Status::Finished {
        remember_dataset(connection, sync_id).await?;
    }
    Ok(())
}

/// The path of the sync holds a dataset now.
pub(super) async fn remember_dataset(connection: &mut SqliteConnection, sync_id: SyncId) -> Result<(), Error> {
    let sql = "INSERT INTO datasets (path, last_sync_id) SELECT path, sync_id FROM syncs WHERE sync_id = ? \
               ON CONFLICT (path) DO UPDATE SET last_sync_id = excluded.last_sync_id \
               WHERE excluded.last_sync_id > last_sync_id";
    sqlx::query(sql).bind(id(sync_id.0)).execute(connection).await.map_err(fault)?;
    Ok(())
}
