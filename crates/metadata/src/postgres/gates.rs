//! Gates of syncs: while a node ends, compares or declares a sync, uploads of other nodes neither begin nor land in it.
//!
//! A gate is a row that belongs to a node. One of a fenced node is nobody's.

use super::PostgresState;
use super::held;
use super::query::{Value, execute, fetch_all, fetch_optional, values};
use super::writing::Durability::Synced;
use super::writing::{SyncLock, Writing, transaction};
use crate::row::{id, number};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::ports::metadata::node::Held;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two attempts to take a gate that another node has.
const TAKE_PAUSE: Duration = Duration::from_millis(30);
/// Longest wait for a gate. The end of a sync that takes longer goes on, but others are told to try again.
const TAKE_MAX: Duration = Duration::from_secs(120);

/// Gate of the inspections of landed files. Ids of syncs begin with 1.
pub(super) const INSPECTIONS: SyncId = SyncId(0);

/// Another node has the gate of the inspections.
#[derive(Debug, thiserror::Error)]
#[error("another server reads landed files at this moment")]
struct Inspecting;

/// Another node has the gate. Not a fault that may pass: the caller decides how long it waits, outside its transaction.
fn busy(sync_id: SyncId) -> Error {
    if sync_id == INSPECTIONS { Error::transient(Inspecting) } else { Error::SyncBusy(sync_id) }
}

/// A gate of this node, until it is dropped.
struct Gate {
    state: PostgresState,
    sync_id: SyncId,
    hold: i64,
}

impl Held for Gate {}

impl Drop for Gate {
    fn drop(&mut self) {
        let (sync_id, hold) = (self.sync_id, self.hold);
        held::release(self.state.clone(), move |state| async move { release(&state, sync_id, hold).await });
    }
}

/// Takes the gate of a sync, where nodes share the lake. The caller excludes other tasks of its own node.
pub(super) async fn take(state: &PostgresState, sync_id: SyncId) -> Result<Box<dyn Held>, Error> {
    if state.group().is_none() {
        return Ok(Box::new(()));
    }
    let end = Instant::now() + TAKE_MAX;
    // Made first: if this call is dropped amid the transaction, what it has taken is released.
    let gate = Gate { state: state.clone(), sync_id, hold: held::next_hold() };
    while !try_to_take(state, sync_id, gate.hold).await? {
        if Instant::now() >= end {
            return Err(busy(sync_id));
        }
        sleep(TAKE_PAUSE).await;
    }
    Ok(Box::new(gate))
}

async fn try_to_take(state: &PostgresState, sync_id: SyncId, hold: i64) -> Result<bool, Error> {
    let sql = "INSERT INTO sync_gates AS g (sync_id, serving_node, hold) VALUES (?, serving_node(), ?) \
               ON CONFLICT (sync_id) DO UPDATE SET serving_node = excluded.serving_node, hold = excluded.hold \
               WHERE NOT is_of_another(g.serving_node) RETURNING sync_id";
    transaction!(state, Synced, |writing| {
        // Behind the transactions that land files in it.
        writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
        Ok(fetch_optional(writing, sql, values![id(sync_id.0), hold], |_| Ok(())).await?.is_some())
    })
}

/// A hold that the same node has begun since is another one.
async fn release(state: &PostgresState, sync_id: SyncId, hold: i64) -> Result<(), Error> {
    let sql = "DELETE FROM sync_gates WHERE sync_id = ? AND serving_node = serving_node() AND hold = ?";
    transaction!(state, Synced, |writing| execute(writing, sql, values![id(sync_id.0), hold]).await.map(drop))
}

/// Refuses where another node has the gate. The row of the sync is locked.
pub(super) async fn refuse_held(writing: &mut Writing, sync_id: SyncId) -> Result<(), Error> {
    if writing.has_other_nodes && of_others(writing, vec![id(sync_id.0)]).await?.contains(&sync_id) {
        return Err(busy(sync_id));
    }
    Ok(())
}

/// Those of the syncs whose gate another node has, with the error for their uploads.
pub(super) async fn held_by_others(
    writing: &mut Writing,
    syncs: Vec<i64>,
) -> Result<impl Fn(SyncId) -> Result<(), Error> + use<>, Error> {
    let held = if writing.has_other_nodes { of_others(writing, syncs).await? } else { BTreeSet::new() };
    Ok(move |sync_id| if held.contains(&sync_id) { Err(busy(sync_id)) } else { Ok(()) })
}

async fn of_others(writing: &mut Writing, syncs: Vec<i64>) -> Result<BTreeSet<SyncId>, Error> {
    let sql = "SELECT sync_id FROM sync_gates WHERE sync_id = ANY(?) AND is_of_another(serving_node)";
    let held = fetch_all(writing, sql, vec![Value::Integers(syncs)], |row| Ok(SyncId(number(row, "sync_id")?))).await?;
    Ok(held.into_iter().collect())
}
