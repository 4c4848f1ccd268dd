//! Starts of syncs, with their refusals.

use super::overlap::{find_obstacle, refuse_over_share};
use super::{close_sync, last_activity, record, sync_id};
use crate::batches::insert_expected;
use crate::days;
use crate::idempotency;
use crate::query::{Connection, Select, clamp, execute_returning, values};
use crate::restoring::Restores;
use crate::row::{id, path};
use crate::transaction::{Counter, SyncLock, WriteTransaction};
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::dataset::record::DayCounts;
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::job::{OpenSync, Supersede, is_superseded, superseded_by};
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::{Status, SyncType};

/// Refuses a start while an open sync or a restore has an overlapping path. `superseded` is about to be closed, and
/// does not count.
pub(crate) async fn refuse_if_held(
    connection: &mut impl Connection,
    wanted: &LakePath,
    sync_type: SyncType,
    superseded: Option<SyncId>,
) -> Result<(), Error> {
    if let Some(held) = find_obstacle(connection, wanted, sync_type, superseded).await? {
        let OpenSync { sync_id, path: held_path, sync_type } = held;
        return Err(Error::PathHeld { path: wanted.clone(), sync_id, sync_type, held_path });
    }
    Restores::find(connection).await?.refuse(wanted)
}

/// Refuses a dataset above existing ones, which it would replace.
pub(crate) async fn refuse_above_datasets(connection: &mut impl Connection, wanted: &LakePath) -> Result<(), Error> {
    const NAMED_MAX: u64 = 10;
    let (first, last) = wanted.range_below();
    let mut below = Select::new("SELECT path FROM datasets WHERE path >= ");
    below.bind(first).push(" AND path < ").bind(last).push(" ORDER BY path LIMIT ").bind(clamp(NAMED_MAX));
    let below = below.fetch_all(connection, |row| path(row, "path")).await?;
    if below.is_empty() { Ok(()) } else { Err(Error::DatasetsBelow { path: wanted.clone(), below }) }
}

pub(super) struct Started {
    pub(super) id: SyncId,
    /// False where an earlier call with the same key started the sync.
    is_new: bool,
}

/// Starts a sync. Requires the lock of starts.
pub(super) async fn start_sync(
    writing: &mut impl WriteTransaction,
    new: &NewSync,
    superseded: Option<SyncId>,
) -> Result<Started, Error> {
    if let Some(once) = &new.once
        && let Some(id) = idempotency::earlier(writing, once).await?
    {
        return Ok(Started { id, is_new: false });
    }
    refuse_if_held(writing, &new.path, new.sync_type, superseded).await?;
    if new.sync_type == SyncType::FullSync {
        refuse_above_datasets(writing, &new.path).await?;
    }
    refuse_over_share(writing, &new.started_by.name, superseded).await?;
    writing.lock_history().await?;
    let new_id = writing.new_id(Counter::Syncs).await?;
    let sql = "INSERT INTO syncs (sync_id, name, path, sync_type, start_time, started_by, last_activity, restores_version) \
               VALUES ($1, $2, $3, $4, $5, $6, $5, $7) RETURNING sync_id";
    let (name, by) = (&new.name, &new.started_by.name);
    let restores_version = new.restores_version.map(|version| id(version.0));
    let (path, sync_type) = (new.path.as_str(), new.sync_type.as_str());
    let values = values![new_id, name, path, sync_type, new.at.0, by, restores_version];
    let inserted = execute_returning(writing, sql, values, sync_id).await?.pop();
    let sync_id = inserted.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
    writing.count_sync(sync_id, new.sync_type, None, Status::Syncing).await?;
    writing.folder_id(new.path.as_str()).await?;
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

pub(super) async fn supersede_sync(
    writing: &mut impl WriteTransaction,
    new: &NewSync,
    supersede: &Supersede,
) -> Result<SyncId, Error> {
    writing.lock_starts().await?;
    writing.lock_syncs(vec![id(supersede.sync_id.0)], SyncLock::Change).await?;
    let last_activity = last_activity(writing, supersede.sync_id).await?;
    let record = record(writing, supersede.sync_id).await?;
    let superseded = record.zip(last_activity).filter(|(record, at)| is_superseded(record, *at, &new.path, supersede));
    let started = start_sync(writing, new, superseded.as_ref().map(|_| supersede.sync_id)).await?;
    if superseded.is_some() && started.is_new {
        let closing = superseded_by(started.id, new.started_by.clone());
        close_sync(writing, supersede.sync_id, &closing, true, new.at).await?;
    }
    Ok(started.id)
}
