//! Columns of files and datasets: the tables of migration 8.

use super::PostgresState;
use super::inspected::remember_inspected;
use super::query::{Row, Select, changed, clamp, found, values};
use super::writing::Durability::{Passing, Synced};
use super::writing::{Writing, transaction};
use crate::backend::Backend as _;
use crate::content::of_landed;
use crate::row::{UPLOAD_COLUMNS, id, number, number_if_any, parsed, time, upload};
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
impl SchemaState for PostgresState {
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error> {
        // Asked often, and usually without a result.
        let mut connection = self.look().await?;
        let fresh = |row: &Row| uninspected_of(row, Attempts::default());
        let mut files = uninspected(of, size).rows(&mut connection, fresh).await?;
        let begun = |row: &Row| {
            uninspected_of(row, Attempts { begun: attempts(row, "begun")?, failed: attempts(row, "failed")? })
        };
        files.extend(tried(of, now).rows(&mut connection, begun).await?);
        Ok(files)
    }

    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error> {
        let mut connection = self.look().await?;
        let counted = found(&mut connection, UNINSPECTED, values![id(of.0)], |row| number(row, "files")).await?;
        Ok(counted.unwrap_or(0))
    }

    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let ids = ids_of(ids);
        let sql = "INSERT INTO inspection_attempts AS a (history_id, begun) SELECT DISTINCT unnest, 1 FROM unnest($1) \
                   ON CONFLICT (history_id) DO UPDATE SET begun = a.begun + 1; \
                   DELETE FROM uninspected WHERE history_id = ANY($1)";
        let begun = transaction!(self, Passing, |writing| changed(writing, sql, values![ids]).await.map(drop));
        crash_point!("inspection.begun");
        begun
    }

    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let ids = ids_of(ids);
        let sql = "UPDATE inspection_attempts SET begun = greatest(begun - 1, 0) WHERE history_id = ANY(?)";
        transaction!(self, Passing, |writing| changed(writing, sql, values![ids]).await.map(drop))
    }

    async fn fail_inspection(&self, upload_id: UploadId, due: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE inspection_attempts SET begun = greatest(begun - 1, 0), failed = failed + 1, due_time = ? \
                   WHERE history_id = ?";
        transaction!(self, Passing, |writing| changed(writing, sql, values![due.0, id(upload_id.0)]).await.map(drop))
    }

    async fn schema_difference(&self, upload_id: UploadId) -> Result<Option<SchemaDifference>, Error> {
        let contents = |row: &Row| Ok((row.try_get::<String, _>("old")?, row.try_get::<String, _>("new")?));
        let mut connection = self.look().await?;
        let schemas = found(&mut connection, OLD_AND_NEW, values![id(upload_id.0)], contents).await?;
        let Some((old, new)) = schemas else { return Ok(None) };
        Ok(parse(&new)?.differs_from(&parse(&old)?))
    }

    async fn schema(&self, schema_id: SchemaId) -> Result<Option<Schema>, Error> {
        let content = |row: &Row| row.try_get::<String, _>("content");
        let mut connection = self.look().await?;
        let content = found(&mut connection, CONTENT, values![id(schema_id.0)], content).await?;
        content.as_deref().map(parse).transpose()
    }

    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error> {
        let remembered = transaction!(self, Passing, |writing| remember_inspected(writing, files).await);
        crash_point!("inspection.remembered");
        remembered
    }

    async fn good_schema(&self, dataset: &LakePath) -> Result<Option<BaselineSchema>, Error> {
        let good = |row: &Row| Ok((SyncId(number(row, "sync_id")?), row.try_get::<String, _>("content")?));
        let mut connection = self.look().await?;
        let good = found(&mut connection, GOOD, values![dataset.as_str()], good).await?;
        good.map(|(sync_id, content)| Ok(BaselineSchema { sync_id, schema: parse(&content)? })).transpose()
    }

    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
        let columns = "u.size_bytes, greatest(u.end_time, u.touched_at) AS end_time, f.row_count, f.schema_id";
        let joined = "LEFT JOIN file_schemas f ON f.history_id = u.history_id";
        of_landed(&mut *self.list().await?, columns, joined, files, landed_rows_of).await
    }

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error> {
        let sql = "SELECT policy FROM schema_policies WHERE path = ?";
        let policy = |row: &Row| parsed(row, "policy", SchemaPolicy::parse);
        let mut connection = self.look().await?;
        Ok(found(&mut connection, sql, values![dataset.as_str()], policy).await?.unwrap_or_default())
    }

    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let deed = AuditEntry::schema_policy_set(dataset, policy, by, at);
        let sql = "INSERT INTO schema_policies (path, policy) VALUES (?, ?) \
                   ON CONFLICT (path) DO UPDATE SET policy = excluded.policy";
        transaction!(self, Synced, |writing| {
            changed(writing, sql, values![dataset.as_str(), policy.as_str()]).await?;
            writing.record(&deed);
            Ok(())
        })
    }

    async fn differing_uploads(&self, sync_id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
        differing(sync_id, size).rows(&mut *self.list().await?, upload).await
    }
}

