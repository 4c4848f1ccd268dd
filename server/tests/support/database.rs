//! Database of a server, read and changed by SQL.

#![allow(dead_code, reason = "each suite uses a part of this file")]

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, SqliteConnection};
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

pub fn in_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("lakeshore.db")
}

/// Ends the test where there is no file: each test has a process of its own.
fn skip_on_postgres() {
    if crate::server::metadata::is_postgres() {
        crate::server::skip("it looks into the file of SQLite");
    }
}

/// Connection to the database of a stopped server: while one runs, no other process can open it. Must be closed before
/// the next start.
pub struct Database(Mutex<SqliteConnection>);

impl Database {
    /// Database of a data folder.
    pub async fn of(data_dir: &Path) -> Self {
        Self::open(&in_folder(data_dir)).await
    }

    /// Copy of the database of a running server.
    pub async fn copy_of(data_dir: &Path) -> Self {
        skip_on_postgres();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.db");
        let (data_dir, to) = (data_dir.to_owned(), copy.clone());
        let copied = tokio::task::spawn_blocking(move || {
            crate::server::lakeshore(&["backup", to.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()])
        });
        let copied = copied.await.unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        // The open file needs no name.
        Self::open(&copy).await
    }

    /// Creates the file if it is missing.
    pub async fn open(file: &Path) -> Self {
        skip_on_postgres();
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        Self(Mutex::new(options.disable_statement_logging().connect().await.unwrap()))
    }

    /// Runs statements, and returns the number of changed rows.
    pub async fn execute(&self, sql: impl Into<String>) -> u64 {
        let mut connection = self.0.lock().await;
        sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut *connection).await.unwrap().rows_affected()
    }

    /// Rows of a query, as tuples.
    pub async fn rows<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin>(&self, sql: impl Into<String>) -> Vec<T> {
        let mut connection = self.0.lock().await;
        sqlx::query_as(AssertSqlSafe(sql.into())).fetch_all(&mut *connection).await.unwrap()
    }

    /// First value of the first row.
    pub async fn value<T: Send + Unpin>(&self, sql: impl Into<String>) -> T
    where
        (T,): for<'r> FromRow<'r, SqliteRow>,
    {
        self.rows::<(T,)>(sql).await.into_iter().next().unwrap().0
    }

    pub async fn close(self) {
        self.0.into_inner().close().await.unwrap();
    }
}
