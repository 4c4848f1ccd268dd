//! Declared batches: the table `expected_files`, and what a sync has landed beside it.

use super::query::{Select, changed, clamp};
use super::row::{id, number, path};
use super::syncs::record;
use super::writer::Durability::Synced;
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::expected::{Comparison, Declaration, DeclaredFile, LandedFile};
use lakeshore::ports::state::{BatchState, LandedChange};
use lakeshore::sync::{SyncId, may_accept_uploads};
use lakeshore::upload::Digest;
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};

#[async_trait]
impl BatchState for SqliteState {
    async fn expect(&self, sync_id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error> {
        let expected = expected.clone();
        self.writer
            .write(Synced, move |connection| {
                let record = record(connection, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?;
                may_accept_uploads(&record)?;
                let sql = "UPDATE syncs SET last_activity = ? WHERE sync_id = ?";
                changed(connection, sql, params![at.0, id(sync_id.0)])?;
                insert_expected(connection, sync_id, &expected)
            })
            .await
    }

    async fn compare_expected(&self, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
        self.readers.list(move |connection| compare(connection, sync_id)).await
    }

    async fn landed_changes(&self, sync_id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error> {
        let mut select = Select::new(LANDED_CHANGES);
        select.bind(id(sync_id.0)).push(" AND u.ordinal > ").bind(clamp(after));
        select.push(" ORDER BY u.ordinal LIMIT ").bind(clamp(size));
        self.readers.list(move |connection| select.rows(connection, landed_change)).await
    }
}

/// Remembers what a sync is to hold, in place of what was said before.
pub(super) fn insert_expected(connection: &Connection, sync_id: SyncId, expected: &Declaration) -> Result<(), Error> {
    let totals = expected.totals();
    let sql = "UPDATE syncs SET expected_count = ?, expected_bytes = ?, expected_named = ? WHERE sync_id = ?";
    let (count, bytes) = (totals.count.map(id), totals.size_bytes.map(id));
    changed(connection, sql, params![count, bytes, totals.is_named, id(sync_id.0)])?;
    changed(connection, "DELETE FROM expected_files WHERE sync_id = ?", [id(sync_id.0)])?;
    let Declaration::Files(files) = expected else { return Ok(()) };
    let sql = "INSERT INTO expected_files (sync_id, target, size_bytes, sha256) VALUES (?, ?, ?, ?)";
    let mut insert = connection.prepare_cached(sql).map_err(fault)?;
    for file in files.iter() {
        let values = params![id(sync_id.0), file.target.as_str(), id(file.size_bytes), file.sha256];
        insert.execute(values).map_err(fault)?;
    }
    Ok(())
}

const EXPECTED: &str = "SELECT target, size_bytes, sha256 FROM expected_files WHERE sync_id = ? ORDER BY target";
const LANDED: &str = "SELECT target, size_bytes, sha256 FROM uploads \
     WHERE sync_id = ? AND status = 'Finished' AND sha256 IS NOT NULL ORDER BY target, history_id";

/// Both are read side by side, and neither is gathered: there may be a hundred thousand of them.
fn compare(connection: &Connection, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
    // One view of all three tables.
    let view = connection.unchecked_transaction().map_err(fault)?;
    let sync = record(&view, sync_id)?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    let Some(expected) = sync.expected else { return Ok(None) };
    let mut named = view.prepare_cached(EXPECTED).map_err(fault)?;
    let named = named.query_map([id(sync_id.0)], declared_file).map_err(fault)?;
    let mut landed = view.prepare_cached(LANDED).map_err(fault)?;
    let landed = landed.query_map([id(sync_id.0)], landed_file).map_err(fault)?;
    Comparison::of(&sync.path, expected, named, landed).map(Some).map_err(fault)
}

/// The last upload of a sync to each target. What a sync has overwritten of its own is in the trash too: it has replaced
/// something that was there before when it has overwritten as often as it has landed. The plus keeps SQLite to the index
/// of targets.
const LANDED_CHANGES: &str = "SELECT u.ordinal, u.target, u.size_bytes, \
     (SELECT row_count FROM file_schemas f WHERE f.history_id = u.history_id) AS row_count, \
     (SELECT count(*) FROM trash t WHERE t.sync_id = u.sync_id AND t.origin = u.target AND t.kind = 'File' \
      AND t.reason = 'Overwritten') >= \
     (SELECT count(*) FROM uploads e WHERE e.target = u.target AND +e.sync_id = u.sync_id AND e.status = 'Finished') \
     AS has_replaced FROM uploads u WHERE u.status = 'Finished' AND NOT EXISTS (SELECT 1 FROM uploads l \
     WHERE l.target = u.target AND l.history_id > u.history_id AND +l.sync_id = u.sync_id AND l.status = 'Finished') \
     AND u.sync_id = ";

fn landed_change(row: &Row<'_>) -> rusqlite::Result<LandedChange> {
    let (ordinal, target) = (number(row, "ordinal")?, path(row, "target")?);
    let row_count: Option<i64> = row.get("row_count")?;
    Ok(LandedChange {
        ordinal,
        target,
        size_bytes: size(row)?,
        has_replaced: row.get("has_replaced")?,
        row_count: row_count.map(i64::cast_unsigned),
    })
}

fn declared_file(row: &Row<'_>) -> rusqlite::Result<DeclaredFile> {
    Ok(DeclaredFile { target: path(row, "target")?, size_bytes: size(row)?, sha256: row.get("sha256")? })
}

fn landed_file(row: &Row<'_>) -> rusqlite::Result<LandedFile> {
    let digest = Digest { size_bytes: size(row)?, sha256: row.get("sha256")? };
    Ok(LandedFile { target: path(row, "target")?, digest })
}

fn size(row: &Row<'_>) -> rusqlite::Result<u64> {
    number(row, "size_bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_find_their_rows_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        SqliteState::open(&file).unwrap().close();
        let connection = Connection::open(&file).unwrap();
        let changes = format!("{LANDED_CHANGES} 1 AND u.ordinal > 1 ORDER BY u.ordinal LIMIT 9");
        for sql in [EXPECTED, LANDED, &changes] {
            let plan = Select::new(sql.replace('?', "1")).plan(&connection);
            assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        }
    }
}
