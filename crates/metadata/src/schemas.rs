//! Columns of files and datasets: the tables of migration 8.

use crate::backend::{Backend, MetadataStore};
use crate::content::of_landed;
use crate::inspected::remember_inspected;
use crate::query::{Select, Value, clamp, execute, fetch_optional, values};
use crate::row::{DbRow, UPLOAD_COLUMNS, id, number, number_if_any, parsed, time, upload};
use crate::transaction::Durability::{Passing, Synced};
use crate::transaction::WriteTransaction;
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

#[async_trait]
impl<B: Backend> SchemaState for MetadataStore<B> {
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error> {
        // Asked often, and usually without a result.
        let mut connection = self.0.look().await?;
        let mut files = uninspected(of, size).fetch_all(&mut connection, fresh).await?;
        files.extend(tried(of, now).fetch_all(&mut connection, begun).await?);
        Ok(files)
    }

    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error> {
        let mut connection = self.0.look().await?;
        let counted =
            fetch_optional(&mut connection, UNINSPECTED, values![id(of.0)], |row| number(row, "files")).await?;
        Ok(counted.unwrap_or(0))
    }

    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let sql = "INSERT INTO inspection_attempts AS a (history_id, begun) \
                   SELECT DISTINCT CAST(value ->> 0 AS BIGINT), 1 FROM json_each($1) WHERE TRUE \
                   ON CONFLICT (history_id) DO UPDATE SET begun = a.begun + 1; \
                   DELETE FROM uninspected WHERE history_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($1))";
        let begun = self.0.change_aside(Passing, sql, vec![rows_of(ids)?]).await;
        crash_point!("inspection.begun");
        begun
    }

    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0) \
                   WHERE history_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each(?))";
        self.0.change_aside(Passing, sql, vec![rows_of(ids)?]).await
    }

    async fn fail_inspection(&self, upload_id: UploadId, due: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = max(begun - 1, 0), failed = failed + 1, due_time = ? \
                   WHERE history_id = ?";
        self.0.change_aside(Passing, sql, values![due.0, id(upload_id.0)]).await
    }

    async fn schema_difference(&self, upload_id: UploadId) -> Result<Option<SchemaDifference>, Error> {
        let mut connection = self.0.look().await?;
        let schemas = fetch_optional(&mut connection, OLD_AND_NEW, values![id(upload_id.0)], old_and_new).await?;
        let Some((old, new)) = schemas else { return Ok(None) };
        Ok(parse(&new)?.differs_from(&parse(&old)?))
    }

    async fn schema(&self, schema_id: SchemaId) -> Result<Option<Schema>, Error> {
        let mut connection = self.0.look().await?;
        let content =
            fetch_optional(&mut connection, CONTENT, values![id(schema_id.0)], |row| row.get::<String>("content"));
        content.await?.as_deref().map(parse).transpose()
    }

    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error> {
        let remembered = self
            .0
            .write_aside(Passing, files.to_vec(), |writing, files| Box::pin(remember_inspected(writing, files)))
            .await;
        crash_point!("inspection.remembered");
        remembered
    }

    async fn baseline_schema(&self, dataset: &LakePath) -> Result<Option<BaselineSchema>, Error> {
        let mut connection = self.0.look().await?;
        let good = fetch_optional(&mut connection, GOOD, values![dataset.as_str()], good).await?;
        good.map(|(sync_id, content)| Ok(BaselineSchema { sync_id, schema: parse(&content)? })).transpose()
    }

    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
        let columns = "u.size_bytes, max(u.end_time, coalesce(u.touched_at, 0)) AS end_time, f.row_count, f.schema_id";
        let joined = "LEFT JOIN file_schemas f ON f.history_id = u.history_id";
        of_landed(&mut self.0.list().await?, columns, joined, files, landed_rows_of).await
    }

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error> {
        let sql = "SELECT policy FROM schema_policies WHERE path = ?";
        let mut connection = self.0.look().await?;
        let policy = fetch_optional(&mut connection, sql, values![dataset.as_str()], |row| {
            parsed(row, "policy", SchemaPolicy::parse)
        });
        Ok(policy.await?.unwrap_or_default())
    }

    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let entry = AuditEntry::schema_policy_set(dataset, policy, by, at);
        self.0
            .write(Synced, (dataset.clone(), policy, entry), |writing, (dataset, policy, entry)| {
                Box::pin(async move {
                    let sql = "INSERT INTO schema_policies (path, policy) VALUES (?, ?) \
                               ON CONFLICT (path) DO UPDATE SET policy = excluded.policy";
                    execute(writing, sql, values![dataset.as_str(), policy.as_str()]).await?;
                    writing.record(entry).await
                })
            })
            .await
    }

    async fn differing_uploads(&self, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
        differing(sync_id, size).fetch_all(&mut self.0.list().await?, upload).await
    }
}

/// Ids as an argument of `json_each`.
pub(crate) fn rows_of(ids: &[UploadId]) -> Result<Value, Error> {
    Value::column(ids.iter().map(|upload_id| id(upload_id.0)))
}

