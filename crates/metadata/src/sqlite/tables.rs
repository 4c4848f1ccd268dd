//! Tables of datasets on object storage: see migration 22. Queries are in [`crate::tables`], as far as both databases have the
//! same.

use super::SqliteState;
use super::job::Durability::{Synced, Written};
use super::query::{Row, Value, changed, clamp, found, rows, values};
use crate::row::id;
use crate::tables::{
    DRAFT, ENTRIES, FIRST_VERSION, FORGET_DRAFTS, FORGET_ENTRY, LAGGING, LAST_CHANGE, OUTSIDE, SET_CHECKPOINT,
    SET_TABLE, TABLE, WRITE_DRAFT, entry_of, file_of, lagging_of, landed_of, outside_of, pieces, schema_rows, table_of,
};
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, TableDescription};
use lakeshore::ports::TableStore;
use lakeshore::ports::metadata::table::{
    FileOutside, FixedEntry, FixedVersion, LaggingTable, LandedInVersion, StoredTable, TableFile, TableSchemaId,
};
use sqlx::Row as _;

const LANDED_IN: &str = "\
    SELECT u.history_id, u.target, u.end_time, old.history_id AS replaced \
    FROM folders f CROSS JOIN versions v ON v.folder_id = f.folder_id AND v.number = $2 \
    CROSS JOIN uploads u ON u.tree_seq = v.seq AND u.tree_seq > 0 AND u.tree_id IS NOT NULL \
    CROSS JOIN version_files e ON e.tree_id = u.tree_id AND e.path = u.target AND e.from_seq = u.tree_seq \
        AND e.history_id = u.history_id \
    LEFT JOIN version_files old ON old.tree_id = u.tree_id AND old.path = u.target AND old.until_seq = v.seq \
    WHERE f.path = $1 AND u.target >= $1 || '/' AND u.target < $1 || '0' ORDER BY u.history_id";

const FILES: &str = "\
    SELECT t.history_id, t.object_key, t.schema_id, t.stats, u.size_bytes, o.history_id IS NOT NULL AS is_outside \
    FROM json_each($2) CROSS JOIN table_files t ON t.history_id = value \
    CROSS JOIN uploads u ON u.history_id = t.history_id \
    LEFT JOIN table_outside o ON o.folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
        AND o.history_id = t.history_id";

/// Row of a file: upload, digest of its schema, statistics. The identity of an upload is the number of its node.
const DESCRIBE: &str = "\
    INSERT OR IGNORE INTO table_schemas (sha256, content) SELECT unhex(value ->> 0), value ->> 1 FROM json_each($1); \
    INSERT OR IGNORE INTO table_files (history_id, object_key, schema_id, stats) \
    SELECT u.history_id, (SELECT o.key FROM nodes n JOIN objects o ON o.object_id = n.object_id \
        WHERE n.node_id = CAST(u.identity AS INTEGER)), s.schema_id, value ->> 2 \
    FROM json_each($2) CROSS JOIN uploads u ON u.history_id = value ->> 0 \
    LEFT JOIN table_schemas s ON s.sha256 = unhex(value ->> 1)";

const SCHEMAS: &str =
    "SELECT s.schema_id, s.content FROM json_each($1) CROSS JOIN table_schemas s ON s.schema_id = value";

const GONE: &str = "DELETE FROM table_outside WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
                    AND ($2 IS NULL OR history_id IN (SELECT value FROM json_each($2)))";

const ADD_OUTSIDE: &str = "\
    INSERT INTO table_outside (folder_id, history_id, reasons) SELECT f.folder_id, value ->> 0, value ->> 1 \
    FROM json_each($2) CROSS JOIN folders f WHERE f.path = $1 \
    ON CONFLICT (folder_id, history_id) DO UPDATE SET reasons = excluded.reasons";

const ADD_ENTRIES: &str = "\
    INSERT INTO table_entries (folder_id, version, kind, number, draft_id) \
    SELECT f.folder_id, $3, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2) CROSS JOIN folders f WHERE f.path = $1";

#[async_trait]
impl TableStore for SqliteState {
    async fn last_change(&self) -> Result<i64, Error> {
        self.writer.write_versions().await?;
        let mut connection = self.readers.look().await?;
        Ok(found(&mut connection, LAST_CHANGE, values![], |row| row.try_get(0)).await?.unwrap_or(0))
    }

    async fn lagging_tables(&self, size: u64) -> Result<Vec<LaggingTable>, Error> {
        self.writer.write_versions().await?;
        rows(&mut *self.readers.list().await?, LAGGING, values![clamp(size)], |row: &Row| lagging_of(row)).await
    }

    async fn table(&self, dataset: &LakePath) -> Result<Option<StoredTable>, Error> {
        let mut connection = self.readers.look().await?;
        found(&mut connection, TABLE, values![dataset.as_str()], |row: &Row| table_of(row)).await
    }

    async fn first_version(&self, dataset: &LakePath) -> Result<VersionNumber, Error> {
        let mut connection = self.readers.look().await?;
        let first = found(&mut connection, FIRST_VERSION, values![dataset.as_str()], |row| row.try_get::<i64, _>(0));
        Ok(VersionNumber(first.await?.unwrap_or(1).cast_unsigned()))
    }

