//! Syncs: statements of the table `syncs` that both databases run. The others are in the modules of each.

use crate::query::{Connection, Select, clamp, found, values};
use crate::row::{DbRow, SYNC_COLUMNS, id, number, parsed, path, sync_record};
use lakeshore::Error;
use lakeshore::model::id::{SyncId, TrashId};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::job::{OpenSync, SyncRecord, obstacle};
use lakeshore::model::sync::status::SyncType;
use std::sync::LazyLock;

pub(crate) async fn record(connection: &mut impl Connection, sync_id: SyncId) -> Result<Option<SyncRecord>, Error> {
    static RECORD: LazyLock<String> = LazyLock::new(|| format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE sync_id = ?"));
    found(connection, RECORD.as_str(), values![id(sync_id.0)], sync_record).await
}

/// Refuses a start while an open sync or a restore has an overlapping path. `superseded` is about to be closed, and
/// does not count.
pub(crate) async fn refuse_if_held(
    connection: &mut impl Connection,
    wanted: &LakePath,
    sync_type: SyncType,
    superseded: Option<SyncId>,
) -> Result<(), Error> {
    let open = Select::new("SELECT sync_id, path, sync_type FROM syncs WHERE phase <> 'Ended' ORDER BY sync_id");
    let mut open = open.rows(connection, open_sync).await?;
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
    let restoring = restoring.rows(connection, |row| Ok((number(row, "trash_id")?, path(row, "origin")?))).await?;
    match restoring.into_iter().find(|(_, origin)| origin.overlaps(wanted)) {
        Some((id, origin)) => Err(Error::PathRestoring { path: wanted.clone(), trash_id: TrashId(id), origin }),
        None => Ok(()),
    }
}

/// Refuses a dataset above existing ones, which it would replace.
pub(crate) async fn refuse_above_datasets(connection: &mut impl Connection, wanted: &LakePath) -> Result<(), Error> {
    const NAMED_MAX: u64 = 10;
    let (first, last) = wanted.range_below();
    let mut below = Select::new("SELECT path FROM datasets WHERE path >= ");
    below.bind(first).push(" AND path < ").bind(last).push(" ORDER BY path LIMIT ").bind(clamp(NAMED_MAX));
    let below = below.rows(connection, |row| path(row, "path")).await?;
    if below.is_empty() { Ok(()) } else { Err(Error::DatasetsBelow { path: wanted.clone(), below }) }
}

fn open_sync(row: &impl DbRow) -> sqlx::Result<OpenSync> {
    let sync_type = parsed(row, "sync_type", SyncType::parse)?;
    Ok(OpenSync { sync_id: SyncId(number(row, "sync_id")?), path: path(row, "path")?, sync_type })
}
