//! Syncs: the table `syncs`, and what changes with them elsewhere: the days, and the datasets that they write.

use super::activity;
use super::batches::insert_expected;
use super::counts::{Tally, dense_page, page_of_slice, slice};
use super::days::{DayTally, counted};
use super::query::{Select, changed, clamp, found, is_small};
use super::row::{SYNC_COLUMNS, id, parsed, path, sync, sync_record};
use super::trash::insert_trash;
use super::uploads::{folder_id, in_flight, position};
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, datasets, fault, idempotency, schemas};
use crate::crash::crash_point;
use async_trait::async_trait;
use lakeshore::activity::{Actor, Deed};
use lakeshore::dataset::DayCounts;
use lakeshore::guard::Hold;
use lakeshore::limits::IN_FLIGHT_NAMED_MAX;
use lakeshore::list::SyncQuery;
use lakeshore::path::LakePath;
use lakeshore::ports::state::{NewSync, Settlement, SyncState};
use lakeshore::sync::{
    Closing, OpenSync, Status, Supersede, Sync, SyncId, SyncRecord, SyncType, gives_way, may_accept_uploads, may_close,
    obstacle, superseded_by,
};
use lakeshore::trash::{Totals, TrashId};
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, params};

#[async_trait]
impl SyncState for SqliteState {
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error> {
        let new = new.clone();
        self.writer.write(Synced, move |connection| start_sync(connection, &new, None).map(|started| started.id)).await
    }

    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
        let (new, supersede) = (new.clone(), *supersede);
        let superseded =
            self.writer.write(Synced, move |connection| supersede_sync(connection, &new, &supersede)).await;
        crash_point!("supersede.remembered");
        superseded
    }

    async fn sync(&self, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
        self.readers.look(|connection| record(connection, sync_id))
    }

    async fn syncs(&self, wanted: &SyncQuery) -> Result<Vec<Sync>, Error> {
        let text = wanted.text.clone();
        let wanted = wanted.clone();
        self.readers
            .list_by(text.as_deref(), move |connection| match select(connection, &wanted)? {
                Some(select) => select.rows(connection, sync),
                None => Ok(Vec::new()),
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
        let closing = closing.clone();
        self.writer
            .write(Synced, move |connection| close_sync(connection, sync_id, closing, discard_in_flight, at))
            .await
    }

    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error> {
        let settlement = settlement.clone();
        self.writer.write(Synced, move |connection| settle_sync(connection, settlement)).await
    }

    async fn hold_sync(&self, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
        let by = by.clone();
        let held = self.writer.write(Synced, move |connection| hold_sync(connection, sync_id, hold, &by)).await;
        crash_point!("hold.remembered");
        held
    }

    async fn reopen_sync(&self, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
        let why = why.to_owned();
        self.writer.write(Synced, move |connection| reopen_sync(connection, sync_id, &why, at)).await
    }

    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error> {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs"));
        select.push(" WHERE phase <> 'Ended' AND phase IN ('Publishing', 'Aborting') ORDER BY sync_id");
        self.readers.list(move |connection| select.rows(connection, sync_record)).await
    }

    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error> {
        let select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
        self.readers.list(move |connection| select.rows(connection, sync_id)).await
    }

    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error> {
        let mut select = Select::new("SELECT sync_id FROM syncs WHERE phase <> 'Ended' AND phase = 'Open'");
        select.push(" AND num_in_flight = 0 AND last_activity < ").bind(before.0).push(" ORDER BY sync_id");
        self.readers.list(move |connection| select.rows(connection, sync_id)).await
    }

    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error> {
        let mut select = Select::new("SELECT path FROM datasets WHERE path >= ");
        // Every path that begins so sorts before the same text with the highest character behind it.
        select.bind(beginning.to_owned()).push(" AND path < ").bind(format!("{beginning}\u{10FFFF}"));
        select.within("path", scope).push(" ORDER BY last_sync_id DESC, path LIMIT ").bind(clamp(size));
        self.readers.list(move |connection| select.rows(connection, |row| path(row, "path"))).await
    }

    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error> {
        let path = path.clone();
        let sql = "DELETE FROM datasets WHERE path = ?";
        self.writer.write(Written, move |connection| changed(connection, sql, [path.as_str()]).map(|_| ())).await
    }
}

fn sync_id(row: &rusqlite::Row<'_>) -> rusqlite::Result<SyncId> {
    Ok(SyncId(row.get::<_, i64>(0)?.cast_unsigned()))
}

/// The query of a page of the list; `None` when there can be no row.
pub(super) fn select(connection: &Connection, wanted: &SyncQuery) -> Result<Option<Select>, Error> {
    let page = &wanted.page;
    let whole_rows = |ids: Select| ids.whole_rows(SYNC_COLUMNS, "syncs", "sync_id", page.order);
    if wanted.path.is_some() || wanted.scope.is_some() || wanted.text.is_some() {
        // The narrower of the two, where one is within the other.
        let place = wanted.path.as_ref().or(wanted.scope.as_ref());
        let is_few = |place: &LakePath| {
            let mut rows = Select::new("SELECT 1 FROM syncs INDEXED BY syncs_by_path WHERE 1");
            rows.within_range("path", Some(place));
            is_small(connection, rows)
        };
        let mut ids = match place {
            Some(place) if is_few(place)? => {
                let mut ids = matching(wanted, "syncs_by_path");
                ids.within_range("path", Some(place));
                ids
            }
            _ => matching(wanted, "syncs_in_order"),
        };
        ids.within("path", wanted.path.as_ref()).within("path", wanted.scope.as_ref());
        ids.holding(["name", "path"], wanted.text.as_deref());
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
    })?;
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

/// The ids of the syncs of a status and a type, by an index that has both.
fn matching(wanted: &SyncQuery, index: &str) -> Select {
    let mut ids = Select::new(format!("SELECT sync_id FROM syncs INDEXED BY {index} WHERE 1"));
    if let Some(status) = wanted.status {
        ids.push(" AND status = ").bind(status.as_str().to_owned());
    }
    if let Some(sync_type) = wanted.sync_type {
        ids.push(" AND sync_type = ").bind(sync_type.as_str().to_owned());
    }
    ids
}

pub(super) fn record(connection: &Connection, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
    found(connection, &format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ?"), [id(sync_id.0)], sync_record)
}

/// Refuses what an open sync or a restore on an overlapping path keeps from starting.
/// `superseded` is about to be closed, and keeps nobody.
pub(super) fn refuse_if_held(
    connection: &Connection,
    wanted: &LakePath,
    sync_type: SyncType,
    superseded: Option<SyncId>,
) -> Result<(), Error> {
    let open = Select::new("SELECT sync_id, path, sync_type FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
    let mut open = open.rows(connection, |row| {
        let sync_type = parsed(row, "sync_type", SyncType::parse)?;
        Ok(OpenSync { sync_id: sync_id(row)?, path: path(row, "path")?, sync_type })
    })?;
    open.retain(|open| Some(open.sync_id) != superseded);
    if let Some(held) = obstacle(wanted, sync_type, &open) {
        return Err(Error::PathHeld {
            path: wanted.clone(),
            sync_id: held.sync_id,
            sync_type: held.sync_type,
            held_path: held.path.clone(),
        });
    }
    let restoring = Select::new("SELECT trash_id, origin FROM trash WHERE restoring IS NOT NULL");
    let restoring = restoring.rows(connection, |row| Ok((row.get::<_, i64>(0)?, path(row, "origin")?)))?;
    match restoring.into_iter().find(|(_, origin)| origin.overlaps(wanted)) {
        Some((id, origin)) => {
            Err(Error::PathRestoring { path: wanted.clone(), trash_id: TrashId(id.cast_unsigned()), origin })
        }
        None => Ok(()),
    }
}

/// Refuses what would replace the datasets below the path with it.
pub(super) fn refuse_above_datasets(connection: &Connection, wanted: &LakePath) -> Result<(), Error> {
    const NAMED_MAX: u64 = 10;
    let (first, last) = wanted.range_below();
    let mut below = Select::new("SELECT path FROM datasets WHERE path >= ");
    below.bind(first).push(" AND path < ").bind(last).push(" ORDER BY path LIMIT ").bind(clamp(NAMED_MAX));
    let below = below.rows(connection, |row| path(row, "path"))?;
    if below.is_empty() { Ok(()) } else { Err(Error::DatasetsBelow { path: wanted.clone(), below }) }
}

struct Started {
    id: SyncId,
    /// Not by an earlier call under the same key.
    is_new: bool,
}

fn start_sync(connection: &Connection, new: &NewSync, superseded: Option<SyncId>) -> Result<Started, Error> {
    if let Some(once) = &new.once
        && let Some(id) = idempotency::earlier(connection, once)?
    {
        return Ok(Started { id, is_new: false });
    }
    refuse_if_held(connection, &new.path, new.sync_type, superseded)?;
    if new.sync_type == SyncType::FullSync {
        refuse_above_datasets(connection, &new.path)?;
    }
    let sql =
        "INSERT INTO syncs (name, path, sync_type, start_time, started_by, last_activity) VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![new.name, new.path.as_str(), new.sync_type.as_str(), new.at.0, new.started_by.name, new.at.0];
    changed(connection, sql, values)?;
    let sync_id = SyncId(connection.last_insert_rowid().cast_unsigned());
    folder_id(connection, new.path.as_str())?;
    DayTally::one(connection, sync_id, new.at, DayCounts { syncs: 1, ..DayCounts::default() })?;
    if let Some(expected) = &new.expected {
        insert_expected(connection, sync_id, expected)?;
    }
    if let Some(once) = &new.once {
        idempotency::remember(connection, new, once, sync_id)?;
    }
    activity::record(connection, &Deed::sync_started(sync_id, new))?;
    Ok(Started { id: sync_id, is_new: true })
}

fn supersede_sync(connection: &Connection, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error> {
    let last_activity =
        found(connection, "SELECT last_activity FROM syncs WHERE sync_id = ?", [id(supersede.sync_id.0)], |row| {
            Ok(Timestamp(row.get(0)?))
        })?;
    let record = record(connection, supersede.sync_id)?;
    let superseded = record.zip(last_activity).filter(|(record, at)| gives_way(record, *at, &new.path, supersede));
    let started = start_sync(connection, new, superseded.as_ref().map(|_| supersede.sync_id))?;
    if superseded.is_some() && started.is_new {
        let closing = superseded_by(started.id, new.started_by.clone());
        close_sync(connection, supersede.sync_id, closing, true, new.at)?;
    }
    Ok(started.id)
}

fn close_sync(
    connection: &Connection,
    sync_id: SyncId,
    closing: Closing,
    discard_in_flight: bool,
    at: Timestamp,
) -> Result<(), Error> {
    let record = record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?;
    let uploads = in_flight(connection, sync_id, IN_FLIGHT_NAMED_MAX)?;
    may_close(&record, uploads, &closing, discard_in_flight)?;
    let discarded = {
        let sql = "UPDATE uploads SET status = 'Failed', end_time = ?, message = ? WHERE sync_id = ? AND \
                   status = 'Syncing' RETURNING history_id, sync_id, ordinal, folder_id";
        let mut statement = connection.prepare_cached(sql).map_err(fault)?;
        let message = closing.discard_message(sync_id);
        let rows = statement.query_map(params![at.0, message, id(sync_id.0)], position).map_err(fault)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().map_err(fault)?
    };
    let mut tally = Tally::default();
    discarded.iter().for_each(|position| tally.ended(*position, Status::Failed));
    tally.write(connection)?;
    DayTally::failed(connection, sync_id, at, discarded.len() as u64)?;
    let sql = "UPDATE syncs SET num_failed = num_failed + ?, num_in_flight = 0, held_since = NULL WHERE sync_id = ?";
    changed(connection, sql, params![id(discarded.len() as u64), id(sync_id.0)])?;
    for deed in Deed::closing(&record, &closing, discarded.len() as u64, at) {
        activity::record(connection, &deed)?;
    }
    let actor = serde_json::to_string(closing.by()).map_err(Error::internal)?;
    match closing {
        Closing::Finish { by } => {
            let sql = "UPDATE syncs SET phase = 'Ended', status = 'Finished', end_time = ? WHERE sync_id = ?";
            let ended = changed(connection, sql, params![at.0, id(sync_id.0)]);
            schemas::remember_good(connection, sync_id)?;
            let finished = self::record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?.sync;
            activity::record(connection, &Deed::sync_finished(&finished, &by, at))?;
            ended
        }
        Closing::Publish { staging, allow_empty, by } => {
            let sql = "UPDATE syncs SET phase = 'Publishing', closing_staging = ?, closing_allow_empty = ?, \
                       closing_by = ?, closing_actor = ? WHERE sync_id = ?";
            changed(connection, sql, params![staging.0, allow_empty, by.name, actor, id(sync_id.0)])
        }
        Closing::Abort { reason, message, by } => {
            let sql = "UPDATE syncs SET phase = 'Aborting', closing_reason = ?, closing_message = ?, closing_by = ?, \
                       closing_actor = ? WHERE sync_id = ?";
            changed(connection, sql, params![reason.as_str(), message, by.name, actor, id(sync_id.0)])
        }
    }?;
    Ok(())
}

fn hold_sync(connection: &Connection, sync_id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error> {
    let Hold { since: at, replaced, published, differing_files } = hold;
    let record = record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?;
    may_accept_uploads(&record)?;
    let since = record.sync.held.map_or(at, |earlier| earlier.since);
    if record.sync.held.is_none() {
        // It is not left alone: somebody is to decide now.
        changed(connection, "UPDATE syncs SET last_activity = ? WHERE sync_id = ?", params![at.0, id(sync_id.0)])?;
        activity::record(connection, &Deed::sync_held(&record.sync, &hold, by))?;
    }
    let sql = "UPDATE syncs SET held_since = ?, held_replaced_files = ?, held_replaced_bytes = ?, \
           held_published_files = ?, held_published_bytes = ?, held_differing = ? WHERE sync_id = ?";
    let (old, new) = ((id(replaced.files), id(replaced.bytes)), (id(published.files), id(published.bytes)));
    changed(connection, sql, params![since.0, old.0, old.1, new.0, new.1, id(differing_files), id(sync_id.0)])?;
    Ok(Hold { since, ..hold })
}

/// What it was closed for could not be done.
fn reopen_sync(connection: &Connection, sync_id: SyncId, why: &str, at: Timestamp) -> Result<(), Error> {
    let Some(SyncRecord { sync, closing: Some(closing), .. }) = record(connection, sync_id)? else { return Ok(()) };
    changed(connection, "UPDATE syncs SET phase = 'Open' WHERE sync_id = ?", [id(sync_id.0)])?;
    activity::record(connection, &Deed::sync_reopened(&sync, &closing, why, at))
}

fn settle_sync(connection: &Connection, settlement: Settlement) -> Result<(), Error> {
    let sync_id = settlement.sync_id;
    let before = record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?;
    let sql = "UPDATE syncs SET phase = 'Ended', status = ?, message = ?, end_time = ? \
               WHERE sync_id = ? AND phase IN ('Publishing', 'Aborting')";
    let values = params![settlement.status.as_str(), settlement.message, settlement.at.0, id(sync_id.0)];
    if changed(connection, sql, values)? == 0 {
        return Ok(());
    }
    if let Some(closing) = &before.closing {
        activity::record(connection, &Deed::sync_settled(&before.sync, closing, &settlement))?;
    }
    if let Some(trash) = &settlement.trash {
        insert_trash(connection, trash)?;
    }
    if settlement.status == Status::Failed {
        let counts = DayCounts { failed_syncs: 1, ..DayCounts::default() };
        return DayTally::one(connection, sync_id, settlement.at, counts);
    }
    schemas::remember_good(connection, sync_id)?;
    published(connection, sync_id, settlement.at)
}

/// A full sync has become its dataset.
fn published(connection: &Connection, sync_id: SyncId, at: Timestamp) -> Result<(), Error> {
    let sync = record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    datasets::remember(connection, sync_id, at)?;
    datasets::touch(connection, [sync.path.as_str()])?;
    let mut days = DayTally::default();
    days.arrived(counted(connection, sync_id)?, at, Totals { files: sync.num_landed(), bytes: sync.size_bytes });
    days.write(connection)
}
