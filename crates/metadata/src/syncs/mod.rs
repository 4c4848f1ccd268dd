//! Syncs: the table `syncs`, with the changes of their transactions to the days and datasets.

mod overlap;
mod page;
mod start;

pub(crate) use overlap::overlapping_syncs;
#[cfg(test)]
pub(crate) use page::select;
pub(crate) use start::{refuse_above_datasets, refuse_if_held};

use crate::backend::{Backend, MetadataStore};
use crate::counts::{self, Position, Tally};
use crate::datasets;
use crate::days::{self, DayTally, counted};
use crate::query::{Connection, Select, clamp, execute, execute_returning, fetch_optional, values};
use crate::row::{DbRow, SYNC_COLUMNS, UPLOAD_COLUMNS, id, number, path, sync, sync_record, time, upload};
use crate::schemas::record_baseline;
use crate::transaction::Durability::{Synced, Written};
use crate::transaction::{SyncLock, WriteTransaction};
use crate::trash::insert_trash;
use crate::versions::moved;
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::IN_FLIGHT_NAMED_MAX;
use lakeshore::model::page::SyncQuery;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::end::Settlement;
use lakeshore::model::sync::hold::Hold;
use lakeshore::model::sync::job::{Closing, Supersede, SyncJob, SyncRecord, may_accept_uploads, may_close};
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::totals::Totals;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::metadata::sync::SyncState;
use lakeshore::{Error, Timestamp};
use lakeshore_system::failpoints::crash_point;
use start::{start_sync, supersede_sync};
use std::sync::LazyLock;

#[async_trait]
impl<B: Backend> SyncState for MetadataStore<B> {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        self.0
            .write(Synced, new.clone(), |writing, new| {
                Box::pin(async move {
                    writing.lock_starts().await?;
                    start_sync(writing, new, None).await.map(|started| started.id)
                })
            })
            .await
    }

    async fn check_start(&self, path: &LakePath, sync_type: SyncType) -> Result<(), Error> {
        let mut connection = self.0.look().await?;
        refuse_if_held(&mut connection, path, sync_type, None).await?;
        match sync_type {
            SyncType::FullSync => refuse_above_datasets(&mut connection, path).await,
            SyncType::IncrementalSync => Ok(()),
        }
    }

    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
        let superseded = self
            .0
            .write(Synced, (new.clone(), *supersede), |writing, (new, supersede)| {
                Box::pin(supersede_sync(writing, new, supersede))
            })
            .await;
        crash_point!("supersede.remembered");
        superseded
    }

    async fn sync(&self, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
        record(&mut self.0.look().await?, sync_id).await
    }

    async fn syncs(&self, wanted: &SyncQuery) -> Result<Vec<SyncJob>, Error> {
        self.0
            .view_by(wanted.text.as_deref(), wanted, |view, wanted| {
                Box::pin(async move {
                    match page::select(view, wanted).await? {
                        Some(select) => select.fetch_all(view, sync).await,
                        None => Ok(Vec::new()),
                    }
                })
            })
            .await
    }

    async fn close_sync(
        &self,
        sync_id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        let given = (sync_id, closing.clone(), discard_in_flight, at);
        self.0
            .write(Synced, given, |writing, (sync_id, closing, discard_in_flight, at)| {
                Box::pin(async move {
                    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
                    close_sync(writing, *sync_id, closing, *discard_in_flight, *at).await
                })
            })
            .await
    }

    async fn expire_sync(
        &self,
        sync_id: SyncId,
        closing: &Closing,
        idle_before: Timestamp,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let given = (sync_id, closing.clone(), idle_before, at);
        self.0
            .write(Synced, given, |writing, (sync_id, closing, idle_before, at)| {
                Box::pin(async move {
                    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
                    if last_activity(writing, *sync_id).await?.is_none_or(|last| last >= *idle_before) {
                        return Ok(false);
                    }
                    close_sync(writing, *sync_id, closing, false, *at).await.map(|()| true)
                })
            })
            .await
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        self.0.inject_fault("settle_sync")?;
        self.0.write(Synced, settlement.clone(), |writing, settlement| Box::pin(settle_sync(writing, settlement))).await
    }

    async fn hold_sync(&self, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
        let held = self
            .0
            .write(Synced, (sync_id, hold, by.clone()), |writing, (sync_id, hold, by)| {
                Box::pin(hold_sync(writing, *sync_id, *hold, by))
            })
            .await;
        crash_point!("hold.remembered");
        held
    }

    async fn reopen_sync(&self, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
        self.0
            .write(Synced, (sync_id, why.to_owned(), at), |writing, (sync_id, why, at)| {
                Box::pin(reopen_sync(writing, *sync_id, why, *at))
            })
            .await
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs"));
        select.push(" WHERE phase <> 'Ended' AND phase IN ('Publishing', 'Aborting')");
        self.0.exclude_ends_of_others(&mut select);
        select.push(" ORDER BY sync_id");
        select.fetch_all(&mut self.0.list().await?, sync_record).await
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
        select.fetch_all(&mut self.0.list().await?, sync_id).await
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let mut select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open'");
        select.push(" AND num_in_flight = 0 AND last_activity < ").bind(before.0).push(" ORDER BY sync_id");
        select.fetch_all(&mut self.0.list().await?, sync_id).await
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT path FROM datasets WHERE path >= ");
        // A path with this prefix sorts before the prefix followed by the highest character.
        select.bind(beginning).push(" AND path < ").bind(format!("{beginning}\u{10FFFF}"));
        select.within("path", scope).push(" ORDER BY last_sync_id DESC, path LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, |row| path(row, "path")).await
    }

    async fn delete_dataset(&self, path: &LakePath) -> Result<(), Error> {
        self.0.change_locked(Written, "DELETE FROM datasets WHERE path = ?", values![path.as_str()]).await
    }
}

