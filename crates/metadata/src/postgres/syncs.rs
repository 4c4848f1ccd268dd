//! Syncs: the table `syncs`, with the changes of their transactions to the days and datasets.

use super::query::{Row, Select, changed, clamp, found, rows, values};
use super::uploads::{folder_id, in_flight};
use super::writing::Durability::Synced;
use super::writing::{Counter, SyncLock, Writing, transaction};
use super::PostgresState;
use crate::backend::Backend as _;
use crate::batches::insert_expected;
use crate::counts::{self, dense_page, page_of_slice, slice};
use crate::counts::{Position, Tally};
use crate::datasets;
use crate::days::DayTally;
use crate::days::{self, counted};
use crate::idempotency;
use crate::row::{SYNC_COLUMNS, id, number, path, sync, sync_record, time};
use crate::schemas::remember_good;
use crate::syncs::{record, refuse_above_datasets, refuse_if_held};
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
use lakeshore::model::sync::job::{
    Closing, Supersede, SyncJob, SyncRecord, gives_way, may_accept_uploads, may_close, superseded_by,
};
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::totals::Totals;
use lakeshore::ports::metadata::sync::SyncState;
use lakeshore::{Error, Timestamp};
use lakeshore_system::failpoints::crash_point;
use sqlx::PgConnection;

#[async_trait]
impl SyncState for PostgresState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        transaction!(self, Synced, |writing| {
            writing.lock_starts().await?;
            start_sync(writing, new, None).await.map(|started| started.id)
        })
    }

    async fn check_start(&self, path: &LakePath, sync_type: SyncType) -> Result<(), Error> {
        let mut connection = self.look().await?;
        refuse_if_held(&mut connection, path, sync_type, None).await?;
        match sync_type {
            SyncType::FullSync => refuse_above_datasets(&mut connection, path).await,
            SyncType::IncrementalSync => Ok(()),
        }
    }

    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
        let superseded = transaction!(self, Synced, |writing| supersede_sync(writing, new, supersede).await);
        crash_point!("supersede.remembered");
        superseded
    }

    async fn sync(&self, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
        record(&mut *self.look().await?, sync_id).await
    }

    async fn syncs(&self, wanted: &SyncQuery) -> Result<Vec<SyncJob>, Error> {
        let mut connection = self.list_by(wanted.text.as_deref()).await?;
        match select(&mut connection, wanted).await? {
            Some(select) => select.rows(&mut connection, sync).await,
            None => Ok(Vec::new()),
        }
    }

    async fn close_sync(
        &self,
        sync_id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        transaction!(self, Synced, |writing| {
            writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
            close_sync(writing, sync_id, closing, discard_in_flight, at).await
        })
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("settle_sync")?;
        transaction!(self, Synced, |writing| settle_sync(writing, settlement).await)
    }

    async fn hold_sync(&self, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
        let held = transaction!(self, Synced, |writing| hold_sync(writing, sync_id, hold, by).await);
        crash_point!("hold.remembered");
        held
    }

    async fn reopen_sync(&self, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
        transaction!(self, Synced, |writing| reopen_sync(writing, sync_id, why, at).await)
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs"));
        select.push(" WHERE phase <> 'Ended' AND phase IN ('Publishing', 'Aborting') AND NOT EXISTS (SELECT 1 FROM sync_gates g \
                     WHERE g.sync_id = syncs.sync_id AND is_at_work(g.serving_node, ").bind(self.node()).push(")) ORDER BY sync_id");
        select.rows(&mut *self.list().await?, sync_record).await
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
        select.rows(&mut *self.list().await?, sync_id).await
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let mut select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open'");
        select.push(" AND num_in_flight = 0 AND last_activity < ").bind(before.0).push(" ORDER BY sync_id");
        select.rows(&mut *self.list().await?, sync_id).await
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT path FROM datasets WHERE path >= ");
        // A path with this prefix sorts before the prefix followed by the highest character.
        select.bind(beginning).push(" AND path < ").bind(format!("{beginning}\u{10FFFF}"));
        select.within("path", scope).push(" ORDER BY last_sync_id DESC, path LIMIT ").bind(clamp(size));
        select.rows(&mut *self.list().await?, |row| path(row, "path")).await
    }

    async fn delete_dataset(&self, path: &LakePath) -> Result<(), Error> {
        let sql = "DELETE FROM datasets WHERE path = ?";
        transaction!(self, Synced, |writing| {
            writing.lock_history().await?;
            changed(writing, sql, values![path.as_str()]).await.map(drop)
        })
    }
}

