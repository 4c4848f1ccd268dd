//! Purges trash, a bounded number of files at a time.

use super::fault::fault;
use super::tree::{Tree, open_folder, sync_folder};
use lakeshore::Error;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::ports::storage::Removed;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{AtFlags, Dir, unlinkat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Files are unlinked whole and never truncated first: a backup may hold a hard link to them.
pub(super) fn remove(tree: &Tree, items: &[TrashKey], removals_max: u64) -> Removed {
    let mut removed = Removed::default();
    let Some((first, _)) = items.split_first() else { return removed };
    let trash = match tree.parent(&StoragePath::TrashSlot(first.clone())) {
        Ok(Some((trash, _))) => trash,
        Ok(None) => return Removed { gone: items.to_vec(), ..removed },
        Err(fault) => return Removed { faults: vec![fault], ..removed },
    };
    let mut step = Step { left: removals_max };
    for key in items {
        let mut name = key.as_str().as_bytes().to_vec();
        name.push(0);
        let Ok(name) = CStr::from_bytes_with_nul(&name) else { continue };
        match step.remove(&trash, name) {
            Ok(true) => removed.gone.push(key.clone()),
            Ok(false) => {
                removed.has_more = true;
                break;
            }
            Err(fault) => removed.faults.push(fault),
        }
    }
    crash_point!("emptying.removed");
    // Synced before the removal is reported: a folder that came back after a power cut would have no row.
    if !removed.gone.is_empty()
        && let Err(fault) = sync_folder(&trash)
    {
        removed.gone.clear();
        removed.faults.push(fault);
    }
    crash_point!("emptying.synced");
    removed
}

struct Step {
    left: u64,
}

impl Step {
    /// Removes a file, or a folder with its contents. Returns false when one step may not remove that many files.
    fn remove(&mut self, parent: &OwnedFd, name: &CStr) -> Result<bool, Error> {
        if self.left == 0 {
            return Ok(false);
        }
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) => {
                self.left -= 1;
                return Ok(true);
            }
            Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(fault("removing trash")(errno)),
        }
        self.remove_folder(parent, name)
    }

    /// Reads the listing only as far as needed, so that the cost of a step does not grow with the number of files.
    fn remove_folder(&mut self, parent: &OwnedFd, name: &CStr) -> Result<bool, Error> {
        let folder = open_folder(parent, name).map_err(fault("opening a folder of the trash"))?;
        let listing = Dir::read_from(&folder).map_err(fault("listing a folder of the trash"))?;
        for entry in listing {
            let entry = entry.map_err(fault("listing a folder of the trash"))?;
            let inside = entry.file_name();
            if inside != c"." && inside != c".." && !self.remove(&folder, inside)? {
                return Ok(false);
            }
        }
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            // Some file systems omit names from a listing while other names are removed: the next step finds them.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(fault("removing a folder of the trash")(errno)),
        }
    }
}
