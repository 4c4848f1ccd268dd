//! The files of a version, and where the bytes of each are now.

use super::heads::below;
use super::seq_of;
use crate::query::{Connection, Dialect, Text, Value, clamp, fetch_all, fetch_optional, values};
use crate::row::{DbRow, bytes, id, number, number_if_any, parsed, path, time};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::TrashId;
use lakeshore::model::id::UploadId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::path::at_and_above;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::model::trash::TrashKind;
use lakeshore::model::version::{FileLocation, VersionFile};
use lakeshore::ports::metadata::version::VersionFilesQuery;
use std::collections::HashMap;

/// A tree that was live at a change.
struct LiveThen {
    id: i64,
    path: String,
    is_live: bool,
    trash_key: Option<String>,
}

/// At a place and below, and the lowest above it.
const TREES: &str = "\
    SELECT s.path, t.tree_id, t.is_live, t.trash_key FROM json_each($1) CROSS JOIN tree_spans s CROSS JOIN trees t \
    WHERE s.path = value ->> 0 AND t.tree_id = s.tree_id \
    AND s.from_seq <= $4 AND (s.until_seq IS NULL OR s.until_seq > $4); \
    SELECT s.path, t.tree_id, t.is_live, t.trash_key FROM tree_spans s CROSS JOIN trees t WHERE t.tree_id = s.tree_id \
    AND s.path >= $2 AND s.path < $3 AND s.from_seq <= $4 AND (s.until_seq IS NULL OR s.until_seq > $4)";

