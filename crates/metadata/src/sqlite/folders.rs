//! Folders: the tables `folders` and `folders_above`.

use super::query::{Value, execute, fetch_all, fetch_optional, values};
use super::writing::Writing;
use lakeshore::Error;
use lakeshore::model::path::at_and_above;
use sqlx::Row as _;
use std::collections::{BTreeSet, HashMap};

/// Id of a folder; adds it and those above it where they are missing.
pub(super) async fn folder_id(writing: &mut Writing, path: &str) -> Result<i64, Error> {
    let sql = "SELECT folder_id FROM folders WHERE path = ?";
    if let Some(id) = fetch_optional(writing, sql, values![path], |row| row.try_get(0)).await? {
        return Ok(id);
    }
    let made = ensure_folders(writing, &BTreeSet::from([path])).await?;
    made.get(path).copied().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

/// Inserts folders, each with all those above it.
const ENSURE_FOLDERS: &str = "\
    INSERT OR IGNORE INTO folders (path) SELECT value FROM json_each($1); \
    INSERT OR IGNORE INTO folders_above SELECT below.folder_id, above.folder_id \
    FROM json_each($1) b CROSS JOIN folders below ON below.path = b.value \
    CROSS JOIN json_each($1) a CROSS JOIN folders above ON above.path = a.value \
    WHERE above.path = below.path OR \
        (above.path <> '' AND substr(below.path, 1, length(above.path) + 1) = above.path || '/')";

/// Ids of folders; adds those that are missing.
pub(super) async fn ensure_folders(
    writing: &mut Writing,
    folders: &BTreeSet<&str>,
) -> Result<HashMap<String, i64>, Error> {
    let all: BTreeSet<_> = folders.iter().flat_map(|folder| at_and_above(folder)).collect();
    // Sorted, so that a folder comes after the one above it.
    let all = Value::rows(&all.into_iter().collect::<Vec<_>>())?;
    execute(writing, ENSURE_FOLDERS, vec![all]).await?;
    let named = Value::rows(&folders.iter().collect::<Vec<_>>())?;
    let sql = "SELECT f.path, f.folder_id FROM json_each($1) CROSS JOIN folders f ON f.path = value";
    let made = fetch_all(writing, sql, vec![named], |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    Ok(made.into_iter().collect())
}
