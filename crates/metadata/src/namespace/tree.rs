//! Finds storage paths in the tree, level by level, and makes folders that are missing.

use super::rows::{Move, NamespaceRows, NewNode, Node, NodeId};
use lakeshore::model::storage_path::StoragePath;
use lakeshore::{Error, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A place in the tree: the folder that it begins in, and the names from there.
pub(super) type Place = (NodeId, Vec<String>);

/// Where a storage path is in the tree. `None` for snapshots, which object storage has not.
pub(super) fn place(path: &StoragePath) -> Option<Place> {
    let mut components = path.components();
    let root = match path {
        StoragePath::Live(_) => return Some((NodeId::LIVE, components)),
        StoragePath::Partials | StoragePath::Partial(_) => NodeId::UPLOADS,
        StoragePath::Stagings | StoragePath::Staging(_) | StoragePath::Staged { .. } => NodeId::STAGING,
        StoragePath::TrashSlots
        | StoragePath::TrashSlot(_)
        | StoragePath::Trashed { .. }
        | StoragePath::InTrash { .. } => NodeId::TRASH,
        StoragePath::Snapshots
        | StoragePath::Snapshot(_)
        | StoragePath::UnfinishedSnapshot(_)
        | StoragePath::InUnfinishedSnapshot { .. } => return None,
    };
    // The engine's folder, and its subfolder.
    const ROOT_COMPONENTS: usize = 2;
    Some((root, components.split_off(ROOT_COMPONENTS)))
}

/// Content of a folder's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FolderAt {
    Folder(NodeId),
    /// A file is in its place, or above it.
    File(String),
    Missing,
}

impl FolderAt {
    pub(super) fn folder(&self) -> Option<NodeId> {
        match self {
            Self::Folder(node) => Some(*node),
            Self::File(_) | Self::Missing => None,
        }
    }

    /// The folder, where it was to be made.
    pub(super) fn made(&self) -> Result<NodeId, Error> {
        match self {
            Self::Folder(node) => Ok(*node),
            Self::File(path) => Err(is_a_file(path)),
            Self::Missing => Err(Error::InTheWay("the folder was removed meanwhile; try again".into())),
        }
    }
}

fn is_a_file(path: &str) -> Error {
    Error::InTheWay(format!("/{path} is a file in the lake; remove it, or use another path"))
}

pub(super) fn wrong_kind(path: &StoragePath, is_folder: bool) -> Error {
    let path = path.shown();
    let found = if is_folder { "a folder" } else { "a file" };
    Error::InTheWay(format!("/{path} is {found} in the lake; remove it, or use another path"))
}

/// Looks up folders, each level of all of them by one statement. With `make_at`, missing ones are made.
pub(super) async fn folders(
    rows: &mut dyn NamespaceRows,
    wanted: &BTreeSet<Place>,
    make_at: Option<Timestamp>,
) -> Result<BTreeMap<Place, FolderAt>, Error> {
    let mut known: BTreeMap<Place, FolderAt> = BTreeMap::new();
    for (root, _) in wanted {
        known.insert((*root, Vec::new()), FolderAt::Folder(*root));
    }
    let depth_max = wanted.iter().map(|(_, names)| names.len()).max().unwrap_or(0);
    for depth in 1..=depth_max {
        let deep_enough = wanted.iter().filter(|(_, names)| names.len() >= depth);
        let level: BTreeSet<Place> = deep_enough.map(|(root, names)| (*root, names[..depth].to_vec())).collect();
        let mut asked: BTreeMap<(NodeId, String), Place> = BTreeMap::new();
        for place in level {
            match above(&known, &place) {
                FolderAt::Folder(parent) => {
                    let name = place.1.last().cloned().unwrap_or_default();
                    asked.insert((parent, name), place);
                }
                other => {
                    known.insert(place, other);
                }
            }
        }
        let names: Vec<_> = asked.keys().cloned().collect();
        let found = if names.is_empty() { Vec::new() } else { rows.nodes_named(&names).await? };
        for node in found {
            if let Some(place) = asked.remove(&(node.parent, node.name.clone())) {
                let at = if node.is_folder() { FolderAt::Folder(node.node) } else { FolderAt::File(place.1.join("/")) };
                known.insert(place, at);
            }
        }
        let Some(at) = make_at else {
            known.extend(asked.into_values().map(|place| (place, FolderAt::Missing)));
            continue;
        };
        if asked.is_empty() {
            continue;
        }
        let new: Vec<_> = asked.keys().map(|(parent, name)| folder(*parent, name.clone())).collect();
        for node in rows.insert_nodes(&new, at).await? {
            if let Some(place) = asked.remove(&(node.parent, node.name.clone())) {
                known.insert(place, FolderAt::Folder(node.node));
            }
        }
        let parents: BTreeSet<_> = new.iter().map(|new| new.parent).collect();
        rows.touch(&parents.into_iter().collect::<Vec<_>>(), at).await?;
    }
    Ok(known)
}

