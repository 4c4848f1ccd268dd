//! Exchanges a trash slot with a live name by one `renameat2`; landing over a file, publishing and restoring use it.
//! The same call moves the replaced file or folder to the trash.

use super::fault::{fault, unsettled};
use super::stat::look_in;
use super::tree::{Tree, sync_folder};
use lakeshore::Error;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::ports::storage::LandingOutcome;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{AtFlags, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Attempts while another program keeps removing and making the live name, before a fault is reported.
const RACES_MAX: usize = 100;

/// A slot: a folder in the trash that holds one file or folder.
pub(super) struct Slot {
    pub(super) folder: OwnedFd,
    pub(super) leaf: String,
    place: StoragePath,
}

impl Slot {
    pub(super) fn make(tree: &Tree, trash: &TrashKey, leaf: &str) -> Result<Self, Error> {
        let place = StoragePath::TrashSlot(trash.clone());
        Ok(Self { folder: tree.make_folder_at(&place)?, leaf: leaf.to_owned(), place })
    }

    /// Moves the content of the slot to `live`, and the former content of `live` into the slot. `folder_wanted` says
    /// whether both are folders. An ordinary error means that nothing has moved; an unsettled error means that it has
    /// moved, perhaps not durably. The move is not undone: undoing could fail as well, and the slot would then hold
    /// unexpected content.
    pub(super) fn exchange(
        &self,
        tree: &Tree,
        live: &StoragePath,
        folder_wanted: bool,
    ) -> Result<LandingOutcome, Error> {
        let (parent, live_leaf) = tree.make_parent(live)?;
        for _ in 0..RACES_MAX {
            match renameat_with(&self.folder, &self.leaf, &parent, &live_leaf, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    crash_point!("exchange.done");
                    sync_folder(&parent).map_err(unsettled)?;
                    // An empty slot that cannot be removed is no reason to undo the move.
                    let _ = tree.remove_empty_folder(&self.place);
                    return Ok(LandingOutcome::Added);
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(cannot_move(errno, live)),
            }
            let Some(found) = look_in(&parent, &live_leaf)? else { continue };
            if found.is_folder != folder_wanted {
                return Err(wrong_kind(live, found.is_folder));
            }
            match renameat_with(&self.folder, &self.leaf, &parent, &live_leaf, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(cannot_move(errno, live)),
            }
            crash_point!("exchange.done");
            sync_folder(&parent).and_then(|()| sync_folder(&self.folder)).map_err(unsettled)?;
            crash_point!("exchange.synced");
            // An empty folder is dropped: it is not worth an item of trash.
            if folder_wanted && unlinkat(&self.folder, &self.leaf, AtFlags::REMOVEDIR).is_ok() {
                let _ = tree.remove_empty_folder(&self.place);
                return Ok(LandingOutcome::Added);
            }
            return Ok(LandingOutcome::Replaced);
        }
        Err(Error::InTheWay(format!(
            "{} is being changed by another program; stop that program, then try again",
            live.components().join("/")
        )))
    }

    /// Outcome of an exchange that an earlier attempt completed, read from the slot.
    pub(super) fn outcome_of_earlier(tree: &Tree, trash: &TrashKey, leaf: &str) -> Result<LandingOutcome, Error> {
        let place = StoragePath::Trashed { key: trash.clone(), leaf: leaf.to_owned() };
        Ok(if tree.look(&place)?.is_some() { LandingOutcome::Replaced } else { LandingOutcome::Added })
    }

    pub(super) fn remove_if_empty(&self, tree: &Tree) -> Result<(), Error> {
        tree.remove_empty_folder(&self.place)
    }
}

pub(super) fn wrong_kind(live: &StoragePath, is_folder: bool) -> Error {
    let path = live.components().join("/");
    let found = if is_folder { "a folder" } else { "a file or a link" };
    Error::InTheWay(format!("/{path} is {found} in the lake; remove it, or use another path"))
}

pub(super) fn cannot_move(errno: Errno, live: &StoragePath) -> Error {
    match errno {
        Errno::XDEV => Error::InTheWay(format!(
            "/{} is on another file system than the lake root; unmount it, or make it a lake of its own",
            live.components().join("/")
        )),
        errno => fault("moving into place")(errno),
    }
}
