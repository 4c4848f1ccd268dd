//! Opens a database, and holds it for one process until it is closed: others wait, or ask that process
//! (`crate::control`). So no process sees a half-made database.

use super::connection::{begin_log, is_disk_full, is_of_damage, is_of_use, open_exclusive};
use super::{backup, log_file, migrations, rights};
use crate::lock::look_again;
use crate::store::Opening;
use lakeshore_system::terminal::say;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, accessat, flock, openat};
use rustix::io::Errno;
use sqlx::migrate::MigrateError;
use sqlx::{Connection, Executor, SqliteConnection};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "no database at {path}; choose the data folder with --data-dir, or start \"lakeshore serve\", which creates it"
    )]
    Missing { path: String },
    #[error("cannot open the database {path}; check the permissions of its folder, and its disk")]
    Open { path: String, source: sqlx::Error },
    #[error("cannot write the log of the database {path} again; check its disk")]
    Log { path: String, source: io::Error },
    #[error(
        "another program has opened the database {path}, such as a sqlite3 shell or an earlier version of Lakeshore; stop it, then try again"
    )]
    InUse { path: String },
    #[error(
        "the database {path} is damaged or not a database; restore a backup: replace it with a copy made by \"lakeshore backup\", then run \"lakeshore check --repair\""
    )]
    Damaged { path: String, source: sqlx::Error },
    #[error(
        "the disk of the database {path} is full, and its reserve is used up: {source}; free up space, then start the server again"
    )]
    DiskFull { path: String, source: Box<OpenError> },
    #[error("cannot restrict the database {path} to its owner")]
    Rights { path: String, source: io::Error },
    #[error("cannot lock the database {path}; check the permissions of its folder, and whether its disk is read-only")]
    Turn { path: String, source: io::Error },
    #[error(
        "cannot write to the database {path}; check the permissions of the file and its folder, and whether its disk is read-only"
    )]
    ReadOnly { path: String },
    #[error(
        "the database {path} has version {found}, and this program needs version {newest}; stop the old server, then start \"lakeshore serve\" of this program, which migrates it"
    )]
    Older { path: String, found: i64, newest: i64 },
    #[error(
        "the database {path} has version {found}, and this program supports versions up to {newest}; use the newer Lakeshore that wrote it"
    )]
    Newer { path: String, found: i64, newest: i64 },
    #[error("cannot copy the database {path} before its migration; nothing was changed: {source}")]
    Copy { path: String, source: backup::BackupError },
    #[error("cannot migrate the database {path}")]
    Migrate { path: String, source: MigrateError },
    #[error("cannot make versions from the history of the database {path}")]
    Versions { path: String, source: Box<lakeshore::Error> },
    #[error("cannot read the database: {0}")]
    Readers(String),
}

impl OpenError {
    pub(super) fn of(source: sqlx::Error, path: String) -> Self {
        match source {
            source if is_of_damage(&source) => Self::Damaged { path, source },
            source if is_of_use(&source) => Self::InUse { path },
            source => Self::Open { path, source },
        }
    }
}

/// Opens the connection that writes, to a database of the newest version that this process has for itself.
pub(super) async fn open(file: &Path, opening: Opening, _turn: &Turn) -> Result<SqliteConnection, OpenError> {
    let path = file.display().to_string();
    refuse_missing(file, opening)?;
    // Checked without opening the file: closing a descriptor of it would release SQLite's locks of this process.
    if is_there(file)
        && matches!(accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS), Err(Errno::ROFS | Errno::ACCESS))
    {
        return Err(OpenError::ReadOnly { path });
    }
    rights::close_to_others(file).map_err(|source| OpenError::Rights { path: path.clone(), source })?;
    let mut connection = open_exclusive(file).await.map_err(|source| OpenError::of(source, path.clone()))?;
    match prepare(&mut connection, file, opening).await {
        Ok(()) => Ok(connection),
        // Left open until the process ends: closing it would write the log, which may not be durable, to the database file.
        Err(error @ OpenError::Log { .. }) => {
            std::mem::forget(connection);
            Err(error)
        }
        Err(error) => {
            // Closed before the error is returned, so that the next process can open the database at once.
            let _ = connection.close().await;
            Err(error)
        }
    }
}