fn sync_id(row: &Row) -> sqlx::Result<SyncId> {
    Ok(SyncId(number(row, "sync_id")?))
}

/// Query of a page of the list; `None` if no row can match.
async fn select(connection: &mut PgConnection, wanted: &SyncQuery) -> Result<Option<Select>, Error> {
    let page = &wanted.page;
    let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE true"));
    if let Some(status) = wanted.status {
        select.push(" AND status = ").bind(status.as_str());
    }
    if let Some(sync_type) = wanted.sync_type {
        select.push(" AND sync_type = ").bind(sync_type.as_str());
    }
    if wanted.path.is_some() || wanted.scope.is_some() || wanted.text.is_some() {
        select.within("path", wanted.path.as_ref()).within("path", wanted.scope.as_ref());
        select.holding::<sqlx::Postgres>(["name", "path"], wanted.text.as_deref());
        select.page("sync_id", page.order, page.size, page.from);
        return Ok(Some(select));
    }
    if wanted.status.is_none() && wanted.sync_type.is_none() {
        dense_page(&mut select, "sync_id", "(SELECT max(sync_id) FROM syncs)", page);
        return Ok(Some(select));
    }
    let slice = slice(connection, page, |counts| {
        counts.push("SELECT block, sum(total)::bigint FROM sync_counts WHERE true");
        if let Some(status) = wanted.status {
            counts.push(" AND status = ").bind(status.as_str());
        }
        if let Some(sync_type) = wanted.sync_type {
            counts.push(" AND sync_type = ").bind(sync_type.as_str());
        }
    })
    .await?;
    Ok(slice.map(|slice| {
        page_of_slice(&mut select, "sync_id", page, &slice);
        select
    }))
}

/// Counts a sync in its blocks, under a status, or under another than before. Requires the lock of the history.
async fn count_sync(
    writing: &mut Writing,
    sync_id: SyncId,
    sync_type: SyncType,
    before: Option<Status>,
    status: Status,
) -> Result<(), Error> {
    const ADD: &str = "INSERT INTO sync_counts AS c SELECT $1, $2, span, $3 >> span::int, $4 \
         FROM (VALUES (10::bigint), (20)) AS spans (span) \
         ON CONFLICT (sync_type, status, span, block) DO UPDATE SET total = c.total + excluded.total";
    for (status, change) in before.map(|before| (before, -1_i64)).into_iter().chain([(status, 1)]) {
        let values = values![sync_type.as_str(), status.as_str(), id(sync_id.0), change];
        changed(writing, ADD, values).await?;
    }
    Ok(())
}

struct Started {
    id: SyncId,
    /// False where an earlier call with the same key started the sync.
    is_new: bool,
}

