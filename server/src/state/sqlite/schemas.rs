//! The columns of files and datasets: the tables of migration 8.

use super::SqliteState;
use super::activity::record;
use super::content::of_landed;
use super::query::{Select, changed, clamp, found};
use super::row::{UPLOAD_COLUMNS, id, parsed, upload};
use super::writer::Durability::{Synced, Written};
use crate::crash::crash_point;
use async_trait::async_trait;
use lakeshore::activity::{Actor, Deed};
use lakeshore::path::LakePath;
use lakeshore::ports::SchemaState;
use lakeshore::ports::schemas::{Attempts, GoodSchema, InspectedUpload, LandedRows, SchemaId, Uninspected};
use lakeshore::preview::Inspected;
use lakeshore::schema::{Schema, SchemaDifference, SchemaPolicy};
use lakeshore::sync::{Phase, SyncId};
use lakeshore::upload::{Identity, Upload, UploadId};
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};
use std::cmp::Ordering;
use std::collections::BTreeSet;

#[async_trait]
impl SchemaState for SqliteState {
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error> {
        let (fresh, tried) = (uninspected(of, size), tried(of, now));
        // Asked often, and most often there is nothing.
        self.readers.look(|connection| {
            let mut files = fresh.rows(connection, |row| uninspected_of(row, Attempts::default()))?;
            files.extend(tried.rows(connection, |row| {
                uninspected_of(row, Attempts { begun: row.get("begun")?, failed: row.get("failed")? })
            })?);
            Ok(files)
        })
    }

    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error> {
        let count = |connection: &Connection, table| -> Result<u64, Error> {
            let sql =
                format!("SELECT count(*) FROM uploads u CROSS JOIN {table} USING (history_id) WHERE u.sync_id = ?");
            let counted = found(connection, &sql, [id(of.0)], |row| row.get::<_, i64>(0))?;
            Ok(counted.unwrap_or(0).cast_unsigned())
        };
        self.readers
            .look(|connection| Ok(count(connection, "uninspected")? + count(connection, "inspection_attempts")?))
    }

    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let begin = "INSERT INTO inspection_attempts (history_id, begun) VALUES (?, 1) \
                     ON CONFLICT (history_id) DO UPDATE SET begun = begun + 1";
        let ids = ids.to_vec();
        let begun = self
            .writer
            .write(Written, move |connection| {
                for upload_id in ids {
                    changed(connection, begin, [id(upload_id.0)])?;
                    changed(connection, "DELETE FROM uninspected WHERE history_id = ?", [id(upload_id.0)])?;
                }
                Ok(())
            })
            .await;
        crash_point!("inspection.begun");
        begun
    }

    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0) WHERE history_id = ?";
        let ids = ids.to_vec();
        let release = move |connection: &Connection| {
            ids.iter().try_for_each(|upload_id| changed(connection, sql, [id(upload_id.0)]).map(|_| ()))
        };
        self.writer.write(Written, release).await
    }

    async fn fail_inspection(&self, upload_id: UploadId, due: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0), failed = failed + 1, due_time = ? \
                   WHERE history_id = ?";
        let fail = move |connection: &Connection| changed(connection, sql, [due.0, id(upload_id.0)]).map(|_| ());
        self.writer.write(Written, fail).await
    }

    async fn schema_difference(&self, upload_id: UploadId) -> Result<Option<SchemaDifference>, Error> {
        let schemas = self.readers.look(|connection| {
            found(connection, OLD_AND_NEW, [id(upload_id.0)], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
        })?;
        let Some((old, new)) = schemas else { return Ok(None) };
        Ok(parse(&new)?.differs_from(&parse(&old)?))
    }

    async fn schema(&self, schema_id: SchemaId) -> Result<Option<Schema>, Error> {
        let content =
            |connection: &Connection| found(connection, CONTENT, [id(schema_id.0)], |row| row.get::<_, String>(0));
        self.readers.look(content)?.as_deref().map(parse).transpose()
    }

    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error> {
        let files = files.to_vec();
        let remembered = self
            .writer
            .write(Written, move |connection| {
                let mut syncs = BTreeSet::new();
                for InspectedUpload { upload_id, inspected } in &files {
                    syncs.extend(remember(connection, *upload_id, inspected)?);
                }
                syncs.into_iter().try_for_each(|sync_id| remember_good(connection, sync_id))
            })
            .await;
        crash_point!("inspection.remembered");
        remembered
    }

    async fn good_schema(&self, dataset: &LakePath) -> Result<Option<GoodSchema>, Error> {
        self.readers.look(|connection| {
            let good = found(connection, GOOD, [dataset.as_str()], |row| {
                Ok((SyncId(row.get::<_, i64>(0)?.cast_unsigned()), row.get::<_, String>(1)?))
            })?;
            good.map(|(sync_id, content)| Ok(GoodSchema { sync_id, schema: parse(&content)? })).transpose()
        })
    }

    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
        let files = files.to_vec();
        self.readers.list(move |connection| landed_rows(connection, &files)).await
    }

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error> {
        self.readers.look(|connection| policy(connection, dataset.as_str()))
    }

    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (dataset, deed) = (dataset.clone(), Deed::schema_policy_set(dataset, policy, by, at));
        let sql = "INSERT INTO schema_policies (path, policy) VALUES (?, ?) \
                   ON CONFLICT (path) DO UPDATE SET policy = excluded.policy";
        let set = move |connection: &Connection| {
            changed(connection, sql, [dataset.as_str(), policy.as_str()])?;
            record(connection, &deed)
        };
        self.writer.write(Synced, set).await
    }

    async fn differing_uploads(&self, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
        let select = differing(sync_id, size);
        self.readers.list(move |connection| select.rows(connection, upload)).await
    }
}