/// Refuses a missing database where none may be created.
pub fn refuse_missing(file: &Path, opening: Opening) -> Result<(), OpenError> {
    match opening {
        Opening::Existing if !is_there(file) => Err(OpenError::Missing { path: file.display().to_string() }),
        _ => Ok(()),
    }
}

async fn prepare(connection: &mut SqliteConnection, file: &Path, opening: Opening) -> Result<(), OpenError> {
    let path = file.display().to_string();
    let open_error = |source| OpenError::of(source, path.clone());
    let newest = migrations::newest();
    // Read before anything is written.
    let found = migrations::version(connection).await.map_err(open_error)?;
    // A stop, or a command whose sync failed, may leave frames in the log that are readable but not durable. The same bytes
    // are written: also a database of another version is left as it was.
    let is_durable = match log_file::write_again(file) {
        Ok(()) => true,
        // In a file system that copies on write. A full disk does not prevent an opening.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => false,
        Err(source) => return Err(OpenError::Log { path, source }),
    };
    match opening {
        _ if found > newest => return Err(OpenError::Newer { path, found, newest }),
        Opening::Existing if found == 0 => return Err(OpenError::Missing { path }),
        Opening::Existing | Opening::Make if 0 < found && found < newest => {
            return Err(OpenError::Older { path, found, newest });
        }
        Opening::Migrate if 0 < found && found < newest => {
            let copy = copy_aside(connection, file, found).await;
            let copy = copy.map_err(|source| OpenError::Copy { path: path.clone(), source })?;
            tracing::info!(copy = %copy.display(), found, newest, "migrating the database; a copy of the old one is kept");
        }
        _ => {}
    }
    begin_log(connection).await.map_err(open_error)?;
    // Leftover of an earlier version that was killed; nothing reads it any more.
    let _ = std::fs::remove_file(beside(file, "-shm"));
    if is_durable {
        // A full disk does not prevent an opening.
        match connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await {
            Err(error) if !is_disk_full(&error) => return Err(open_error(error)),
            _ => {}
        }
    }
    if !migrations::is_done(connection).await.map_err(open_error)? {
        migrations::run(connection).await.map_err(|source| OpenError::Migrate { path: path.clone(), source })?;
    }
    Ok(())
}

/// Whether the file holds anything; an empty file holds no database yet.
fn is_there(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| !found.is_file() || found.len() > 0)
}

/// Copies the database beside itself, under an unused name with its version.
async fn copy_aside(
    connection: &mut SqliteConnection,
    file: &Path,
    version: i64,
) -> Result<PathBuf, backup::BackupError> {
    for number in 1_u32.. {
        let suffix = if number == 1 { format!(".version-{version}") } else { format!(".version-{version}-{number}") };
        let copy = beside(file, &suffix);
        match backup::copy(connection, &copy).await {
            Err(backup::BackupError::Exists(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(copy),
        }
    }
    Err(backup::BackupError::NoFileName(file.to_owned()))
}

pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

/// Suffix of the lock file beside the database. The file stays.
const OPENING: &str = "-opening";

/// The lock of the process that has the database. It is released when the process ends at the latest.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its lock")] OwnedFd);

impl Turn {
    /// Attempts, over about two seconds, before the wait is reported.
    const SAID_AFTER: u32 = 100;

    /// Takes the lock; `None` while another process has it.
    pub fn attempt(database: &Path) -> Result<Option<Self>, OpenError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let attempt = || {
            let file = openat(CWD, beside(database, OPENING), flags, Mode::RUSR | Mode::WUSR)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(Self(file))),
                Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
                Err(errno) => Err(errno),
            }
        };
        attempt().map_err(|errno: Errno| OpenError::Turn { path: database.display().to_string(), source: errno.into() })
    }

    /// Waits for the lock, however long another process has the database.
    pub async fn wait(database: &Path) -> Result<Self, OpenError> {
        let is_held = |attempt: &Result<Option<Self>, _>| matches!(attempt, Ok(None));
        let mut attempt = look_again(Self::SAID_AFTER, || Self::attempt(database), is_held).await;
        if is_held(&attempt) {
            Self::say_waiting(database);
            attempt = look_again(u32::MAX, || Self::attempt(database), is_held).await;
        }
        attempt?.ok_or_else(|| OpenError::InUse { path: database.display().to_string() })
    }

    pub fn say_waiting(database: &Path) {
        let name = beside(database, OPENING);
        say(&format!("waiting for another lakeshore process that has the database open (it holds {})", name.display()));
    }
}
