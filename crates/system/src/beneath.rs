//! Names resolved beneath the handle of a folder, component by component, never through a link. A planted link leads
//! nowhere, and a race between check and use cannot lead outside. The lake and the downloads of `get` rely on it.

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::{AsFd, OwnedFd};

/// Opens a folder; a link or another kind of file under the name fails with `ENOTDIR` or `ELOOP`.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Opens the folder `name`, a single component.
pub fn open_folder(parent: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    openat(parent, name, FOLDER, Mode::empty())
}

/// Why a folder could not be made.
#[derive(Debug)]
pub enum MakeFolderError {
    /// The folder was made, but syncing its name failed. It is removed again, so that nobody takes it for durable.
    Unsynced(Errno),
    Failed(Errno),
}

impl From<MakeFolderError> for Errno {
    fn from(unmade: MakeFolderError) -> Self {
        let (MakeFolderError::Unsynced(errno) | MakeFolderError::Failed(errno)) = unmade;
        errno
    }
}

/// Makes the folder where it is missing, syncs its name, and opens it.
pub fn make_folder(parent: impl AsFd, name: impl Arg + Copy, mode: Mode) -> Result<OwnedFd, MakeFolderError> {
    make_or_find_folder(parent, name, mode).map(|(folder, _)| folder)
}

/// Like [`make_folder`]; also returns whether this call has made the name durable. A folder that exists already may
/// have been made by a process that was killed before its sync.
pub fn make_or_find_folder(
    parent: impl AsFd,
    name: impl Arg + Copy,
    mode: Mode,
) -> Result<(OwnedFd, bool), MakeFolderError> {
    let parent = parent.as_fd();
    let is_made = match mkdirat(parent, name, mode) {
        Ok(()) => {
            fsync(parent).map_err(|errno| {
                let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
                MakeFolderError::Unsynced(errno)
            })?;
            true
        }
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(MakeFolderError::Failed(errno)),
    };
    Ok((open_folder(parent, name).map_err(MakeFolderError::Failed)?, is_made))
}
