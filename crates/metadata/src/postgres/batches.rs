//! Declared batches: the table `expected_files`, compared with the landed files of a sync.

use super::PostgresState;
use super::query::{Row, Select, Value, changed, clamp, rows, values};
use super::syncs::record;
use super::writing::Durability::Synced;
use super::writing::{SyncLock, Writing, transaction};
use crate::backend::Backend as _;
use crate::row::{bytes, bytes_if_any, id, number, number_if_any, path};
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::manifest::{Comparing, Declaration, DeclaredFile, LandedFile};

use lakeshore::ports::metadata::batch::{BatchState, LandedChange};
use lakeshore::{Error, Timestamp};
use sqlx::{PgConnection, Row as _};

/// Files inserted by one statement, which bounds the text that is built in memory.
const FILES_AT_ONCE: usize = 4096;

#[async_trait]
impl BatchState for PostgresState {
    async fn expect(&self, sync_id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error> {
        transaction!(self, Synced, |writing| {
            writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
            let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
            may_accept_uploads(&record)?;
            let sql = "UPDATE syncs SET last_activity = ? WHERE sync_id = ?";
            changed(writing, sql, values![at.0, id(sync_id.0)]).await?;
            insert_expected(writing, sync_id, expected).await
        })
    }

    async fn compare_expected(&self, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
        compare(&mut *self.list().await?, sync_id).await
    }

    async fn landed_changes(&self, sync_id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error> {
        let mut select = Select::new(LANDED_CHANGES);
        select.bind(id(sync_id.0)).push(" AND u.ordinal > ").bind(clamp(after));
        select.push(" ORDER BY u.ordinal LIMIT ").bind(clamp(size));
        let mut connection = self.list().await?;
        select.rows(&mut connection, landed_change).await
    }
}

/// Stores the declaration of a sync, and replaces any earlier one.
pub(super) async fn insert_expected(
    writing: &mut Writing,
    sync_id: SyncId,
    expected: &Declaration,
) -> Result<(), Error> {
    let totals = expected.totals();
    let sql = "UPDATE syncs SET expected_count = $2, expected_bytes = $3, expected_named = $4 WHERE sync_id = $1; \
               DELETE FROM expected_files WHERE sync_id = $1";
    let (count, size_bytes) = (totals.count.map(id), totals.size_bytes.map(id));
    changed(writing, sql, values![id(sync_id.0), count, size_bytes, totals.is_named]).await?;
    let Declaration::Files(files) = expected else { return Ok(()) };
    let sql = "INSERT INTO expected_files (sync_id, target, size_bytes, sha256) \
               SELECT ?, value ->> 0, (value ->> 1)::bigint, decode(value ->> 2, 'hex') FROM json_each(?)";
    for some in files.chunks(FILES_AT_ONCE) {
        let row = |file: &DeclaredFile| {
            let sha256 = file.sha256.map(hex::encode);
            (file.target.to_string(), id(file.size_bytes), sha256)
        };
        let some: Vec<_> = some.iter().map(row).collect();
        changed(writing, sql, values![id(sync_id.0), Value::rows(&some)?]).await?;
    }
    Ok(())
}

/// Declared files (without a `history_id`) and landed ones, in the order that [`Comparing`] needs. Two indexes are read
/// side by side, and no side is gathered in memory: each may have a hundred thousand files.
const BOTH_SIDES: &str = "SELECT NULL::bigint AS history_id, target, size_bytes, sha256 FROM expected_files WHERE sync_id = $1 \
     UNION ALL SELECT history_id, target, size_bytes, sha256 FROM uploads \
     WHERE sync_id = $1 AND status = 'Finished' AND sha256 IS NOT NULL ORDER BY target, history_id NULLS FIRST";

async fn compare(connection: &mut PgConnection, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
    let sync = record(connection, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    let Some(expected) = sync.expected else { return Ok(None) };
    let mut comparing = Comparing::begin(&sync.path, expected);
    let add = |row: &Row| {
        match number_if_any(row, "history_id")? {
            None => comparing.declared(declared_file(row)?),
            Some(_) => comparing.landed(landed_file(row)?),
        }
        Ok(())
    };
    rows(connection, BOTH_SIDES, values![id(sync_id.0)], add).await?;
    Ok(Some(comparing.end()))
}

/// The last upload of a sync to each target. Overwriting its own files puts them into the trash too, so the sync has
/// replaced an older file only where it has overwritten as often as it has landed.
const LANDED_CHANGES: &str = "SELECT u.ordinal, u.target, u.size_bytes, \
     (SELECT row_count FROM file_schemas f WHERE f.history_id = u.history_id) AS row_count, \
     (SELECT count(*) FROM trash t WHERE t.sync_id = u.sync_id AND t.origin = u.target AND t.kind = 'File' \
      AND t.reason = 'Overwritten') >= \
     (SELECT count(*) FROM uploads e WHERE e.target = u.target AND e.sync_id = u.sync_id AND e.status = 'Finished') \
     AS has_replaced FROM uploads u WHERE u.status = 'Finished' AND NOT EXISTS (SELECT 1 FROM uploads l \
     WHERE l.target = u.target AND l.history_id > u.history_id AND l.sync_id = u.sync_id AND l.status = 'Finished') \
     AND u.sync_id = ";

fn landed_change(row: &Row) -> sqlx::Result<LandedChange> {
    Ok(LandedChange {
        ordinal: number(row, "ordinal")?,
        target: path(row, "target")?,
        size_bytes: number(row, "size_bytes")?,
        has_replaced: row.try_get("has_replaced")?,
        row_count: number_if_any(row, "row_count")?,
    })
}

fn declared_file(row: &Row) -> sqlx::Result<DeclaredFile> {
    let (size_bytes, sha256) = (number(row, "size_bytes")?, bytes_if_any(row, "sha256")?);
    Ok(DeclaredFile { target: path(row, "target")?, size_bytes, sha256 })
}

fn landed_file(row: &Row) -> sqlx::Result<LandedFile> {
    let digest = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
    Ok(LandedFile { target: path(row, "target")?, digest })
}
