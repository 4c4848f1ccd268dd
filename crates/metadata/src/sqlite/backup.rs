//! Consistent copy of the database, while a server may write to it.

use super::connection::{is_disk_full, open_exclusive, open_reading};
use super::migrations;
use super::open::{OpenError, Turn, beside};
use lakeshore_system::space::space_of;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fsync, open, openat, renameat_with};
use rustix::io::Errno;
use sqlx::{Connection, SqliteConnection};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("no database at {0}; choose the data folder with --data-dir")]
    NoDatabase(PathBuf),
    #[error("{0} already exists, and backups are never overwritten; choose another file")]
    Exists(PathBuf),
    #[error("{0} is not a file name; choose another")]
    NoFileName(PathBuf),
    #[error("cannot copy the database to {path}: {source}")]
    Copy { path: PathBuf, source: sqlx::Error },
    #[error(transparent)]
    Open(Box<OpenError>),
    #[error("cannot read the database {path}: {source}")]
    Read { path: PathBuf, source: sqlx::Error },
    #[error(
        "the disk of {} has less than {needed_bytes} bytes free, which a copy needs while the server runs; free up space, or stop the server before the backup",
        folder.display()
    )]
    NoRoom { folder: PathBuf, needed_bytes: u64 },
    #[error("cannot write the backup {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Copies a database that no server has to a new file, which appears complete and durable, or not at all. A database
/// without tables is refused.
pub async fn backup(database: &Path, to: &Path, _turn: Turn) -> Result<(), BackupError> {
    let cannot_read = |source| BackupError::Read { path: database.to_owned(), source };
    let mut connection = open_exclusive(database).await.map_err(cannot_read)?;
    let copied = match migrations::version(&mut connection).await {
        Ok(0) => Err(BackupError::NoDatabase(database.to_owned())),
        Ok(_) => copy(&mut connection, to).await,
        Err(source) => Err(BackupError::Open(Box::new(OpenError::of(source, database.display().to_string())))),
    };
    connection.close().await.map_err(cannot_read)?;
    copied
}

/// Copies the open database by `VACUUM INTO`, which reads one state in one read transaction. Other connections read and
/// write meanwhile.
pub(super) async fn copy(connection: &mut SqliteConnection, to: &Path) -> Result<(), BackupError> {
    let new = NewFile::create(to)?;
    vacuum_into(connection, &new).await?;
    new.finish()
}

/// Copies a database that this process has open to a file in `folder`, and removes the name of the file.
pub(super) async fn copy_unnamed(database: &Path, folder: &Path) -> Result<File, BackupError> {
    static COPIES: AtomicU32 = AtomicU32::new(0);
    refuse_without_room(database, folder)?;
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let new = NewFile::create(&folder.join(format!("{COPY}{number}")))?;
    let cannot_read = |source| BackupError::Read { path: database.to_owned(), source };
    let mut connection = open_reading(database).await.map_err(cannot_read)?;
    let copied = vacuum_into(&mut connection, &new).await;
    connection.close().await.map_err(cannot_read)?;
    copied?;
    new.into_unnamed()
}

/// Prefix of the name of a copy in progress; a killed server may leave one.
const COPY: &str = "lakeshore.db-copy-";
/// Bytes that a copy leaves free on the disk of the database.
const ROOM_LEFT_BYTES: u64 = 64 << 20;

/// Refuses a copy that would take the last free space of a running server.
fn refuse_without_room(database: &Path, folder: &Path) -> Result<(), BackupError> {
    let cannot_write = |source| BackupError::Write { path: folder.to_owned(), source };
    let mut needed_bytes = ROOM_LEFT_BYTES;
    for part in [database.to_owned(), beside(database, "-wal")] {
        needed_bytes += part.metadata().map_or(0, |found| found.len());
    }
    let found = rustix::fs::statvfs(folder).map_err(|errno| cannot_write(errno.into()))?;
    if space_of(&found).free_bytes < needed_bytes {
        return Err(BackupError::NoRoom { folder: folder.to_owned(), needed_bytes });
    }
    Ok(())
}

/// Removes copies that a kill interrupted. Only for the process that has the database.
pub fn remove_unfinished_copies(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().strip_prefix('.').is_some_and(|name| name.starts_with(COPY)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A file that gets its name when it is complete and durable. Dropped before, it is removed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    unfinished: PathBuf,
    to: PathBuf,
    folder: PathBuf,
}

impl NewFile {
    /// Creates the file under a temporary name. Fails where the final name is taken.
    pub fn create(to: &Path) -> Result<Self, BackupError> {
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        let name = to.file_name().ok_or_else(|| BackupError::NoFileName(to.to_owned()))?;
        let folder = match to.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let unfinished = folder.join(format!(".{}.unfinished-{}", name.to_string_lossy(), std::process::id()));
        // Readable by its owner alone: a reader of the database could act as everybody who is signed in.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(CWD, &unfinished, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| BackupError::Write { path: to.to_owned(), source: errno.into() })?;
        Ok(Self { file: file.into(), unfinished, to: to.to_owned(), folder })
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Error of a failed write to the file.
    pub fn cannot_write(&self, source: io::Error) -> BackupError {
        BackupError::Write { path: self.to.clone(), source }
    }

    pub fn finish(self) -> Result<(), BackupError> {
        let cannot_write = |errno: Errno| self.cannot_write(errno.into());
        fsync(&self.file).map_err(cannot_write)?;
        match renameat_with(CWD, &self.unfinished, CWD, &self.to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(BackupError::Exists(self.to.clone())),
            // File systems such as network ones cannot rename without overwriting. That the name is free was checked
            // before.
            Err(Errno::INVAL | Errno::NOSYS) => {
                std::fs::rename(&self.unfinished, &self.to).map_err(|source| self.cannot_write(source))?;
            }
            Err(errno) => return Err(cannot_write(errno)),
        }
        let folder = open(&self.folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(cannot_write)?;
        fsync(&folder).map_err(cannot_write)
    }

    fn into_unnamed(self) -> Result<File, BackupError> {
        // Dropping `self` removes the name; the handle stays usable.
        self.file.try_clone().map_err(|source| self.cannot_write(source))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // If it cannot be removed, its name at least says that it is unfinished. A finished file has another name.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

async fn vacuum_into(connection: &mut SqliteConnection, new: &NewFile) -> Result<(), BackupError> {
    let not_utf8 = || new.cannot_write(io::Error::other("the name is not UTF-8"));
    let name = new.unfinished.to_str().ok_or_else(not_utf8)?;
    match sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if is_disk_full(&error) => {
            Err(new.cannot_write(io::Error::other("the disk is full; free up space, or write it to another disk")))
        }
        Err(source) => Err(BackupError::Copy { path: new.to.clone(), source }),
    }
}
