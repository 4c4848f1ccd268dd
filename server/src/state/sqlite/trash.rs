//! Trash: the table `trash`. A piece that was put back keeps its row, with the time of the restore.

use super::row::{holding, id, ordered_page, trash_entry, within};
use super::syncs::refuse_if_held;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::list::TrashQuery;
use lakeshore::ports::state::{NewTrash, TrashRecord, TrashState};
use lakeshore::sync::SyncType;
use lakeshore::trash::{Totals, TrashEntry, TrashId, TrashKey, TrashKind};
use lakeshore::upload::Identity;
use lakeshore::{Error, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

#[async_trait]
impl TrashState for SqliteState {
    async fn trash(&self, wanted: &TrashQuery) -> Result<Vec<TrashEntry>, Error> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM trash WHERE restored_at IS NULL");
        within(&mut query, "origin", wanted.path.as_ref());
        within(&mut query, "origin", wanted.scope.as_ref());
        holding(&mut query, ["origin", "trashed_by"], wanted.text.as_deref());
        ordered_page(&mut query, "trash_id", &wanted.page);
        let rows = query.build().fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(trash_entry).collect::<Result<_, _>>().map_err(fault)
    }

    async fn trash_record(&self, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
        let mut connection = self.readers.acquire().await.map_err(fault)?;
        kept(&mut connection, trash_id).await
    }

    async fn begin_restore(&self, trash_id: TrashId, identity: &Identity, by: &str) -> Result<(), Error> {
        let (identity, by) = (identity.clone(), by.to_owned());
        self.writer.write(Synced, move |connection| Box::pin(begin_restore(connection, trash_id, identity, by))).await
    }

    async fn finish_restore(&self, trash_id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error> {
        let replaced = replaced.cloned();
        self.writer
            .write(Synced, move |connection| {
                Box::pin(async move {
                    let sql =
                        "UPDATE trash SET restored_at = ?, restoring = NULL WHERE trash_id = ? AND restored_at IS NULL";
                    let query = sqlx::query(sql).bind(at.0).bind(id(trash_id.0));
                    let changed = query.execute(&mut *connection).await.map_err(fault)?.rows_affected();
                    match &replaced {
                        Some(trash) if changed > 0 => insert_trash(connection, trash).await,
                        _ => Ok(()),
                    }
                })
            })
            .await
    }

    async fn cancel_restore(&self, trash_id: TrashId) -> Result<(), Error> {
        self.writer
            .write(Synced, move |connection| {
                Box::pin(async move {
                    let sql = "UPDATE trash SET restoring = NULL, restoring_by = NULL WHERE trash_id = ?";
                    sqlx::query(sql).bind(id(trash_id.0)).execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error> {
        let sql = "SELECT * FROM trash WHERE restoring IS NOT NULL ORDER BY trash_id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(trash_record).collect::<Result<_, _>>().map_err(fault)
    }

    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error> {
        let sql = "SELECT * FROM trash WHERE restored_at IS NULL AND files IS NULL AND restoring IS NULL \
                   ORDER BY trash_id LIMIT ?";
        let rows = sqlx::query(sql).bind(id(size)).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(trash_record).collect::<Result<_, _>>().map_err(fault)
    }

    async fn count_trash(&self, trash_id: TrashId, totals: Totals) -> Result<(), Error> {
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    // Not when it was restored meanwhile: then something else may have been counted.
                    let sql = "UPDATE trash SET files = ?, bytes = ? WHERE trash_id = ? AND restored_at IS NULL \
                               AND restoring IS NULL";
                    let query = sqlx::query(sql).bind(id(totals.files)).bind(id(totals.bytes)).bind(id(trash_id.0));
                    query.execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }
}

fn trash_record(row: &SqliteRow) -> Result<TrashRecord, sqlx::Error> {
    let restoring: Option<String> = row.try_get("restoring")?;
    let by: Option<String> = row.try_get("restoring_by")?;
    Ok(TrashRecord {
        entry: trash_entry(row)?,
        key: TrashKey::remembered(row.try_get("trash_key")?),
        restoring: restoring.map(|identity| (Identity(identity), by.unwrap_or_default())),
    })
}

async fn kept(connection: &mut SqliteConnection, trash_id: TrashId) -> Result<Option<TrashRecord>, Error> {
    let sql = "SELECT * FROM trash WHERE trash_id = ? AND restored_at IS NULL";
    let row = sqlx::query(sql).bind(id(trash_id.0)).fetch_optional(connection).await.map_err(fault)?;
    row.as_ref().map(trash_record).transpose().map_err(fault)
}

async fn begin_restore(
    connection: &mut SqliteConnection,
    trash_id: TrashId,
    identity: Identity,
    by: String,
) -> Result<(), Error> {
    let record = kept(connection, trash_id).await?.ok_or(Error::NoSuchTrash(trash_id))?;
    let shares_as = match record.entry.kind {
        TrashKind::Dataset => SyncType::FullSync,
        TrashKind::File => SyncType::IncrementalSync,
    };
    refuse_if_held(connection, &record.entry.origin, shares_as).await?;
    let sql = "UPDATE trash SET restoring = ?, restoring_by = ? WHERE trash_id = ?";
    sqlx::query(sql).bind(identity.0).bind(by).bind(id(trash_id.0)).execute(connection).await.map_err(fault)?;
    Ok(())
}

pub(super) async fn insert_trash(connection: &mut SqliteConnection, trash: &NewTrash) -> Result<(), Error> {
    let sql = "INSERT INTO trash (trash_key, origin, kind, reason, sync_id, trashed_by, trashed_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(trash.key.as_str().to_owned())
        .bind(trash.origin.as_str().to_owned())
        .bind(trash.kind.as_str())
        .bind(trash.reason.as_str())
        .bind(trash.sync_id.map(|sync_id| id(sync_id.0)))
        .bind(trash.by.clone())
        .bind(trash.at.0)
        .execute(connection)
        .await
        .map_err(fault)?;
    Ok(())
}
