//! Opening a database, which one process has at a time, from here to its end: the others wait, or ask it
//! (`crate::control`). So nobody sees a database that is half made.

use super::connection::{begin_log, is_disk_full, is_of_damage, is_of_use, open_exclusive};
use super::{backup, migrations, rights};
use crate::lock::look_again;
use lakeshore_system::terminal::say;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, accessat, flock, openat};
use rustix::io::Errno;
use sqlx::migrate::MigrateError;
use sqlx::{Connection, Executor, SqliteConnection};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What a command may do to the database that it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Makes it where it is missing, and brings one of an older version up to date, of which it keeps a copy. For whoever
    /// has the data folder for themselves.
    Migrate,
    /// Makes it where it is missing; an older one belongs to a server that may be running.
    Make,
    /// Takes it as it is.
    Existing,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "no database at {path}; choose the data folder with --data-dir, or start \"lakeshore serve\", which creates it"
    )]
    Missing { path: String },
    #[error("cannot open the database {path}; check the permissions of its folder, and its disk")]
    Open { path: String, source: sqlx::Error },
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

/// The connection that writes, to a database of the newest version, which this process has for itself.
pub(super) async fn open(file: &Path, opening: Opening, _turn: &Turn) -> Result<SqliteConnection, OpenError> {
    let path = file.display().to_string();
    refuse_missing(file, opening)?;
    // Without a descriptor of its own: closing that would take SQLite's locks away, of this process.
    if is_there(file)
        && matches!(accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS), Err(Errno::ROFS | Errno::ACCESS))
    {
        return Err(OpenError::ReadOnly { path });
    }
    rights::close_to_others(file).map_err(|source| OpenError::Rights { path: path.clone(), source })?;
    let mut connection = open_exclusive(file).await.map_err(|source| OpenError::of(source, path.clone()))?;
    match prepare(&mut connection, file, opening).await {
        Ok(()) => Ok(connection),
        Err(error) => {
            // The next may open it as soon as this is told.
            let _ = connection.close().await;
            Err(error)
        }
    }
}

/// Where nothing may be made, something has to be there.
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
    // Looked at before anything is written to it.
    let found = migrations::version(connection).await.map_err(open_error)?;
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
    // Left by an earlier version that was killed: nothing reads it any more.
    let _ = std::fs::remove_file(beside(file, "-shm"));
    // What a stop, or a command whose sync failed, has left in the log is known to be readable, not to be on stable storage: it
    // is written anew. A full disk keeps nobody from opening the database.
    match connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await {
        Err(error) if !is_disk_full(&error) => return Err(open_error(error)),
        _ => {}
    }
    if !migrations::is_done(connection).await.map_err(open_error)? {
        migrations::run(connection).await.map_err(|source| OpenError::Migrate { path: path.clone(), source })?;
    }
    Ok(())
}

/// An empty file holds no database yet.
fn is_there(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| !found.is_file() || found.len() > 0)
}

/// Beside the database, under a name that says its version, and that nothing has yet.
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

/// What is locked by whoever has the database: beside it, with this after its name. It stays.
const OPENING: &str = "-opening";

/// Whoever holds it has the database alone. It ends with the process at the latest.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its lock")] OwnedFd);

impl Turn {
    /// Looks after which it is said what is waited for: some two seconds.
    const SAID_AFTER: u32 = 100;

    /// `None` while another process has the database.
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

    /// Waits until no other process has the database, however long that takes.
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
