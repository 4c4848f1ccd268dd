//! Declared batches: the table `expected_files`, compared with the landed files of a sync.

use crate::backend::{Backend, MetadataStore};
use crate::query::{Connection, Dialect, RowOf, Select, Text, Value, clamp, execute, fetch_all, values};
use crate::row::{DbRow, bytes, bytes_if_any, id, number, number_if_any, path};
use crate::syncs::record;
use crate::transaction::Durability::Synced;
use crate::transaction::{SyncLock, WriteTransaction};
use async_trait::async_trait;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::comparison::Comparison;
use lakeshore::model::sync::job::may_accept_uploads;
use lakeshore::model::sync::manifest::{Comparing, Declaration, DeclaredFile, LandedFile};
use lakeshore::ports::metadata::batch::{BatchState, LandedChange};
use lakeshore::{Error, Timestamp};

/// Files inserted by one statement, which bounds the text that is built in memory.
const FILES_AT_ONCE: usize = 4096;

#[async_trait]
impl<B: Backend> BatchState for MetadataStore<B> {
    async fn expect(&self, sync_id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error> {
        self.0
            .write(Synced, (sync_id, expected.clone(), at), |writing, (sync_id, expected, at)| {
                Box::pin(expect(writing, *sync_id, expected, *at))
            })
            .await
    }

    async fn compare_expected(&self, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
        // One snapshot of all three tables.
        self.0.view(true, sync_id, |view, sync_id| Box::pin(compare(view, *sync_id))).await
    }

    async fn landed_changes(&self, sync_id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error> {
        let mut select = Select::new(landed_changes::<B::Db>());
        select.bind(id(sync_id.0)).push(" AND u.ordinal > ").bind(clamp(after));
        select.push(" ORDER BY u.ordinal LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, landed_change).await
    }
}

async fn expect(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    expected: &Declaration,
    at: Timestamp,
) -> Result<(), Error> {
    writing.lock_syncs(vec![id(sync_id.0)], SyncLock::Change).await?;
    let record = record(writing, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?;
    may_accept_uploads(&record)?;
    let sql = "UPDATE syncs SET last_activity = ? WHERE sync_id = ?";
    execute(writing, sql, values![at.0, id(sync_id.0)]).await?;
    insert_expected(writing, sync_id, expected).await
}

/// Stores the declaration of a sync, and replaces any earlier one.
pub(crate) async fn insert_expected(
    writing: &mut impl WriteTransaction,
    sync_id: SyncId,
    expected: &Declaration,
) -> Result<(), Error> {
    let totals = expected.totals();
    let sql = "UPDATE syncs SET expected_count = $2, expected_bytes = $3, expected_named = $4 WHERE sync_id = $1; \
               DELETE FROM expected_files WHERE sync_id = $1";
    let (count, size_bytes) = (totals.count.map(id), totals.size_bytes.map(id));
    execute(writing, sql, values![id(sync_id.0), count, size_bytes, totals.is_named]).await?;
    let Declaration::Files(files) = expected else { return Ok(()) };
    let sql = "INSERT INTO expected_files (sync_id, target, size_bytes, sha256) \
               SELECT ?, value ->> 0, CAST(value ->> 1 AS BIGINT), unhex(value ->> 2) FROM json_each(?)";
    for some in files.chunks(FILES_AT_ONCE) {
        let row = |file: &DeclaredFile| {
            let sha256 = file.sha256.map(hex::encode);
            (file.target.to_string(), id(file.size_bytes), sha256)
        };
        let some: Vec<_> = some.iter().map(row).collect();
        execute(writing, sql, values![id(sync_id.0), Value::rows(&some)?]).await?;
    }
    Ok(())
}

/// Declared files (without a `history_id`) and landed ones, in the order that [`Comparing`] needs. Two indexes are read
/// side by side, and no side is gathered in memory: each may have a hundred thousand files.
const BOTH_SIDES: &str = "SELECT CAST(NULL AS BIGINT) AS history_id, target, size_bytes, sha256 FROM expected_files \
     WHERE sync_id = $1 UNION ALL SELECT history_id, target, size_bytes, sha256 FROM uploads \
     WHERE sync_id = $1 AND status = 'Finished' AND sha256 IS NOT NULL ORDER BY target, history_id NULLS FIRST";

async fn compare<C: Connection>(connection: &mut C, sync_id: SyncId) -> Result<Option<Comparison>, Error> {
    let sync = record(connection, sync_id).await?.ok_or(Error::NoSuchSync(sync_id))?.sync;
    let Some(expected) = sync.expected else { return Ok(None) };
    let mut comparing = Comparing::begin(&sync.path, expected);
    let add = |row: &RowOf<C>| {
        match number_if_any(row, "history_id")? {
            None => comparing.declared(declared_file(row)?),
            Some(_) => comparing.landed(landed_file(row)?),
        }
        Ok(())
    };
    fetch_all(connection, BOTH_SIDES, values![id(sync_id.0)], add).await?;
    Ok(Some(comparing.end()))
}

/// The last upload of a sync to each target. Overwriting its own files puts them into the trash too, so the sync has
/// replaced an older file only where it has overwritten as often as it has landed. SQLite is kept on the index of
/// targets.
fn landed_changes<D: Dialect>() -> &'static str {
    static LANDED_CHANGES: Text = Text::new();
    LANDED_CHANGES.of::<D>(|| {
        format!(
            "SELECT u.ordinal, u.target, u.size_bytes, \
             (SELECT row_count FROM file_schemas f WHERE f.history_id = u.history_id) AS row_count, \
             (SELECT count(*) FROM trash t WHERE t.sync_id = u.sync_id AND t.origin = u.target AND t.kind = 'File' \
              AND t.reason = 'Overwritten') >= (SELECT count(*) FROM uploads e \
             WHERE e.target = u.target AND {unindexed}e.sync_id = u.sync_id AND e.status = 'Finished') \
             AS has_replaced FROM uploads u WHERE u.status = 'Finished' AND NOT EXISTS (SELECT 1 FROM uploads l \
             WHERE l.target = u.target AND l.history_id > u.history_id AND {unindexed}l.sync_id = u.sync_id \
             AND l.status = 'Finished') AND u.sync_id = ",
            unindexed = D::UNINDEXED
        )
    })
}

fn landed_change(row: &impl DbRow) -> sqlx::Result<LandedChange> {
    Ok(LandedChange {
        ordinal: number(row, "ordinal")?,
        target: path(row, "target")?,
        size_bytes: number(row, "size_bytes")?,
        has_replaced: row.get("has_replaced")?,
        row_count: number_if_any(row, "row_count")?,
    })
}

fn declared_file(row: &impl DbRow) -> sqlx::Result<DeclaredFile> {
    let (size_bytes, sha256) = (number(row, "size_bytes")?, bytes_if_any(row, "sha256")?);
    Ok(DeclaredFile { target: path(row, "target")?, size_bytes, sha256 })
}

fn landed_file(row: &impl DbRow) -> sqlx::Result<LandedFile> {
    let digest = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
    Ok(LandedFile { target: path(row, "target")?, digest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use lakeshore::model::access::actor::Actor;
    use lakeshore::model::path::LakePath;
    use lakeshore::model::sync::start::NewSync;
    use lakeshore::model::sync::status::SyncType;
    use lakeshore::ports::metadata::sync::SyncState;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_declaration_of_more_files_than_one_statement_inserts_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let path = LakePath::parse("/d").unwrap();
        let mut files: Vec<_> = (0..=FILES_AT_ONCE)
            .map(|number| {
                let target = path.file(&format!("it's a \"{number:05}\" ünï.csv")).unwrap();
                DeclaredFile { target, size_bytes: 0, sha256: (number % 2 == 1).then_some([0xa5; 32]) }
            })
            .collect();
        files[0].size_bytes = i64::MAX.cast_unsigned();
        let new = NewSync {
            name: "n".into(),
            path: path.clone(),
            sync_type: SyncType::FullSync,
            started_by: Actor::command_line(),
            expected: None,
            once: None,
            restores_version: None,
            at: Timestamp(1),
        };
        let sync_id = state.start_sync(&new).await.unwrap();
        let declaration = Declaration::Files(Arc::new(files.clone()));
        // The second upload replaces the first.
        for at in [2, 3] {
            state.expect(sync_id, &declaration, Timestamp(at)).await.unwrap();
        }
        let compared = state.compare_expected(sync_id).await.unwrap().unwrap();
        assert_eq!(compared, Comparison::of(&path, declaration.totals(), files, []));
        assert_eq!(compared.num_missing, FILES_AT_ONCE as u64 + 1);
        let sql = "SELECT target, size_bytes, sha256 FROM expected_files ORDER BY target DESC LIMIT 2";
        let mut connection = state.0.look().await.unwrap();
        let last = fetch_all(&mut connection, sql, vec![], declared_file).await.unwrap();
        let Declaration::Files(files) = declaration else { panic!() };
        assert_eq!(last, files.iter().rev().take(2).cloned().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn comparisons_find_their_rows_by_an_index_and_gather_no_declaration() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.0.look().await.unwrap();
        let changes = format!("{} 1 AND u.ordinal > 1 ORDER BY u.ordinal LIMIT 9", landed_changes::<sqlx::Sqlite>());
        for sql in [BOTH_SIDES.replace("$1", "1"), changes] {
            let plan = Select::new(sql).plan(&mut connection).await;
            assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        }
        let plan = Select::new(BOTH_SIDES.replace("$1", "1")).plan(&mut connection).await;
        let declared = "SEARCH expected_files USING PRIMARY KEY (sync_id=?)";
        assert_eq!(plan[..4], ["MERGE (UNION ALL)", "LEFT", declared, "RIGHT"], "{plan:?}");
    }
}