fn uninspected(of: Option<SyncId>, size: u64) -> Select {
    let mut select = Select::new("SELECT u.history_id, u.sync_id, u.target, u.identity FROM ");
    match of {
        Some(sync_id) => {
            select.push("uploads u CROSS JOIN uninspected q WHERE q.history_id = u.history_id AND u.sync_id = ");
            select.bind(id(sync_id.0)).push(" ORDER BY u.ordinal");
        }
        None => {
            // Reads the first rows of a short table; the lower bound keeps it a search.
            select.push("uninspected q CROSS JOIN uploads u WHERE u.history_id = q.history_id AND q.history_id > 0");
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
            select
                .push("uploads u CROSS JOIN inspection_attempts a WHERE a.history_id = u.history_id AND u.sync_id = ");
            select.bind(id(sync_id.0)).push(" AND a.due_time <= ").bind(now.0).push(" ORDER BY u.ordinal");
        }
        None => {
            select.push(
                "inspection_attempts a CROSS JOIN uploads u WHERE u.history_id = a.history_id AND a.due_time <= ",
            );
            select.bind(now.0).push(" ORDER BY a.due_time, a.history_id");
        }
    }
    select.push(" LIMIT 1");
    select
}

fn fresh(row: &impl DbRow) -> sqlx::Result<Uninspected> {
    uninspected_of(row, Attempts::default())
}

fn begun(row: &impl DbRow) -> sqlx::Result<Uninspected> {
    uninspected_of(row, Attempts { begun: attempts(row, "begun")?, failed: attempts(row, "failed")? })
}

fn attempts(row: &impl DbRow, column: &str) -> sqlx::Result<u32> {
    Ok(u32::try_from(number(row, column)?).unwrap_or(u32::MAX))
}

fn uninspected_of(row: &impl DbRow, attempts: Attempts) -> sqlx::Result<Uninspected> {
    Ok(Uninspected {
        upload_id: UploadId(number(row, "history_id")?),
        sync_id: SyncId(number(row, "sync_id")?),
        target: LakePath::parse(row.text("target")?).ok(),
        identity: row.get::<Option<String>>("identity")?.map(Identity),
        attempts,
    })
}

fn differing(sync_id: SyncId, size: u64) -> Select {
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM differing_files d CROSS JOIN uploads u"));
    select.push(" WHERE u.history_id = d.history_id AND d.sync_id = ").bind(id(sync_id.0));
    select.push(" ORDER BY d.history_id LIMIT ").bind(clamp(size));
    select
}

const UNINSPECTED: &str = "SELECT \
     (SELECT count(*) FROM uploads u CROSS JOIN uninspected q WHERE q.history_id = u.history_id AND u.sync_id = $1) + \
     (SELECT count(*) FROM uploads u CROSS JOIN inspection_attempts a \
      WHERE a.history_id = u.history_id AND u.sync_id = $1) AS files";
const GOOD: &str = "SELECT d.sync_id, s.content FROM dataset_schemas d CROSS JOIN schemas s \
     WHERE s.schema_id = d.schema_id AND d.path = ?";
const CONTENT: &str = "SELECT content FROM schemas WHERE schema_id = ?";
const OLD_AND_NEW: &str = "SELECT old.content AS old, new.content AS new \
     FROM file_schemas f CROSS JOIN schemas old CROSS JOIN schemas new \
     WHERE old.schema_id = f.baseline_id AND new.schema_id = f.schema_id AND f.history_id = ?";

fn old_and_new(row: &impl DbRow) -> sqlx::Result<(String, String)> {
    Ok((row.get("old")?, row.get("new")?))
}

fn good(row: &impl DbRow) -> sqlx::Result<(SyncId, String)> {
    Ok((SyncId(number(row, "sync_id")?), row.get("content")?))
}

/// Decodes the inspection of a landed file.
fn landed_rows_of(row: &impl DbRow) -> sqlx::Result<LandedRows> {
    Ok(LandedRows {
        size_bytes: number(row, "size_bytes")?,
        landed_at: time(row, "end_time")?,
        row_count: number_if_any(row, "row_count")?,
        schema: number_if_any(row, "schema_id")?.map(SchemaId),
    })
}

pub(crate) fn parse(content: &str) -> Result<Schema, Error> {
    serde_json::from_str(content).map_err(Error::internal)
}

/// Selects the schema of most files, or the earlier of two that are equally frequent.
const REMEMBER_GOOD: &str = "\
    INSERT INTO dataset_schemas AS d (path, sync_id, schema_id) SELECT s.path, s.sync_id, m.schema_id \
    FROM syncs s CROSS JOIN sync_schemas m WHERE s.sync_id = ? AND s.status = 'Finished' AND m.sync_id = s.sync_id \
    AND m.schema_id = (SELECT schema_id FROM sync_schemas WHERE sync_id = s.sync_id \
        ORDER BY files DESC, first_id LIMIT 1) \
    ON CONFLICT (path) DO UPDATE SET \
    before_id = CASE WHEN excluded.sync_id > d.sync_id THEN d.schema_id ELSE d.before_id END, \
    sync_id = excluded.sync_id, schema_id = excluded.schema_id WHERE excluded.sync_id >= d.sync_id";

/// Records the baseline schema that a finished sync leaves for later files. Also called when more of its files were
/// inspected.
pub(crate) async fn record_baseline(writing: &mut impl WriteTransaction, sync_id: SyncId) -> Result<(), Error> {
    execute(writing, REMEMBER_GOOD, values![id(sync_id.0)]).await.map(drop)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use sqlx::SqliteConnection;

    /// Asserts that a query reads only the rows that it returns.
    pub(crate) async fn goes_by_an_index(select: Select, connection: &mut SqliteConnection) {
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
        let mut connection = state.0.look().await.unwrap();
        let (one, now) = (Some(SyncId(1)), Timestamp(1));
        let selects =
            [uninspected(None, 9), uninspected(one, 9), tried(None, now), tried(one, now), differing(SyncId(1), 9)];
        let plain = [UNINSPECTED, GOOD, CONTENT, OLD_AND_NEW, REMEMBER_GOOD].map(Select::new);
        for select in selects.into_iter().chain(plain) {
            goes_by_an_index(select, &mut connection).await;
        }
    }
}
