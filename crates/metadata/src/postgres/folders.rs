//! Folders: the tables `folders` and `folders_above`.

use super::query::{Value, execute, fetch_all};
use super::writing::{Counter, Writing};
use lakeshore::Error;
use lakeshore::model::path::at_and_above;
use sqlx::Row as _;
use std::collections::{BTreeSet, HashMap};

/// Id of a folder; adds it and those above it where they are missing. Requires the lock of the history.
pub(super) async fn folder_id(writing: &mut Writing, path: &str) -> Result<i64, Error> {
    let made = ensure_folders(writing, &BTreeSet::from([path])).await?;
    made.get(path).copied().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))
}

const FOLDERS: &str = "SELECT path, folder_id FROM folders WHERE path = ANY(?)";
const ADD_FOLDERS: &str = "\
    INSERT INTO folders (path, folder_id) SELECT * FROM unnest($1, $2); \
    INSERT INTO folders_above (folder_id, above_id) SELECT * FROM unnest($3, $4)";

async fn folder_ids(writing: &mut Writing, paths: Value) -> Result<HashMap<String, i64>, Error> {
    let found = fetch_all(writing, FOLDERS, vec![paths], |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    Ok(found.into_iter().collect())
}

/// Ids of folders; adds those that are missing. Requires the lock of the history.
pub(super) async fn ensure_folders(
    writing: &mut Writing,
    folders: &BTreeSet<&str>,
) -> Result<HashMap<String, i64>, Error> {
    let known = folder_ids(writing, Value::texts(folders.iter().copied())).await?;
    if folders.iter().all(|folder| known.contains_key(*folder)) {
        return Ok(known);
    }
    // Sorted, so that a folder comes after the one above it.
    let all: BTreeSet<_> = folders.iter().flat_map(|folder| at_and_above(folder)).collect();
    let mut ids = folder_ids(writing, Value::texts(all.iter().copied())).await?;
    let missing: Vec<_> = all.into_iter().filter(|folder| !ids.contains_key(*folder)).collect();
    let count = i64::try_from(missing.len()).map_err(Error::internal)?;
    let first = writing.next_ids(Counter::Folders, count).await? + 1;
    ids.extend((first..).zip(&missing).map(|(id, folder)| ((*folder).to_owned(), id)));
    let mut pairs = Vec::new();
    for folder in &missing {
        pairs.extend(at_and_above(folder).into_iter().map(|above| (ids.get(*folder), ids.get(above))));
    }
    let (below, above): (Vec<_>, Vec<_>) =
        pairs.into_iter().filter_map(|(below, above)| Some((*below?, *above?))).unzip();
    let new: Vec<i64> = (first..first + count).collect();
    let values = vec![Value::texts(missing), Value::Integers(new), Value::Integers(below), Value::Integers(above)];
    execute(writing, ADD_FOLDERS, values).await?;
    Ok(ids)
}