fn above(known: &BTreeMap<Place, FolderAt>, (root, names): &Place) -> FolderAt {
    let parent = (*root, names[..names.len().saturating_sub(1)].to_vec());
    known.get(&parent).cloned().unwrap_or(FolderAt::Missing)
}

pub(super) fn folder(parent: NodeId, name: String) -> NewNode {
    NewNode { parent, name, object: None, size_bytes: 0 }
}

/// Node at each of the places, if any.
pub(super) async fn nodes(rows: &mut dyn NamespaceRows, paths: &[StoragePath]) -> Result<Vec<Option<Node>>, Error> {
    let places: Vec<_> = paths.iter().map(place).collect();
    let parents = places.iter().flatten().filter_map(parent).collect();
    let known = folders(rows, &parents, None).await?;
    let name_of = |place: &Option<Place>| -> Option<(NodeId, String)> {
        let place = place.as_ref()?;
        match place.1.last() {
            Some(name) => Some((known.get(&parent(place)?)?.folder()?, name.clone())),
            None => None,
        }
    };
    let names: Vec<_> = places.iter().map(name_of).collect();
    let wanted: BTreeSet<_> = names.iter().flatten().cloned().collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let found = if wanted.is_empty() { Vec::new() } else { rows.nodes_named(&wanted).await? };
    let found: BTreeMap<_, _> = found.into_iter().map(|node| ((node.parent, node.name.clone()), node)).collect();
    let mut nodes = Vec::with_capacity(paths.len());
    for (place, name) in places.iter().zip(names) {
        nodes.push(match (place, name) {
            (_, Some(name)) => found.get(&name).cloned(),
            // One of the roots.
            (Some((root, names)), None) if names.is_empty() => rows.node(*root).await?,
            _ => None,
        });
    }
    Ok(nodes)
}

pub(super) async fn node(rows: &mut dyn NamespaceRows, path: &StoragePath) -> Result<Option<Node>, Error> {
    Ok(nodes(rows, std::slice::from_ref(path)).await?.pop().flatten())
}

pub(super) fn parent((root, names): &Place) -> Option<Place> {
    let (_, above) = names.split_last()?;
    Some((*root, above.to_vec()))
}

/// Makes the folders above a place. Returns the folder, and the name in it.
pub(super) async fn make_parent(
    rows: &mut dyn NamespaceRows,
    path: &StoragePath,
    at: Timestamp,
) -> Result<(NodeId, String), Error> {
    let nowhere = || Error::InTheWay(format!("/{} does not exist on object storage", path.shown()));
    let place = place(path).ok_or_else(nowhere)?;
    let name = place.1.last().cloned().ok_or_else(nowhere)?;
    let above = parent(&place).ok_or_else(nowhere)?;
    let known = folders(rows, &BTreeSet::from([above.clone()]), Some(at)).await?;
    Ok((known.get(&above).unwrap_or(&FolderAt::Missing).made()?, name))
}

pub(super) async fn child(rows: &mut dyn NamespaceRows, folder: NodeId, name: &str) -> Result<Option<Node>, Error> {
    Ok(rows.nodes_named(&[(folder, name.to_owned())]).await?.pop())
}

/// Finds a folder, or makes it.
pub(super) async fn make_child(
    rows: &mut dyn NamespaceRows,
    parent: NodeId,
    name: &str,
    at: Timestamp,
) -> Result<Node, Error> {
    match child(rows, parent, name).await? {
        Some(node) if node.is_folder() => Ok(node),
        Some(_) => Err(is_a_file(name)),
        None => {
            let made = rows.insert_nodes(&[folder(parent, name.to_owned())], at).await?.pop();
            made.ok_or_else(|| Error::InTheWay("a folder could not be made; try again".into()))
        }
    }
}

pub(super) async fn move_one(
    rows: &mut dyn NamespaceRows,
    node: NodeId,
    parent: NodeId,
    name: &str,
) -> Result<(), Error> {
    rows.move_nodes(&[Move { node, parent, name: name.to_owned() }]).await
}

pub(crate) async fn exists(rows: &mut dyn NamespaceRows, path: &StoragePath) -> Result<bool, Error> {
    Ok(node(rows, path).await?.is_some())
}