fn uninspected(of: Option<SyncId>, size: u64) -> Select {
    let mut select = Select::new("SELECT u.history_id, u.sync_id, u.target, u.identity FROM ");
    match of {
        Some(sync_id) => {
            select.push("uploads u CROSS JOIN uninspected q USING (history_id) WHERE u.sync_id = ").bind(id(sync_id.0));
            select.push(" ORDER BY u.ordinal");
        }
        None => {
            // The first of a short table; the bound keeps it a search.
            select.push("uninspected q CROSS JOIN uploads u USING (history_id) WHERE q.history_id > 0");
            select.push(" ORDER BY q.history_id");
        }
    }
    select.push(" LIMIT ").bind(clamp(size));
    select
}

/// The first that was tried before and whose time has come.
fn tried(of: Option<SyncId>, now: Timestamp) -> Select {
    let mut select = Select::new("SELECT u.history_id, u.sync_id, u.target, u.identity, a.begun, a.failed FROM ");
    match of {
        Some(sync_id) => {
            select.push("uploads u CROSS JOIN inspection_attempts a USING (history_id) WHERE u.sync_id = ");
            select.bind(id(sync_id.0)).push(" AND a.due_time <= ").bind(now.0).push(" ORDER BY u.ordinal");
        }
        None => {
            select.push("inspection_attempts a CROSS JOIN uploads u USING (history_id) WHERE a.due_time <= ");
            select.bind(now.0).push(" ORDER BY a.due_time");
        }
    }
    select.push(" LIMIT 1");
    select
}

fn uninspected_of(row: &Row<'_>, attempts: Attempts) -> rusqlite::Result<Uninspected> {
    Ok(Uninspected {
        upload_id: UploadId(row.get::<_, i64>("history_id")?.cast_unsigned()),
        sync_id: SyncId(row.get::<_, i64>("sync_id")?.cast_unsigned()),
        target: LakePath::parse(row.get_ref("target")?.as_str()?).ok(),
        identity: row.get::<_, Option<String>>("identity")?.map(Identity),
        attempts,
    })
}

fn differing(sync_id: SyncId, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM differing_files d CROSS JOIN uploads u"));
    select.push(" ON u.history_id = d.history_id WHERE d.sync_id = ").bind(id(sync_id.0));
    select.push(" ORDER BY d.history_id LIMIT ").bind(clamp(size));
    select
}