pub(super) fn ids_of(ids: &[UploadId]) -> Vec<i64> {
    ids.iter().map(|upload_id| id(upload_id.0)).collect()
}

fn uninspected(of: Option<SyncId>, size: u64) -> Select {
    let mut select = Select::new("SELECT u.history_id, u.sync_id, u.target, u.identity FROM ");
    match of {
        Some(sync_id) => {
            select.push("uploads u JOIN uninspected q USING (history_id) WHERE u.sync_id = ").bind(id(sync_id.0));
            select.push(" ORDER BY u.ordinal");
        }
        None => {
            // Reads the first rows of a short table; the lower bound keeps it a search.
            select.push("uninspected q JOIN uploads u USING (history_id) WHERE q.history_id > 0");
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
            select.push("uploads u JOIN inspection_attempts a USING (history_id) WHERE u.sync_id = ");
            select.bind(id(sync_id.0)).push(" AND a.due_time <= ").bind(now.0).push(" ORDER BY u.ordinal");
        }
        None => {
            select.push("inspection_attempts a JOIN uploads u USING (history_id) WHERE a.due_time <= ");
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
    let mut select = Select::new(format!("SELECT {UPLOAD_COLUMNS} FROM differing_files d JOIN uploads u"));
    select.push(" ON u.history_id = d.history_id WHERE d.sync_id = ").bind(id(sync_id.0));
    select.push(" ORDER BY d.history_id LIMIT ").bind(clamp(size));
    select
}

const UNINSPECTED: &str = "SELECT \
     (SELECT count(*) FROM uploads u JOIN uninspected USING (history_id) WHERE u.sync_id = $1) + \
     (SELECT count(*) FROM uploads u JOIN inspection_attempts USING (history_id) WHERE u.sync_id = $1) AS files";
const GOOD: &str = "SELECT d.sync_id, s.content FROM dataset_schemas d JOIN schemas s \
     ON s.schema_id = d.schema_id WHERE d.path = ?";
const CONTENT: &str = "SELECT content FROM schemas WHERE schema_id = ?";
const OLD_AND_NEW: &str = "SELECT old.content AS old, new.content AS new FROM file_schemas f JOIN schemas old \
     ON old.schema_id = f.baseline_id JOIN schemas new ON new.schema_id = f.schema_id WHERE f.history_id = ?";

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

fn attempts(row: &Row, column: &str) -> sqlx::Result<u32> {
    Ok(u32::try_from(number(row, column)?).unwrap_or(u32::MAX))
}

/// Records the baseline schema that each of these syncs leaves for later files, if it has finished: the schema of most of
/// its files, or the earlier of two that are equally frequent. Also called when more of their files were inspected.
pub(super) async fn remember_good(writing: &mut Writing, mut syncs: Vec<i64>) -> Result<(), Error> {
    let sql = "INSERT INTO dataset_schemas AS d (path, sync_id, schema_id) SELECT s.path, s.sync_id, m.schema_id \
               FROM syncs s CROSS JOIN LATERAL (SELECT schema_id FROM sync_schemas WHERE sync_id = s.sync_id \
                   ORDER BY files DESC, first_id LIMIT 1) AS m WHERE s.sync_id = ? AND s.status = 'Finished' \
               ON CONFLICT (path) DO UPDATE SET \
               before_id = CASE WHEN excluded.sync_id > d.sync_id THEN d.schema_id ELSE d.before_id END, \
               sync_id = excluded.sync_id, schema_id = excluded.schema_id WHERE excluded.sync_id >= d.sync_id";
    syncs.sort_unstable();
    // One after the other: two of them may have the same path.
    for sync_id in syncs {
        changed(writing, sql, values![sync_id]).await?;
    }
    Ok(())
}
