//! Stages, publishes, drops and restores whole folders.

use super::exchange::Slot;
use super::fault::{fault, unsettled, unsettled_fault};
use super::measuring::measure;
use super::stat::identity_of;
use super::tree::{Tree, sync_folder};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::trash::TrashKind;
use lakeshore::ports::storage::{LandingOutcome, Publication, Restoration};
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{RenameFlags, renameat_with};
use std::os::fd::AsFd;

pub(super) fn stage(tree: &Tree, sync: SyncId) -> Result<Identity, Error> {
    let folder = tree.make_folder_at(&StoragePath::Staging(sync))?;
    identity_of(folder.as_fd())
}

/// Moves the staged folder into a slot of the trash, and exchanges it with the dataset: two renames, however many files
/// there are. After an interruption, the position of the folder with this identity shows how far it came.
pub(super) fn publish(tree: &Tree, publication: &Publication) -> Result<LandingOutcome, Error> {
    let live = StoragePath::Live(publication.dataset.clone());
    let leaf = publication.dataset.leaf();
    let is_it = |place: &StoragePath| -> Result<bool, Error> {
        Ok(tree.look(place)?.is_some_and(|found| found.identity == publication.identity))
    };
    if is_it(&live)? {
        return sync_both(tree, &live, &StoragePath::Trashed { key: publication.trash.clone(), leaf: leaf.to_owned() })
            .and_then(|()| Slot::outcome_of_earlier(tree, &publication.trash, leaf))
            .map_err(unsettled);
    }
    let staging = StoragePath::Staging(publication.sync);
    let waiting = StoragePath::Trashed { key: publication.trash.clone(), leaf: leaf.to_owned() };
    let in_slot = is_it(&waiting)?;
    if !in_slot && !is_it(&staging)? {
        return Err(Error::StagingLost(publication.sync));
    }
    // After an earlier attempt moved the folder, an error must not claim that nothing has moved.
    let interrupted = |error| if in_slot { unsettled(error) } else { error };
    let slot = Slot::make(tree, &publication.trash, leaf).map_err(interrupted)?;
    let (stagings, name) = tree.make_parent(&staging).map_err(interrupted)?;
    if !in_slot {
        // Never overwrites a file or folder that a person has put there.
        renameat_with(&stagings, &name, &slot.folder, leaf, RenameFlags::NOREPLACE)
            .map_err(fault("moving a staged folder to its slot"))?;
        crash_point!("publish.in_slot");
    }
    sync_folder(&slot.folder).and_then(|()| sync_folder(&stagings)).map_err(unsettled)?;
    match slot.exchange(tree, &live, true) {
        Err(error) if !error.is_unsettled() => {
            // Nothing was exchanged: the folder moves back to the staging.
            renameat_with(&slot.folder, leaf, &stagings, &name, RenameFlags::NOREPLACE)
                .map_err(unsettled_fault("taking a staged folder back"))?;
            let _ = slot.remove_if_empty(tree);
            Err(error)
        }
        ended => ended,
    }
}

/// Syncs both folders after an earlier attempt, whose syncs may not have happened.
fn sync_both(tree: &Tree, from: &StoragePath, to: &StoragePath) -> Result<(), Error> {
    for place in [from, to] {
        if let Some((parent, _)) = tree.parent(place)? {
            sync_folder(&parent)?;
        }
    }
    Ok(())
}

pub(super) fn drop_staging(tree: &Tree, sync: SyncId, trashed: &StoragePath) -> Result<bool, Error> {
    let StoragePath::Trashed { key, leaf } = trashed else { return Ok(false) };
    let staging = StoragePath::Staging(sync);
    if tree.look(&staging)?.is_none() {
        let is_dropped = tree.look(trashed)?.is_some();
        if is_dropped {
            sync_both(tree, &staging, trashed)?;
        }
        return Ok(is_dropped);
    }
    if measure(tree, &staging)?.files == 0 {
        super::sweep::remove_tree(tree, &staging)?;
        return Ok(false);
    }
    let slot = Slot::make(tree, key, leaf)?;
    let (stagings, name) = tree.make_parent(&staging)?;
    renameat_with(&stagings, &name, &slot.folder, leaf, RenameFlags::NOREPLACE)
        .map_err(fault("moving a staged folder to the trash"))?;
    crash_point!("drop.moved");
    sync_folder(&slot.folder)?;
    sync_folder(&stagings)?;
    Ok(true)
}

pub(super) fn restore(tree: &Tree, restoration: &Restoration) -> Result<LandingOutcome, Error> {
    let live = StoragePath::Live(restoration.origin.clone());
    let leaf = restoration.origin.leaf();
    let is_it = |place: &StoragePath| -> Result<bool, Error> {
        Ok(tree.look(place)?.is_some_and(|found| found.identity == restoration.identity))
    };
    if is_it(&live)? {
        return sync_both(tree, &live, &StoragePath::Trashed { key: restoration.trash.clone(), leaf: leaf.to_owned() })
            .and_then(|()| Slot::outcome_of_earlier(tree, &restoration.trash, leaf))
            .map_err(unsettled);
    }
    if !is_it(&StoragePath::trashed(&restoration.trash, &restoration.origin))? {
        return Err(Error::InTheWay(format!(
            "the trash item of {} is missing, because it was moved or deleted outside Lakeshore; restore it from a backup",
            restoration.origin
        )));
    }
    let slot = Slot::make(tree, &restoration.trash, leaf)?;
    slot.exchange(tree, &live, restoration.kind == TrashKind::Dataset)
}
