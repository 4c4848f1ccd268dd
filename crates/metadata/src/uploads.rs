//! Uploads: the table `uploads`, and the changes in the same transactions: counters of syncs, counts of blocks,
//! folders. Landed files are written in groups, in a way of each database: see its module `landings`.

use crate::backend::{Backend, MetadataStore};
use crate::content;
use crate::counts::{self, Position, Tally};
use crate::days;
use crate::history;
use crate::query::{Value, execute, execute_returning, fetch_all, fetch_optional, values};
use crate::row::{DbRow, UPLOAD_COLUMNS, id, number, parsed, path, time, upload};
use crate::syncs::record;
use crate::transaction::Durability::{Passing, Written};
use crate::transaction::{Counter, SyncLock, WriteTransaction};
use async_trait::async_trait;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::page::UploadQuery;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::status::Status;
use lakeshore::model::sync::timeline::TimelineUpload;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::metadata::upload::{
    CompletedUpload, FinishedLandings, LandedContent, LandingsId, NewUpload, RefusedUpload, UnfinishedUpload,
    UploadState,
};
use lakeshore::{Error, Timestamp};
use std::sync::Arc;

#[async_trait]
impl<B: Backend> UploadState for MetadataStore<B> {
    async fn begin_upload(&self, new: &NewUpload) -> Result<UploadId, Error> {
        self.0.inject_fault("begin_upload")?;
        self.0.write(Written, new.clone(), |writing, new| Box::pin(begin_upload(writing, new))).await
    }

    async fn refuse_upload(&self, refused: &RefusedUpload) -> Result<Option<UploadId>, Error> {
        self.0.write(Written, refused.clone(), |writing, refused| Box::pin(refuse_upload(writing, refused))).await
    }

    async fn write_intents(
        &self,
        finished: Option<&FinishedLandings>,
        uploads: &[CompletedUpload],
    ) -> Result<(LandingsId, Vec<Result<(), Error>>), Error> {
        self.0.inject_fault("intend_landings")?;
        self.0.write_intents(finished, uploads).await
    }

    async fn finish_landings(&self, finished: &FinishedLandings) -> Result<(), Error> {
        self.0.inject_fault("finish_landings")?;
        self.0.finish_landings(finished).await
    }

    fn defer_landings(&self, finished: &Arc<FinishedLandings>) -> bool {
        self.0.defer_landings(finished)
    }

    async fn finish_deferred_landings(&self) -> Result<(), Error> {
        self.0.finish_deferred_landings().await
    }

    fn withdraw_landings(&self, id: LandingsId) {
        self.0.withdraw_landings(id);
    }

