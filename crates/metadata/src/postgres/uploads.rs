//! Uploads: the table `uploads`, and the changes in the same transactions: counters of syncs, counts of blocks,
//! folders. Landed files are written in groups, see [`super::landings`].

use super::landings::{finish_landings, lock_group, write_intents};
use super::query::{Row, Select, Value, changed, clamp, found, rows, values};
use super::writing::Durability::Synced;
use super::writing::{Counter, SyncLock, Writing, transaction};
use super::{PostgresState, gates};
use crate::backend::Backend as _;
use crate::content;
use crate::counts::{self, Position, Tally};
use crate::days;
use crate::history;
use crate::syncs::record;
use crate::row::{UPLOAD_COLUMNS, id, upload};
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
use sqlx::{PgConnection, Row as _};
use std::collections::{BTreeSet, HashMap};

#[async_trait]
impl UploadState for PostgresState {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        #[cfg(feature = "testing")]
        self.faults().next("begin_upload")?;
        transaction!(self, Synced, |writing| begin_upload(writing, new).await)
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
        transaction!(self, Synced, |writing| refuse_upload(writing, refused).await)
    }

    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("intend_landings")?;
        transaction!(self, Synced, |writing| {
            let last_id = lock_group(writing, finished, uploads).await?;
            if let Some(finished) = finished {
                finish_landings(writing, finished, last_id).await?;
            }
            write_intents(writing, uploads).await
        })
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("finish_landings")?;
        transaction!(self, Synced, |writing| {
            let last_id = lock_group(writing, Some(finished), &[]).await?;
            finish_landings(writing, finished, last_id).await
        })
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<CompletedUpload>)>, Error> {
        let mut connection = self.list().await?;
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
        transaction!(self, Synced, |writing| fail_upload(writing, upload_id, message, size_bytes, at).await)
    }

    async fn upload(&self, upload_id: UploadId) -> Result<Option<Upload>, Error> {
        let sql = format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE history_id = ?");
        found(&mut *self.look().await?, sql, values![id(upload_id.0)], upload).await
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        // A download does not wait for lists.
        if files.len() <= content::FEW_FILES {
            return content::landed_contents(&mut *self.look().await?, files).await;
        }
        content::landed_contents(&mut *self.list().await?, files).await
    }

    async fn uploads(&self, wanted: &UploadQuery) -> Result<Vec<Upload>, Error> {
        let mut connection = self.list_by(wanted.text.as_deref()).await?;
        match history::select(&mut connection, wanted).await? {
            Some(select) => select.rows(&mut connection, upload).await,
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
        rows(&mut *self.list().await?, sql, values![], unfinished).await
    }
}

