//! Connections to the database file, and what their errors mean.

use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor, SqliteConnection};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One process has the database at a time, and its connections share the index of the log in memory of theirs. The default VFS
/// maps a file for that, beside the database: where a file system copies on write and is full, a write to the mapping
/// finds no block and ends the process (SIGBUS).
const VFS: &str = "unix-excl";
/// How long a connection waits for another process that has the database, or for another connection of this one, before it
/// gives up. A landing then tries again.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 64;
/// Rows that the connection's thread is ahead of whoever reads them.
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

/// In WAL mode, and durable.
pub(super) async fn open_writing(file: &Path) -> sqlx::Result<SqliteConnection> {
    let mut connection = open_exclusive(file).await?;
    begin_log(&mut connection).await?;
    Ok(connection)
}

/// The first connection of a process: from its first query on, no other process can open the database. Writes nothing by itself.
pub(super) async fn open_exclusive(file: &Path) -> sqlx::Result<SqliteConnection> {
    let options = options(file).synchronous(SqliteSynchronous::Full);
    // What a savepoint may have to undo is small. Checkpoints are the writer's, which looks at how they end.
    options.foreign_keys(true).pragma("temp_store", "MEMORY").pragma("wal_autocheckpoint", "0").connect().await
}

/// Writes go to the log from now on.
pub(super) async fn begin_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute("PRAGMA journal_mode = WAL").await.map(drop)
}

/// Beside a connection of [`open_exclusive`], which has to be there first: one that only reads locks nobody out.
pub(super) async fn open_reading(file: &Path) -> sqlx::Result<SqliteConnection> {
    options(file).read_only(true).connect().await
}

/// SQLite's primary result code, where the error is one of its own.
pub(super) fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

/// A failed query: a full disk is the client's business, everything else the operator's.
pub(super) fn fault(error: sqlx::Error) -> Error {
    note_damage(&error);
    match result_code(&error) {
        Some(SQLITE_FULL) => Error::DiskFull,
        // Another connection holds it for longer than it should.
        Some(SQLITE_BUSY) => Error::passing(error),
        // Only what is bounded is ever interrupted.
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

/// Whether an error at opening says that the file is no database, or a damaged one.
pub(super) fn is_of_damage(error: &sqlx::Error) -> bool {
    kind(result_code(error)) == FaultKind::DamagedDatabase
}

/// Whether an error at opening says that another process has the database.
pub(super) fn is_of_use(error: &sqlx::Error) -> bool {
    result_code(error) == Some(SQLITE_BUSY)
}

/// SQLite has found that the database is damaged. It stays so: a process has one database, until a backup takes its place.
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
