//! Statements of the tables of datasets, and their rows.

use crate::row::{DbRow, id, number, number_if_any, parsed, path, time};
use bytes::Bytes;
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind, TableDescription};
use lakeshore::model::version::VersionKind;
use lakeshore::ports::metadata::table::{
    FileOutside, FixedEntry, LaggingTable, LandedInVersion, StagedFile, StoredTable, TableFile, TableSchemaId,
    UnneededLog, VersionHead,
};
use sha2::{Digest as _, Sha256};
use sqlx::Result;
use std::collections::BTreeMap;

pub(super) const LAST_CHANGE: &str = "SELECT last_seq FROM version_state";

/// Versions that were not followed, those whose entries are not in the bucket, and that which is owed the newest manifest.
pub(super) const LAGGING: &str = "\
    SELECT path, newest - followed + entries + owed AS versions, newest - followed + entries = 0 AS lacks_manifest_alone FROM ( \
        SELECT d.path, coalesce(t.version, 0) AS followed, \
        coalesce((SELECT max(v.number) FROM versions v WHERE v.folder_id = f.folder_id), 0) AS newest, \
        (SELECT count(DISTINCT e.version) FROM table_entries e WHERE e.folder_id = f.folder_id) AS entries, \
        CASE WHEN t.manifest < t.version THEN 1 ELSE 0 END AS owed \
        FROM datasets d JOIN folders f ON f.path = d.path LEFT JOIN dataset_tables t ON t.folder_id = f.folder_id) AS heads \
    WHERE newest - followed + entries + owed > 0 ORDER BY path LIMIT $1";

pub(super) const TABLE: &str = "\
    SELECT t.version, t.dataset_files, t.table_files, t.state, t.last_commit, t.manifest, t.checkpoint, t.actions, t.problem \
    FROM folders f JOIN dataset_tables t ON t.folder_id = f.folder_id WHERE f.path = $1";

pub(super) const UNWRITTEN: &str = "\
    SELECT count(DISTINCT e.version) AS count FROM folders f JOIN table_entries e ON e.folder_id = f.folder_id WHERE f.path = $1";

pub(super) const FIRST_VERSION: &str = "\
    SELECT coalesce(max(v.number), 1) AS first FROM folders f JOIN versions v ON v.folder_id = f.folder_id \
    WHERE f.path = $1 AND v.seq <= (SELECT tables_from FROM version_state)";

/// Dataset, version before, then the columns.
pub(super) const SET_TABLE: &str = "\
    INSERT INTO dataset_tables AS t (folder_id, version, dataset_files, table_files, state, manifest, actions, last_commit) \
    SELECT f.folder_id, $3, $4, $5, $6, $7, $8, $9 FROM folders f WHERE f.path = $1 \
        AND ($2 = 0 OR EXISTS (SELECT 1 FROM dataset_tables o WHERE o.folder_id = f.folder_id)) \
    ON CONFLICT (folder_id) DO UPDATE SET version = excluded.version, dataset_files = excluded.dataset_files, \
        table_files = excluded.table_files, state = excluded.state, manifest = excluded.manifest, \
        actions = excluded.actions, last_commit = excluded.last_commit, problem = NULL WHERE t.version = $2";

pub(super) const ENTRIES: &str = "\
    SELECT e.version, e.kind, e.number, e.draft_id FROM folders f JOIN table_entries e ON e.folder_id = f.folder_id \
    WHERE f.path = $1 ORDER BY e.version, e.kind";

pub(super) const WRITE_DRAFT: &str =
    "INSERT INTO table_drafts (draft_id, number, bytes, created_at) VALUES ($1, $2, $3, $4)";

pub(super) const DRAFT: &str = "SELECT bytes FROM table_drafts WHERE draft_id = $1 ORDER BY number";

pub(super) const FORGET_ENTRIES: &str = "\
    DELETE FROM table_entries WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
    AND draft_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2)); \
    DELETE FROM table_drafts WHERE draft_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2))";

pub(super) const FORGET_DRAFT: &str =
    "DELETE FROM table_drafts WHERE draft_id = $1 AND draft_id NOT IN (SELECT draft_id FROM table_entries)";

pub(super) const FORGET_DRAFTS: &str =
    "DELETE FROM table_drafts WHERE created_at < $1 AND draft_id NOT IN (SELECT draft_id FROM table_entries)";

pub(super) const CONFIRM_VERSION: &str = "\
    UPDATE dataset_tables SET version = $2 \
    WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) AND version = $2";

pub(super) const SET_CHECKPOINT: &str = "\
    UPDATE dataset_tables SET checkpoint = $2, actions = 0 \
    WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1); \
    INSERT INTO table_checkpoints (folder_id, number, version) SELECT folder_id, $2, $3 FROM folders WHERE path = $1 \
    ON CONFLICT (folder_id, number) DO UPDATE SET version = excluded.version";