const GOOD: &str = "SELECT d.sync_id, s.content FROM dataset_schemas d CROSS JOIN schemas s \
     ON s.schema_id = d.schema_id WHERE d.path = ?";
/// What most files have; of two that as many have, what came first.
const MOST: &str = "SELECT schema_id FROM sync_schemas WHERE sync_id = ? ORDER BY files DESC, first_id LIMIT 1";
const FIRST: &str = "SELECT schema_id FROM sync_schemas WHERE sync_id = ? ORDER BY first_id LIMIT 1";
const BEFORE: &str = "SELECT d.sync_id, d.schema_id, d.before_id, s.phase FROM syncs s \
     CROSS JOIN dataset_schemas d ON d.path = s.path WHERE s.sync_id = ?";

/// The last hundred uploads to one place. The plus keeps SQLite from going by the index of statuses.
const LANDED: &str = "SELECT u.identity, u.size_bytes, u.end_time, f.row_count, f.schema_id FROM uploads u \
     LEFT JOIN file_schemas f USING (history_id) \
     WHERE u.target = ? AND +u.status = 'Finished' ORDER BY u.history_id DESC LIMIT 100";
const CONTENT: &str = "SELECT content FROM schemas WHERE schema_id = ?";
const OLD_AND_NEW: &str = "SELECT old.content, new.content FROM file_schemas f CROSS JOIN schemas old \
     ON old.schema_id = f.baseline_id CROSS JOIN schemas new ON new.schema_id = f.schema_id WHERE f.history_id = ?";

fn landed_rows(connection: &Connection, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
    of_landed(connection, LANDED, files, rows_of)
}

/// What was read of a file that landed.
fn rows_of(row: &Row<'_>) -> rusqlite::Result<LandedRows> {
    Ok(LandedRows {
        size_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        landed_at: Timestamp(row.get(2)?),
        row_count: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        schema: row.get::<_, Option<i64>>(4)?.map(|id| SchemaId(id.cast_unsigned())),
    })
}

fn parse(content: &str) -> Result<Schema, Error> {
    serde_json::from_str(content).map_err(Error::internal)
}

fn policy(connection: &Connection, dataset: &str) -> Result<SchemaPolicy, Error> {
    let sql = "SELECT policy FROM schema_policies WHERE path = ?";
    let set = found(connection, sql, [dataset], |row| parsed(row, "policy", SchemaPolicy::parse))?;
    Ok(set.unwrap_or_default())
}