/// Id of a folder; adds it and those above it where they are missing. Requires the lock of the history.
pub(super) async fn folder_id(writing: &mut Writing, path: &str) -> Result<i64, Error> {
    let made = ensure_folders(writing, &BTreeSet::from([path])).await?;
    made.get(path).copied().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

const FOLDERS: &str = "SELECT path, folder_id FROM folders WHERE path = ANY(?)";
const ADD_FOLDERS: &str = "\
    INSERT INTO folders (path, folder_id) SELECT * FROM unnest($1, $2); \
    INSERT INTO folders_above (folder_id, above_id) SELECT * FROM unnest($3, $4)";

async fn folder_ids(writing: &mut Writing, paths: Value) -> Result<HashMap<String, i64>, Error> {
    let found = rows(writing, FOLDERS, vec![paths], |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    Ok(found.into_iter().collect())
}

/// Ids of folders; adds those that are missing. Requires the lock of the history.
pub(super) async fn ensure_folders(
    writing: &mut Writing,
    folders: &BTreeSet<&str>,
) -> Result<HashMap<String, i64>, Error> {
    let known = folder_ids(writing, Value::texts(folders.iter().copied())).await?;
    if folders.iter().all(|folder| known.contains_key(*folder)) {
        return Ok(known);
    }
    // Sorted, so that a folder comes after the one above it.
    let all: BTreeSet<_> = folders.iter().flat_map(|folder| with_above(folder)).collect();
    let mut ids = folder_ids(writing, Value::texts(all.iter().copied())).await?;
    let missing: Vec<_> = all.into_iter().filter(|folder| !ids.contains_key(*folder)).collect();
    let count = i64::try_from(missing.len()).map_err(Error::internal)?;
    let first = writing.next_ids(Counter::Folders, count).await? + 1;
    ids.extend((first..).zip(&missing).map(|(id, folder)| ((*folder).to_owned(), id)));
    let pairs = missing.iter().flat_map(|folder| with_above(folder).map(|above| (ids.get(*folder), ids.get(above))));
    let (below, above): (Vec<_>, Vec<_>) = pairs.filter_map(|(below, above)| Some((*below?, *above?))).unzip();
    let new: Vec<i64> = (first..first + count).collect();
    let values = vec![Value::texts(missing), Value::Integers(new), Value::Integers(below), Value::Integers(above)];
    changed(writing, ADD_FOLDERS, values).await?;
    Ok(ids)
}

/// A folder, and each above it.
fn with_above(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |place| {
        place.rsplit_once('/').map(|(above, _)| above).filter(|above| !above.is_empty())
    })
}

pub(super) fn folder_of(target: &LakePath) -> &str {
    target.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Locks the row of a sync, and then the history.
async fn lock(writing: &mut Writing, sync_id: SyncId) -> Result<(), Error> {
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    gates::refuse_held(writing, sync_id).await?;
    writing.lock_history().await.map(drop)
}

pub(super) async fn begin_upload(writing: &mut Writing, new: &NewUpload) -> Result<UploadId, Error> {
    lock(writing, new.sync_id).await?;
    let record = record(writing, new.sync_id).await?.ok_or(Error::NoSuchSync(new.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(new.sync_id.0);
    let ordinal = id(record.sync.num_listed() + 1);
    let folder_id = folder_id(writing, folder_of(&new.target)).await?;
    let history_id = writing.next_id(Counter::Uploads).await?;
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_in_flight = num_in_flight + 1, last_activity = $1 \
               WHERE sync_id = $2; \
               INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, partial, \
               identity) VALUES ($9, $2, $3, $4, $5, $6, 'Syncing', $1, $7, $8)";
    let (target, partial, identity) = (new.target.as_str(), new.partial.as_str(), &new.identity.0);
    let values = values![new.at.0, sync_id, ordinal, new.file_name, target, folder_id, partial, identity, history_id];
    changed(writing, sql, values).await?;
    let mut tally = Tally::default();
    tally.began(Position { history_id, sync_id, ordinal, folder_id });
    counts::write(&tally, writing).await?;
    Ok(UploadId(history_id.cast_unsigned()))
}

async fn refuse_upload(writing: &mut Writing, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
    lock(writing, refused.sync_id).await?;
    let record = record(writing, refused.sync_id).await?.ok_or(Error::NoSuchSync(refused.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(refused.sync_id.0);
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_failed = num_failed + 1, last_activity = $1, \
               num_unlisted = num_unlisted + (refused_rows >= $2)::int, refused_rows = refused_rows + (refused_rows < $2)::int \
               WHERE sync_id = $3 RETURNING num_unlisted";
    let values = values![refused.at.0, id(refused.rows_max), sync_id];
    let unlisted: Option<i64> = found(writing, sql, values, |row| row.try_get(0)).await?;
    // The counts of pages and days leave them out too, as they count rows.
    if unlisted.is_some_and(|unlisted| id(record.sync.num_unlisted) < unlisted) {
        return Ok(None);
    }
    let ordinal = id(record.sync.num_listed() + 1);
    let folder = refused.target.as_ref().map_or(refused.folder.as_str(), folder_of);
    let folder_id = folder_id(writing, folder).await?;
    let history_id = writing.next_id(Counter::Uploads).await?;
    let sql = "INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
               message, size_bytes) VALUES ($10, $1, $2, $3, $4, $5, 'Failed', $6, $7, $8, $9)";
    let target = refused.target.as_ref().unwrap_or(&refused.folder).as_str();
    let (begun_at, at, size_bytes) = (refused.begun_at.0, refused.at.0, id(refused.size_bytes));
    let values = values![
        sync_id,
        ordinal,
        refused.file_name,
        target,
        folder_id,
        begun_at,
        at,
        refused.message,
        size_bytes,
        history_id
    ];
    changed(writing, sql, values).await?;
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
    // The sync is locked before its upload, as a sync that closes does.
    let sql = "SELECT sync_id FROM uploads WHERE history_id = ? AND status = 'Syncing'";
    let sync_id: Option<i64> = found(writing, sql, values![id(upload_id.0)], |row| row.try_get(0)).await?;
    let Some(sync_id) = sync_id else { return Ok(()) };
    lock(writing, SyncId(sync_id.cast_unsigned())).await?;
    let sql = "UPDATE uploads SET status = 'Failed', end_time = greatest(start_time, ?), size_bytes = ?, message = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' \
               RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, id(size_bytes), message, id(upload_id.0)];
    let Some(position) = found(writing, sql, values, Position::of).await? else { return Ok(()) };
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    changed(writing, sql, values![at.0, position.sync_id]).await?;
    let mut tally = Tally::default();
    tally.ended(position, Status::Failed);
    counts::write(&tally, writing).await?;
    days::failed(writing, SyncId(position.sync_id.cast_unsigned()), at, 1).await
}
