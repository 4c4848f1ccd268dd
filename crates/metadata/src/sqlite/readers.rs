//! Connections that only read. In WAL mode they never wait for the writer, except for the rows of uploads that were
//! answered ([`super::deferred`]).

use super::bounded::Bounded;
use super::connection::{fault, open_reading};
use super::writer::Writer;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleResult};
use lakeshore::Error;
use sqlx::{Connection, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Index look-ups that run concurrently. More wait, for microseconds.
const LOOKS_MAX: usize = 8;
/// Lists that are read concurrently; more wait. A list may visit many rows.
const LISTS_MAX: usize = 4;
/// Text searches that run concurrently, beside the lists: each may visit every row.
const SEARCHES_MAX: usize = 2;
/// Time limit of a text search.
pub(super) const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Longest wait for the rows of answered uploads. A writer that takes longer has a failing disk, and reads go on.
const DEFERRED_WAIT_MAX: Duration = Duration::from_secs(2);

pub(super) struct Readers {
    file: PathBuf,
    writer: Arc<Writer>,
    looks: Pool<Looks>,
    lists: Pool<Lists>,
    searches: Pool<Lists>,
}

/// Opens connections for look-ups.
#[derive(Debug)]
struct Looks(PathBuf);

impl Manager for Looks {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<SqliteConnection> {
        open_reading(&self.0).await
    }

    async fn recycle(&self, _: &mut SqliteConnection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

/// Opens connections for lists.
#[derive(Debug)]
struct Lists(PathBuf);

impl Manager for Lists {
    type Type = Bounded;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<Bounded> {
        Bounded::open(&self.0).await
    }

    async fn recycle(&self, bounded: &mut Bounded, _: &Metrics) -> RecycleResult<sqlx::Error> {
        // Waits until an abandoned query has ended.
        Ok(bounded.connection.ping().await?)
    }
}

/// Connection for a query that finds a few rows by an index.
pub(crate) struct Look(Object<Looks>);

impl Deref for Look {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Look {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// Connection for a query that may visit many rows. Dropping it ends a running query soon.
pub(crate) struct List(Object<Lists>);

impl Deref for List {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0.connection
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }
}

impl Drop for List {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Readers {
    pub(super) fn new(file: &Path, writer: Arc<Writer>) -> Result<Self, Error> {
        let pool = |size_max| Pool::builder(Lists(file.to_owned())).max_size(size_max).build();
        Ok(Self {
            file: file.to_owned(),
            writer,
            looks: Pool::builder(Looks(file.to_owned())).max_size(LOOKS_MAX).build().map_err(Error::internal)?,
            lists: pool(LISTS_MAX).map_err(Error::internal)?,
            searches: pool(SEARCHES_MAX).map_err(Error::internal)?,
        })
    }

    /// Waits until the rows of all answered uploads are written, or cannot be.
    pub(super) async fn catch_up(&self) {
        if self.writer.has_deferred() {
            // The group stays deferred, and its writer gets the error too.
            let _ = tokio::time::timeout(DEFERRED_WAIT_MAX, self.writer.write_deferred()).await;
        }
    }

    pub(super) async fn look(&self) -> Result<Look, Error> {
        self.catch_up().await;
        self.looks.get().await.map(Look).map_err(not_given)
    }

    pub(super) async fn list(&self) -> Result<List, Error> {
        self.catch_up().await;
        let bounded = self.lists.get().await.map_err(not_given)?;
        bounded.begin(None);
        Ok(List(bounded))
    }

    /// Connection for a text search, from a pool of its own. The query ends when it takes too long.
    pub(super) async fn search(&self) -> Result<List, Error> {
        self.catch_up().await;
        let bounded = self.searches.get().await.map_err(not_given)?;
        bounded.begin(Some(SEARCH_TIME_MAX));
        Ok(List(bounded))
    }

    /// Connection from the pool for a list with or without a text.
    pub(super) async fn list_by(&self, text: Option<&str>) -> Result<List, Error> {
        match text {
            Some(_) => self.search().await,
            None => self.list().await,
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Refuses later queries. Running ones are completed.
    pub(super) fn close(&self) {
        self.looks.close();
        self.lists.close();
        self.searches.close();
    }
}

fn not_given(error: PoolError<sqlx::Error>) -> Error {
    match error {
        PoolError::Backend(error) => fault(error),
        PoolError::Closed => Error::ShuttingDown,
        other => Error::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use crate::sqlite::query::{fetch_optional, values};
    use sqlx::Row;

    async fn count(connection: &mut SqliteConnection, rows: i64) -> Result<i64, Error> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n";
        Ok(fetch_optional(connection, sql, values![rows], |row| row.try_get(0)).await?.unwrap())
    }

    const ENDLESS: i64 = 1 << 50;

    async fn opened() -> (Arc<Readers>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        (state.readers.clone(), folder)
    }

    #[tokio::test]
    async fn a_query_ends_at_its_time_or_with_whoever_waits_and_its_connection_goes_on() {
        let (readers, _folder) = opened().await;
        let bounded = readers.searches.get().await.unwrap();
        bounded.begin(Some(Duration::from_millis(10)));
        let mut search = List(bounded);
        assert!(matches!(count(&mut search, ENDLESS).await, Err(Error::SearchTooLong { .. })));
        drop(search);
        for _ in 0..2 * (LISTS_MAX + SEARCHES_MAX) {
            let mut list = readers.list().await.unwrap();
            assert!(tokio::time::timeout(Duration::from_millis(5), count(&mut list, ENDLESS)).await.is_err());
        }
        for mut list in [readers.list().await.unwrap(), readers.search().await.unwrap()] {
            assert_eq!(count(&mut list, 100_000).await.unwrap(), 100_000);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn searches_without_end_delay_no_list_and_end_with_those_who_wait_for_them() {
        let (readers, _folder) = opened().await;
        let endless = || {
            let readers = readers.clone();
            tokio::spawn(async move { count(&mut *readers.search().await?, ENDLESS).await })
        };
        let searches: Vec<_> = (0..24).map(|_| endless()).collect();
        while readers.searches.status().available > 0 || readers.searches.status().size < SEARCHES_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(count(&mut readers.list().await.unwrap(), 9).await.unwrap(), 9);
        searches.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(count(&mut readers.search().await.unwrap(), 9).await.unwrap(), 9);
    }
}
