//! A consistent copy of the database, while a server may be writing to it.

use super::open_reading;
use rusqlite::Connection;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fsync, open, openat, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no database at {0}; name the data folder with --data-dir")]
    NoDatabase(PathBuf),
    #[error("{0} is there already, and a backup is never written over; name another file")]
    Exists(PathBuf),
    #[error("{0} is not the name of a file")]
    NoFileName(PathBuf),
    #[error("cannot read the database {path}: {source}")]
    Read { path: PathBuf, source: rusqlite::Error },
    #[error("cannot write the backup {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Copies the database to a new file, which appears whole and on stable storage, or not at all. `VACUUM INTO` reads one
/// state of it, in one read transaction: the server writes on meanwhile, and nobody waits.
pub fn backup(database: &Path, to: &Path) -> Result<(), BackupError> {
    if !database.is_file() {
        return Err(BackupError::NoDatabase(database.to_owned()));
    }
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let name = to.file_name().ok_or_else(|| BackupError::NoFileName(to.to_owned()))?;
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let unfinished = folder.join(format!(".{}.unfinished-{}", name.to_string_lossy(), std::process::id()));
    let written = write(database, &unfinished, to, folder);
    if written.is_err() {
        // Of no use to anybody; what cannot be removed is at least called unfinished.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn write(database: &Path, unfinished: &Path, to: &Path, folder: &Path) -> Result<(), BackupError> {
    let cannot_write = |errno: Errno| BackupError::Write { path: to.to_owned(), source: errno.into() };
    // Whoever reads it could act as everybody who is signed in: it is its owner's alone.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(CWD, unfinished, flags, Mode::RUSR | Mode::WUSR).map(File::from).map_err(cannot_write)?;
    let connection =
        open_reading(database).map_err(|source| BackupError::Read { path: database.to_owned(), source })?;
    copy(&connection, unfinished).map_err(|error| match error {
        Failed::Read(source) => BackupError::Read { path: database.to_owned(), source },
        Failed::Write(source) => BackupError::Write { path: to.to_owned(), source },
    })?;
    fsync(&file).map_err(cannot_write)?;
    match renameat_with(CWD, unfinished, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(BackupError::Exists(to.to_owned())),
        // A file system that cannot rename so, such as one on the network. It was asked before whether the name is free.
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::rename(unfinished, to).map_err(|source| BackupError::Write { path: to.to_owned(), source })?;
        }
        Err(errno) => return Err(cannot_write(errno)),
    }
    let folder = open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(cannot_write)?;
    fsync(&folder).map_err(cannot_write)
}

enum Failed {
    Read(rusqlite::Error),
    Write(io::Error),
}

fn copy(connection: &Connection, to: &Path) -> Result<(), Failed> {
    let name = to.to_str().ok_or_else(|| Failed::Write(io::Error::other("the name is not UTF-8")))?;
    match connection.execute("VACUUM INTO ?", [name]) {
        Ok(_) => Ok(()),
        Err(error) if super::is_disk_full(&error) => {
            Err(Failed::Write(io::Error::other("the disk is full; make space, or write it to another disk")))
        }
        Err(error) => Err(Failed::Read(error)),
    }
}
