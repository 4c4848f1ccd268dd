//! Columns of files and datasets: the tables of migration 8.

use super::SqliteState;
use super::inspected::remember_inspected;
use super::job::Durability::{Synced, Written};
use super::query::{Row, Select, Value, changed, clamp, found, values};
use super::row::{UPLOAD_COLUMNS, id, number, number_if_any, parsed, time, upload};
use super::writing::Writing;
use crate::content::of_landed;
use crate::transaction::WriteTransaction as _;
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::dataset::schema::{Schema, SchemaDifference, SchemaPolicy};
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::upload::row::Upload;
use lakeshore::ports::SchemaState;
use lakeshore::ports::metadata::schema::{
    Attempts, BaselineSchema, InspectedUpload, LandedRows, SchemaId, Uninspected,
};
use lakeshore::{Error, Timestamp};
use lakeshore_system::failpoints::crash_point;
use sqlx::Row as _;

#[async_trait]
impl SchemaState for SqliteState {
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error> {
        // Asked often, and usually without a result.
        let mut connection = self.readers.look().await?;
        let fresh = |row: &Row| uninspected_of(row, Attempts::default());
        let mut files = uninspected(of, size).rows(&mut connection, fresh).await?;
        let begun =
            |row: &Row| uninspected_of(row, Attempts { begun: row.try_get("begun")?, failed: row.try_get("failed")? });
        files.extend(tried(of, now).rows(&mut connection, begun).await?);
        Ok(files)
    }

    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error> {
        let mut connection = self.readers.look().await?;
        let counted = found(&mut connection, UNINSPECTED, values![id(of.0)], |row| number(row, "files")).await?;
        Ok(counted.unwrap_or(0))
    }

    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let ids = rows_of(ids)?;
        let sql = "INSERT INTO inspection_attempts (history_id, begun) SELECT value, 1 FROM json_each($1) WHERE true \
                   ON CONFLICT (history_id) DO UPDATE SET begun = begun + 1; \
                   DELETE FROM uninspected WHERE history_id IN (SELECT value FROM json_each($1))";
        let begun = self
            .writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, sql, vec![ids]).await.map(drop) })
            })
            .await;
        crash_point!("inspection.begun");
        begun
    }

    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let ids = rows_of(ids)?;
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0) \
                   WHERE history_id IN (SELECT value FROM json_each(?))";
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, sql, vec![ids]).await.map(drop) })
            })
            .await
    }

    async fn fail_inspection(&self, upload_id: UploadId, due: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0), failed = failed + 1, due_time = ? \
                   WHERE history_id = ?";
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, sql, values![due.0, id(upload_id.0)]).await.map(drop) })
            })
            .await
    }

    async fn schema_difference(&self, upload_id: UploadId) -> Result<Option<SchemaDifference>, Error> {
        let contents = |row: &Row| Ok((row.try_get::<String, _>("old")?, row.try_get::<String, _>("new")?));
        let mut connection = self.readers.look().await?;
        let schemas = found(&mut connection, OLD_AND_NEW, values![id(upload_id.0)], contents).await?;
        let Some((old, new)) = schemas else { return Ok(None) };
        Ok(parse(&new)?.differs_from(&parse(&old)?))
    }

    async fn schema(&self, schema_id: SchemaId) -> Result<Option<Schema>, Error> {
        let content = |row: &Row| row.try_get::<String, _>("content");
        let mut connection = self.readers.look().await?;
        let content = found(&mut connection, CONTENT, values![id(schema_id.0)], content).await?;
        content.as_deref().map(parse).transpose()
    }

    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error> {
        let files = files.to_vec();
        let remembered = self
            .writer
            .write_aside(Written, move |writing| Box::pin(async move { remember_inspected(writing, &files).await }))
            .await;
        crash_point!("inspection.remembered");
        remembered
    }

    async fn good_schema(&self, dataset: &LakePath) -> Result<Option<BaselineSchema>, Error> {
        let good = |row: &Row| Ok((SyncId(number(row, "sync_id")?), row.try_get::<String, _>("content")?));
        let mut connection = self.readers.look().await?;
        let good = found(&mut connection, GOOD, values![dataset.as_str()], good).await?;
        good.map(|(sync_id, content)| Ok(BaselineSchema { sync_id, schema: parse(&content)? })).transpose()
    }

    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
        let columns = "u.size_bytes, max(u.end_time, coalesce(u.touched_at, 0)) AS end_time, f.row_count, f.schema_id";
        let joined = "LEFT JOIN file_schemas f ON f.history_id = u.history_id";
        of_landed(&mut *self.readers.list().await?, columns, joined, files, landed_rows_of).await
    }

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error> {
        let sql = "SELECT policy FROM schema_policies WHERE path = ?";
        let policy = |row: &Row| parsed(row, "policy", SchemaPolicy::parse);
        let mut connection = self.readers.look().await?;
        Ok(found(&mut connection, sql, values![dataset.as_str()], policy).await?.unwrap_or_default())
    }

    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (dataset, deed) = (dataset.clone(), AuditEntry::schema_policy_set(dataset, policy, by, at));
        let sql = "INSERT INTO schema_policies (path, policy) VALUES (?, ?) \
                   ON CONFLICT (path) DO UPDATE SET policy = excluded.policy";
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move {
                    changed(writing, sql, values![dataset.as_str(), policy.as_str()]).await?;
                    writing.record(&deed).await
                })
            })
            .await
    }

    async fn differing_uploads(&self, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
        differing(sync_id, size).rows(&mut *self.readers.list().await?, upload).await
    }
}

