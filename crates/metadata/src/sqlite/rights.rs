//! The database is its owner's alone: whoever reads it could act as everybody who is signed in.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);
const OTHERS: u32 = 0o077;

/// Makes the file, empty, for nobody but its owner, before SQLite does; or takes the rights of others away from one that is
/// there, and from what SQLite keeps beside it. SQLite gives those the rights of the database.
pub(super) fn close_to_others(database: &Path) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(CWD, database, flags, OWNER) {
        Ok(_) => return Ok(()),
        Err(Errno::EXIST) => {}
        // SQLite says it better: the folder is missing, or may not be written to.
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
        // Of another owner, or on a disk that is read-only: it stays usable for who may use it.
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "other users can read the database, and its permissions cannot be changed");
        }
    }
    Ok(())
}
