//! Uploads: the table `uploads`, and the counters of their syncs, which change in the same transaction.

use super::row::{UPLOAD_COLUMNS, dense_page, holding, id, ordered_page, path, upload, within};
use super::syncs::{record, remember_dataset};
use super::trash::insert_trash;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::list::UploadQuery;
use lakeshore::ports::state::{NewTrash, NewUpload, RefusedUpload, UnfinishedUpload, UploadState};
use lakeshore::sync::{SyncId, SyncType, may_accept_uploads};
use lakeshore::upload::{Digest, Identity, PartialName, Upload, UploadId};
use lakeshore::{Error, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection};

#[async_trait]
impl UploadState for SqliteState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        let new = new.clone();
        self.writer.write(Written, move |connection| Box::pin(begin_upload(connection, new))).await
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<UploadId, Error> {
        let refused = refused.clone();
        self.writer.write(Written, move |connection| Box::pin(refuse_upload(connection, refused))).await
    }

    async fn finish_upload(
        &self,
        upload_id: UploadId,
        digest: &Digest,
        trash: Option<&NewTrash>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (digest, trash) = (*digest, trash.cloned());
        self.writer
            .write(Synced, move |connection| Box::pin(finish_upload(connection, upload_id, digest, trash, at)))
            .await
    }

    async fn fail_upload(
        &self,
        upload_id: UploadId,
        message: &str,
        size_bytes: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        let message = message.to_owned();
        self.writer
            .write(Written, move |connection| Box::pin(fail_upload(connection, upload_id, message, size_bytes, at)))
            .await
    }

    async fn upload(&self, upload_id: UploadId) -> Result<Option<Upload>, Error> {
        let sql = format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE history_id = ?");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(id(upload_id.0));
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        row.as_ref().map(upload).transpose().map_err(fault)
    }

    async fn uploads(&self, wanted: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE 1"));
        if let Some(sync_id) = wanted.sync_id {
            query.push(" AND u.sync_id = ").push_bind(id(sync_id.0));
        }
        if let Some(status) = wanted.status {
            query.push(" AND u.status = ").push_bind(status.as_str());
        }
        within(&mut query, "u.target", wanted.path.as_ref());
        within(&mut query, "u.target", wanted.scope.as_ref());
        holding(&mut query, ["u.file_name", "u.target"], wanted.text.as_deref());
        let filtered =
            wanted.status.is_some() || wanted.path.is_some() || wanted.scope.is_some() || wanted.text.is_some();
        match wanted.sync_id {
            _ if filtered => ordered_page(&mut query, "u.history_id", &wanted.page),
            Some(_) => {
                let last = "(SELECT total_files FROM syncs s WHERE s.sync_id = u.sync_id)";
                dense_page(&mut query, "u.ordinal", last, &wanted.page);
            }
            None => dense_page(&mut query, "u.history_id", "(SELECT max(history_id) FROM uploads)", &wanted.page),
        }
        let rows = query.build().fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(upload).collect::<Result<_, _>>().map_err(fault)
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let sql = "SELECT history_id, sync_id, target, partial, identity FROM uploads WHERE status = 'Syncing' \
                   ORDER BY history_id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(unfinished).collect::<Result<_, _>>().map_err(fault)
    }
}

fn unfinished(row: &SqliteRow) -> Result<UnfinishedUpload, sqlx::Error> {
    Ok(UnfinishedUpload {
        upload_id: UploadId(row.try_get::<i64, _>("history_id")?.cast_unsigned()),
        sync_id: SyncId(row.try_get::<i64, _>("sync_id")?.cast_unsigned()),
        target: path(row, "target")?,
        partial: PartialName::remembered(row.try_get("partial")?),
        identity: Identity(row.try_get("identity")?),
    })
}

