//! Stages, publishes, drops and restores whole folders: a few rows, however many files are below.

use super::landing::outcome_of_earlier;
use super::removing::{remove_if_empty, remove_whole_tree};
use super::rows::{NamespaceRows, Node, NodeId};
use super::tree::{child, make_child, make_parent, move_one, node, wrong_kind};
use lakeshore::model::id::SyncId;
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::{Identity, StoragePath, TrashKey};
use lakeshore::model::trash::TrashKind;
use lakeshore::ports::storage::{LandingOutcome, Publication, Restoration};
use lakeshore::{Error, Timestamp};

pub(crate) async fn stage(rows: &mut dyn NamespaceRows, sync: SyncId, at: Timestamp) -> Result<Identity, Error> {
    let (parent, name) = make_parent(rows, &StoragePath::Staging(sync), at).await?;
    Ok(make_child(rows, parent, &name, at).await?.node.identity())
}

pub(crate) async fn publish(
    rows: &mut dyn NamespaceRows,
    publication: &Publication,
    at: Timestamp,
) -> Result<LandingOutcome, Error> {
    let Publication { sync, identity, dataset, trash } = publication;
    let live = StoragePath::Live(dataset.clone());
    let slot = StoragePath::trashed(trash, dataset);
    if node(rows, &live).await?.is_some_and(|found| found.is(identity)) {
        return outcome_of_earlier(rows, &slot).await;
    }
    let staged = node(rows, &StoragePath::Staging(*sync)).await?.filter(|found| found.is(identity));
    let staged = staged.ok_or(Error::StagingLost(*sync))?;
    exchange(rows, &staged, &live, &slot, true, at).await
}

pub(crate) async fn restore(
    rows: &mut dyn NamespaceRows,
    restoration: &Restoration,
    at: Timestamp,
) -> Result<LandingOutcome, Error> {
    let Restoration { trash, identity, origin, kind } = restoration;
    let live = StoragePath::Live(origin.clone());
    let slot = StoragePath::trashed(trash, origin);
    if node(rows, &live).await?.is_some_and(|found| found.is(identity)) {
        return outcome_of_earlier(rows, &slot).await;
    }
    let Some(trashed) = node(rows, &slot).await?.filter(|found| found.is(identity)) else {
        return Err(Error::InTheWay(format!(
            "the trash item of {origin} is missing, because it was removed outside Lakeshore; restore the database from a backup"
        )));
    };
    exchange(rows, &trashed, &live, &slot, *kind == TrashKind::Dataset, at).await
}

/// Moves a node to `live`, and what was there to `trashed`, where the node may have been.
async fn exchange(
    rows: &mut dyn NamespaceRows,
    moved: &Node,
    live: &StoragePath,
    trashed: &StoragePath,
    is_folder_wanted: bool,
    at: Timestamp,
) -> Result<LandingOutcome, Error> {
    let (parent, name) = make_parent(rows, live, at).await?;
    let occupant = child(rows, parent, &name).await?;
    if let Some(occupant) = occupant.as_ref().filter(|occupant| occupant.is_folder() != is_folder_wanted) {
        return Err(wrong_kind(live, occupant.is_folder()));
    }
    move_one(rows, moved.node, NodeId::NOWHERE, &format!("moving-{}", moved.node.0)).await?;
    let outcome = match occupant {
        None => LandingOutcome::Added,
        // A folder without files is no loss, and no item of trash.
        Some(old) if old.is_folder() && !rows.has_files_below(old.node).await? => {
            remove_whole_tree(rows, old.node, at).await?;
            LandingOutcome::Added
        }
        Some(old) => {
            let (slot, leaf) = make_parent(rows, trashed, at).await?;
            if child(rows, slot, &leaf).await?.is_some() {
                let path = trashed.shown();
                return Err(Error::InTheWay(format!(
                    "/{path} is in the trash already; run \"lakeshore check\", then try again"
                )));
            }
            move_one(rows, old.node, slot, &leaf).await?;
            LandingOutcome::Replaced
        }
    };
    move_one(rows, moved.node, parent, &name).await?;
    if outcome == LandingOutcome::Added && moved.parent != NodeId::STAGING {
        remove_if_empty(rows, moved.parent).await?;
    }
    rows.touch(&[parent], at).await?;
    Ok(outcome)
}

pub(crate) async fn drop_staging(
    rows: &mut dyn NamespaceRows,
    sync: SyncId,
    dataset: &LakePath,
    trash: &TrashKey,
    at: Timestamp,
) -> Result<bool, Error> {
    let trashed = StoragePath::trashed(trash, dataset);
    let is_trashed = node(rows, &trashed).await?.is_some();
    let Some(staged) = node(rows, &StoragePath::Staging(sync)).await? else { return Ok(is_trashed) };
    if !rows.has_files_below(staged.node).await? {
        remove_whole_tree(rows, staged.node, at).await?;
        return Ok(false);
    }
    if is_trashed {
        let path = trashed.shown();
        return Err(Error::InTheWay(format!(
            "/{path} is in the trash already; run \"lakeshore check\", then try again"
        )));
    }
    let (slot, leaf) = make_parent(rows, &trashed, at).await?;
    move_one(rows, staged.node, slot, &leaf).await?;
    Ok(true)
}

pub(crate) async fn rename_slot(rows: &mut dyn NamespaceRows, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
    let Some(slot) = child(rows, NodeId::TRASH, from.as_str()).await? else { return Ok(()) };
    if child(rows, NodeId::TRASH, to.as_str()).await?.is_some() {
        let path = StoragePath::TrashSlot(to.clone()).shown();
        return Err(Error::InTheWay(format!("/{path} is in the trash already; rename or remove it")));
    }
    move_one(rows, slot.node, NodeId::TRASH, to.as_str()).await
}
