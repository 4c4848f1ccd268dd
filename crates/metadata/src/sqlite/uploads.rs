//! Uploads: the table `uploads`, and the changes in the same transactions: counters of syncs, counts of blocks,
//! folders. Landed files are written in groups, see [`super::landings`].

use super::job::Durability::{Synced, Written};
use super::landings::{finish_landings, write_intents};
use super::query::{Row, Select, Value, changed, clamp, found, inserted, rows, values};
use super::row::{UPLOAD_COLUMNS, id, upload};
use super::writing::Writing;
use super::{SqliteState, fault};
use crate::content;
use crate::counts::{self, Position, Tally};
use crate::days;
use crate::history;
use crate::syncs::record;
use async_trait::async_trait;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::page::UploadQuery;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::status::Status;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::metadata::upload::{
    CompletedUpload, FinishedLandings, LandedContent, LandingsId, NewUpload, RefusedUpload, UnfinishedUpload,
    UploadState,
};
use lakeshore::{Error, Timestamp};
use sqlx::{Connection, Row as _, SqliteConnection};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[async_trait]
impl UploadState for SqliteState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        #[cfg(feature = "testing")]
        self.faults().next("begin_upload")?;
        let new = new.clone();
        self.writer.write(Written, move |writing| Box::pin(async move { begin_upload(writing, &new).await })).await
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
        let refused = refused.clone();
        self.writer.write(Written, move |writing| Box::pin(async move { refuse_upload(writing, &refused).await })).await
    }

    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("intend_landings")?;
        let (finished, uploads) = (finished.cloned(), uploads.to_vec());
        self.writer
            .write_in_place(Synced, move |writing| {
                Box::pin(async move {
                    if let Some(finished) = &finished {
                        finish_landings(writing, finished).await?;
                    }
                    write_intents(writing, &uploads).await
                })
            })
            .await
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("finish_landings")?;
        let finished = finished.clone();
        self.writer
            .write_in_place(Synced, move |writing| Box::pin(async move { finish_landings(writing, &finished).await }))
            .await
    }

    fn defer_landings(&self, finished: &Arc<FinishedLandings>) -> bool {
        self.writer.deferred.add(finished.clone());
        true
    }

    async fn finish_deferred_landings(&self) -> Result<(), Error> {
        self.writer.write_deferred().await
    }

    fn withdraw_landings(&self, id: LandingsId) {
        self.writer.deferred.remove(&[id]);
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<CompletedUpload>)>, Error> {
        let mut connection = self.readers.list().await?;
        let sql = "SELECT landings_id, intended FROM landings ORDER BY landings_id";
        let decode = |row: &Row| Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get::<String, _>(1)?));
        let rows = rows(&mut connection, sql, values![], decode).await?;
        let read = |(id, text): (u64, String)| {
            serde_json::from_str(&text).map(|uploads| (LandingsId(id), uploads)).map_err(Error::internal)
        };
        rows.into_iter().map(read).collect()
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
            .write(Written, move |writing| {
                Box::pin(async move { fail_upload(writing, upload_id, &message, size_bytes, at).await })
            })
            .await
    }

    async fn upload(&self, upload_id: UploadId) -> Result<Option<Upload>, Error> {
        let sql = format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE history_id = ?");
        found(&mut *self.readers.look().await?, sql, values![id(upload_id.0)], upload).await
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        // A download does not wait for lists.
        if files.len() <= content::FEW_FILES {
            return content::landed_contents(&mut *self.readers.look().await?, files).await;
        }
        content::landed_contents(&mut *self.readers.list().await?, files).await
    }

    async fn uploads(&self, wanted: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let mut connection = self.readers.list_by(wanted.text.as_deref()).await?;
        // One snapshot of the counts and the rows.
        let mut view = connection.begin().await.map_err(fault)?;
        match history::select(&mut view, wanted).await? {
            Some(select) => select.rows(&mut view, upload).await,
            None => Ok(Vec::new()),
        }
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let sql = "SELECT history_id, partial FROM uploads WHERE status = 'Syncing' AND NOT EXISTS \
                   (SELECT 1 FROM resumables WHERE upload_id = history_id) ORDER BY history_id";
        let unfinished = |row: &Row| {
            let upload_id = UploadId(row.try_get::<i64, _>("history_id")?.cast_unsigned());
            Ok(UnfinishedUpload { upload_id, partial: PartialName::remembered(row.try_get("partial")?) })
        };
        rows(&mut *self.readers.list().await?, sql, values![], unfinished).await
    }
}

