//! Connections to the database file, and the meaning of their errors.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor, SqliteConnection};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// VFS with the index of the log in memory, for databases of one process. The default VFS maps a file for the index: on
/// a full file system that copies on write, a write to the mapping finds no block and ends the process (SIGBUS).
const VFS: &str = "unix-excl";
/// Time that a connection waits for another process, or for another connection of this one, before it fails. A landing
/// then tries again.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Prepared statements kept by a connection.
const STATEMENTS_KEPT: usize = 64;
/// Rows that the connection's thread reads ahead of their consumer.
const ROWS_AHEAD: usize = 256;

// Primary result codes (SQLite, "Result and Error Codes").
pub(super) const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_READONLY: i32 = 8;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOTADB: i32 = 26;

fn options(file: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(file).vfs(VFS).create_if_missing(false).busy_timeout(BUSY_MAX);
    options.statement_cache_capacity(STATEMENTS_KEPT).row_buffer_size(ROWS_AHEAD).disable_statement_logging()
}

/// Opens a connection that writes durably, in WAL mode.
pub(crate) async fn open_writing(file: &Path) -> sqlx::Result<SqliteConnection> {
    let mut connection = open_exclusive(file).await?;
    begin_log(&mut connection).await?;
    Ok(connection)
}

/// Opens the first connection of a process. From its first query on, no other process can open the database. Writes
/// nothing by itself.
pub(super) async fn open_exclusive(file: &Path) -> sqlx::Result<SqliteConnection> {
    let options = options(file).synchronous(SqliteSynchronous::Full);
    // Savepoints undo little, so temporary data stays in memory. The writer runs the checkpoints, since it checks their
    // result.
    options.foreign_keys(true).pragma("temp_store", "MEMORY").pragma("wal_autocheckpoint", "0").connect().await
}

/// Switches to WAL mode.
pub(super) async fn begin_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute("PRAGMA journal_mode = WAL").await.map(drop)
}

/// Opens a connection that reads. One of [`open_exclusive`] has to be open, since a reader alone locks out nobody.
pub(super) async fn open_reading(file: &Path) -> sqlx::Result<SqliteConnection> {
    options(file).read_only(true).connect().await
}

/// SQLite's primary result code, if the error comes from SQLite.
pub(super) fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

/// Error of a failed query. A full disk is reported to the client, other faults to the operator.
pub(super) fn fault(error: sqlx::Error) -> Error {
    note_damage(&error);
    match result_code(&error) {
        Some(SQLITE_FULL) => Error::DiskFull,
        // Another connection holds the lock for longer than it should.
        Some(SQLITE_BUSY) => Error::transient(error),
        // Only bounded queries are ever interrupted.
        Some(SQLITE_INTERRUPT) => Error::SearchTooLong { max: super::readers::SEARCH_TIME_MAX },
        code => Error::internal(error).of_kind(kind(code)),
    }
}

fn kind(code: Option<i32>) -> FaultKind {
    match code {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => FaultKind::DamagedDatabase,
        Some(SQLITE_READONLY) => FaultKind::ReadOnlyDisk,
        Some(SQLITE_IOERR) => FaultKind::FailingDisk,
        _ => FaultKind::Unknown,
    }
}

/// Whether an error at opening means that the file is damaged or not a database.
pub(super) fn is_of_damage(error: &sqlx::Error) -> bool {
    kind(result_code(error)) == FaultKind::DamagedDatabase
}

/// Whether an error at opening means that another process has the database.
pub(super) fn is_of_use(error: &sqlx::Error) -> bool {
    result_code(error) == Some(SQLITE_BUSY)
}

/// SQLite has found damage. This stays true: a process has one database, until a backup replaces it.
static IS_DAMAGED: AtomicBool = AtomicBool::new(false);

pub(super) fn is_damaged() -> bool {
    IS_DAMAGED.load(Ordering::Relaxed)
}

fn note_damage(error: &sqlx::Error) {
    if is_of_damage(error) {
        IS_DAMAGED.store(true, Ordering::Relaxed);
    }
}

pub(super) fn is_disk_full(error: &sqlx::Error) -> bool {
    result_code(error) == Some(SQLITE_FULL)
}
