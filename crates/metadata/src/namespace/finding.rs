//! Finds and lists files.

use super::rows::{NamespaceRows, Node, NodeId};
use super::tree::{node, place};
use crate::query::{Connection, RowOf, Value, fetch_all};
use crate::row::{DbRow, number, time};
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, StoragePath, TrashKey};
use lakeshore::ports::inspection::{Entry, EntryKind};
use lakeshore::ports::namespace::FoundObject;
use lakeshore::ports::storage::{FolderEntry, FoundFile};
use std::collections::BTreeMap;

/// Names of a list that one statement reads.
const NAMES_MAX: u64 = 10_000;

/// Follows the names of each place from its root. One statement, so that every place is of one moment, without a
/// transaction around it.
const FIND: &str = "\
    WITH RECURSIVE way (number, depth, names, length, node_id) AS ( \
    SELECT CAST(key AS BIGINT), 0, value -> 1, CAST(value ->> 2 AS BIGINT), CAST(value ->> 0 AS BIGINT) \
    FROM json_each(?) UNION ALL \
    SELECT w.number, w.depth + 1, w.names, w.length, n.node_id FROM way w CROSS JOIN nodes n \
    WHERE n.parent_id = w.node_id AND n.name = w.names ->> w.depth) \
    SELECT w.number, n.node_id, n.size_bytes, n.modified_at, n.changed_at, o.key AS object_key \
    FROM way w CROSS JOIN nodes n CROSS JOIN objects o \
    WHERE w.depth = w.length AND n.node_id = w.node_id AND o.object_id = n.object_id";

/// Files at places.
pub(crate) async fn find<C: Connection>(
    connection: &mut C,
    places: &[StoragePath],
) -> Result<Vec<Option<FoundObject>>, Error> {
    let ways: Vec<_> = places
        .iter()
        .map(|path| place(path).map(|(root, names)| (root.0, names.clone(), names.len())))
        // A place that the tree has not begins nowhere.
        .map(|way| way.unwrap_or((NodeId::NOWHERE.0, vec![String::new()], 1)))
        .collect();
    let decode = |row: &RowOf<C>| Ok((row.get::<i64>("number")?, found_object(row)?));
    let mut found: BTreeMap<_, _> =
        fetch_all(connection, FIND, vec![Value::rows(&ways)?], decode).await?.into_iter().collect();
    Ok((0..).zip(places).map(|(number, _)| found.remove(&number)).collect())
}

/// Files by their identities.
pub(crate) async fn find_identified<C: Connection>(
    connection: &mut C,
    identities: &[Identity],
) -> Result<Vec<Option<FoundObject>>, Error> {
    let nodes: Vec<_> = identities.iter().map(|identity| NodeId::of(identity).unwrap_or(NodeId::NOWHERE)).collect();
    let sql = "SELECT n.node_id, n.size_bytes, n.modified_at, n.changed_at, o.key AS object_key \
               FROM json_each(?) CROSS JOIN nodes n CROSS JOIN objects o \
               WHERE n.node_id = CAST(value ->> 0 AS BIGINT) AND o.object_id = n.object_id";
    let ids = Value::column(nodes.iter().map(|node| node.0))?;
    let found =
        fetch_all(connection, sql, vec![ids], |row: &RowOf<C>| Ok((row.get::<i64>("node_id")?, found_object(row)?)));
    let found: BTreeMap<_, _> = found.await?.into_iter().collect();
    Ok(nodes.iter().map(|node| found.get(&node.0).cloned()).collect())
}

fn found_object(row: &impl DbRow) -> sqlx::Result<FoundObject> {
    let found = FoundFile {
        identity: NodeId(row.get("node_id")?).identity(),
        size_bytes: number(row, "size_bytes")?,
        modified_at: time(row, "modified_at")?,
        changed_at: time(row, "changed_at")?,
    };
    Ok(FoundObject { found, key: ObjectKey::from_stored(row.get("object_key")?) })
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

fn entry(node: Node) -> Entry {
    Entry {
        kind: if node.is_folder() { EntryKind::Folder } else { EntryKind::File },
        size_bytes: node.size_bytes,
        name: node.name,
    }
}

pub(crate) async fn list_page(
    rows: &mut dyn NamespaceRows,
    folder: &StoragePath,
    from: u64,
    size: u64,
) -> Result<Vec<Entry>, Error> {
    let Some(found) = node(rows, folder).await?.filter(|found| found.is_folder()) else { return Ok(Vec::new()) };
    Ok(rows.page(found.node, from, size).await?.into_iter().map(entry).collect())
}

pub(crate) async fn list(rows: &mut dyn NamespaceRows, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
    let Some(found) = node(rows, folder).await?.filter(|found| found.is_folder()) else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    loop {
        let page = rows.page(found.node, entries.len() as u64, NAMES_MAX).await?;
        let is_last = (page.len() as u64) < NAMES_MAX;
        entries.extend(page.into_iter().map(entry));
        if is_last {
            return Ok(entries);
        }
    }
}
