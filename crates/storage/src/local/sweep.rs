//! Removes leftovers of a stop that no row owns.

use super::fault::fault;
use super::tree::{Tree, names, open_folder, sync_folder};
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::storage_path::PartialName;
use lakeshore::model::storage_path::StoragePath;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

pub(super) fn sweep(tree: &Tree, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error> {
    crash_point!("sweep.begun");
    if let Some((uploads, _)) = tree.parent(&StoragePath::Partial(PartialName::from_stored(String::new())))? {
        for name in names(&uploads)? {
            if !kept.contains(&PartialName::from_stored(name.clone())) {
                remove(&uploads, &name)?;
            }
        }
        sync_folder(&uploads)?;
        crash_point!("sweep.uploads_removed");
    }
    if let Some((stagings, _)) = tree.parent(&StoragePath::Staging(SyncId(0)))? {
        for name in names(&stagings)? {
            if !StoragePath::staging_owner(&name).is_some_and(|owner| open_syncs.contains(&owner)) {
                remove(&stagings, &name)?;
            }
        }
        sync_folder(&stagings)?;
    }
    Ok(())
}

/// Removes a folder of the engine with all its contents.
pub(super) fn remove_tree(tree: &Tree, place: &StoragePath) -> Result<(), Error> {
    let Some((parent, leaf)) = tree.parent(place)? else { return Ok(()) };
    remove(&parent, &leaf)?;
    sync_folder(&parent)
}

/// The longest lake path bounds the depth.
fn remove(parent: &OwnedFd, name: &str) -> Result<(), Error> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(fault("removing a leftover")(errno)),
    }
    let folder = open_folder(parent, name).map_err(fault("opening a leftover"))?;
    for entry in names(&folder)? {
        remove(&folder, &entry)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(fault("removing a leftover"))
}