/// Starts a sync. Requires the lock of starts.
async fn start_sync(writing: &mut Writing, new: &NewSync, superseded: Option<SyncId>) -> Result<Started, Error> {
    if let Some(once) = &new.once
        && let Some(id) = idempotency::earlier(writing, once).await?
    {
        return Ok(Started { id, is_new: false });
    }
    refuse_if_held(writing, &new.path, new.sync_type, superseded).await?;
    if new.sync_type == SyncType::FullSync {
        refuse_above_datasets(writing, &new.path).await?;
    }
    writing.lock_history().await?;
    let sync_id = SyncId(writing.next_id(Counter::Syncs).await?.cast_unsigned());
    let sql = "INSERT INTO syncs (sync_id, name, path, sync_type, start_time, started_by, last_activity, restores_version) \
               VALUES ($1, $2, $3, $4, $5, $6, $5, $7)";
    let (name, by) = (&new.name, &new.started_by.name);
    let restores_version = new.restores_version.map(|version| id(version.0));
    let (path, sync_type) = (new.path.as_str(), new.sync_type.as_str());
    let values = values![id(sync_id.0), name, path, sync_type, new.at.0, by, restores_version];
    changed(writing, sql, values).await?;
    count_sync(writing, sync_id, new.sync_type, None, Status::Syncing).await?;
    folder_id(writing, new.path.as_str()).await?;
    days::one(writing, sync_id, new.at, DayCounts { syncs: 1, ..DayCounts::default() }).await?;
    if let Some(expected) = &new.expected {
        insert_expected(writing, sync_id, expected).await?;
    }
    if let Some(once) = &new.once {
        idempotency::remember(writing, new, once, sync_id).await?;
    }
    writing.record(&AuditEntry::sync_started(sync_id, new));
    Ok(Started { id: sync_id, is_new: true })
}

async fn supersede_sync(writing: &mut Writing, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
    writing.lock_starts().await?;
    writing.lock_syncs(vec![id(supersede.sync_id.0)], SyncLock::Change).await?;
    let last_activity =
        found(writing, "SELECT last_activity FROM syncs WHERE sync_id = ?", values![id(supersede.sync_id.0)], |row| {
            time(row, "last_activity")
        })
        .await?;
    let record = record(writing, supersede.sync_id).await?;
    let superseded = record.zip(last_activity).filter(|(record, at)| gives_way(record, *at, &new.path, supersede));
    let started = start_sync(writing, new, superseded.as_ref().map(|_| supersede.sync_id)).await?;
    if superseded.is_some() && started.is_new {
        let closing = superseded_by(started.id, new.started_by.clone());
        close_sync(writing, supersede.sync_id, &closing, true, new.at).await?;
    }
    Ok(started.id)
}

/// Closes a sync whose row is locked.
async fn close_sync(
    writing: &mut Writing,
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
    let sql = "UPDATE uploads SET status = 'Failed', end_time = greatest(start_time, ?), message = ? WHERE sync_id = ? AND \
               status = 'Syncing' RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, closing.discard_message(sync_id), id(sync_id.0)];
    let discarded = rows(writing, sql, values, Position::of).await?;
    let mut tally = Tally::default();
    discarded.iter().for_each(|position| tally.ended(*position, Status::Failed));
    counts::write(&tally, writing).await?;
    days::failed(writing, sync_id, at, discarded.len() as u64).await?;
    let sql = "UPDATE syncs SET num_failed = num_failed + ?, num_in_flight = 0, held_since = NULL WHERE sync_id = ?";
    changed(writing, sql, values![id(discarded.len() as u64), id(sync_id.0)]).await?;
    for deed in AuditEntry::closing(&record, closing, discarded.len() as u64, at) {
        writing.record(&deed);
    }
    let actor = serde_json::to_string(closing.by()).map_err(Error::internal)?;
    match closing {
        Closing::Finish { by } => {
            let sql = "UPDATE syncs SET phase = 'Ended', status = 'Finished', end_time = greatest(start_time, ?) \
                       WHERE sync_id = ?";
            let ended = changed(writing, sql, values![at.0, id(sync_id.0)]).await;
            let (sync_type, before) = (record.sync.sync_type, record.sync.sync_status);
            count_sync(writing, sync_id, sync_type, Some(before), Status::Finished).await?;
            remember_good(writing, sync_id).await?;
            let finished = self::record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
            writing.record(&AuditEntry::sync_finished(&finished, by, at));
            ended
        }
        Closing::Publish { staging, allow_empty, by } => {
            let sql = "UPDATE syncs SET phase = 'Publishing', closing_staging = ?, closing_allow_empty = ?, \
                       closing_by = ?, closing_actor = ? WHERE sync_id = ?";
            changed(writing, sql, values![staging.0, allow_empty, by.name, actor, id(sync_id.0)]).await
        }
        Closing::Abort { reason, message, by } => {
            let sql = "UPDATE syncs SET phase = 'Aborting', closing_reason = ?, closing_message = ?, closing_by = ?, \
                       closing_actor = ? WHERE sync_id = ?";
            changed(writing, sql, values![reason.as_str(), message, by.name, actor, id(sync_id.0)]).await
        }
    }?;
    Ok(())
}

