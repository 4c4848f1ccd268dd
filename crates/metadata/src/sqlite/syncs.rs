//! Syncs: the table `syncs`, with the changes of their transactions to the days and datasets.

use super::job::Durability::{Synced, Written};
use super::query::{Row, Select, changed, clamp, found, inserted, is_small, returned, values};
use super::row::{SYNC_COLUMNS, id, number, path, sync, sync_record, time};
use super::uploads::{folder_id, in_flight};
use super::writing::Writing;
use super::SqliteState;
use crate::batches::insert_expected;
use crate::counts::{self, dense_page, page_of_slice, slice};
use crate::counts::{Position, Tally};
use crate::datasets;
use crate::days::DayTally;
use crate::days::{self, counted};
use crate::idempotency;
use crate::schemas::remember_good;
use crate::syncs::{record, refuse_above_datasets, refuse_if_held};
use crate::trash::insert_trash;
use crate::versions::moved;
use crate::transaction::WriteTransaction as _;
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
use sqlx::SqliteConnection;

#[async_trait]
impl SyncState for SqliteState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        let new = new.clone();
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move { start_sync(writing, &new, None).await.map(|started| started.id) })
            })
            .await
    }

    async fn check_start(&self, path: &LakePath, sync_type: SyncType) -> Result<(), Error> {
        let mut connection = self.readers.look().await?;
        refuse_if_held(&mut connection, path, sync_type, None).await?;
        match sync_type {
            SyncType::FullSync => refuse_above_datasets(&mut connection, path).await,
            SyncType::IncrementalSync => Ok(()),
        }
    }

    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
        let (new, supersede) = (new.clone(), *supersede);
        let superseded = self
            .writer
            .write(Synced, move |writing| Box::pin(async move { supersede_sync(writing, &new, &supersede).await }))
            .await;
        crash_point!("supersede.remembered");
        superseded
    }

    async fn sync(&self, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
        record(&mut *self.readers.look().await?, sync_id).await
    }

    async fn syncs(&self, wanted: &SyncQuery) -> Result<Vec<SyncJob>, Error> {
        let mut connection = self.readers.list_by(wanted.text.as_deref()).await?;
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
        let closing = closing.clone();
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move { close_sync(writing, sync_id, closing, discard_in_flight, at).await })
            })
            .await
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        #[cfg(feature = "testing")]
        self.faults().next("settle_sync")?;
        let settlement = settlement.clone();
        self.writer.write(Synced, move |writing| Box::pin(async move { settle_sync(writing, settlement).await })).await
    }

    async fn hold_sync(&self, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
        let by = by.clone();
        let held = self
            .writer
            .write(Synced, move |writing| Box::pin(async move { hold_sync(writing, sync_id, hold, &by).await }))
            .await;
        crash_point!("hold.remembered");
        held
    }

    async fn reopen_sync(&self, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
        let why = why.to_owned();
        self.writer
            .write(Synced, move |writing| Box::pin(async move { reopen_sync(writing, sync_id, &why, at).await }))
            .await
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs"));
        select.push(" WHERE phase <> 'Ended' AND phase IN ('Publishing', 'Aborting') ORDER BY sync_id");
        select.rows(&mut *self.readers.list().await?, sync_record).await
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
        select.rows(&mut *self.readers.list().await?, sync_id).await
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let mut select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open'");
        select.push(" AND num_in_flight = 0 AND last_activity < ").bind(before.0).push(" ORDER BY sync_id");
        select.rows(&mut *self.readers.list().await?, sync_id).await
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT path FROM datasets WHERE path >= ");
        // A path with this prefix sorts before the prefix followed by the highest character.
        select.bind(beginning).push(" AND path < ").bind(format!("{beginning}\u{10FFFF}"));
        select.within("path", scope).push(" ORDER BY last_sync_id DESC, path LIMIT ").bind(clamp(size));
        select.rows(&mut *self.readers.list().await?, |row| path(row, "path")).await
    }

    async fn delete_dataset(&self, path: &LakePath) -> Result<(), Error> {
        let path = path.clone();
        let sql = "DELETE FROM datasets WHERE path = ?";
        self.writer
            .write(Written, move |writing| {
                Box::pin(async move { changed(writing, sql, values![path.as_str()]).await.map(drop) })
            })
            .await
    }
}

