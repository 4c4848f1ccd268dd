//! Finds and lists files.

use super::rows::NamespaceRows;
use super::rows::NodeId;
use super::tree::{node, nodes};
use lakeshore::Error;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, StoragePath, TrashKey};
use lakeshore::ports::inspection::{Entry, EntryKind};
use lakeshore::ports::namespace::FoundObject;
use lakeshore::ports::storage::FolderEntry;
use std::collections::{BTreeMap, BTreeSet};

/// Names of a list that one statement reads.
const NAMES_MAX: u64 = 10_000;

pub(crate) async fn find(
    rows: &mut dyn NamespaceRows,
    places: &[StoragePath],
) -> Result<Vec<Option<FoundObject>>, Error> {
    let nodes = nodes(rows, places).await?;
    let objects: BTreeSet<_> = nodes.iter().flatten().filter_map(|node| node.object).collect();
    let objects: Vec<_> = objects.into_iter().collect();
    let keys = if objects.is_empty() { Vec::new() } else { rows.objects(&objects).await? };
    let keys: BTreeMap<_, _> = keys.into_iter().map(|row| (row.object, row.key)).collect();
    let found = nodes.into_iter().map(|node| {
        let node = node?;
        Some(FoundObject { found: node.found()?, key: keys.get(&node.object?)?.clone() })
    });
    Ok(found.collect())
}

pub(crate) async fn list_folder(
    rows: &mut dyn NamespaceRows,
    folder: Option<&LakePath>,
    from: u64,
    size: u64,
) -> Result<Option<Vec<FolderEntry>>, Error> {
    let node = match folder {
        None => NodeId::LIVE,
        Some(path) => match node(rows, &StoragePath::Live(path.clone())).await? {
            Some(found) if found.is_folder() => found.node,
            _ => return Ok(None),
        },
    };
    let listed = rows.page(node, from, size).await?;
    let mut entries = Vec::with_capacity(listed.len());
    for node in listed {
        let path = match folder {
            Some(folder) => folder.join(&node.name),
            None => LakePath::parse(&format!("/{}", node.name)),
        };
        entries.push(FolderEntry { path: path?, modified_at: node.modified_at, file: node.found() });
    }
    Ok(Some(entries))
}

pub(crate) async fn identify_trash(
    rows: &mut dyn NamespaceRows,
    trash: &TrashKey,
    origin: &LakePath,
) -> Result<Option<Identity>, Error> {
    Ok(node(rows, &StoragePath::trashed(trash, origin)).await?.map(|found| found.node.identity()))
}

pub(crate) async fn list(rows: &mut dyn NamespaceRows, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
    let Some(found) = node(rows, folder).await?.filter(|found| found.is_folder()) else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    loop {
        let page = rows.page(found.node, entries.len() as u64, NAMES_MAX).await?;
        let is_last = (page.len() as u64) < NAMES_MAX;
        entries.extend(page.into_iter().map(|node| Entry {
            kind: if node.is_folder() { EntryKind::Folder } else { EntryKind::File },
            size_bytes: node.size_bytes,
            name: node.name,
        }));
        if is_last {
            return Ok(entries);
        }
    }
}
