//! Tables of datasets on object storage: see migration 3. Queries are in [`crate::tables`], as far as both databases have the same.

use super::PostgresState;
use super::query::{Row, Value, changed, clamp, found, rows, values};
use super::writing::Durability::{Synced, Written};
use super::writing::transaction;
use crate::row::id;
use crate::tables::{
    DRAFT, ENTRIES, FIRST_VERSION, FORGET_DRAFTS, FORGET_ENTRY, LAGGING, LAST_CHANGE, OUTSIDE, SET_CHECKPOINT,
    SET_PROBLEM, SET_TABLE, TABLE, WRITE_DRAFT, entry_of, file_of, lagging_of, landed_of, outside_of, pieces,
    schema_rows, table_of,
};
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, TableDescription};
use lakeshore::ports::TableStore;
use lakeshore::ports::metadata::table::{
    FileOutside, FixedEntry, FixedVersion, LaggingTable, LandedInVersion, NewEntry, StoredTable, TableFile,
    TableSchemaId,
};
use sqlx::Row as _;

const LANDED_IN: &str = "\
    SELECT u.history_id, u.target, u.end_time, old.history_id AS replaced \
    FROM folders f JOIN versions v ON v.folder_id = f.folder_id AND v.number = $2 \
    JOIN uploads u ON u.tree_seq = v.seq AND u.tree_seq > 0 AND u.tree_id IS NOT NULL \
    JOIN version_files e ON e.tree_id = u.tree_id AND e.path = u.target AND e.from_seq = u.tree_seq \
        AND e.history_id = u.history_id \
    LEFT JOIN version_files old ON old.tree_id = u.tree_id AND old.path = u.target AND old.until_seq = v.seq \
    WHERE f.path = $1 AND u.target >= $1 || '/' AND u.target < $1 || '0' ORDER BY u.history_id";

const FILES: &str = "\
    SELECT t.history_id, t.object_key, t.schema_id, t.stats, u.size_bytes, o.history_id IS NOT NULL AS is_outside \
    FROM table_files t JOIN uploads u ON u.history_id = t.history_id \
    LEFT JOIN table_outside o ON o.folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
        AND o.history_id = t.history_id \
    WHERE t.history_id = ANY($2)";

const DESCRIBE_SCHEMAS: &str = "\
    INSERT INTO table_schemas (sha256, content) SELECT decode(value ->> 0, 'hex'), value ->> 1 FROM json_rows($1) \
    ORDER BY 1 ON CONFLICT (sha256) DO NOTHING";

/// Row of a file: upload, digest of its schema, statistics. The identity of an upload is the number of its node.
const DESCRIBE: &str = "\
    INSERT INTO table_files (history_id, object_key, schema_id, stats) \
    SELECT u.history_id, (SELECT o.key FROM nodes n JOIN objects o ON o.object_id = n.object_id \
        WHERE n.node_id = CASE WHEN u.identity ~ '^[0-9]{1,18}$' THEN u.identity::bigint END), s.schema_id, value ->> 2 \
    FROM json_rows($1) JOIN uploads u ON u.history_id = (value ->> 0)::bigint \
    LEFT JOIN table_schemas s ON s.sha256 = decode(value ->> 1, 'hex') ORDER BY 1 ON CONFLICT (history_id) DO NOTHING";

const SCHEMAS: &str = "SELECT schema_id, content FROM table_schemas WHERE schema_id = ANY($1)";

const GONE: &str = "DELETE FROM table_outside WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
                    AND ($3 OR history_id = ANY($2))";

const ADD_OUTSIDE: &str = "\
    INSERT INTO table_outside (folder_id, history_id, reasons) SELECT f.folder_id, (value ->> 0)::bigint, value ->> 1 \
    FROM json_rows($2) CROSS JOIN folders f WHERE f.path = $1 \
    ON CONFLICT (folder_id, history_id) DO UPDATE SET reasons = excluded.reasons";

const ADD_ENTRIES: &str = "\
    INSERT INTO table_entries (folder_id, version, kind, number, draft_id) \
    SELECT f.folder_id, $3, value ->> 0, (value ->> 1)::bigint, (value ->> 2)::bigint \
    FROM json_rows($2) CROSS JOIN folders f WHERE f.path = $1";

fn ids(ids: &[UploadId]) -> Value {
    Value::Integers(ids.iter().map(|upload_id| id(upload_id.0)).collect())
}

#[async_trait]
impl TableStore for PostgresState {
    async fn last_change(&self) -> Result<i64, Error> {
        Ok(found(&mut *self.look().await?, LAST_CHANGE, values![], |row| row.try_get(0)).await?.unwrap_or(0))
    }

    async fn lagging_tables(&self, size: u64) -> Result<Vec<LaggingTable>, Error> {
        rows(&mut *self.list().await?, LAGGING, values![clamp(size)], |row: &Row| lagging_of(row)).await
    }

    async fn table(&self, dataset: &LakePath) -> Result<Option<StoredTable>, Error> {
        found(&mut *self.look().await?, TABLE, values![dataset.as_str()], |row: &Row| table_of(row)).await
    }

    async fn first_version(&self, dataset: &LakePath) -> Result<VersionNumber, Error> {
        let mut connection = self.look().await?;
        let first = found(&mut connection, FIRST_VERSION, values![dataset.as_str()], |row| row.try_get::<i64, _>(0));
        Ok(VersionNumber(first.await?.unwrap_or(1).cast_unsigned()))
    }