    async fn landed_in(&self, dataset: &LakePath, version: VersionNumber) -> Result<Vec<LandedInVersion>, Error> {
        let asked = values![dataset.as_str(), id(version.0)];
        rows(&mut *self.readers.list().await?, LANDED_IN, asked, |row: &Row| landed_of(row)).await
    }

    async fn table_files(&self, dataset: &LakePath, ids: &[UploadId]) -> Result<Vec<TableFile>, Error> {
        let asked = vec![Value::Text(dataset.as_str().to_owned()), Value::rows(ids)?];
        rows(&mut *self.readers.list().await?, FILES, asked, |row: &Row| file_of(row)).await
    }

    async fn describe(&self, files: &[(UploadId, Option<TableDescription>)]) -> Result<(), Error> {
        let (schemas, files) = schema_rows(files);
        let asked = vec![Value::rows(&schemas)?, Value::rows(&files)?];
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, DESCRIBE, asked).await.map(drop) })
            })
            .await
    }

    async fn table_schemas(&self, ids: &[TableSchemaId]) -> Result<Vec<(TableSchemaId, String)>, Error> {
        let asked = vec![Value::rows(&ids.iter().map(|schema| schema.0).collect::<Vec<_>>())?];
        let schema = |row: &Row| Ok((TableSchemaId(row.try_get("schema_id")?), row.try_get("content")?));
        rows(&mut *self.readers.look().await?, SCHEMAS, asked, schema).await
    }

    async fn write_draft(&self, draft: DraftId, number: u64, bytes: Bytes) -> Result<(), Error> {
        let values = vec![Value::Integer(draft.0), Value::Integer(id(number)), Value::Blob(bytes.into())];
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, WRITE_DRAFT, values).await.map(drop) })
            })
            .await
    }

    async fn fix_version(&self, fixed: &FixedVersion) -> Result<bool, Error> {
        let FixedVersion { dataset, before, table, entries, outside, gone } = fixed.clone();
        let work = async move |writing: &mut super::writing::Writing| {
            let dataset = dataset.as_str();
            let set = values![
                dataset,
                id(before),
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
            let gone = match gone {
                None => Value::Null,
                Some(gone) => Value::rows(&gone)?,
            };
            changed(writing, GONE, vec![Value::Text(dataset.to_owned()), gone]).await?;
            if !outside.is_empty() {
                let outside: Vec<_> = outside.iter().map(|file| (file.upload_id, &file.reasons)).collect();
                changed(writing, ADD_OUTSIDE, vec![Value::Text(dataset.to_owned()), Value::rows(&outside)?]).await?;
            }
            for entry in entries.iter() {
                if let Some(bytes) = &entry.bytes {
                    let values = vec![Value::Integer(entry.draft.0), Value::Integer(0), Value::Blob(bytes.to_vec())];
                    changed(writing, WRITE_DRAFT, values).await?;
                }
            }
            if !entries.is_empty() {
                let rows: Vec<_> =
                    entries.iter().map(|entry| (entry.kind.as_str(), id(entry.number), entry.draft.0)).collect();
                let values =
                    vec![Value::Text(dataset.to_owned()), Value::rows(&rows)?, Value::Integer(id(table.version))];
                changed(writing, ADD_ENTRIES, values).await?;
            }
            Ok(true)
        };
        self.writer.write_aside(Synced, move |writing| Box::pin(work(writing))).await
    }

    async fn fixed_entries(&self, dataset: &LakePath) -> Result<Vec<FixedEntry>, Error> {
        rows(&mut *self.readers.look().await?, ENTRIES, values![dataset.as_str()], |row: &Row| entry_of(row)).await
    }

    async fn draft(&self, draft: DraftId) -> Result<Vec<Bytes>, Error> {
        rows(&mut *self.readers.list().await?, DRAFT, values![draft.0], |row: &Row| pieces(row)).await
    }

    async fn forget_entry(&self, dataset: &LakePath, entry: &FixedEntry) -> Result<(), Error> {
        let values = values![dataset.as_str(), id(entry.version.0), entry.kind.as_str(), entry.draft.0];
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, FORGET_ENTRY, values).await.map(drop) })
            })
            .await
    }

    async fn forget_drafts(&self) -> Result<(), Error> {
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, FORGET_DRAFTS, values![]).await.map(drop) })
            })
            .await
    }

    async fn set_checkpoint(&self, dataset: &LakePath, commit: u64) -> Result<(), Error> {
        let values = values![dataset.as_str(), id(commit)];
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, SET_CHECKPOINT, values).await.map(drop) })
            })
            .await
    }

    async fn set_table_problem(&self, dataset: &LakePath, problem: Option<&str>) -> Result<(), Error> {
        let values = values![dataset.as_str(), problem];
        self.writer
            .write_aside(Written, move |writing| {
                Box::pin(async move { changed(writing, crate::tables::SET_PROBLEM, values).await.map(drop) })
            })
            .await
    }

    async fn files_outside(&self, dataset: &LakePath, size: u64) -> Result<Vec<(LakePath, FileOutside)>, Error> {
        let asked = values![dataset.as_str(), clamp(size)];
        rows(&mut *self.readers.list().await?, OUTSIDE, asked, |row: &Row| outside_of(row)).await
    }
}
