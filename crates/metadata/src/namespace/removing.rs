//! Removes nodes. Their objects become unreferenced, and are deleted from the bucket when their time is over.

use super::rows::{NamespaceRows, NodeId};
use super::tree::child;
use lakeshore::model::id::SyncId;
use lakeshore::model::storage_path::{PartialName, StoragePath, TrashKey};
use lakeshore::ports::namespace::ObjectId;
use lakeshore::ports::storage::Removed;
use lakeshore::{Error, Timestamp};
use std::collections::BTreeSet;

/// Rows that one statement of a removal takes.
const ROWS_MAX: u64 = 1000;

/// Marks objects to which nothing refers any more, and then the tails of those that were not whole.
pub(super) async fn release(rows: &mut dyn NamespaceRows, objects: &[ObjectId], at: Timestamp) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let gone = rows.mark_unreferenced(objects, at).await?;
    let tails = if gone.is_empty() { Vec::new() } else { rows.delete_checkpoints_of(&gone).await? };
    if !tails.is_empty() {
        rows.mark_unreferenced(&tails, at).await?;
    }
    Ok(())
}

pub(crate) async fn discard(rows: &mut dyn NamespaceRows, name: &PartialName, at: Timestamp) -> Result<(), Error> {
    if let Some(upload) = child(rows, NodeId::UPLOADS, name.as_str()).await? {
        let objects = rows.delete_nodes(&[upload.node]).await?;
        release(rows, &objects, at).await?;
    }
    Ok(())
}

/// Removes a folder with all that is below it. False when `left` rows do not suffice.
async fn remove_tree(rows: &mut dyn NamespaceRows, top: NodeId, left: &mut u64, at: Timestamp) -> Result<bool, Error> {
    let mut open = vec![top];
    while let Some(&folder) = open.last() {
        loop {
            if *left == 0 {
                return Ok(false);
            }
            let wanted = (*left).min(ROWS_MAX);
            let objects = rows.delete_files_in(folder, wanted).await?;
            release(rows, &objects, at).await?;
            *left -= objects.len() as u64;
            if (objects.len() as u64) < wanted {
                break;
            }
        }
        match rows.page(folder, 0, 1).await?.pop() {
            Some(below) => open.push(below.node),
            None => {
                rows.delete_nodes(&[folder]).await?;
                *left -= 1;
                open.pop();
            }
        }
    }
    Ok(true)
}

pub(super) async fn remove_whole_tree(rows: &mut dyn NamespaceRows, top: NodeId, at: Timestamp) -> Result<(), Error> {
    let mut left = u64::MAX;
    remove_tree(rows, top, &mut left, at).await.map(drop)
}

pub(super) async fn remove_if_empty(rows: &mut dyn NamespaceRows, folder: NodeId) -> Result<(), Error> {
    if rows.page(folder, 0, 1).await?.is_empty() {
        rows.delete_nodes(&[folder]).await?;
    }
    Ok(())
}

pub(crate) async fn remove_trash(
    rows: &mut dyn NamespaceRows,
    items: &[TrashKey],
    removals_max: u64,
    at: Timestamp,
) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    let mut left = removals_max;
    for key in items {
        let is_gone = match child(rows, NodeId::TRASH, key.as_str()).await? {
            Some(slot) => remove_tree(rows, slot.node, &mut left, at).await?,
            None => true,
        };
        if !is_gone {
            removed.has_more = true;
            break;
        }
        removed.gone.push(key.clone());
    }
    Ok(removed)
}

pub(crate) async fn remove_empty_slot(rows: &mut dyn NamespaceRows, key: &TrashKey) -> Result<(), Error> {
    match child(rows, NodeId::TRASH, key.as_str()).await? {
        Some(slot) => remove_if_empty(rows, slot.node).await,
        None => Ok(()),
    }
}

pub(crate) async fn sweep(
    rows: &mut dyn NamespaceRows,
    open_syncs: &[SyncId],
    kept: &BTreeSet<PartialName>,
    at: Timestamp,
) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let uploads = rows.page(NodeId::UPLOADS, from, ROWS_MAX).await?;
        let count = uploads.len() as u64;
        let is_kept = |name: &str| kept.contains(&PartialName::from_stored(name.to_owned()));
        let removed: Vec<_> = uploads.iter().filter(|node| !is_kept(&node.name)).map(|node| node.node).collect();
        let objects = if removed.is_empty() { Vec::new() } else { rows.delete_nodes(&removed).await? };
        release(rows, &objects, at).await?;
        if count < ROWS_MAX {
            break;
        }
        from += count - removed.len() as u64;
    }
    let mut from = 0;
    loop {
        let stagings = rows.page(NodeId::STAGING, from, ROWS_MAX).await?;
        let count = stagings.len() as u64;
        let mut removed = 0;
        for staging in stagings {
            if !StoragePath::staging_owner(&staging.name).is_some_and(|owner| open_syncs.contains(&owner)) {
                remove_whole_tree(rows, staging.node, at).await?;
                removed += 1;
            }
        }
        if count < ROWS_MAX {
            return Ok(());
        }
        from += count - removed;
    }
}