/// Remembers what was read of a file; gives its sync. `None` when that was done before.
fn remember(connection: &Connection, upload_id: UploadId, inspected: &Inspected) -> Result<Option<SyncId>, Error> {
    let history_id = id(upload_id.0);
    let was_tried = changed(connection, "DELETE FROM inspection_attempts WHERE history_id = ?", [history_id])?;
    if changed(connection, "DELETE FROM uninspected WHERE history_id = ?", [history_id])? + was_tried == 0 {
        return Ok(None);
    }
    let Inspected { row_count, schema, problem, .. } = inspected;
    if row_count.is_none() && schema.is_none() && problem.is_none() {
        return Ok(None);
    }
    let sql = "SELECT sync_id, path FROM syncs JOIN uploads USING (sync_id) WHERE history_id = ?";
    let sync = found(connection, sql, [history_id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let Some((sync_id, dataset)) = sync else { return Ok(None) };
    let (mut schema_id, mut baseline_id, mut difference) = (None, None, None);
    if let Some(schema) = schema {
        let of_file = schema_id_of(connection, schema)?;
        if policy(connection, &dataset)? != SchemaPolicy::Ignore {
            baseline_id = baseline(connection, sync_id)?;
        }
        if let Some(baseline) = baseline_id {
            let old = found(connection, CONTENT, [baseline], |row| row.get::<_, String>(0))?;
            let old = old.as_deref().filter(|_| baseline != of_file).map(parse).transpose()?;
            difference = old.and_then(|old| schema.differs_from(&old)).map(|difference| difference.in_short());
            if difference.is_none() {
                baseline_id = None;
            }
        }
        let sql = "INSERT INTO sync_schemas (sync_id, schema_id, files, first_id) VALUES (?, ?, 1, ?) \
                   ON CONFLICT (sync_id, schema_id) DO UPDATE SET files = files + 1";
        changed(connection, sql, [sync_id, of_file, history_id])?;
        schema_id = Some(of_file);
    }
    let difference =
        difference.map(|difference| serde_json::to_string(&difference)).transpose().map_err(Error::internal)?;
    let sql = "INSERT INTO file_schemas (history_id, row_count, schema_id, baseline_id, problem, difference) \
               VALUES (?, ?, ?, ?, ?, ?)";
    changed(connection, sql, params![history_id, row_count.map(id), schema_id, baseline_id, problem, difference])?;
    if baseline_id.is_some() {
        let sql = "INSERT INTO differing_files (sync_id, history_id) VALUES (?, ?)";
        changed(connection, sql, [sync_id, history_id])?;
        changed(connection, "UPDATE syncs SET num_differing = num_differing + 1 WHERE sync_id = ?", [sync_id])?;
    }
    Ok(schema_id.map(|_| SyncId(sync_id.cast_unsigned())))
}

fn schema_id_of(connection: &Connection, schema: &Schema) -> Result<i64, Error> {
    let content = serde_json::to_string(schema).map_err(Error::internal)?;
    let sql = "SELECT schema_id FROM schemas WHERE content = ?";
    if let Some(known) = found(connection, sql, [&content], |row| row.get(0))? {
        return Ok(known);
    }
    changed(connection, "INSERT INTO schemas (content) VALUES (?)", [&content])?;
    Ok(connection.last_insert_rowid())
}

/// What a file of the sync is compared with.
fn baseline(connection: &Connection, sync_id: i64) -> Result<Option<i64>, Error> {
    let before = found(connection, BEFORE, [sync_id], |row| {
        let (good_sync, schema_id, before_id): (i64, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((good_sync.cmp(&sync_id), schema_id, before_id, parsed(row, "phase", Phase::parse)?))
    })?;
    let before = match before {
        // What is late is not measured by what came after it.
        Some((Ordering::Greater, .., Phase::Ended)) => return Ok(None),
        Some((Ordering::Equal, _, before_id, _)) => before_id,
        Some((_, schema_id, ..)) => Some(schema_id),
        None => None,
    };
    match before {
        Some(before) => Ok(Some(before)),
        None => found(connection, FIRST, [sync_id], |row| row.get(0)),
    }
}

/// The sync has finished, or more of it was looked at since: what it has left is what later files are compared with.
pub(super) fn remember_good(connection: &Connection, sync_id: SyncId) -> Result<(), Error> {
    let Some(most) = found(connection, MOST, [id(sync_id.0)], |row| row.get::<_, i64>(0))? else { return Ok(()) };
    let sql = "INSERT INTO dataset_schemas (path, sync_id, schema_id) \
               SELECT path, sync_id, ?1 FROM syncs WHERE sync_id = ?2 AND status = 'Finished' \
               ON CONFLICT (path) DO UPDATE SET before_id = iif(excluded.sync_id > sync_id, schema_id, before_id), \
               sync_id = excluded.sync_id, schema_id = excluded.schema_id WHERE excluded.sync_id >= sync_id";
    changed(connection, sql, [most, id(sync_id.0)]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        SqliteState::open(&file).unwrap().close();
        let connection = Connection::open(&file).unwrap();
        let (one, now) = (Some(SyncId(1)), Timestamp(1));
        let selects =
            [uninspected(None, 9), uninspected(one, 9), tried(None, now), tried(one, now), differing(SyncId(1), 9)];
        let plain =
            [GOOD, MOST, FIRST, BEFORE, LANDED, CONTENT, OLD_AND_NEW].map(|sql| Select::new(sql.replace('?', "1")));
        for select in selects.iter().chain(&plain) {
            let plan = select.plan(&connection);
            assert!(!plan.is_empty() && !plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        }
    }
}