async fn hold_sync(writing: &mut Writing, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
    let Hold { since: at, replaced, published, differing_files } = hold;
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    may_accept_uploads(&record)?;
    let since = record.sync.held.map_or(at, |earlier| earlier.since);
    if record.sync.held.is_none() {
        // Counts as activity: a person is to decide now.
        changed(writing, "UPDATE syncs SET last_activity = ? WHERE sync_id = ?", values![at.0, id(sync_id.0)]).await?;
        writing.record(&AuditEntry::sync_held(&record.sync, &hold, by));
    }
    let sql = "UPDATE syncs SET held_since = ?, held_replaced_files = ?, held_replaced_bytes = ?, \
           held_published_files = ?, held_published_bytes = ?, held_differing = ? WHERE sync_id = ?";
    let (old, new) = ((id(replaced.files), id(replaced.bytes)), (id(published.files), id(published.bytes)));
    changed(writing, sql, values![since.0, old.0, old.1, new.0, new.1, id(differing_files), id(sync_id.0)]).await?;
    Ok(Hold { since, ..hold })
}

/// Reopens a sync whose publish or abort was not possible.
async fn reopen_sync(writing: &mut Writing, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    let Some(SyncRecord { sync, closing: Some(closing), .. }) = record(writing, sync_id).await? else { return Ok(()) };
    changed(writing, "UPDATE syncs SET phase = 'Open' WHERE sync_id = ?", values![id(sync_id.0)]).await?;
    writing.record(&AuditEntry::sync_reopened(&sync, &closing, why, at));
    Ok(())
}

async fn settle_sync(writing: &mut Writing, settlement: &Settlement) -> Result<(), Error> {
    let sync_id = settlement.sync_id;
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    writing.lock_history().await?;
    let before = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let sql = "UPDATE syncs SET phase = 'Ended', status = ?, message = ?, end_time = greatest(start_time, ?) \
               WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
    let values = values![settlement.status.as_str(), settlement.message, settlement.at.0, id(sync_id.0)];
    if changed(writing, sql, values).await? == 0 {
        return Ok(());
    }
    let (sync_type, status) = (before.sync.sync_type, before.sync.sync_status);
    count_sync(writing, sync_id, sync_type, Some(status), settlement.status).await?;
    if let Some(closing) = &before.closing {
        writing.record(&AuditEntry::sync_settled(&before.sync, closing, settlement));
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
    remember_good(writing, sync_id).await?;
    published(writing, sync_id, settlement.at).await?;
    let (path, slot) = (before.sync.path.as_str(), settlement.trash.as_ref().map(|trash| trash.key.as_str()));
    let by = before.closing.as_ref().map(|closing| closing.by().clone()).unwrap_or_default();
    moved::published(writing, sync_id, path, slot, &by, settlement.at).await
}

/// Records that a full sync has become its dataset.
async fn published(writing: &mut Writing, sync_id: SyncId, at: Timestamp) -> Result<(), Error> {
    let sync = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    datasets::remember(writing, sync_id, at).await?;
    datasets::touch(writing, [sync.path.as_str()]).await?;
    let mut days = DayTally::default();
    days.arrived(counted(writing, sync_id).await?, at, Totals { files: sync.num_landed(), bytes: sync.size_bytes });
    days::write(&days, writing).await
}
