//! Opening a database: one step, which one process does at a time. The others wait for it, so that nobody sees a database
//! that is half made.

use super::connection::{is_disk_full, is_of_damage, open_reading, open_writing};
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
        "there is no database at {path}; name the data folder with --data-dir, or start \"lakeshore serve\", which makes it"
    )]
    Missing { path: String },
    #[error("cannot open the database {path}; look at the rights of its folder, and at its disk")]
    Open { path: String, source: sqlx::Error },
    #[error(
        "the database {path} is damaged, or is none; restore a backup: put a copy made by \"lakeshore backup\" in its place, then run \"lakeshore check --repair\""
    )]
    Damaged { path: String, source: sqlx::Error },
    #[error(
        "the disk of the database {path} is full, and so is what was set aside for that: {source}; make space on it, then start the server again"
    )]
    DiskFull { path: String, source: Box<OpenError> },
    #[error("cannot make sure that only its owner reads the database {path}")]
    Rights { path: String, source: io::Error },
    #[error(
        "cannot lock the opening of the database {path}; look at the rights of its folder, and whether its disk is mounted read-only"
    )]
    Turn { path: String, source: io::Error },
    #[error(
        "the database {path} cannot be written to; look at the rights of the file and its folder, and whether its disk is mounted read-only"
    )]
    ReadOnly { path: String },
    #[error(
        "the database {path} is of version {found}, and this program works with version {newest}; \"lakeshore serve\" of this program brings it up to date, once the server of before has ended"
    )]
    Older { path: String, found: i64, newest: i64 },
    #[error(
        "the database {path} is of version {found}, and this program knows versions up to {newest} only; use the newer lakeshore that wrote it"
    )]
    Newer { path: String, found: i64, newest: i64 },
    #[error("cannot copy the database {path} before it is brought up to date; nothing was changed: {source}")]
    Copy { path: String, source: backup::BackupError },
    #[error("cannot bring the database {path} up to date")]
    Migrate { path: String, source: MigrateError },
    #[error("cannot read the database: {0}")]
    Readers(String),
}

impl OpenError {
    pub(super) fn of(source: sqlx::Error, path: String) -> Self {
        if is_of_damage(&source) { Self::Damaged { path, source } } else { Self::Open { path, source } }
    }
}

/// The connection that writes, to a database of the newest version.
pub(super) async fn open(file: &Path, opening: Opening) -> Result<SqliteConnection, OpenError> {
    let path = file.display().to_string();
    if opening == Opening::Existing && !is_there(file) {
        return Err(OpenError::Missing { path });
    }
    // Without a descriptor of its own: closing that would take SQLite's locks away, of this process.
    if is_there(file)
        && matches!(accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS), Err(Errno::ROFS | Errno::ACCESS))
    {
        return Err(OpenError::ReadOnly { path });
    }
    let _turn = Turn::wait(file).await.map_err(|source| OpenError::Turn { path: path.clone(), source })?;
    rights::close_to_others(file).map_err(|source| OpenError::Rights { path: path.clone(), source })?;
    let open_error = |source| OpenError::of(source, path.clone());
    let newest = migrations::newest();
    // Looked at before anything is written to it.
    let found = version(file).await.map_err(open_error)?;
    match opening {
        _ if found > newest => return Err(OpenError::Newer { path, found, newest }),
        Opening::Existing if found == 0 => return Err(OpenError::Missing { path }),
        Opening::Existing | Opening::Make if 0 < found && found < newest => {
            return Err(OpenError::Older { path, found, newest });
        }
        Opening::Migrate if 0 < found && found < newest => {
            let copy = copy_aside(file, found).await;
            let copy = copy.map_err(|source| OpenError::Copy { path: path.clone(), source })?;
            tracing::info!(copy = %copy.display(), found, newest, "the database is brought up to date; its copy stays");
        }
        _ => {}
    }
    let mut connection = open_writing(file).await.map_err(open_error)?;
    // What a stop, or a command whose sync failed, has left in the log is known to be readable, not to be on stable storage: it
    // is written anew. A full disk keeps nobody from opening the database.
    match connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await {
        Err(error) if !is_disk_full(&error) => return Err(open_error(error)),
        _ => {}
    }
    if !migrations::is_done(&mut connection).await.map_err(open_error)? {
        migrations::run(&mut connection).await.map_err(|source| OpenError::Migrate { path: path.clone(), source })?;
    }
    Ok(connection)
}

/// The version of a database, which nobody is making meanwhile; 0 where it holds nothing.
pub(super) async fn version(file: &Path) -> sqlx::Result<i64> {
    if !is_there(file) {
        return Ok(0);
    }
    let mut connection = open_reading(file).await?;
    let version = migrations::version(&mut connection).await;
    connection.close().await?;
    version
}

/// An empty file holds no database yet.
fn is_there(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| !found.is_file() || found.len() > 0)
}

/// Beside the database, under a name that says its version, and that nothing has yet.
async fn copy_aside(file: &Path, version: i64) -> Result<PathBuf, backup::BackupError> {
    for number in 1_u32.. {
        let suffix = if number == 1 { format!(".version-{version}") } else { format!(".version-{version}-{number}") };
        let copy = beside(file, &suffix);
        match backup::copy(file, &copy).await {
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

/// What is locked by whoever opens the database: beside it, with this after its name. It stays.
pub(super) const OPENING: &str = "-opening";

/// Whoever holds it opens the database alone. It ends with the process at the latest.
pub(super) struct Turn(#[allow(dead_code, reason = "held for its lock")] OwnedFd);

impl Turn {
    /// Looks after which it is said what is waited for: some two seconds.
    const SAID_AFTER: u32 = 100;

    pub(super) async fn wait(database: &Path) -> io::Result<Self> {
        let name = beside(database, OPENING);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(CWD, &name, flags, Mode::RUSR | Mode::WUSR)?;
        let lock = || flock(&file, FlockOperation::NonBlockingLockExclusive);
        let is_held = |locked: &Result<(), Errno>| matches!(locked, Err(Errno::WOULDBLOCK | Errno::INTR));
        let mut locked = look_again(Self::SAID_AFTER, lock, is_held).await;
        if is_held(&locked) {
            let name = name.display();
            say(&format!("waiting for another lakeshore that opens the database (it holds {name})"));
            locked = look_again(u32::MAX, lock, is_held).await;
        }
        locked?;
        Ok(Self(file))
    }
}
