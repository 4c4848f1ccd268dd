//! Names resolved beneath the handle of a folder, one at a time, and never through a link: what somebody has planted leads
//! nowhere, and a race between check and use cannot lead outside. The lake and the downloads of `get` both rest on it.

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::{AsFd, OwnedFd};

/// Of a folder, a handle; where a link or something else has the name, `ENOTDIR` or `ELOOP`.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Opens the folder of that name, which is one component.
pub fn open_folder(parent: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    openat(parent, name, FOLDER, Mode::empty())
}

/// Why there is no folder.
#[derive(Debug)]
pub enum Unmade {
    /// It was made, and its name could not be made durable: it is removed again, so that nobody takes it for durable.
    Unsynced(Errno),
    Failed(Errno),
}

impl From<Unmade> for Errno {
    fn from(unmade: Unmade) -> Self {
        let (Unmade::Unsynced(errno) | Unmade::Failed(errno)) = unmade;
        errno
    }
}

/// Makes the folder of that name, unless it is there, makes its name durable, and opens it.
pub fn make_folder(parent: impl AsFd, name: impl Arg + Copy, mode: Mode) -> Result<OwnedFd, Unmade> {
    make_or_find_folder(parent, name, mode).map(|(folder, _)| folder)
}

/// The same, and whether its name was made durable here. Whoever has made one that is there may have been kept from that.
pub fn make_or_find_folder(parent: impl AsFd, name: impl Arg + Copy, mode: Mode) -> Result<(OwnedFd, bool), Unmade> {
    let parent = parent.as_fd();
    let is_made = match mkdirat(parent, name, mode) {
        Ok(()) => {
            fsync(parent).map_err(|errno| {
                let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
                Unmade::Unsynced(errno)
            })?;
            true
        }
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(Unmade::Failed(errno)),
    };
    Ok((open_folder(parent, name).map_err(Unmade::Failed)?, is_made))
}