    async fn landed_in(&self, dataset: &LakePath, version: VersionNumber) -> Result<Vec<LandedInVersion>, Error> {
        let asked = values![dataset.as_str(), id(version.0)];
        rows(&mut *self.list().await?, LANDED_IN, asked, |row: &Row| landed_of(row)).await
    }

    async fn table_files(&self, dataset: &LakePath, wanted: &[UploadId]) -> Result<Vec<TableFile>, Error> {
        let asked = vec![Value::Text(dataset.as_str().to_owned()), ids(wanted)];
        rows(&mut *self.list().await?, FILES, asked, |row: &Row| file_of(row)).await
    }

    async fn describe(&self, files: &[(UploadId, Option<TableDescription>)]) -> Result<(), Error> {
        let (schemas, files) = schema_rows(files);
        let (schemas, files) = (Value::rows(&schemas)?, Value::rows(&files)?);
        transaction!(self, Written, |writing| {
            changed(writing, DESCRIBE_SCHEMAS, vec![schemas.clone()]).await?;
            changed(writing, DESCRIBE, vec![files.clone()]).await.map(drop)
        })
    }

    async fn table_schemas(&self, ids: &[TableSchemaId]) -> Result<Vec<(TableSchemaId, String)>, Error> {
        let asked = vec![Value::Integers(ids.iter().map(|schema| schema.0).collect())];
        let schema = |row: &Row| Ok((TableSchemaId(row.try_get("schema_id")?), row.try_get("content")?));
        rows(&mut *self.look().await?, SCHEMAS, asked, schema).await
    }

    async fn write_draft(&self, draft: DraftId, number: u64, bytes: Bytes) -> Result<(), Error> {
        transaction!(self, Written, |writing| {
            let values = vec![Value::Integer(draft.0), Value::Integer(id(number)), Value::Blob(bytes.to_vec())];
            changed(writing, WRITE_DRAFT, values).await.map(drop)
        })
    }

    async fn fix_version(&self, fixed: &FixedVersion) -> Result<bool, Error> {
        let FixedVersion { dataset, before, table, entries, outside, gone } = fixed;
        let dataset = dataset.as_str();
        let of_dataset = || Value::Text(dataset.to_owned());
        let gone_ids = ids(gone.as_deref().unwrap_or_default());
        let rows_outside = outside.iter().map(|file| (file.upload_id, &file.reasons)).collect::<Vec<_>>();
        let rows_outside = Value::rows(&rows_outside)?;
        let entry = |entry: &NewEntry| (entry.kind.as_str(), id(entry.number), entry.draft.0);
        let rows_of_entries = Value::rows(&entries.iter().map(entry).collect::<Vec<_>>())?;
        transaction!(self, Synced, |writing| {
            let set = values![
                dataset,
                id(*before),
                id(table.version),
                id(table.dataset_files),
                id(table.table_files),
                table.state,
                table.manifest.map(id),
                id(table.actions),
            ];
            if changed(writing, SET_TABLE, set).await? == 0 {
                return Ok(false);
            }
            changed(writing, GONE, vec![of_dataset(), gone_ids.clone(), Value::Bool(gone.is_none())]).await?;
            changed(writing, ADD_OUTSIDE, vec![of_dataset(), rows_outside.clone()]).await?;
            for entry in entries {
                if let Some(bytes) = &entry.bytes {
                    let values = vec![Value::Integer(entry.draft.0), Value::Integer(0), Value::Blob(bytes.to_vec())];
                    changed(writing, WRITE_DRAFT, values).await?;
                }
            }
            let values = vec![of_dataset(), rows_of_entries.clone(), Value::Integer(id(table.version))];
            changed(writing, ADD_ENTRIES, values).await?;
            Ok(true)
        })
    }

    async fn fixed_entries(&self, dataset: &LakePath) -> Result<Vec<FixedEntry>, Error> {
        rows(&mut *self.look().await?, ENTRIES, values![dataset.as_str()], |row: &Row| entry_of(row)).await
    }

    async fn draft(&self, draft: DraftId) -> Result<Vec<Bytes>, Error> {
        rows(&mut *self.list().await?, DRAFT, values![draft.0], |row: &Row| pieces(row)).await
    }

    async fn forget_entry(&self, dataset: &LakePath, entry: &FixedEntry) -> Result<(), Error> {
        transaction!(self, Written, |writing| {
            let values = values![dataset.as_str(), id(entry.version.0), entry.kind.as_str(), entry.draft.0];
            changed(writing, FORGET_ENTRY, values).await.map(drop)
        })
    }

    async fn forget_drafts(&self) -> Result<(), Error> {
        transaction!(self, Written, |writing| changed(writing, FORGET_DRAFTS, values![]).await.map(drop))
    }

    async fn set_checkpoint(&self, dataset: &LakePath, commit: u64) -> Result<(), Error> {
        transaction!(self, Written, |writing| {
            changed(writing, SET_CHECKPOINT, values![dataset.as_str(), id(commit)]).await.map(drop)
        })
    }

    async fn set_table_problem(&self, dataset: &LakePath, problem: Option<&str>) -> Result<(), Error> {
        transaction!(self, Written, |writing| {
            changed(writing, SET_PROBLEM, values![dataset.as_str(), problem]).await.map(drop)
        })
    }

    async fn files_outside(&self, dataset: &LakePath, size: u64) -> Result<Vec<(LakePath, FileOutside)>, Error> {
        rows(&mut *self.list().await?, OUTSIDE, values![dataset.as_str(), clamp(size)], |row: &Row| outside_of(row))
            .await
    }
}
