//! File modes of the database. Only its owner may read it: a reader could act as everybody who is signed in.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);
const OTHERS: u32 = 0o077;

/// Creates an empty file readable by its owner alone, before SQLite would; or takes the rights of other users away from
/// an existing one and from SQLite's files beside it. SQLite gives new ones the mode of the database.
pub(super) fn close_to_others(database: &Path) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(CWD, database, flags, OWNER) {
        Ok(_) => return Ok(()),
        Err(Errno::EXIST) => {}
        // SQLite reports it better: the folder is missing or read-only.
        Err(_) => return Ok(()),
    }
    for beside in ["", "-wal", "-shm", "-journal"] {
        let mut file = database.as_os_str().to_owned();
        file.push(beside);
        narrow(&PathBuf::from(file))?;
    }
    Ok(())
}

fn narrow(file: &Path) -> io::Result<()> {
    let mode = match std::fs::metadata(file) {
        Ok(found) if !found.is_file() => return Ok(()),
        Ok(found) => found.permissions().mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(file, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => {
            tracing::info!(file = %file.display(), "other users could read the database; restricted it to its owner")
        }
        // The file has another owner, or its disk is read-only. It stays usable for users who may use it.
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "other users can read the database, and its permissions cannot be changed");
        }
    }
    Ok(())
}
