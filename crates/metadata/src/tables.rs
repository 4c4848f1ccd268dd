//! Tables of datasets on object storage: what both databases have in common.

use crate::row::{DbRow, id, number, number_if_any, parsed, path, time};
use bytes::Bytes;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind, TableDescription};
use lakeshore::ports::metadata::table::{
    FileOutside, FixedEntry, LaggingTable, LandedInVersion, StoredTable, TableFile, TableSchemaId,
};
use sha2::{Digest as _, Sha256};
use sqlx::Result;
use std::collections::BTreeMap;

pub(crate) const LAST_CHANGE: &str = "SELECT last_seq FROM version_state";

/// Versions that were not followed, and those whose entries are not in the bucket.
pub(crate) const LAGGING: &str = "\
    SELECT path, problem, newest - followed + entries AS versions FROM ( \
        SELECT d.path, t.problem, coalesce(t.version, 0) AS followed, \
        coalesce((SELECT max(v.number) FROM versions v WHERE v.folder_id = f.folder_id), 0) AS newest, \
        (SELECT count(DISTINCT e.version) FROM table_entries e WHERE e.folder_id = f.folder_id) AS entries \
        FROM datasets d JOIN folders f ON f.path = d.path LEFT JOIN dataset_tables t ON t.folder_id = f.folder_id) AS heads \
    WHERE newest - followed + entries > 0 ORDER BY path LIMIT $1";

pub(crate) const TABLE: &str = "\
    SELECT t.version, t.dataset_files, t.table_files, t.state, t.manifest, t.checkpoint, t.actions, t.first_commit, t.problem \
    FROM folders f JOIN dataset_tables t ON t.folder_id = f.folder_id WHERE f.path = $1";

pub(crate) const FIRST_VERSION: &str = "\
    SELECT coalesce(max(v.number), 1) FROM folders f JOIN versions v ON v.folder_id = f.folder_id \
    WHERE f.path = $1 AND v.seq <= (SELECT tables_from FROM version_state)";

/// Dataset, version before, then the columns.
pub(crate) const SET_TABLE: &str = "\
    INSERT INTO dataset_tables AS t (folder_id, version, dataset_files, table_files, state, manifest, actions) \
    SELECT f.folder_id, $3, $4, $5, $6, $7, $8 FROM folders f WHERE f.path = $1 \
        AND ($2 = 0 OR EXISTS (SELECT 1 FROM dataset_tables o WHERE o.folder_id = f.folder_id)) \
    ON CONFLICT (folder_id) DO UPDATE SET version = excluded.version, dataset_files = excluded.dataset_files, \
        table_files = excluded.table_files, state = excluded.state, manifest = excluded.manifest, \
        actions = excluded.actions, problem = NULL WHERE t.version = $2";

pub(crate) const ENTRIES: &str = "\
    SELECT e.version, e.kind, e.number, e.draft_id FROM folders f JOIN table_entries e ON e.folder_id = f.folder_id \
    WHERE f.path = $1 ORDER BY e.version, e.kind";

pub(crate) const WRITE_DRAFT: &str = "INSERT INTO table_drafts (draft_id, number, bytes) VALUES ($1, $2, $3)";

pub(crate) const DRAFT: &str = "SELECT bytes FROM table_drafts WHERE draft_id = $1 ORDER BY number";

pub(crate) const FORGET_ENTRY: &str = "\
    DELETE FROM table_entries WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
    AND version = $2 AND kind = $3; \
    DELETE FROM table_drafts WHERE draft_id = $4";

pub(crate) const FORGET_DRAFTS: &str =
    "DELETE FROM table_drafts WHERE draft_id NOT IN (SELECT draft_id FROM table_entries)";

pub(crate) const SET_CHECKPOINT: &str = "\
    UPDATE dataset_tables SET checkpoint = $2, actions = 0 \
    WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1)";

