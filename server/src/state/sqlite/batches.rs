//! Declared batches: the table `expected_files`, and what a sync has landed beside it.

use super::query::changed;
use super::row::{id, number, path};
use super::syncs::record;
use super::writer::Durability::Synced;
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::expected::{Comparison, Declaration, DeclaredFile, LandedFile};
use lakeshore::ports::state::BatchState;
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
    for file in files {
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
    use crate::state::sqlite::query::Select;

    #[test]
    fn a_comparison_finds_its_rows_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        SqliteState::open(&file).unwrap().close();
        let connection = Connection::open(&file).unwrap();
        for sql in [EXPECTED, LANDED] {
            let plan = Select::new(sql.replace('?', "1")).plan(&connection);
            assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        }
    }
}