/// A reader begins with the newest checkpoint at or before its version. The newest manifest stays, as the current one.
pub(super) const UNNEEDED_LOG: &str = "\
    WITH kept AS (SELECT f.folder_id, \
        min($2, coalesce((SELECT min(p.number) FROM version_pins p WHERE p.folder_id = f.folder_id), $2)) AS oldest \
        FROM folders f WHERE f.path = $1) \
    SELECT t.log_from, t.manifests_from, min(k.oldest, coalesce(t.manifest, k.oldest)) AS manifests_to, \
        coalesce((SELECT max(c.number) FROM table_checkpoints c \
            WHERE c.folder_id = k.folder_id AND c.version <= k.oldest), 0) AS log_to \
    FROM kept k JOIN dataset_tables t ON t.folder_id = k.folder_id";

pub(super) const FORGET_CHECKPOINTS: &str =
    "DELETE FROM table_checkpoints WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1)";

pub(super) const FORGET_LOG: &str = "\
    UPDATE dataset_tables SET log_from = max(log_from, $2), manifests_from = max(manifests_from, $3) \
    WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1); \
    DELETE FROM table_checkpoints WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) AND number < $2";

pub(super) const SET_PROBLEM: &str = "\
    INSERT INTO dataset_tables (folder_id, version, dataset_files, table_files, problem) \
    SELECT folder_id, 0, 0, 0, $2 FROM folders WHERE path = $1 \
    ON CONFLICT (folder_id) DO UPDATE SET problem = excluded.problem";

pub(super) const OUTSIDE: &str = "\
    SELECT u.target, o.history_id, o.reasons FROM folders f JOIN table_outside o ON o.folder_id = f.folder_id \
    JOIN uploads u ON u.history_id = o.history_id WHERE f.path = $1 ORDER BY o.history_id LIMIT $2";

/// Dataset, first version, the one after the last.
pub(super) const VERSION_HEADS: &str = "\
    SELECT v.number, v.at, v.kind, v.files, \
        v.number = (SELECT max(n.number) FROM versions n WHERE n.folder_id = v.folder_id) AS is_newest \
    FROM folders f CROSS JOIN versions v WHERE f.path = $1 AND v.folder_id = f.folder_id AND v.number >= $2 AND v.number < $3 \
    ORDER BY v.number";

/// In the order of their rows in the history.
pub(super) const LANDED_IN: &str = "\
    SELECT v.number, u.history_id, u.target, u.end_time, old.history_id AS replaced \
    FROM folders f CROSS JOIN versions v CROSS JOIN uploads u CROSS JOIN version_files e \
    LEFT JOIN version_files old ON old.tree_id = u.tree_id AND old.path = u.target AND old.until_seq = v.seq \
    WHERE f.path = $1 AND v.folder_id = f.folder_id AND v.number BETWEEN $2 AND $3 AND u.tree_seq = v.seq AND u.tree_seq > 0 \
    AND u.tree_id IS NOT NULL AND e.tree_id = u.tree_id AND e.path = u.target AND e.from_seq = u.tree_seq \
    AND e.history_id = u.history_id AND u.target >= $1 || '/' AND u.target < $1 || '0' ORDER BY u.history_id";

/// The tree of a full sync has its number.
pub(super) const STAGED: &str = "\
    SELECT f.path, u.history_id, u.end_time FROM version_files f CROSS JOIN uploads u \
    WHERE f.tree_id = $1 AND f.path > $2 AND f.until_seq IS NULL AND u.history_id = f.history_id \
    ORDER BY f.path LIMIT $3";

pub(super) const IDENTITIES: &str = "\
    SELECT u.history_id, u.identity FROM json_each($1) CROSS JOIN uploads u \
    WHERE u.history_id = CAST(value ->> 0 AS BIGINT) AND u.identity IS NOT NULL";

pub(super) const FILES: &str = "\
    SELECT t.history_id, t.object_key, t.schema_id, t.stats, u.size_bytes, o.history_id IS NOT NULL AS is_outside \
    FROM json_each($2) CROSS JOIN table_files t CROSS JOIN uploads u \
    LEFT JOIN table_outside o ON o.folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
        AND o.history_id = u.history_id \
    WHERE t.history_id = CAST(value ->> 0 AS BIGINT) AND u.history_id = t.history_id";

/// Schemas, then files: upload, digest of its schema, statistics. The identity of an upload is the number of its node.
pub(super) const DESCRIBE: &str = "\
    INSERT INTO table_schemas (sha256, content) SELECT unhex(value ->> 0), value ->> 1 FROM json_each($1) WHERE TRUE \
    ORDER BY 1 ON CONFLICT (sha256) DO NOTHING; \
    INSERT INTO table_files (history_id, object_key, schema_id, stats) \
    SELECT u.history_id, (SELECT o.key FROM nodes n CROSS JOIN objects o WHERE o.object_id = n.object_id \
        AND n.node_id = CASE WHEN length(u.identity) BETWEEN 1 AND 18 AND trim(u.identity, '0123456789') = '' \
            THEN CAST(u.identity AS BIGINT) END), s.schema_id, value ->> 2 \
    FROM json_each($2) CROSS JOIN uploads u LEFT JOIN table_schemas s ON s.sha256 = unhex(value ->> 1) \
    WHERE u.history_id = CAST(value ->> 0 AS BIGINT) ORDER BY 1 ON CONFLICT (history_id) DO NOTHING";

