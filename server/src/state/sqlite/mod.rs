//! The state in one SQLite file: the embedded default.
//!
//! WAL mode, one writer that commits many requests in one transaction ([`writer`]), and pooled readers that never wait
//! for it. The queries stand beside the types that they fill: [`syncs`], [`uploads`], [`trash`], [`keys`].

mod keys;
mod row;
mod syncs;
mod trash;
mod uploads;
mod writer;

use lakeshore::Error;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::time::Duration;
use writer::Writer;

/// How long a connection waits for another process (the `lakeshore key` commands) before it gives up.
const BUSY_MAX: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

#[derive(Clone)]
pub struct SqliteState {
    writer: Writer,
    readers: SqlitePool,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database {path}: {source}")]
    Open { path: String, source: sqlx::Error },
    #[error("cannot bring the database {path} up to date: {source}; it may be of a newer version of Lakeshore")]
    Migrate { path: String, source: sqlx::migrate::MigrateError },
}

impl SqliteState {
    /// Opens the database, making it where it is missing, and brings its tables up to date.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let path = file.display().to_string();
        let open_error = |source| OpenError::Open { path: path.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(BUSY_MAX)
            // Before everything else: the mode is a property of the file, and changing it needs the file alone.
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let writer_pool =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(open_error)?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writer_pool)
            .await
            .map_err(|source| OpenError::Migrate { path: path.clone(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(open_error)?;
        let connection = writer_pool.acquire().await.map_err(open_error)?.detach();
        Ok(Self { writer: Writer::start(connection), readers })
    }

    /// Commits what waits, and closes the database.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    /// Can the database be read?
    pub async fn check(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.readers).await.map_err(fault)?;
        Ok(())
    }
}

/// A failed query: a full disk is the client's business, everything else the operator's.
fn fault(error: sqlx::Error) -> Error {
    if is_disk_full(&error) { Error::DiskFull } else { Error::internal(error) }
}

fn is_disk_full(error: &sqlx::Error) -> bool {
    // SQLITE_FULL
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("13"))
}
