//! Writes the versions that groups of landings make. Many groups go into one statement; each has its own change, and so its
//! own versions.

use super::super::landing_facts::FOLDERS_KNOWN_MAX;
use super::super::query::{Value, execute};
use super::super::writing::Writing;
use crate::versions::landing::{Changes, KnownTrees, LandedFile, NewVersion};
use lakeshore::Error;
use serde::Serialize;
use std::collections::HashSet;

/// Rows of entries, trees, versions and uploads as JSON arrays, then the last change and the last upload.
const WRITE: &str = "\
    INSERT INTO version_files (tree_id, path, from_seq, history_id) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE true \
    ON CONFLICT (tree_id, path, from_seq) DO UPDATE SET history_id = excluded.history_id; \
    INSERT INTO trees (tree_id, path, files, bytes, digest) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4) FROM json_each($2) WHERE true \
    ON CONFLICT (tree_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes, digest = excluded.digest; \
    INSERT INTO versions (folder_id, number, seq, at, kind, sync_id, made_by, files, bytes, digest, is_complete) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'landing', value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
        unhex(value ->> 8), value ->> 9 FROM json_each($3); \
    UPDATE uploads SET tree_id = value ->> 1, tree_seq = value ->> 2 FROM json_each($4) WHERE history_id = value ->> 0; \
    UPDATE version_state SET last_seq = max(last_seq, $5), last_landed = max(last_landed, $6)";

/// The entries that are open at paths of trees: the last of each.
const OPEN: &str = "\
    SELECT w.key AS number, f.from_seq, f.path, u.size_bytes, u.sha256, s.row_count FROM json_each($1) w \
    CROSS JOIN version_files f ON f.tree_id = w.value ->> 0 AND f.path = w.value ->> 1 AND f.from_seq = \
        (SELECT max(from_seq) FROM version_files l WHERE l.tree_id = w.value ->> 0 AND l.path = w.value ->> 1) \
    CROSS JOIN uploads u ON u.history_id = f.history_id LEFT JOIN file_schemas s ON s.history_id = f.history_id \
    WHERE f.until_seq IS NULL";

pub(in super::super) async fn write(writing: &mut Writing, landed: &[LandedFile]) -> Result<(), Error> {
    let mut known = std::mem::take(&mut writing.known.versions);
    let mut rest = landed;
    while !rest.is_empty() {
        let count = write_some(writing, &mut known, rest).await?;
        rest = rest.get(count..).unwrap_or_default();
    }
    writing.known.versions = known;
    Ok(())
}

/// Writes the first groups, as many as one statement can write: not two that land at one path, and none that begins a tree or
/// a dataset after another. Returns the number of their uploads.
async fn write_some(writing: &mut Writing, known: &mut KnownTrees, landed: &[LandedFile]) -> Result<usize, Error> {
    if !known.covers(landed) {
        if known.num_folders() > FOLDERS_KNOWN_MAX {
            known.forget();
        }
        known.read(writing, landed).await?;
    }
    let mut open = known.open_entries(writing, landed, OPEN).await?;
    let mut changes = Changes::default();
    let mut places = HashSet::new();
    let mut count = 0;
    for group in landed.chunk_by(|one, next| one.group == next.group) {
        let place = |landed: &LandedFile| (landed.is_full.then_some(landed.sync_id), landed.target.clone());
        let depends = |landed: &LandedFile| places.contains(&place(landed)) || !known.is_settled(landed);
        if count > 0 && group.iter().any(depends) {
            break;
        }
        let seq = known.begin_group(writing, group).await?;
        changes.add(known, &mut open, group, seq);
        places.extend(group.iter().map(place));
        count += group.len();
    }
    write_changes(writing, known, &changes).await?;
    Ok(count)
}

async fn write_changes(writing: &mut Writing, known: &KnownTrees, changes: &Changes) -> Result<(), Error> {
    changes.end_entries(writing).await?;
    let values = vec![
        changes.entry_rows()?,
        changes.tree_rows(known)?,
        Value::rows_of(changes.versions.iter().map(columns))?,
        Value::rows(&changes.uploads)?,
        Value::Integer(known.last_seq.unwrap_or(0)),
        Value::Integer(changes.last_landed),
    ];
    execute(writing, WRITE, values).await.map(drop)
}

/// Columns of a version in the order of [`WRITE`].
fn columns(version: &NewVersion) -> impl Serialize {
    let NewVersion { folder_id, number, seq, at, sync_id, by, files, bytes, digest, is_complete } = version;
    (folder_id, number, seq, at, sync_id, by, files, bytes, digest, i64::from(*is_complete))
}