/// Uploads of the sync that are in flight, the first `size` of them.
pub(super) async fn in_flight(
    connection: &mut SqliteConnection,
    sync_id: SyncId,
    size: u64,
) -> Result<Vec<Upload>, Error> {
    let sql = format!(
        "SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE sync_id = ? AND status = 'Syncing' ORDER BY history_id LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id(sync_id.0)).bind(id(size));
    let rows = query.fetch_all(connection).await.map_err(fault)?;
    rows.iter().map(upload).collect::<Result<_, _>>().map_err(fault)
}

async fn begin_upload(connection: &mut SqliteConnection, new: NewUpload) -> Result<UploadId, Error> {
    let record = record(connection, new.sync_id).await?.ok_or(Error::NoSuchSync(new.sync_id))?;
    may_accept_uploads(&record)?;
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_in_flight = num_in_flight + 1, last_activity = ? \
               WHERE sync_id = ?";
    sqlx::query(sql).bind(new.at.0).bind(id(new.sync_id.0)).execute(&mut *connection).await.map_err(fault)?;
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, status, start_time, partial, identity) \
               VALUES (?1, ?2, ?3, ?4, 'Syncing', ?5, ?6, ?7)";
    let inserted = sqlx::query(sql)
        .bind(id(new.sync_id.0))
        .bind(id(record.sync.total_files + 1))
        .bind(new.file_name)
        .bind(new.target.as_str().to_owned())
        .bind(new.at.0)
        .bind(new.partial.as_str().to_owned())
        .bind(new.identity.0)
        .execute(connection)
        .await
        .map_err(fault)?;
    Ok(UploadId(inserted.last_insert_rowid().cast_unsigned()))
}

async fn refuse_upload(connection: &mut SqliteConnection, refused: RefusedUpload) -> Result<UploadId, Error> {
    let record = record(connection, refused.sync_id).await?.ok_or(Error::NoSuchSync(refused.sync_id))?;
    may_accept_uploads(&record)?;
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    sqlx::query(sql).bind(refused.at.0).bind(id(refused.sync_id.0)).execute(&mut *connection).await.map_err(fault)?;
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, status, start_time, end_time, message) \
               VALUES (?1, ?2, ?3, ?4, 'Failed', ?5, ?5, ?6)";
    let inserted = sqlx::query(sql)
        .bind(id(refused.sync_id.0))
        .bind(id(record.sync.total_files + 1))
        .bind(refused.file_name)
        .bind(refused.folder.as_str().to_owned())
        .bind(refused.at.0)
        .bind(refused.message)
        .execute(connection)
        .await
        .map_err(fault)?;
    Ok(UploadId(inserted.last_insert_rowid().cast_unsigned()))
}

async fn finish_upload(
    connection: &mut SqliteConnection,
    upload_id: UploadId,
    digest: Digest,
    trash: Option<NewTrash>,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE uploads SET status = 'Finished', end_time = ?, size_bytes = ?, sha256 = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' RETURNING sync_id";
    let row = sqlx::query(sql)
        .bind(at.0)
        .bind(id(digest.size_bytes))
        .bind(digest.sha256.to_vec())
        .bind(id(upload_id.0))
        .fetch_optional(&mut *connection)
        .await
        .map_err(fault)?;
    let Some(row) = row else { return Ok(()) };
    let sync_id = SyncId(row.try_get::<i64, _>("sync_id").map_err(fault)?.cast_unsigned());
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, size_bytes = size_bytes + ?, last_activity = ? \
               WHERE sync_id = ? RETURNING sync_type";
    let row = sqlx::query(sql)
        .bind(id(digest.size_bytes))
        .bind(at.0)
        .bind(id(sync_id.0))
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if row.try_get::<&str, _>("sync_type").map_err(fault)? == SyncType::IncrementalSync.as_str() {
        remember_dataset(connection, sync_id).await?;
    }
    match &trash {
        Some(trash) => insert_trash(connection, trash).await,
        None => Ok(()),
    }
}

async fn fail_upload(
    connection: &mut SqliteConnection,
    upload_id: UploadId,
    message: String,
    size_bytes: u64,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE uploads SET status = 'Failed', end_time = ?, size_bytes = ?, message = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' RETURNING sync_id";
    let row = sqlx::query(sql)
        .bind(at.0)
        .bind(id(size_bytes))
        .bind(message)
        .bind(id(upload_id.0))
        .fetch_optional(&mut *connection)
        .await
        .map_err(fault)?;
    let Some(row) = row else { return Ok(()) };
    let sync_id: i64 = row.try_get("sync_id").map_err(fault)?;
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    sqlx::query(sql).bind(at.0).bind(sync_id).execute(connection).await.map_err(fault)?;
    Ok(())
}
