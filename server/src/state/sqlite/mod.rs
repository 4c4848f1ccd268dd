//! The state in one SQLite file: the embedded default.
//!
//! WAL mode, one writer that commits many requests in one transaction ([`writer`]), and readers that never wait for it
//! ([`readers`]). The queries stand beside the types that they fill: [`syncs`], [`batches`], [`uploads`], [`resumables`],
//! [`schemas`], [`trash`], [`keys`], [`datasets`], [`activity`], [`search`], [`identity`]; what counts beside them in [`counts`] and [`days`].

mod activity;
mod backup;
mod batches;
mod bounded;
mod content;
mod counts;
mod datasets;
mod days;
mod deed_log;
mod history;
mod idempotency;
mod identity;
mod inspection;
mod keys;
mod migrations;
mod query;
mod readers;
mod resumables;
mod rights;
mod row;
mod schemas;
mod search;
mod sessions;
mod syncs;
mod trash;
mod uploads;
mod writer;

pub use backup::{BackupError, backup};
pub use identity::{Evidence, KnownLake};

use crate::space::space_of;
use lakeshore::Error;
use lakeshore::ports::{Space, State};
use readers::Readers;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use writer::Writer;

/// How long a connection waits for another process (the `lakeshore key` commands) before it gives up.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 64;

#[derive(Clone)]
pub struct SqliteState {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database {path} (where it is damaged, put a backup in its place)")]
    Open { path: String, source: rusqlite::Error },
    #[error("cannot make sure that only its owner reads the database {path}")]
    Rights { path: String, source: io::Error },
    #[error(
        "the database {path} cannot be written to; look at the rights of the file and its folder, and whether its disk is mounted read-only"
    )]
    ReadOnly { path: String },
    #[error("cannot bring the database {path} up to date: {source}; it may be of a newer version of Lakeshore")]
    Migrate { path: String, source: rusqlite_migration::Error },
}

impl SqliteState {
    /// Opens the database, making it where it is missing, and brings its tables up to date.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        let path = file.display().to_string();
        let open_error = |source| OpenError::Open { path: path.clone(), source };
        rights::close_to_others(file).map_err(|source| OpenError::Rights { path: path.clone(), source })?;
        let mut connection = open_writing(file).map_err(open_error)?;
        if connection.is_readonly("main").map_err(open_error)? {
            return Err(OpenError::ReadOnly { path });
        }
        migrations::run(&mut connection).map_err(|source| OpenError::Migrate { path: path.clone(), source })?;
        let readers = Readers::open(file.to_owned()).map_err(open_error)?;
        Ok(Self { writer: Arc::new(Writer::new(connection)), readers: Arc::new(readers) })
    }

    /// A query has found it damaged.
    pub fn is_damaged(&self) -> bool {
        IS_DAMAGED.load(Ordering::Relaxed)
    }

    /// Closes the database. What comes later is refused.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl State for SqliteState {
    fn space(&self) -> Result<Space, Error> {
        let found =
            rustix::fs::statvfs(self.readers.file()).map_err(|errno| Error::internal(io::Error::from(errno)))?;
        Ok(space_of(&found))
    }
}

fn open_writing(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_MAX)?;
    // Before everything else: the mode is a property of the file, and changing it needs the file alone.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What a savepoint may have to undo is small.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

fn open_reading(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// A failed query: a full disk is the client's business, everything else the operator's.
fn fault(error: rusqlite::Error) -> Error {
    note_damage(&error);
    if is_disk_full(&error) { Error::DiskFull } else { Error::internal(error) }
}

/// SQLite has found that the database is damaged. It stays so: a process has one database, until a backup takes its place.
static IS_DAMAGED: AtomicBool = AtomicBool::new(false);

fn note_damage(error: &rusqlite::Error) {
    if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
        IS_DAMAGED.store(true, Ordering::Relaxed);
    }
}

fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