/// In the order of their paths.
async fn trees(connection: &mut impl Connection, dataset: &str, seq: i64) -> Result<Vec<LiveThen>, Error> {
    let (first, last) = below(dataset);
    let asked = vec![Value::column(at_and_above(dataset))?, Value::Text(first), Value::Text(last), Value::Integer(seq)];
    let mut all = fetch_all(connection, TREES, asked, live_then).await?;
    // Of those above, and at it, the lowest alone holds anything here.
    let lowest = all.iter().map(|tree| tree.path.len()).filter(|length| *length <= dataset.len()).max();
    all.retain(|tree| tree.path.len() > dataset.len() || Some(tree.path.len()) == lowest);
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

fn live_then(row: &impl DbRow) -> sqlx::Result<LiveThen> {
    let (path, id) = (row.get("path")?, row.get("tree_id")?);
    Ok(LiveThen { id, path, is_live: row.get("is_live")?, trash_key: row.get("trash_key")? })
}

macro_rules! files {
    ($more:literal) => {
        concat!(
            "SELECT f.path, f.until_seq, f.history_id, coalesce(f.trash_key, CASE WHEN f.until_seq IS NULL THEN CAST($2 AS TEXT) END) AS slot, \
             u.sync_id, u.size_bytes, u.sha256, u.identity, max(u.end_time, coalesce(u.touched_at, 0)) AS landed_at, s.row_count, s.schema_id, \
             t.trash_id, t.origin, t.kind FROM version_files f CROSS JOIN uploads u \
             LEFT JOIN file_schemas s ON s.history_id = f.history_id \
             LEFT JOIN trash t ON t.trash_key = coalesce(f.trash_key, CASE WHEN f.until_seq IS NULL THEN CAST($2 AS TEXT) END) \
                 AND t.restored_at IS NULL AND t.emptied_at IS NULL AND t.emptying_at IS NULL \
             WHERE u.history_id = f.history_id AND f.tree_id = $1 AND f.from_seq <= $3 AND (f.until_seq IS NULL OR f.until_seq > $3)",
            $more
        )
    };
}

const PAGE: &str = files!(" AND f.path >= $4 AND f.path < $5 AND f.path > $6 ORDER BY f.path LIMIT $7");
const ONE: &str = files!(" AND f.path = $4");

/// A file, and whether it has to be looked for: a restore has moved it.
struct Listed {
    file: VersionFile,
    is_moved: bool,
}

fn listed(row: &impl DbRow, tree: &LiveThen) -> sqlx::Result<Listed> {
    let is_open = row.get::<Option<i64>>("until_seq")?.is_none();
    let slot: Option<String> = row.get("slot")?;
    let location = match &slot {
        _ if is_open && tree.is_live => FileLocation::Live,
        Some(slot) => in_slot(row, slot)?,
        None => FileLocation::Gone,
    };
    let content = Digest { size_bytes: number(row, "size_bytes")?, sha256: bytes(row, "sha256")? };
    let file = VersionFile {
        path: path(row, "path")?,
        upload_id: UploadId(number(row, "history_id")?),
        sync_id: SyncId(number(row, "sync_id")?),
        content,
        identity: row.get::<Option<String>>("identity")?.map(Identity),
        landed_at: time(row, "landed_at")?,
        rows: number_if_any(row, "row_count")?,
        schema_id: number_if_any(row, "schema_id")?,
        location,
    };
    Ok(Listed { file, is_moved: !is_open && slot.is_none() })
}

/// From `trash_id, origin, kind`.
fn in_slot(row: &impl DbRow, slot: &str) -> sqlx::Result<FileLocation> {
    let Some(trash_id) = number_if_any(row, "trash_id")? else { return Ok(FileLocation::Gone) };
    Ok(FileLocation::Trash {
        trash_id: TrashId(trash_id),
        key: TrashKey::from_stored(slot.to_owned()),
        origin: path(row, "origin")?,
        kind: parsed(row, "kind", TrashKind::parse)?,
    })
}

pub(crate) async fn list(
    connection: &mut impl Connection,
    wanted: &VersionFilesQuery,
) -> Result<Vec<VersionFile>, Error> {
    let Some(seq) = seq_of(connection, &wanted.dataset, wanted.version).await? else { return Ok(Vec::new()) };
    let size = usize::try_from(wanted.size).unwrap_or(usize::MAX);
    // A single file, or all that is below a folder.
    if let Some(below) = &wanted.below
        && wanted.after.as_ref().is_none_or(|after| after < below)
        && let Some(file) = one(connection, &wanted.dataset, wanted.version, below).await?
    {
        return Ok(vec![file]);
    }
    let place = wanted.below.as_ref().unwrap_or(&wanted.dataset).as_str();
    let (first, last) = below(place);
    let after = wanted.after.as_ref().map_or(String::new(), |after| after.as_str().to_owned());
    let mut files: Vec<Listed> = Vec::new();
    for tree in trees(connection, wanted.dataset.as_str(), seq).await? {
        let (tree_first, tree_last) = below(&tree.path);
        let is_elsewhere = tree_last <= first || tree_first >= last || tree_last <= after;
        // Those to come are behind a page that is full.
        let is_full =
            files.len() >= size && files.last().is_some_and(|file| file.file.path.as_str() < tree.path.as_str());
        if is_elsewhere {
            continue;
        }
        if is_full {
            break;
        }
        let asked = values![tree.id, tree.trash_key, seq, first, last, after, clamp(wanted.size)];
        files.extend(fetch_all(connection, PAGE, asked, |row| listed(row, &tree)).await?);
        files.sort_by(|one, other| one.file.path.cmp(&other.file.path));
        files.truncate(size);
    }
    settled(connection, files).await
}

pub(crate) async fn one(
    connection: &mut impl Connection,
    dataset: &LakePath,
    version: VersionNumber,
    file: &LakePath,
) -> Result<Option<VersionFile>, Error> {
    if !dataset.contains(file) {
        return Ok(None);
    }
    let Some(seq) = seq_of(connection, dataset, version).await? else { return Ok(None) };
    // The tree that holds it is the lowest around it.
    let around = trees(connection, file.as_str(), seq).await?;
    let Some(tree) = around.into_iter().find(|tree| tree.path.len() <= file.as_str().len()) else { return Ok(None) };
    let asked = values![tree.id, tree.trash_key, seq, file.as_str()];
    let found = fetch_all(connection, ONE, asked, |row| listed(row, &tree)).await?;
    Ok(settled(connection, found).await?.into_iter().next())
}

fn holders<D: Dialect>() -> String {
    format!(
        "SELECT f.history_id, f.until_seq, e.is_live, coalesce(f.trash_key, e.trash_key) AS slot, t.trash_id, t.origin, t.kind \
         FROM json_each($1) CROSS JOIN version_files f CROSS JOIN trees e LEFT JOIN trash t ON t.trash_key = \
             coalesce(f.trash_key, e.trash_key) AND t.restored_at IS NULL AND t.emptied_at IS NULL AND t.emptying_at IS NULL \
         WHERE f.history_id = CAST(value ->> 0 AS BIGINT) AND f.is_copy{} \
             AND (f.until_seq IS NULL OR f.trash_key IS NOT NULL) AND e.tree_id = f.tree_id",
        D::SET
    )
}

fn holder(row: &impl DbRow) -> sqlx::Result<(u64, FileLocation)> {
    let is_open = row.get::<Option<i64>>("until_seq")?.is_none();
    let slot: Option<String> = row.get("slot")?;
    let location = match slot {
        _ if is_open && row.get("is_live")? => FileLocation::Live,
        Some(slot) => in_slot(row, &slot)?,
        None => FileLocation::Gone,
    };
    Ok((number(row, "history_id")?, location))
}

/// With those that a restore has moved found again.
async fn settled<C: Connection>(connection: &mut C, mut files: Vec<Listed>) -> Result<Vec<VersionFile>, Error> {
    static HOLDERS: Text = Text::new();
    let moved: Vec<_> = files.iter().filter(|file| file.is_moved).map(|file| id(file.file.upload_id.0)).collect();
    if moved.is_empty() {
        return Ok(files.into_iter().map(|listed| listed.file).collect());
    }
    let sql = HOLDERS.of::<C::Db>(holders::<C::Db>);
    let found = fetch_all(connection, sql, vec![Value::column(moved)?], holder).await?;
    let mut holders: HashMap<_, _> = found.into_iter().collect();
    for listed in files.iter_mut().filter(|file| file.is_moved) {
        if let Some(location) = holders.remove(&listed.file.upload_id.0) {
            listed.file.location = location;
        }
    }
    Ok(files.into_iter().map(|listed| listed.file).collect())
}

/// An item that holds the only tree of the version, in which nothing has changed since.
pub(crate) async fn whole_item(
    connection: &mut impl Connection,
    dataset: &LakePath,
    version: VersionNumber,
) -> Result<Option<TrashId>, Error> {
    let Some(seq) = seq_of(connection, dataset, version).await? else { return Ok(None) };
    let trees = trees(connection, dataset.as_str(), seq).await?;
    let [tree] = trees.as_slice() else { return Ok(None) };
    let (true, Some(slot)) = (tree.path == dataset.as_str(), &tree.trash_key) else { return Ok(None) };
    // The digest of the version is that of the tree as it lies there.
    let sql = "SELECT t.trash_id FROM trash t CROSS JOIN trees e CROSS JOIN folders f CROSS JOIN versions v \
               WHERE e.trash_key = t.trash_key AND f.path = e.path AND v.folder_id = f.folder_id AND v.number = $2 \
               AND t.trash_key = $1 AND t.restored_at IS NULL AND t.emptied_at IS NULL AND t.emptying_at IS NULL \
               AND t.kind = 'Dataset' AND v.digest = e.digest AND v.files = e.files AND v.is_complete = e.is_complete";
    fetch_optional(connection, sql, values![slot, id(version.0)], |row| number(row, "trash_id").map(TrashId)).await
}
