//! A consistent copy of the database, while a server may be writing to it.

use super::connection::{is_disk_full, open_reading};
use super::open::{Turn, version};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fsync, open, openat, renameat_with};
use rustix::io::Errno;
use sqlx::{Connection, SqliteConnection};
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
    Read { path: PathBuf, source: sqlx::Error },
    #[error(
        "cannot lock the opening of the database {path}; look at the rights of its folder, and whether its disk is mounted read-only: {source}"
    )]
    Turn { path: PathBuf, source: io::Error },
    #[error("cannot write the backup {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Copies the database to a new file, which appears whole and on stable storage, or not at all. `VACUUM INTO` reads one
/// state of it, in one read transaction: the server writes on meanwhile, and nobody waits.
///
/// A database that is being made is waited for; of one that holds nothing there is no backup.
pub async fn backup(database: &Path, to: &Path) -> Result<(), BackupError> {
    if !database.is_file() {
        return Err(BackupError::NoDatabase(database.to_owned()));
    }
    let turn = Turn::wait(database).await;
    let turn = turn.map_err(|source| BackupError::Turn { path: database.to_owned(), source })?;
    let found = version(database).await;
    // Not longer: it may take minutes, and a server may start meanwhile.
    drop(turn);
    match found {
        Ok(0) => Err(BackupError::NoDatabase(database.to_owned())),
        Ok(_) => copy(database, to).await,
        Err(source) => Err(BackupError::Read { path: database.to_owned(), source }),
    }
}

/// A backup of a database that nobody is making.
pub(super) async fn copy(database: &Path, to: &Path) -> Result<(), BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let name = to.file_name().ok_or_else(|| BackupError::NoFileName(to.to_owned()))?;
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let unfinished = folder.join(format!(".{}.unfinished-{}", name.to_string_lossy(), std::process::id()));
    let written = write(database, &unfinished, to, folder).await;
    if written.is_err() {
        // Of no use to anybody; what cannot be removed is at least called unfinished.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

async fn write(database: &Path, unfinished: &Path, to: &Path, folder: &Path) -> Result<(), BackupError> {
    let cannot_write = |errno: Errno| BackupError::Write { path: to.to_owned(), source: errno.into() };
    // Whoever reads it could act as everybody who is signed in: it is its owner's alone.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(CWD, unfinished, flags, Mode::RUSR | Mode::WUSR).map(File::from).map_err(cannot_write)?;
    let cannot_read = |source| BackupError::Read { path: database.to_owned(), source };
    let mut connection = open_reading(database).await.map_err(cannot_read)?;
    let copied = vacuum_into(&mut connection, unfinished).await;
    let closed = connection.close().await;
    copied.map_err(|error| match error {
        Failed::Read(source) => cannot_read(source),
        Failed::Write(source) => BackupError::Write { path: to.to_owned(), source },
    })?;
    closed.map_err(cannot_read)?;
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
    Read(sqlx::Error),
    Write(io::Error),
}

async fn vacuum_into(connection: &mut SqliteConnection, to: &Path) -> Result<(), Failed> {
    let name = to.to_str().ok_or_else(|| Failed::Write(io::Error::other("the name is not UTF-8")))?;
    match sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if is_disk_full(&error) => {
            Err(Failed::Write(io::Error::other("the disk is full; make space, or write it to another disk")))
        }
        Err(error) => Err(Failed::Read(error)),
    }
}