pub(super) const SCHEMAS: &str = "SELECT s.schema_id, s.content FROM json_each($1) CROSS JOIN table_schemas s \
                                  WHERE s.schema_id = CAST(value ->> 0 AS BIGINT)";

/// Files that are outside no more: all, or those of the array.
pub(super) const GONE: &str = "DELETE FROM table_outside WHERE folder_id = (SELECT folder_id FROM folders WHERE path = $1) \
                               AND ($3 OR history_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2)))";

pub(super) const ADD_OUTSIDE: &str = "\
    INSERT INTO table_outside (folder_id, history_id, reasons) \
    SELECT f.folder_id, CAST(value ->> 0 AS BIGINT), value ->> 1 FROM json_each($2) CROSS JOIN folders f WHERE f.path = $1 \
    ON CONFLICT (folder_id, history_id) DO UPDATE SET reasons = excluded.reasons";

pub(super) const ADD_ENTRIES: &str = "\
    INSERT INTO table_entries (folder_id, version, kind, number, draft_id) \
    SELECT f.folder_id, CAST(value ->> 0 AS BIGINT), value ->> 1, CAST(value ->> 2 AS BIGINT), CAST(value ->> 3 AS BIGINT) \
    FROM json_each($2) CROSS JOIN folders f WHERE f.path = $1";

pub(super) fn lagging_of(row: &impl DbRow) -> Result<LaggingTable> {
    Ok(LaggingTable {
        dataset: path(row, "path")?,
        versions: number(row, "versions")?,
        lacks_manifest_alone: row.get("lacks_manifest_alone")?,
    })
}

pub(super) fn table_of(row: &impl DbRow) -> Result<StoredTable> {
    Ok(StoredTable {
        version: number(row, "version")?,
        dataset_files: number(row, "dataset_files")?,
        table_files: number(row, "table_files")?,
        state: row.get("state")?,
        commit: number_if_any(row, "last_commit")?,
        manifest: number_if_any(row, "manifest")?,
        checkpoint: number_if_any(row, "checkpoint")?,
        actions: number(row, "actions")?,
        problem: row.get("problem")?,
    })
}

pub(super) fn head_of(row: &impl DbRow) -> Result<VersionHead> {
    Ok(VersionHead {
        version: VersionNumber(number(row, "number")?),
        at: time(row, "at")?,
        kind: parsed(row, "kind", VersionKind::parse)?,
        files: number(row, "files")?,
        is_newest: row.get("is_newest")?,
    })
}

pub(super) fn landed_of(row: &impl DbRow) -> Result<LandedInVersion> {
    Ok(LandedInVersion {
        version: VersionNumber(number(row, "number")?),
        upload_id: UploadId(number(row, "history_id")?),
        path: path(row, "target")?,
        landed_at: time(row, "end_time")?,
        replaced: number_if_any(row, "replaced")?.map(UploadId),
    })
}

pub(super) fn staged_of(row: &impl DbRow) -> Result<StagedFile> {
    Ok(StagedFile {
        upload_id: UploadId(number(row, "history_id")?),
        path: path(row, "path")?,
        landed_at: time(row, "end_time")?,
    })
}

pub(super) fn file_of(row: &impl DbRow) -> Result<TableFile> {
    Ok(TableFile {
        upload_id: UploadId(number(row, "history_id")?),
        key: row.get::<Option<String>>("object_key")?.map(ObjectKey::from_stored),
        size_bytes: number(row, "size_bytes")?,
        schema: row.get::<Option<i64>>("schema_id")?.map(TableSchemaId),
        stats: row.get("stats")?,
        is_outside: row.get("is_outside")?,
    })
}

pub(super) fn entry_of(row: &impl DbRow) -> Result<FixedEntry> {
    Ok(FixedEntry {
        version: VersionNumber(number(row, "version")?),
        kind: parsed(row, "kind", EntryKind::parse)?,
        number: number(row, "number")?,
        draft: DraftId(row.get("draft_id")?),
    })
}

pub(super) fn unneeded_log_of(row: &impl DbRow) -> Result<UnneededLog> {
    Ok(UnneededLog {
        commits: number(row, "log_from")?..number(row, "log_to")?,
        manifests: number(row, "manifests_from")?..number(row, "manifests_to")?,
    })
}

pub(super) fn draft_bytes(row: &impl DbRow) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.blob("bytes")?))
}

pub(super) fn outside_of(row: &impl DbRow) -> Result<(LakePath, FileOutside)> {
    let file = FileOutside { upload_id: UploadId(number(row, "history_id")?), reasons: row.get("reasons")? };
    Ok((path(row, "target")?, file))
}

/// Rows of schemas, by their digests; and those of files: upload, digest of the schema, statistics.
type Described<'a> = (Vec<(String, &'a str)>, Vec<(i64, Option<String>, Option<&'a str>)>);

pub(super) fn schema_rows(files: &[(UploadId, Option<TableDescription>)]) -> Described<'_> {
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