fn sync_id(row: &Row) -> sqlx::Result<SyncId> {
    Ok(SyncId(number(row, "sync_id")?))
}

/// Query of a page of the list; `None` if no row can match.
pub(super) async fn select(connection: &mut SqliteConnection, wanted: &SyncQuery) -> Result<Option<Select>, Error> {
    let page = &wanted.page;
    let whole_rows = |ids: Select| ids.whole_rows(SYNC_COLUMNS, "syncs", "sync_id", page.order);
    if wanted.path.is_some() || wanted.scope.is_some() || wanted.text.is_some() {
        // The narrower of the two, where one lies within the other.
        let place = wanted.path.as_ref().or(wanted.scope.as_ref());
        let is_few = match place {
            Some(place) => {
                let mut rows = Select::new("SELECT 1 FROM syncs INDEXED BY syncs_by_path WHERE 1");
                rows.within_range("path", Some(place));
                is_small(connection, rows).await?
            }
            None => false,
        };
        let mut ids = matching(wanted, if is_few { "syncs_by_path" } else { "syncs_in_order" });
        if is_few {
            ids.within_range("path", place);
        }
        ids.within("path", wanted.path.as_ref()).within("path", wanted.scope.as_ref());
        ids.holding::<sqlx::Sqlite>(["name", "path"], wanted.text.as_deref());
        ids.page("sync_id", page.order, page.size, page.from);
        return Ok(Some(whole_rows(ids)));
    }
    if wanted.status.is_none() && wanted.sync_type.is_none() {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE 1"));
        dense_page(&mut select, "sync_id", "(SELECT max(sync_id) FROM syncs)", page);
        return Ok(Some(select));
    }
    let types = wanted.sync_type.map_or("'FullSync', 'IncrementalSync'".into(), |one| format!("'{}'", one.as_str()));
    let statuses = wanted.status.map_or("'Syncing', 'Finished', 'Failed'".into(), |one| format!("'{}'", one.as_str()));
    let slice = slice(connection, page, |counts| {
        counts.push("SELECT block, sum(total) FROM sync_counts WHERE sync_type IN (").push(&types);
        counts.push(") AND status IN (").push(&statuses).push(")");
    })
    .await?;
    let index = match (wanted.status, wanted.sync_type) {
        (Some(_), Some(_)) => "syncs_by_status",
        (None, Some(_)) => "syncs_by_type",
        (_, None) => "syncs_in_order",
    };
    Ok(slice.map(|slice| {
        let mut ids = matching(wanted, index);
        page_of_slice(&mut ids, "sync_id", page, &slice);
        whole_rows(ids)
    }))
}

/// Ids of the syncs with a status and a type, by an index of both.
fn matching(wanted: &SyncQuery, index: &str) -> Select {
    let mut ids = Select::new(format!("SELECT sync_id FROM syncs INDEXED BY {index} WHERE 1"));
    if let Some(status) = wanted.status {
        ids.push(" AND status = ").bind(status.as_str());
    }
    if let Some(sync_type) = wanted.sync_type {
        ids.push(" AND sync_type = ").bind(sync_type.as_str());
    }
    ids
}

struct Started {
    id: SyncId,
    /// False where an earlier call with the same key started the sync.
    is_new: bool,
}

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
    let sql = "INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity, restores_version) \
         VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (path, sync_type) = (new.path.as_str(), new.sync_type.as_str());
    let restores_version = new.restores_version.map(|version| id(version.0));
    let values = values![new.name, path, sync_type, new.at.0, new.started_by.name, new.at.0, restores_version];
    let sync_id = SyncId(inserted(writing, sql, values).await?.cast_unsigned());
    folder_id(writing, new.path.as_str()).await?;
    days::one(writing, sync_id, new.at, DayCounts { syncs: 1, ..DayCounts::default() }).await?;
    if let Some(expected) = &new.expected {
        insert_expected(writing, sync_id, expected).await?;
    }
    if let Some(once) = &new.once {
        idempotency::remember(writing, new, once, sync_id).await?;
    }
    writing.record(&AuditEntry::sync_started(sync_id, new)).await?;
    Ok(Started { id: sync_id, is_new: true })
}

async fn supersede_sync(writing: &mut Writing, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
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
        close_sync(writing, supersede.sync_id, closing, true, new.at).await?;
    }
    Ok(started.id)
}

