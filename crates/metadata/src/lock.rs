//! Locks between processes. One server to a data folder: two on one database would each finish, at their start, what the
//! other is doing.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Between two looks at what another process holds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A server that was killed may be survived for a moment by a reader of files that it was just starting, and that holds what
/// it held until it runs. So that another server holds something is believed after a second.
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

/// Held until it is dropped, and at the latest until the process ends. Commands that are done in a moment, and a backup, do not ask for
/// it: they wait for the database, or ask whoever has it (`crate::control`).
pub fn lock(data_dir: &Path) -> Result<OwnedFd, LockError> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = open(data_dir, flags, Mode::empty()).map_err(|errno| LockError::Unopened(errno.into()))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => Err(LockError::Held),
        Err(errno) => Err(LockError::Failed(errno.into())),
    }
}

/// Looks again while another process holds it, at most so often; what the last look has seen.
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
