//! The versions that a group of landings makes, in the transaction of its rows.

use super::query::{Batch, Value, values};
use super::writing::Writing;
use crate::versions::landing::{Changes, KnownTrees, LandedFile, NewVersion};
use lakeshore::{Error, Timestamp};
use serde::Serialize;
use std::collections::HashMap;

/// Writes what a group changes beside its uploads. `$4` is the time, `$5` the change.
const WRITE: &str = "\
    INSERT INTO version_files (tree_id, path, from_seq, history_id) \
    SELECT (value ->> 0)::bigint, value ->> 1, (value ->> 2)::bigint, (value ->> 3)::bigint FROM json_each($1) \
    ON CONFLICT (tree_id, path, from_seq) DO UPDATE SET history_id = excluded.history_id; \
    INSERT INTO trees (tree_id, path, files, bytes, digest) \
    SELECT (value ->> 0)::bigint, value ->> 1, (value ->> 2)::bigint, (value ->> 3)::bigint, decode(value ->> 4, 'hex') \
    FROM json_each($2) \
    ON CONFLICT (tree_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes, digest = excluded.digest; \
    INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, made_by, files, bytes, digest, is_complete) \
    SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, \
        greatest($4, (SELECT b.at FROM versions b WHERE b.folder_id = (value ->> 0)::bigint \
            AND b.number = (value ->> 1)::bigint - 1)), 'landing', (value ->> 3)::bigint, \
        value ->> 4, (value ->> 5)::bigint, (value ->> 6)::bigint, decode(value ->> 7, 'hex'), (value ->> 8)::boolean \
    FROM json_each($3); \
    UPDATE version_state SET last_seq = $5 WHERE $5 > last_seq";

/// The entries that are open at paths of trees: the last of each.
const OPEN: &str = "\
    SELECT w.key AS number, f.from_seq, f.path, u.size_bytes, u.sha256, s.row_count FROM json_each($1) w \
    CROSS JOIN LATERAL (SELECT * FROM version_files l WHERE l.tree_id = (w.value ->> 0)::bigint \
        AND l.path = w.value ->> 1 ORDER BY l.from_seq DESC LIMIT 1) AS f \
    JOIN uploads u ON u.history_id = f.history_id LEFT JOIN file_schemas s ON s.history_id = f.history_id \
    WHERE f.until_seq IS NULL";

/// Makes the entries and the versions of a group, the last of them with the batch. Requires the lock of the history. Of
/// each upload, the tree of its entry, and the change since which it is there.
pub(super) async fn landed(
    writing: &mut Writing,
    batch: &mut Batch,
    landed: &[LandedFile],
    at: Timestamp,
) -> Result<HashMap<i64, (i64, i64)>, Error> {
    if landed.is_empty() {
        return Ok(HashMap::new());
    }
    let mut known = KnownTrees::default();
    known.read(writing, landed).await?;
    let seq = known.begin_group(writing, landed).await?;
    let mut open = known.open_entries(writing, landed, OPEN).await?;
    let mut changes = Changes::default();
    changes.add(&mut known, &mut open, landed, seq);
    changes.end_entries(writing).await?;
    let versions = Value::rows_of(changes.versions.iter().map(columns))?;
    batch.add(WRITE, values![changes.entry_rows()?, changes.tree_rows(&known)?, versions, at.0, seq]);
    let place = |(history_id, tree_id, from_seq)| (history_id, (tree_id, from_seq));
    Ok(changes.uploads.into_iter().map(place).collect())
}

/// Columns of a version in the order of [`WRITE`], which finds its time.
fn columns(version: &NewVersion) -> impl Serialize {
    let NewVersion { folder_id, number, seq, sync_id, by, files, bytes, digest, is_complete, .. } = version;
    (folder_id, number, seq, sync_id, by, files, bytes, digest, is_complete)
}