/// Ids as an argument of `json_each`.
pub(super) fn rows_of(ids: &[UploadId]) -> Result<Value, Error> {
    Value::rows(&ids.iter().map(|upload_id| id(upload_id.0)).collect::<Vec<_>>())
}

fn uninspected(of: Option<SyncId>, size: u64) -> Select {
    let mut select = Select::new("SELECT u.history_id, u.sync_id, u.target, u.identity FROM ");
    match of {
        Some(sync_id) => {
            select.push("uploads u CROSS JOIN uninspected q USING (history_id) WHERE u.sync_id = ").bind(id(sync_id.0));
            select.push(" ORDER BY u.ordinal");
        }
        None => {
            // Reads the first rows of a short table; the lower bound keeps it a search.
            select.push("uninspected q CROSS JOIN uploads u USING (history_id) WHERE q.history_id > 0");
            select.push(" ORDER BY q.history_id");
        }
    }
    select.push(" LIMIT ").bind(clamp(size));
    select
}

/// The first file that was tried before and is due again.
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

fn uninspected_of(row: &Row, attempts: Attempts) -> sqlx::Result<Uninspected> {
    Ok(Uninspected {
        upload_id: UploadId(number(row, "history_id")?),
        sync_id: SyncId(number(row, "sync_id")?),
        target: LakePath::parse(row.try_get("target")?).ok(),
        identity: row.try_get::<Option<String>, _>("identity")?.map(Identity),
        attempts,
    })
}

fn differing(sync_id: SyncId, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM differing_files d CROSS JOIN uploads u"));
    select.push(" ON u.history_id = d.history_id WHERE d.sync_id = ").bind(id(sync_id.0));
    select.push(" ORDER BY d.history_id LIMIT ").bind(clamp(size));
    select
}

const UNINSPECTED: &str = "SELECT \
     (SELECT count(*) FROM uploads u CROSS JOIN uninspected USING (history_id) WHERE u.sync_id = $1) + \
     (SELECT count(*) FROM uploads u CROSS JOIN inspection_attempts USING (history_id) WHERE u.sync_id = $1) AS files";
const GOOD: &str = "SELECT d.sync_id, s.content FROM dataset_schemas d CROSS JOIN schemas s \
     ON s.schema_id = d.schema_id WHERE d.path = ?";
const CONTENT: &str = "SELECT content FROM schemas WHERE schema_id = ?";
const OLD_AND_NEW: &str = "SELECT old.content AS old, new.content AS new FROM file_schemas f CROSS JOIN schemas old \
     ON old.schema_id = f.baseline_id CROSS JOIN schemas new ON new.schema_id = f.schema_id WHERE f.history_id = ?";

/// Decodes the inspection of a landed file.
fn landed_rows_of(row: &Row) -> sqlx::Result<LandedRows> {
    Ok(LandedRows {
        size_bytes: number(row, "size_bytes")?,
        landed_at: time(row, "end_time")?,
        row_count: number_if_any(row, "row_count")?,
        schema: number_if_any(row, "schema_id")?.map(SchemaId),
    })
}

pub(super) fn parse(content: &str) -> Result<Schema, Error> {
    serde_json::from_str(content).map_err(Error::internal)
}

/// Statement of [`remember_good`]; the argument says where the ids of the syncs are bound. It selects the schema of
/// most files, or the earlier of two that are equally frequent.
macro_rules! good_of {
    ($syncs:literal) => {
        concat!(
            "INSERT INTO dataset_schemas (path, sync_id, schema_id) SELECT s.path, s.sync_id, m.schema_id FROM json_each(",
            $syncs,
            ") CROSS JOIN syncs s ON s.sync_id = value CROSS JOIN sync_schemas m ON m.sync_id = s.sync_id AND m.schema_id = \
             (SELECT schema_id FROM sync_schemas WHERE sync_id = s.sync_id ORDER BY files DESC, first_id LIMIT 1) \
             WHERE s.status = 'Finished' ORDER BY s.sync_id \
             ON CONFLICT (path) DO UPDATE SET before_id = iif(excluded.sync_id > sync_id, schema_id, before_id), \
             sync_id = excluded.sync_id, schema_id = excluded.schema_id WHERE excluded.sync_id >= sync_id"
        )
    };
}
pub(super) use good_of;

/// Records the baseline schema that a finished sync leaves for later files. Also called when more of its files were
/// inspected.
pub(super) async fn remember_good(writing: &mut Writing, sync_id: SyncId) -> Result<(), Error> {
    changed(writing, good_of!("?"), vec![Value::rows(&[id(sync_id.0)])?]).await.map(drop)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sqlx::SqliteConnection;

    /// Asserts that a query reads only the rows that it returns.
    pub(in crate::sqlite) async fn goes_by_an_index(select: Select, connection: &mut SqliteConnection) {
        let plan = select.plan(connection).await;
        let is_scan = |step: &String| {
            step.starts_with("SCAN") && !step.starts_with("SCAN json_each VIRTUAL TABLE") && step != "SCAN CONSTANT ROW"
        };
        assert!(!plan.is_empty() && !plan.iter().any(is_scan), "{plan:?}");
    }

    #[tokio::test]
    async fn schemas_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.readers.look().await.unwrap();
        let (one, now) = (Some(SyncId(1)), Timestamp(1));
        let selects =
            [uninspected(None, 9), uninspected(one, 9), tried(None, now), tried(one, now), differing(SyncId(1), 9)];
        let plain = [UNINSPECTED, GOOD, CONTENT, OLD_AND_NEW, good_of!("?")].map(Select::new);
        for select in selects.into_iter().chain(plain) {
            goes_by_an_index(select, &mut connection).await;
        }
    }
}