pub(crate) const SET_PROBLEM: &str = "\
    INSERT INTO dataset_tables (folder_id, version, dataset_files, table_files, problem) \
    SELECT folder_id, 0, 0, 0, $2 FROM folders WHERE path = $1 \
    ON CONFLICT (folder_id) DO UPDATE SET problem = excluded.problem";

pub(crate) const OUTSIDE: &str = "\
    SELECT u.target, o.history_id, o.reasons FROM folders f JOIN table_outside o ON o.folder_id = f.folder_id \
    JOIN uploads u ON u.history_id = o.history_id WHERE f.path = $1 ORDER BY o.history_id LIMIT $2";

pub(crate) fn lagging_of(row: &impl DbRow) -> Result<LaggingTable> {
    Ok(LaggingTable { dataset: path(row, "path")?, versions: number(row, "versions")?, problem: row.get("problem")? })
}

pub(crate) fn table_of(row: &impl DbRow) -> Result<StoredTable> {
    Ok(StoredTable {
        version: number(row, "version")?,
        dataset_files: number(row, "dataset_files")?,
        table_files: number(row, "table_files")?,
        state: row.get("state")?,
        manifest: number_if_any(row, "manifest")?,
        checkpoint: number_if_any(row, "checkpoint")?,
        actions: number(row, "actions")?,
        first_commit: number(row, "first_commit")?,
        problem: row.get("problem")?,
    })
}

pub(crate) fn landed_of(row: &impl DbRow) -> Result<LandedInVersion> {
    Ok(LandedInVersion {
        upload_id: UploadId(number(row, "history_id")?),
        path: path(row, "target")?,
        landed_at: time(row, "end_time")?,
        replaced: number_if_any(row, "replaced")?.map(UploadId),
    })
}

pub(crate) fn file_of(row: &impl DbRow) -> Result<TableFile> {
    Ok(TableFile {
        upload_id: UploadId(number(row, "history_id")?),
        key: row.get::<Option<String>>("object_key")?.map(ObjectKey::remembered),
        size_bytes: number(row, "size_bytes")?,
        schema: row.get::<Option<i64>>("schema_id")?.map(TableSchemaId),
        stats: row.get("stats")?,
        is_outside: row.get("is_outside")?,
    })
}

pub(crate) fn entry_of(row: &impl DbRow) -> Result<FixedEntry> {
    Ok(FixedEntry {
        version: VersionNumber(number(row, "version")?),
        kind: parsed(row, "kind", EntryKind::parse)?,
        number: number(row, "number")?,
        draft: DraftId(row.get("draft_id")?),
    })
}

pub(crate) fn pieces(row: &impl DbRow) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.blob("bytes")?))
}

pub(crate) fn outside_of(row: &impl DbRow) -> Result<(LakePath, FileOutside)> {
    let file = FileOutside { upload_id: UploadId(number(row, "history_id")?), reasons: row.get("reasons")? };
    Ok((path(row, "target")?, file))
}

/// Rows of schemas, by their digests; and those of files: upload, digest of the schema, statistics.
type Described<'a> = (Vec<(String, &'a str)>, Vec<(i64, Option<String>, Option<&'a str>)>);

pub(crate) fn schema_rows(files: &[(UploadId, Option<TableDescription>)]) -> Described<'_> {
    let mut schemas = BTreeMap::new();
    let file = |(upload_id, description): &'_ (UploadId, Option<TableDescription>)| {
        (id(upload_id.0), description.as_ref().map(|description| hex::encode(Sha256::digest(&description.schema))))
    };
    let mut rows = Vec::with_capacity(files.len());
    for each in files {
        let (upload_id, digest) = file(each);
        let stats = each.1.as_ref().map(|description| description.stats.as_str());
        if let (Some(digest), Some(description)) = (&digest, &each.1) {
            schemas.insert(digest.clone(), description.schema.as_str());
        }
        rows.push((upload_id, digest, stats));
    }
    (schemas.into_iter().collect(), rows)
}
