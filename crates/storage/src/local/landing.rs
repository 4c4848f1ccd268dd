//! Renames sealed uploads to their final names, and undoes it.

use super::exchange::{Slot, cannot_move, wrong_kind};
use super::fault::{fault, unsettled, unsettled_fault};
use super::stat::{FoundEntry, look_in};
use super::tree::{Tree, names, open_folder, sync_folder};
use lakeshore::Error;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::ports::storage::{Landing, LandingOutcome};
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::OwnedFd;

/// Folders that a group lands in: each is opened once and synced once.
#[derive(Default)]
struct Folders(BTreeMap<Vec<String>, Landed>);

struct Landed {
    folder: OwnedFd,
    /// Indices of the landings that were renamed into this folder.
    waiting: Vec<usize>,
}

/// Renames each upload of a group. A free name needs one rename. A taken name is exchanged from a slot of the trash, so
/// that the call that replaces the old file also moves it to the trash.
pub(super) fn land(tree: &Tree, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>> {
    let mut folders = Folders::default();
    let mut outcomes: Vec<_> =
        landings.iter().enumerate().map(|(index, landing)| name(tree, landing, index, &mut folders)).collect();
    for Landed { folder, waiting } in folders.0.into_values() {
        if waiting.is_empty() {
            continue;
        }
        if let Err(error) = sync_folder(&folder).map_err(unsettled) {
            for index in waiting {
                outcomes[index] = Err(error.repeated());
            }
        }
    }
    crash_point!("landing.folder_synced");
    outcomes
}

fn name(tree: &Tree, landing: &Landing, index: usize, folders: &mut Folders) -> Result<LandingOutcome, Error> {
    let mut components = landing.place.components();
    let leaf = components.pop().unwrap_or_default();
    let landed = match folders.0.entry(components) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            let (folder, _) = tree.make_parent(&landing.place)?;
            new.insert(Landed { folder, waiting: Vec::new() })
        }
    };
    let folder = &landed.folder;
    match renameat_with(tree.uploads(), landing.partial.as_str(), folder, &leaf, RenameFlags::NOREPLACE) {
        Ok(()) => {
            crash_point!("landing.named");
            landed.waiting.push(index);
            return Ok(LandingOutcome::Added);
        }
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(cannot_move(errno, &landing.place)),
    }
    if look_in(folder, &leaf)?.is_some_and(|found| found.is_folder) {
        return Err(wrong_kind(&landing.place, true));
    }
    let partial = landing.partial.as_str();
    let slot = Slot::make(tree, &landing.trash, &landing.leaf)?;
    // Never overwrites a leftover of a power cut, or a file that a person has put there.
    renameat_with(tree.uploads(), partial, &slot.folder, &slot.leaf, RenameFlags::NOREPLACE)
        .map_err(fault("moving an upload to its slot"))
        .inspect_err(|_| {
            let _ = slot.remove_if_empty(tree);
        })?;
    crash_point!("landing.in_slot");
    match slot.exchange(tree, &landing.place, false) {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.is_unsettled() => Err(error),
        Err(error) => {
            renameat_with(&slot.folder, &slot.leaf, tree.uploads(), partial, RenameFlags::NOREPLACE)
                .map_err(unsettled_fault("taking an upload back"))?;
            // An empty slot that stays does no harm.
            let _ = slot.remove_if_empty(tree);
            Err(error)
        }
    }
}

/// Undoes [`land`]: the replaced file is live again, and the upload has its partial name. A live file that is not this
/// upload is left alone.
pub(super) fn rollback_landing(tree: &Tree, landing: &Landing) -> Result<(), Error> {
    const DOING: &str = "taking a landed upload back";
    let is_it = |found: Option<FoundEntry>| found.is_some_and(|found| found.identity == landing.identity);
    let Some((folder, leaf)) = tree.parent(&landing.place)? else { return Ok(()) };
    if !is_it(look_in(&folder, &leaf)?) {
        return Ok(());
    }
    let partial = landing.partial.as_str();
    let slot_place = StoragePath::TrashSlot(landing.trash.clone());
    let replaced = StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
    if tree.look(&replaced)?.is_none() {
        renameat_with(&folder, &leaf, tree.uploads(), partial, RenameFlags::NOREPLACE)
            .map_err(unsettled_fault(DOING))?;
        return sync_folder(&folder).and_then(|()| sync_folder(tree.uploads())).map_err(unsettled);
    }
    let slot = tree.make_folder_at(&slot_place)?;
    renameat_with(&slot, &landing.leaf, &folder, &leaf, RenameFlags::EXCHANGE).map_err(unsettled_fault(DOING))?;
    if is_it(look_in(&slot, &landing.leaf).map_err(unsettled)?) {
        renameat_with(&slot, &landing.leaf, tree.uploads(), partial, RenameFlags::NOREPLACE)
            .map_err(unsettled_fault(DOING))?;
    }
    sync_folder(&folder).and_then(|()| sync_folder(tree.uploads())).map_err(unsettled)?;
    let _ = tree.remove_empty_folder(&slot_place);
    Ok(())
}

/// Finds an interrupted upload by its identity. Under its partial name, it has not landed; under its final name, it
/// has. In its own slot, the exchange did not happen. In another slot, it landed and was replaced since. Files with
/// another identity are not touched.
pub(super) fn recover(tree: &Tree, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
    let is_it = |found: Option<FoundEntry>| found.is_some_and(|found| found.identity == landing.identity);
    if is_it(tree.look(&StoragePath::Partial(landing.partial.clone()))?) {
        return Ok(None);
    }
    let own_slot = StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
    let outcome = || Slot::outcome_of_earlier(tree, &landing.trash, &landing.leaf);
    let live = match tree.parent(&landing.place) {
        // A file or link replaces a folder of the path, so the upload is not there.
        Err(Error::InTheWay(_)) => None,
        found => found?,
    };
    if let Some((folder, leaf)) = live
        && is_it(look_in(&folder, &leaf)?)
    {
        sync_folder(&folder)?;
        let outcome = outcome()?;
        if outcome == LandingOutcome::Replaced
            && let Some((slot, _)) = tree.parent(&own_slot)?
        {
            sync_folder(&slot)?;
        }
        return Ok(Some(outcome));
    }
    if is_it(tree.look(&own_slot)?) {
        // Moved back instead of removed: a resumable upload continues from there.
        let slot = tree.make_folder_at(&StoragePath::TrashSlot(landing.trash.clone()))?;
        let partial = landing.partial.as_str();
        renameat_with(&slot, &landing.leaf, tree.uploads(), partial, RenameFlags::NOREPLACE)
            .map_err(fault("taking an upload back"))?;
        sync_folder(tree.uploads())?;
        let _ = tree.remove_empty_folder(&StoragePath::TrashSlot(landing.trash.clone()));
        return Ok(None);
    }
    if is_in_trash(tree, &landing.leaf, &landing.identity)? { outcome().map(Some) } else { Ok(None) }
}

fn is_in_trash(tree: &Tree, leaf: &str, identity: &Identity) -> Result<bool, Error> {
    let any_slot = StoragePath::TrashSlot(TrashKey::from_stored(String::new()));
    let Some((trash, _)) = tree.parent(&any_slot)? else { return Ok(false) };
    for slot in names(&trash)? {
        let folder = match open_folder(&trash, &slot) {
            Ok(folder) => folder,
            // Not a slot: a person has put it there.
            Err(Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(fault("opening a trash slot")(errno)),
        };
        if look_in(&folder, leaf)?.is_some_and(|found| found.identity == *identity) {
            return Ok(true);
        }
    }
    Ok(false)
}
