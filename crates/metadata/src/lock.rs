//! Locks between processes. A data folder has one server: a second one would finish, at its start, the work that the
//! first is doing.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Pause between two attempts.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Attempts before a lock counts as held by another server: about a second. A reader process that a killed server was
/// just starting may hold the server's locks until it runs.
pub const LOOKS_AT_SERVERS: u32 = 50;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another server is serving this data folder; stop it first, or choose another --data-dir")]
    Held,
    #[error("cannot open the data folder")]
    Unopened(#[source] io::Error),
    #[error("cannot lock the data folder")]
    Failed(#[source] io::Error),
}

/// Locks the data folder until the handle is dropped or the process ends. Short commands and `backup` do not take this
/// lock: they wait for the database, or ask the process that has it (`crate::control`).
pub fn lock(data_dir: &Path) -> Result<OwnedFd, LockError> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = open(data_dir, flags, Mode::empty()).map_err(|errno| LockError::Unopened(errno.into()))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => Err(LockError::Held),
        Err(errno) => Err(LockError::Failed(errno.into())),
    }
}

/// Repeats `look` up to `looks_max` times while another process holds the lock; returns the last result.
pub async fn look_again<T>(looks_max: u32, mut look: impl FnMut() -> T, is_held: impl Fn(&T) -> bool) -> T {
    let mut seen = look();
    for _ in 0..looks_max {
        if !is_held(&seen) {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        seen = look();
    }
    seen
}
