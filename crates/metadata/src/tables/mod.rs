//! Tables of datasets on object storage: see migration 22 of SQLite. They follow the versions of their datasets.

mod statements;

use crate::backend::{Backend, MetadataStore};
use crate::query::{Value, clamp, execute, fetch_all, fetch_optional, values};
use crate::row::{DbRow, id, number};
use crate::transaction::Durability::{Synced, Written};
use crate::transaction::WriteTransaction;
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::model::id::{SyncId, UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::table::{DraftId, TableDescription};
use lakeshore::ports::TableStore;
use lakeshore::ports::metadata::table::{
    FileOutside, FixedEntry, FixedVersions, LaggingTable, LandedInVersion, NewEntry, StagedFile, StoredTable,
    TableFile, TableSchemaId, UnneededLog, VersionHead,
};
use lakeshore::{Error, Timestamp};
use statements::{
    ADD_ENTRIES, ADD_OUTSIDE, CONFIRM_VERSION, DESCRIBE, DRAFT, ENTRIES, FILES, FIRST_VERSION, FORGET_CHECKPOINTS,
    FORGET_DRAFT, FORGET_DRAFTS, FORGET_ENTRIES, FORGET_LOG, GONE, IDENTITIES, LAGGING, LANDED_IN, LAST_CHANGE,
    OUTSIDE, SCHEMAS, SET_CHECKPOINT, SET_PROBLEM, SET_TABLE, STAGED, TABLE, UNNEEDED_LOG, UNWRITTEN, VERSION_HEADS,
    WRITE_DRAFT, draft_bytes, entry_of, file_of, head_of, lagging_of, landed_of, outside_of, schema_rows, staged_of,
    table_of, unneeded_log_of,
};
use std::ops::RangeInclusive;

async fn confirm(
    writing: &mut impl WriteTransaction,
    (dataset, version): &(LakePath, VersionNumber),
) -> Result<bool, Error> {
    let values = values![dataset.as_str(), id(version.0)];
    Ok(execute(writing, CONFIRM_VERSION, values).await? > 0)
}

async fn fix(writing: &mut impl WriteTransaction, fixed: &FixedVersions) -> Result<bool, Error> {
    let FixedVersions { dataset, before, table, entries, outside, gone } = fixed;
    let dataset = dataset.as_str();
    let set = values![
        dataset,
        id(*before),
        id(table.version),
        id(table.dataset_files),
        id(table.table_files),
        table.state,
        table.manifest.map(id),
        id(table.actions),
        table.commit.map(id),
    ];
    if execute(writing, SET_TABLE, set).await? == 0 {
        return Ok(false);
    }
    if *before == 0 {
        // A table that an operator has let begin again has none of its earlier checkpoints.
        execute(writing, FORGET_CHECKPOINTS, values![dataset]).await?;
    }
    let ids = Value::column(gone.iter().flatten().map(|upload_id| id(upload_id.0)))?;
    execute(writing, GONE, values![dataset, ids, gone.is_none()]).await?;
    if !outside.is_empty() {
        let files: Vec<_> = outside.iter().map(|file| (id(file.upload_id.0), &file.reasons)).collect();
        execute(writing, ADD_OUTSIDE, values![dataset, Value::rows(&files)?]).await?;
    }
    for entry in entries {
        if let Some(bytes) = &entry.bytes {
            execute(writing, WRITE_DRAFT, values![entry.draft.0, 0_i64, bytes.to_vec(), 0_i64]).await?;
        }
    }
    if !entries.is_empty() {
        let entry = |entry: &NewEntry| (id(entry.version.0), entry.kind.as_str(), id(entry.number), entry.draft.0);
        let rows = Value::rows(&entries.iter().map(entry).collect::<Vec<_>>())?;
        execute(writing, ADD_ENTRIES, values![dataset, rows]).await?;
    }
    Ok(true)
}

#[async_trait]
impl<B: Backend> TableStore for MetadataStore<B> {
    async fn last_change(&self) -> Result<i64, Error> {
        self.write_versions().await?;
        let last = fetch_optional(&mut self.look().await?, LAST_CHANGE, values![], |row| row.get("last_seq")).await?;
        Ok(last.unwrap_or(0))
    }

    async fn lagging_tables(&self, size: u64) -> Result<Vec<LaggingTable>, Error> {
        self.write_versions().await?;
        fetch_all(&mut self.list().await?, LAGGING, values![clamp(size)], lagging_of).await
    }

    async fn table(&self, dataset: &LakePath) -> Result<Option<StoredTable>, Error> {
        fetch_optional(&mut self.look().await?, TABLE, values![dataset.as_str()], table_of).await
    }

    async fn versions_unwritten(&self, dataset: &LakePath) -> Result<u64, Error> {
        let number = |row: &_| DbRow::get::<i64>(row, "count");
        let count = fetch_optional(&mut self.look().await?, UNWRITTEN, values![dataset.as_str()], number).await?;
        Ok(count.unwrap_or(0).cast_unsigned())
    }

    async fn first_version(&self, dataset: &LakePath) -> Result<VersionNumber, Error> {
        let number = |row: &_| DbRow::get::<i64>(row, "first");
        let first = fetch_optional(&mut self.look().await?, FIRST_VERSION, values![dataset.as_str()], number).await?;
        Ok(VersionNumber(first.unwrap_or(1).cast_unsigned()))
    }

    async fn version_heads(
        &self,
        dataset: &LakePath,
        first: VersionNumber,
        size: u64,
    ) -> Result<Vec<VersionHead>, Error> {
        self.write_versions().await?;
        let asked = values![dataset.as_str(), id(first.0), id(first.0.saturating_add(size))];
        fetch_all(&mut self.look().await?, VERSION_HEADS, asked, head_of).await
    }

    async fn landed_in(
        &self,
        dataset: &LakePath,
        versions: RangeInclusive<VersionNumber>,
    ) -> Result<Vec<LandedInVersion>, Error> {
        let asked = values![dataset.as_str(), id(versions.start().0), id(versions.end().0)];
        fetch_all(&mut self.look().await?, LANDED_IN, asked, landed_of).await
    }

    async fn staged_files(
        &self,
        sync_id: SyncId,
        after: Option<&LakePath>,
        size: u64,
    ) -> Result<Vec<StagedFile>, Error> {
        self.write_versions().await?;
        let asked = values![id(sync_id.0), after.map_or("", LakePath::as_str), clamp(size)];
        fetch_all(&mut self.list().await?, STAGED, asked, staged_of).await
    }

    async fn file_identities(&self, wanted: &[UploadId]) -> Result<Vec<(UploadId, Identity)>, Error> {
        let ids = Value::column(wanted.iter().map(|upload_id| id(upload_id.0)))?;
        fetch_all(&mut self.look().await?, IDENTITIES, vec![ids], |row| {
            Ok((UploadId(number(row, "history_id")?), Identity(row.get("identity")?)))
        })
        .await
    }

    async fn table_files(&self, dataset: &LakePath, wanted: &[UploadId]) -> Result<Vec<TableFile>, Error> {
        let ids = Value::column(wanted.iter().map(|upload_id| id(upload_id.0)))?;
        fetch_all(&mut self.look().await?, FILES, values![dataset.as_str(), ids], file_of).await
    }

    async fn describe(&self, files: &[(UploadId, Option<TableDescription>)]) -> Result<(), Error> {
        let (schemas, files) = schema_rows(files);
        self.0.change_aside(Written, DESCRIBE, vec![Value::rows(&schemas)?, Value::rows(&files)?]).await
    }

    async fn table_schemas(&self, wanted: &[TableSchemaId]) -> Result<Vec<(TableSchemaId, String)>, Error> {
        let ids = Value::column(wanted.iter().map(|schema| schema.0))?;
        fetch_all(&mut self.look().await?, SCHEMAS, vec![ids], |row| {
            Ok((TableSchemaId(row.get("schema_id")?), row.get("content")?))
        })
        .await
    }

    async fn write_draft(&self, draft: DraftId, number: u64, bytes: Bytes, at: Timestamp) -> Result<(), Error> {
        self.0.change_aside(Written, WRITE_DRAFT, values![draft.0, id(number), bytes.to_vec(), at.0]).await
    }

    async fn fix_versions(&self, fixed: &FixedVersions) -> Result<bool, Error> {
        self.write_aside(Synced, fixed.clone(), |writing, fixed| Box::pin(fix(writing, fixed))).await
    }

    async fn fixed_entries(&self, dataset: &LakePath) -> Result<Vec<FixedEntry>, Error> {
        fetch_all(&mut self.look().await?, ENTRIES, values![dataset.as_str()], entry_of).await
    }

    async fn draft(&self, draft: DraftId) -> Result<Vec<Bytes>, Error> {
        fetch_all(&mut self.list().await?, DRAFT, values![draft.0], draft_bytes).await
    }

    async fn forget_entries(&self, dataset: &LakePath, drafts: &[DraftId]) -> Result<(), Error> {
        let drafts = Value::column(drafts.iter().map(|draft| draft.0))?;
        self.0.change_aside(Written, FORGET_ENTRIES, values![dataset.as_str(), drafts]).await
    }

    async fn forget_draft(&self, draft: DraftId) -> Result<(), Error> {
        self.0.change_aside(Written, FORGET_DRAFT, values![draft.0]).await
    }

    async fn forget_drafts(&self, before: Timestamp) -> Result<(), Error> {
        self.0.change_aside(Written, FORGET_DRAFTS, values![before.0]).await
    }

    async fn confirm_version(&self, dataset: &LakePath, version: VersionNumber) -> Result<bool, Error> {
        let confirmed = (dataset.clone(), version);
        self.write_aside(Written, confirmed, |writing, confirmed| Box::pin(confirm(writing, confirmed))).await
    }

    async fn set_checkpoint(&self, dataset: &LakePath, commit: u64, version: VersionNumber) -> Result<(), Error> {
        let values = values![dataset.as_str(), id(commit), id(version.0)];
        self.0.change_aside(Written, SET_CHECKPOINT, values).await
    }

    async fn unneeded_log(&self, dataset: &LakePath, oldest: VersionNumber) -> Result<Option<UnneededLog>, Error> {
        let asked = values![dataset.as_str(), id(oldest.0)];
        let unneeded = fetch_optional(&mut self.look().await?, UNNEEDED_LOG, asked, unneeded_log_of).await?;
        Ok(unneeded.filter(|unneeded| !unneeded.is_empty()))
    }

    async fn forget_log(&self, dataset: &LakePath, gone: &UnneededLog) -> Result<(), Error> {
        let values = values![dataset.as_str(), id(gone.commits.end), id(gone.manifests.end)];
        self.0.change_aside(Written, FORGET_LOG, values).await
    }

    async fn set_table_problem(&self, dataset: &LakePath, problem: Option<&str>) -> Result<(), Error> {
        self.0.change_aside(Written, SET_PROBLEM, values![dataset.as_str(), problem]).await
    }

    async fn files_outside(&self, dataset: &LakePath, size: u64) -> Result<Vec<(LakePath, FileOutside)>, Error> {
        let asked = values![dataset.as_str(), clamp(size)];
        fetch_all(&mut self.list().await?, OUTSIDE, asked, outside_of).await
    }
}