async fn close_sync(
    writing: &mut Writing,
    sync_id: SyncId,
    closing: Closing,
    discard_in_flight: bool,
    at: Timestamp,
) -> Result<(), Error> {
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let uploads = in_flight(writing, sync_id, IN_FLIGHT_NAMED_MAX).await?;
    may_close(&record, uploads, &closing, discard_in_flight)?;
    if let (Closing::Publish { .. }, Some(version)) = (&closing, record.restores_version)
        && !moved::is_staged_as(writing, sync_id, record.sync.path.as_str(), version).await?
    {
        return Err(Error::RestoreDiffers { sync_id, path: record.sync.path, version });
    }
    let sql = "UPDATE uploads SET status = 'Failed', end_time = max(start_time, ?), message = ? WHERE sync_id = ? AND \
               status = 'Syncing' RETURNING history_id, sync_id, ordinal, folder_id";
    let values = values![at.0, closing.discard_message(sync_id), id(sync_id.0)];
    let discarded = returned(writing, sql, values, Position::of).await?;
    let mut tally = Tally::default();
    discarded.iter().for_each(|position| tally.ended(*position, Status::Failed));
    counts::write(&tally, writing).await?;
    days::failed(writing, sync_id, at, discarded.len() as u64).await?;
    let sql = "UPDATE syncs SET num_failed = num_failed + ?, num_in_flight = 0, held_since = NULL WHERE sync_id = ?";
    changed(writing, sql, values![id(discarded.len() as u64), id(sync_id.0)]).await?;
    for deed in AuditEntry::closing(&record, &closing, discarded.len() as u64, at) {
        writing.record(&deed).await?;
    }
    let actor = serde_json::to_string(closing.by()).map_err(Error::internal)?;
    match closing {
        Closing::Finish { by } => {
            let sql = "UPDATE syncs SET phase = 'Ended', status = 'Finished', end_time = max(start_time, ?) WHERE sync_id = ?";
            let ended = changed(writing, sql, values![at.0, id(sync_id.0)]).await;
            remember_good(writing, sync_id).await?;
            let finished = self::record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
            writing.record(&AuditEntry::sync_finished(&finished, &by, at)).await?;
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
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    may_accept_uploads(&record)?;
    let since = record.sync.held.map_or(at, |earlier| earlier.since);
    if record.sync.held.is_none() {
        // Counts as activity: a person is to decide now.
        changed(writing, "UPDATE syncs SET last_activity = ? WHERE sync_id = ?", values![at.0, id(sync_id.0)]).await?;
        writing.record(&AuditEntry::sync_held(&record.sync, &hold, by)).await?;
    }
    let sql = "UPDATE syncs SET held_since = ?, held_replaced_files = ?, held_replaced_bytes = ?, \
           held_published_files = ?, held_published_bytes = ?, held_differing = ? WHERE sync_id = ?";
    let (old, new) = ((id(replaced.files), id(replaced.bytes)), (id(published.files), id(published.bytes)));
    changed(writing, sql, values![since.0, old.0, old.1, new.0, new.1, id(differing_files), id(sync_id.0)]).await?;
    Ok(Hold { since, ..hold })
}

/// Reopens a sync whose publish or abort was not possible.
async fn reopen_sync(writing: &mut Writing, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
    let Some(SyncRecord { sync, closing: Some(closing), .. }) = record(writing, sync_id).await? else { return Ok(()) };
    changed(writing, "UPDATE syncs SET phase = 'Open' WHERE sync_id = ?", values![id(sync_id.0)]).await?;
    writing.record(&AuditEntry::sync_reopened(&sync, &closing, why, at)).await
}

async fn settle_sync(writing: &mut Writing, settlement: Settlement) -> Result<(), Error> {
    let sync_id = settlement.sync_id;
    let before = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    let sql = "UPDATE syncs SET phase = 'Ended', status = ?, message = ?, end_time = max(start_time, ?) \
               WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
    let values = values![settlement.status.as_str(), settlement.message, settlement.at.0, id(sync_id.0)];
    if changed(writing, sql, values).await? == 0 {
        return Ok(());
    }
    if let Some(closing) = &before.closing {
        writing.record(&AuditEntry::sync_settled(&before.sync, closing, &settlement)).await?;
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