fn sync_id(row: &impl DbRow) -> sqlx::Result<SyncId> {
    Ok(SyncId(number(row, "sync_id")?))
}

pub(crate) async fn record(connection: &mut impl Connection, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
    static RECORD: LazyLock<String> = LazyLock::new(|| format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ?"));
    fetch_optional(connection, RECORD.as_str(), values![id(sync_id.0)], sync_record).await
}

async fn last_activity(connection: &mut impl Connection, sync_id: SyncId) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT last_activity FROM syncs WHERE sync_id = ?";
    fetch_optional(connection, sql, values![id(sync_id.0)], |row| time(row, "last_activity")).await
}

/// The first `size` uploads of the sync that are in flight.
async fn in_flight(connection: &mut impl Connection, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM uploads u WHERE sync_id = "));
    select.bind(id(sync_id.0)).push(" AND status = 'Syncing' ORDER BY history_id LIMIT ").bind(clamp(size));
    select.fetch_all(connection, upload).await
}

/// Closes a sync whose row is locked.
async fn close_sync(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    closing: &Closing,
    discard_in_flight: bool,
    at: Timestamp,
) -> Result<(), Error> {
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let uploads = in_flight(writing, sync_id, IN_FLIGHT_NAMED_MAX).await?;
    may_close(&record, uploads, closing, discard_in_flight)?;
    if let (Closing::Publish { .. }, Some(version)) = (closing, record.restores_version)
        && !moved::is_staged_as(writing, sync_id, record.sync.path.as_str(), version).await?
    {
        return Err(Error::RestoreDiffers { sync_id, path: record.sync.path, version });
    }
    writing.lock_history().await?;
    let sql = "UPDATE uploads SET status = 'Failed', end_time = max(start_time, ?), message = ? WHERE sync_id = ? AND \
               status = 'Syncing' RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, closing.discard_message(sync_id), id(sync_id.0)];
    let discarded = execute_returning(writing, sql, values, Position::of).await?;
    let mut tally = Tally::default();
    discarded.iter().for_each(|position| tally.ended(*position, Status::Failed));
    counts::write(&tally, writing).await?;
    days::failed(writing, sync_id, at, discarded.len() as u64).await?;
    let sql = "UPDATE syncs SET num_failed = num_failed + ?, num_in_flight = 0, held_since = NULL WHERE sync_id = ?";
    execute(writing, sql, values![id(discarded.len() as u64), id(sync_id.0)]).await?;
    for entry in AuditEntry::closing(&record, closing, discarded.len() as u64, at) {
        writing.record(&entry).await?;
    }
    let actor = serde_json::to_string(closing.by()).map_err(Error::internal)?;
    match closing {
        Closing::Finish { by } => {
            let sql = "UPDATE syncs SET phase = 'Ended', status = 'Finished', end_time = max(start_time, ?) \
                       WHERE sync_id = ?";
            let ended = execute(writing, sql, values![at.0, id(sync_id.0)]).await;
            let (sync_type, before) = (record.sync.sync_type, record.sync.sync_status);
            writing.count_sync(sync_id, sync_type, Some(before), Status::Finished).await?;
            record_baseline(writing, sync_id).await?;
            let finished = self::record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
            writing.record(&AuditEntry::sync_finished(&finished, by, at)).await?;
            ended
        }
        Closing::Publish { staging, allow_empty, by } => {
            let sql = "UPDATE syncs SET phase = 'Publishing', closing_staging = ?, closing_allow_empty = ?, \
                       closing_by = ?, closing_actor = ? WHERE sync_id = ?";
            execute(writing, sql, values![staging.0, allow_empty, by.name, actor, id(sync_id.0)]).await
        }
        Closing::Abort { reason, message, by } => {
            let sql = "UPDATE syncs SET phase = 'Aborting', closing_reason = ?, closing_message = ?, closing_by = ?, \
                       closing_actor = ? WHERE sync_id = ?";
            execute(writing, sql, values![reason.as_str(), message, by.name, actor, id(sync_id.0)]).await
        }
    }?;
    Ok(())
}

