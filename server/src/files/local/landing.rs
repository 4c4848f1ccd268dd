//! Giving a sealed upload its name.

use super::exchange::{Slot, cannot_move, wrong_kind};
use super::fault::{fault, io_fault};
use super::partial::digest_of;
use super::tree::{Tree, look_in, names, open_folder, sync_folder};
use crate::crash::crash_point;
use lakeshore::Error;
use lakeshore::place::Place;
use lakeshore::ports::files::{Landing, Outcome};
use lakeshore::trash::TrashKey;
use lakeshore::upload::{Digest, Identity};
use rustix::fs::{Mode, OFlags, RenameFlags, openat, renameat, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;

/// A free name is taken by one rename. A taken one changes hands by an exchange, from a slot of the trash, so that the
/// old file is in the trash by the very move that replaces it.
pub(super) fn land(tree: &Tree, landing: &Landing) -> Result<Outcome, Error> {
    let (uploads, partial) = uploads(tree, landing)?;
    let (folder, leaf) = tree.make_parent(&landing.place)?;
    match renameat_with(&uploads, &partial, &folder, &leaf, RenameFlags::NOREPLACE) {
        Ok(()) => {
            crash_point!("landing.named");
            // An error means that it has not landed.
            sync_folder(&folder).inspect_err(|_| {
                let _ = renameat_with(&folder, &leaf, &uploads, &partial, RenameFlags::NOREPLACE);
            })?;
            crash_point!("landing.folder_synced");
            return Ok(Outcome::Added);
        }
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(cannot_move(errno, &landing.place)),
    }
    if look_in(&folder, &leaf)?.is_some_and(|found| found.is_folder) {
        return Err(wrong_kind(&landing.place, true));
    }
    let slot = Slot::make(tree, &landing.trash, &landing.leaf)?;
    // Never over what a power cut, or somebody's hand, has left there.
    renameat_with(&uploads, &partial, &slot.folder, &slot.leaf, RenameFlags::NOREPLACE)
        .map_err(fault("moving an upload to its slot"))?;
    crash_point!("landing.in_slot");
    match slot.exchange(tree, &landing.place, false) {
        Ok(outcome) => Ok(outcome),
        Err(error) => {
            renameat(&slot.folder, &slot.leaf, &uploads, &partial).map_err(fault("taking an upload back"))?;
            slot.remove_if_empty(tree)?;
            Err(error)
        }
    }
}

/// Where is the upload now? Under its partial name: it has not landed. Under its own: it has. In its slot: the exchange
/// did not come about. In another slot: it landed, and another upload has replaced it since.
pub(super) fn recover(tree: &Tree, landing: &Landing) -> Result<Option<(Digest, Outcome)>, Error> {
    let is_it = |found: Option<super::tree::Found>| found.is_some_and(|found| found.identity == landing.identity);
    if is_it(tree.look(&Place::Partial(landing.partial.clone()))?) {
        return Ok(None);
    }
    let outcome = || Slot::outcome_of_earlier(tree, &landing.trash, &landing.leaf);
    let live = match tree.parent(&landing.place) {
        // Something else has taken the place of a folder on its way: so it is not there.
        Err(Error::InTheWay(_)) => None,
        found => found?,
    };
    if let Some((folder, leaf)) = live
        && is_it(look_in(&folder, &leaf)?)
    {
        sync_folder(&folder)?;
        return Ok(Some((digest_in(&folder, &leaf)?, outcome()?)));
    }
    let own_slot = Place::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
    if is_it(tree.look(&own_slot)?) {
        tree.remove_file(&own_slot)?;
        tree.remove_empty_folder(&Place::TrashSlot(landing.trash.clone()))?;
        return Ok(None);
    }
    match find_in_trash(tree, &landing.leaf, &landing.identity)? {
        Some((folder, leaf)) => Ok(Some((digest_in(&folder, &leaf)?, outcome()?))),
        None => Ok(None),
    }
}

fn uploads(tree: &Tree, landing: &Landing) -> Result<(OwnedFd, String), Error> {
    tree.make_parent(&Place::Partial(landing.partial.clone()))
}

fn digest_in(folder: &OwnedFd, leaf: &str) -> Result<Digest, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, leaf, flags, Mode::empty()).map_err(fault("opening a landed file"))?;
    digest_of(File::from(file)).map_err(io_fault("reading a landed file"))
}

fn find_in_trash(tree: &Tree, leaf: &str, identity: &Identity) -> Result<Option<(OwnedFd, String)>, Error> {
    let any_slot = Place::TrashSlot(TrashKey::remembered(String::new()));
    let Some((trash, _)) = tree.parent(&any_slot)? else { return Ok(None) };
    for slot in names(&trash)? {
        let folder = match open_folder(&trash, &slot) {
            Ok(folder) => folder,
            // No slot: somebody has put it there by hand.
            Err(Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(fault("opening a trash slot")(errno)),
        };
        if look_in(&folder, leaf)?.is_some_and(|found| found.identity == *identity) {
            return Ok(Some((folder, leaf.to_owned())));
        }
    }
    Ok(None)
}