/// Id of a folder; adds it and those above it where they are missing.
pub(super) async fn folder_id(writing: &mut Writing, path: &str) -> Result<i64, Error> {
    let sql = "SELECT folder_id FROM folders WHERE path = ?";
    if let Some(id) = found(writing, sql, values![path], |row| row.try_get(0)).await? {
        return Ok(id);
    }
    let made = ensure_folders(writing, &BTreeSet::from([path])).await?;
    made.get(path).copied().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

/// Inserts folders, each with all those above it.
const ENSURE_FOLDERS: &str = "\
    INSERT OR IGNORE INTO folders (path) SELECT value FROM json_each($1); \
    INSERT OR IGNORE INTO folders_above SELECT below.folder_id, above.folder_id \
    FROM json_each($1) b CROSS JOIN folders below ON below.path = b.value \
    CROSS JOIN json_each($1) a CROSS JOIN folders above ON above.path = a.value \
    WHERE above.path = below.path OR \
        (above.path <> '' AND substr(below.path, 1, length(above.path) + 1) = above.path || '/')";

/// Ids of folders; adds those that are missing.
pub(super) async fn ensure_folders(
    writing: &mut Writing,
    folders: &BTreeSet<&str>,
) -> Result<HashMap<String, i64>, Error> {
    let mut all = BTreeSet::new();
    for folder in folders {
        all.insert(*folder);
        let mut place = *folder;
        while let Some((above, _)) = place.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            all.insert(above);
            place = above;
        }
    }
    // Sorted, so that a folder comes after the one above it.
    let all = Value::rows(&all.into_iter().collect::<Vec<_>>())?;
    changed(writing, ENSURE_FOLDERS, vec![all]).await?;
    let named = Value::rows(&folders.iter().collect::<Vec<_>>())?;
    let sql = "SELECT f.path, f.folder_id FROM json_each($1) CROSS JOIN folders f ON f.path = value";
    let made = rows(writing, sql, vec![named], |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    Ok(made.into_iter().collect())
}

pub(super) fn folder_of(target: &LakePath) -> &str {
    target.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub(super) async fn begin_upload(writing: &mut Writing, new: &NewUpload) -> Result<UploadId, Error> {
    let record = record(writing, new.sync_id).await?.ok_or(Error::NoSuchSync(new.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(new.sync_id.0);
    let ordinal = id(record.sync.num_listed() + 1);
    let folder_id = folder_id(writing, folder_of(&new.target)).await?;
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_in_flight = num_in_flight + 1, last_activity = $1 \
               WHERE sync_id = $2; \
               INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time, partial, identity) \
               VALUES ($2, $3, $4, $5, $6, 'Syncing', $1, $7, $8)";
    let (target, partial, identity) = (new.target.as_str(), new.partial.as_str(), &new.identity.0);
    let values = values![new.at.0, sync_id, ordinal, new.file_name, target, folder_id, partial, identity];
    let history_id = inserted(writing, sql, values).await?;
    let mut tally = Tally::default();
    tally.began(Position { history_id, sync_id, ordinal, folder_id });
    counts::write(&tally, writing).await?;
    Ok(UploadId(history_id.cast_unsigned()))
}

async fn refuse_upload(writing: &mut Writing, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
    let record = record(writing, refused.sync_id).await?.ok_or(Error::NoSuchSync(refused.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(refused.sync_id.0);
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_failed = num_failed + 1, last_activity = $1, \
               num_unlisted = num_unlisted + (refused_rows >= $2), refused_rows = refused_rows + (refused_rows < $2) \
               WHERE sync_id = $3 RETURNING num_unlisted";
    let values = values![refused.at.0, id(refused.rows_max), sync_id];
    let unlisted: Option<i64> = found(writing.ready_to_write().await?, sql, values, |row| row.try_get(0)).await?;
    // The counts of pages and days leave them out too, as they count rows.
    if unlisted.is_some_and(|unlisted| id(record.sync.num_unlisted) < unlisted) {
        return Ok(None);
    }
    let ordinal = id(record.sync.num_listed() + 1);
    let folder = refused.target.as_ref().map_or(refused.folder.as_str(), folder_of);
    let folder_id = folder_id(writing, folder).await?;
    let sql = "INSERT INTO uploads (sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
               message, size_bytes) VALUES (?, ?, ?, ?, ?, 'Failed', ?, ?, ?, ?)";
    let target = refused.target.as_ref().unwrap_or(&refused.folder).as_str();
    let (begun_at, at, size_bytes) = (refused.begun_at.0, refused.at.0, id(refused.size_bytes));
    let values =
        values![sync_id, ordinal, refused.file_name, target, folder_id, begun_at, at, refused.message, size_bytes];
    let history_id = inserted(writing, sql, values).await?;
    let position = Position { history_id, sync_id, ordinal, folder_id };
    let mut tally = Tally::default();
    tally.began(position);
    tally.ended(position, Status::Failed);
    counts::write(&tally, writing).await?;
    days::failed(writing, refused.sync_id, refused.at, 1).await?;
    Ok(Some(UploadId(history_id.cast_unsigned())))
}

async fn fail_upload(
    writing: &mut Writing,
    upload_id: UploadId,
    message: &str,
    size_bytes: u64,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE uploads SET status = 'Failed', end_time = max(start_time, ?), size_bytes = ?, message = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' \
               RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, id(size_bytes), message, id(upload_id.0)];
    let Some(position) = found(writing.ready_to_write().await?, sql, values, Position::of).await? else {
        return Ok(());
    };
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    changed(writing, sql, values![at.0, position.sync_id]).await?;
    let mut tally = Tally::default();
    tally.ended(position, Status::Failed);
    counts::write(&tally, writing).await?;
    days::failed(writing, SyncId(position.sync_id.cast_unsigned()), at, 1).await
}