async fn hold_sync(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    hold: Hold,
    by: &Actor,
) -> Result<Hold, Error> {
    let Hold { since: at, replaced, published, differing_files } = hold;
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    may_accept_uploads(&record)?;
    let since = record.sync.held.map_or(at, |earlier| earlier.since);
    if record.sync.held.is_none() {
        // Counts as activity: a person is to decide now.
        execute(writing, "UPDATE syncs SET last_activity = ? WHERE sync_id = ?", values![at.0, id(sync_id.0)]).await?;
        writing.record(&AuditEntry::sync_held(&record.sync, &hold, by)).await?;
    }
    let sql = "UPDATE syncs SET held_since = ?, held_replaced_files = ?, held_replaced_bytes = ?, \
           held_published_files = ?, held_published_bytes = ?, held_differing = ? WHERE sync_id = ?";
    let (old, new) = ((id(replaced.files), id(replaced.bytes)), (id(published.files), id(published.bytes)));
    execute(writing, sql, values![since.0, old.0, old.1, new.0, new.1, id(differing_files), id(sync_id.0)]).await?;
    Ok(Hold { since, ..hold })
}

/// Reopens a sync whose publish or abort was not possible.
async fn reopen_sync(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    why: &str,
    at: Timestamp,
) -> Result<(), Error> {
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    let Some(SyncRecord { sync, closing: Some(closing), .. }) = record(writing, sync_id).await? else { return Ok(()) };
    execute(writing, "UPDATE syncs SET phase = 'Open' WHERE sync_id = ?", values![id(sync_id.0)]).await?;
    writing.record(&AuditEntry::sync_reopened(&sync, &closing, why, at)).await
}

async fn settle_sync(writing: &mut impl WriteTransaction, settlement: &Settlement) -> Result<(), Error> {
    let sync_id = settlement.sync_id;
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    writing.lock_history().await?;
    let before = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let sql = "UPDATE syncs SET phase = 'Ended', status = ?, message = ?, end_time = max(start_time, ?) \
               WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
    let values = values![settlement.status.as_str(), settlement.message, settlement.at.0, id(sync_id.0)];
    if execute(writing, sql, values).await? == 0 {
        return Ok(());
    }
    let (sync_type, status) = (before.sync.sync_type, before.sync.sync_status);
    writing.count_sync(sync_id, sync_type, Some(status), settlement.status).await?;
    if let Some(closing) = &before.closing {
        writing.record(&AuditEntry::sync_settled(&before.sync, closing, settlement)).await?;
    }
    if let Some(trash) = &settlement.trash {
        insert_trash(writing, std::slice::from_ref(trash)).await?;
    }
    if settlement.status == Status::Failed {
        if let Some(trash) = &settlement.trash {
            moved::dropped(writing, sync_id, trash.key.as_str()).await?;
        }
        let counts = DayCounts { failed_syncs: 1, ..DayCounts::default() };
        return days::one(writing, sync_id, settlement.at, counts).await;
    }
    record_baseline(writing, sync_id).await?;
    published(writing, sync_id, settlement.at).await?;
    let (path, slot) = (before.sync.path.as_str(), settlement.trash.as_ref().map(|trash| trash.key.as_str()));
    let by = before.closing.as_ref().map(|closing| closing.by().clone()).unwrap_or_default();
    moved::published(writing, sync_id, path, slot, &by, settlement.at).await
}

/// Records that a full sync has become its dataset.
async fn published(writing: &mut impl WriteTransaction, sync_id: SyncId, at: Timestamp) -> Result<(), Error> {
    let sync = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    datasets::remember(writing, sync_id, at).await?;
    datasets::touch(writing, [sync.path.as_str()]).await?;
    let mut days = DayTally::default();
    days.arrived(counted(writing, sync_id).await?, at, Totals { files: sync.num_landed(), bytes: sync.size_bytes });
    days::write(&days, writing).await
}