    async fn unfinished_landings(&self) -> Result<Vec<(LandingsId, Vec<CompletedUpload>)>, Error> {
        let sql = "SELECT landings_id, intended FROM landings ORDER BY landings_id";
        let rows = fetch_all(&mut self.0.list().await?, sql, values![], intended).await?;
        let read = |(id, text): (LandingsId, String)| {
            serde_json::from_str(&text).map(|uploads| (id, uploads)).map_err(Error::internal)
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
        self.0
            .write(Written, (upload_id, message.to_owned(), size_bytes, at), |writing, given| {
                let (upload_id, message, size_bytes, at) = given;
                Box::pin(fail_upload(writing, *upload_id, message, *size_bytes, *at))
            })
            .await
    }

    async fn upload(&self, upload_id: UploadId) -> Result<Option<Upload>, Error> {
        let sql = format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE history_id = ?");
        fetch_optional(&mut self.0.look().await?, sql, values![id(upload_id.0)], upload).await
    }

    async fn landed_contents(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedContent>>, Error> {
        // A download does not wait for lists.
        if files.len() <= content::FEW_FILES {
            return content::landed_contents(&mut self.0.look().await?, files).await;
        }
        content::landed_contents(&mut self.0.list().await?, files).await
    }

    async fn uploads(&self, wanted: &UploadQuery) -> Result<Vec<Upload>, Error> {
        // One snapshot of the counts and the rows.
        self.0
            .view_by(wanted.text.as_deref(), wanted, |view, wanted| {
                Box::pin(async move {
                    match history::select(view, wanted).await? {
                        Some(select) => select.fetch_all(view, upload).await,
                        None => Ok(Vec::new()),
                    }
                })
            })
            .await
    }

    async fn timeline_uploads(
        &self,
        sync_id: SyncId,
        stretches: &[(u64, u64)],
        failures_max: u64,
        scope: Option<&LakePath>,
    ) -> Result<Vec<TimelineUpload>, Error> {
        let select = history::stretches(sync_id, stretches, scope)?;
        let mut connection = self.0.list().await?;
        let mut uploads = select.fetch_all(&mut connection, timeline_upload).await?;
        if failures_max > 0 {
            let failed = history::first_failed(sync_id, failures_max, scope);
            uploads.extend(failed.fetch_all(&mut connection, timeline_upload).await?);
        }
        Ok(uploads)
    }

    async fn landed_at(
        &self,
        sync_id: SyncId,
        places: &[LakePath],
        after: UploadId,
    ) -> Result<Vec<(LakePath, String)>, Error> {
        let select = history::landed_at::<B::Db>(sync_id, places, after)?;
        select.fetch_all(&mut self.0.list().await?, |row| Ok((path(row, "target")?, row.get("file_name")?))).await
    }

    async fn upload_in_flight(&self, sync_id: SyncId, partial: &PartialName) -> Result<Option<UploadId>, Error> {
        const IN_FLIGHT: &str =
            "SELECT history_id FROM uploads WHERE sync_id = ? AND status = 'Syncing' AND partial = ?";
        // Behind the lock of its beginning, which may still be about to commit.
        self.0
            .write(Passing, (sync_id, partial.clone()), |writing, (sync_id, partial)| {
                Box::pin(async move {
                    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Share).await?;
                    let values = values![id(sync_id.0), partial.as_str()];
                    fetch_optional(writing, IN_FLIGHT, values, |row| Ok(UploadId(number(row, "history_id")?))).await
                })
            })
            .await
    }

    async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, Error> {
        let sql = "SELECT history_id, partial FROM uploads WHERE status = 'Syncing' AND NOT EXISTS \
                   (SELECT 1 FROM resumables WHERE upload_id = history_id) ORDER BY history_id";
        fetch_all(&mut self.0.list().await?, sql, values![], unfinished).await
    }
}

fn timeline_upload(row: &impl DbRow) -> sqlx::Result<TimelineUpload> {
    Ok(TimelineUpload {
        history_id: UploadId(number(row, "history_id")?),
        file_name: row.get("file_name")?,
        start_time: time(row, "start_time")?,
        end_time: time(row, "end_time")?,
        sync_status: parsed(row, "status", Status::parse)?,
        size_bytes: number(row, "size_bytes")?,
    })
}

fn intended(row: &impl DbRow) -> sqlx::Result<(LandingsId, String)> {
    Ok((LandingsId(number(row, "landings_id")?), row.get("intended")?))
}

pub(crate) fn unfinished(row: &impl DbRow) -> sqlx::Result<UnfinishedUpload> {
    let upload_id = UploadId(number(row, "history_id")?);
    Ok(UnfinishedUpload { upload_id, partial: PartialName::from_stored(row.get("partial")?) })
}

fn history_id(row: &impl DbRow) -> sqlx::Result<i64> {
    row.get("history_id")
}

/// Runs an INSERT into `uploads`, and statements before it; the id of its row.
async fn insert(writing: &mut impl WriteTransaction, sql: &'static str, values: Vec<Value>) -> Result<i64, Error> {
    let inserted = execute_returning(writing, sql, values, history_id).await?.pop();
    inserted.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

pub(crate) fn folder_of(target: &LakePath) -> &str {
    target.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Begins an upload: its row, and the counts of its sync.
pub(crate) async fn begin_upload(writing: &mut impl WriteTransaction, new: &NewUpload) -> Result<UploadId, Error> {
    writing.lock_receiving(new.sync_id).await?;
    let record = record(writing, new.sync_id).await?.ok_or(Error::NoSuchSync(new.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(new.sync_id.0);
    let ordinal = id(record.sync.num_listed() + 1);
    let folder_id = writing.folder_id(folder_of(&new.target)).await?;
    let new_id = writing.new_id(Counter::Uploads).await?;
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_in_flight = num_in_flight + 1, last_activity = $1 \
               WHERE sync_id = $2; \
               INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, partial, \
               identity) VALUES ($9, $2, $3, $4, $5, $6, 'Syncing', $1, $7, $8) RETURNING history_id";
    let (target, partial, identity) = (new.target.as_str(), new.partial.as_str(), &new.identity.0);
    let values = values![new.at.0, sync_id, ordinal, new.file_name, target, folder_id, partial, identity, new_id];
    let history_id = insert(writing, sql, values).await?;
    let mut tally = Tally::default();
    tally.began(Position { history_id, sync_id, ordinal, folder_id });
    counts::write(&tally, writing).await?;
    Ok(UploadId(history_id.cast_unsigned()))
}

async fn refuse_upload(
    writing: &mut impl WriteTransaction,
    refused: &RefusedUpload,
) -> Result<Option<UploadId>, Error> {
    writing.lock_receiving(refused.sync_id).await?;
    let record = record(writing, refused.sync_id).await?.ok_or(Error::NoSuchSync(refused.sync_id))?;
    may_accept_uploads(&record)?;
    let sync_id = id(refused.sync_id.0);
    let sql = "UPDATE syncs SET total_files = total_files + 1, num_failed = num_failed + 1, last_activity = $1, \
               num_unlisted = num_unlisted + CASE WHEN refused_rows >= $2 THEN 1 ELSE 0 END, \
               refused_rows = refused_rows + CASE WHEN refused_rows < $2 THEN 1 ELSE 0 END \
               WHERE sync_id = $3 RETURNING num_unlisted";
    let values = values![refused.at.0, id(refused.rows_max), sync_id];
    let unlisted = execute_returning(writing, sql, values, |row| number(row, "num_unlisted")).await?.pop();
    // The counts of pages and days leave them out too, as they count rows.
    if unlisted.is_some_and(|unlisted| record.sync.num_unlisted < unlisted) {
        return Ok(None);
    }
    let ordinal = id(record.sync.num_listed() + 1);
    let folder = refused.target.as_ref().map_or(refused.folder.as_str(), folder_of);
    let folder_id = writing.folder_id(folder).await?;
    let new_id = writing.new_id(Counter::Uploads).await?;
    let sql = "INSERT INTO uploads (history_id, sync_id, ordinal, file_name, target, folder_id, status, start_time, end_time, \
               message, size_bytes) VALUES ($1, $2, $3, $4, $5, $6, 'Failed', $7, $8, $9, $10) RETURNING history_id";
    let target = refused.target.as_ref().unwrap_or(&refused.folder).as_str();
    let values = values![
        new_id,
        sync_id,
        ordinal,
        refused.file_name,
        target,
        folder_id,
        refused.begun_at.0,
        refused.at.0,
        refused.message,
        id(refused.size_bytes),
    ];
    let history_id = insert(writing, sql, values).await?;
    let position = Position { history_id, sync_id, ordinal, folder_id };
    let mut tally = Tally::default();
    tally.began(position);
    tally.ended(position, Status::Failed);
    counts::write(&tally, writing).await?;
    days::failed(writing, refused.sync_id, refused.at, 1).await?;
    Ok(Some(UploadId(history_id.cast_unsigned())))
}

async fn fail_upload(
    writing: &mut impl WriteTransaction,
    upload_id: UploadId,
    message: &str,
    size_bytes: u64,
    at: Timestamp,
) -> Result<(), Error> {
    // The sync is locked before its upload, as a sync that closes does.
    let sql = "SELECT sync_id FROM uploads WHERE history_id = ? AND status = 'Syncing'";
    let sync_id = fetch_optional(writing, sql, values![id(upload_id.0)], |row| number(row, "sync_id")).await?;
    let Some(sync_id) = sync_id else { return Ok(()) };
    writing.lock_receiving(SyncId(sync_id)).await?;
    let sql = "UPDATE uploads SET status = 'Failed', end_time = max(start_time, ?), size_bytes = ?, message = ?, partial = NULL, \
               identity = NULL WHERE history_id = ? AND status = 'Syncing' \
               RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, id(size_bytes), message, id(upload_id.0)];
    let Some(position) = execute_returning(writing, sql, values, Position::of).await?.pop() else { return Ok(()) };
    let sql = "UPDATE syncs SET num_in_flight = num_in_flight - 1, num_failed = num_failed + 1, last_activity = ? \
               WHERE sync_id = ?";
    execute(writing, sql, values![at.0, position.sync_id]).await?;
    let mut tally = Tally::default();
    tally.ended(position, Status::Failed);
    counts::write(&tally, writing).await?;
    days::failed(writing, SyncId(sync_id), at, 1).await
}
