//! Counts the files below a place, and detects without counting that they are unchanged.

use super::rows::{FolderBelow, NamespaceRows};
use super::tree::node;
use lakeshore::Error;
use lakeshore::model::storage_path::{Identity, StoragePath};
use lakeshore::model::totals::Totals;
use lakeshore::ports::storage::{FolderState, Measured};
use std::collections::BTreeMap;

pub(crate) async fn measure(rows: &mut dyn NamespaceRows, place: &StoragePath) -> Result<Totals, Error> {
    match node(rows, place).await? {
        None => Ok(Totals::default()),
        Some(found) if found.is_folder() => rows.totals_below(found.node).await,
        Some(file) => Ok(Totals { files: 1, bytes: file.size_bytes }),
    }
}

pub(crate) async fn measure_folders(
    rows: &mut dyn NamespaceRows,
    place: &StoragePath,
    folders_max: usize,
) -> Result<Measured, Error> {
    let totals = measure(rows, place).await?;
    let Some(found) = node(rows, place).await?.filter(|found| found.is_folder()) else {
        return Ok(Measured { totals, folders: None });
    };
    let below = rows.folders_below(found.node, folders_max as u64 + 1).await?;
    let folders = (below.len() <= folders_max)
        .then(|| below.into_iter().map(|below| FolderState { state: state(&below), path: below.path }).collect());
    Ok(Measured { totals, folders })
}

fn state(folder: &FolderBelow) -> Identity {
    Identity(format!("{} {}", folder.node.0, folder.changes))
}

pub(crate) async fn are_unchanged(
    rows: &mut dyn NamespaceRows,
    place: &StoragePath,
    folders: &[FolderState],
) -> Result<bool, Error> {
    let Some(found) = node(rows, place).await?.filter(|found| found.is_folder()) else { return Ok(false) };
    let below = rows.folders_below(found.node, folders.len() as u64 + 1).await?;
    let now: BTreeMap<_, _> = below.iter().map(|below| (below.path.as_str(), state(below))).collect();
    Ok(folders.iter().all(|folder| now.get(folder.path.as_str()) == Some(&folder.state)))
}
