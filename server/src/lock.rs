//! One server to a data folder: two on one database would each finish, at their start, what the other is doing.

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Held until it is dropped, and at the latest until the process ends. The `key` commands do not ask for it.
pub fn lock(data_dir: &Path) -> anyhow::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = open(data_dir, flags, Mode::empty()).context("cannot open the data folder")?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => {
            bail!("another server is serving this data folder; stop it first, or choose another --data-dir")
        }
        Err(errno) => Err(errno).context("cannot lock the data folder"),
    }
}
