//! Connections that only read. In WAL mode they never wait for the writer.

use super::bounded::Bound;
use super::{fault, open_reading};
use lakeshore::Error;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Lists that are read side by side; more wait. A list may visit many rows, and each holds a blocking thread.
const LISTS_MAX: usize = 4;
/// Searches by text that run side by side, beside the lists: they may visit every row.
const SEARCHES_MAX: usize = 2;
/// How long one of them may take.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections kept for later.
const IDLE_MAX: usize = 8;

pub(super) struct Readers {
    file: PathBuf,
    /// `None` when closed.
    idle: Mutex<Option<Vec<Connection>>>,
    lists: Arc<Semaphore>,
    searches: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(file: PathBuf) -> rusqlite::Result<Self> {
        let first = open_reading(&file)?;
        let (lists, searches) = (Arc::new(Semaphore::new(LISTS_MAX)), Arc::new(Semaphore::new(SEARCHES_MAX)));
        Ok(Self { file, idle: Mutex::new(Some(vec![first])), lists, searches })
    }

    /// Runs a query that finds its few rows by an index, where it is asked for: it takes some microseconds, less than
    /// handing it to another thread does.
    pub(super) fn look<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let connection = self.take()?;
        let result = query(&connection);
        if let Some(idle) = &mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner)
            && idle.len() < IDLE_MAX
        {
            idle.push(connection);
        }
        result
    }

    /// Runs a query that may visit many rows, where it may block.
    pub(super) async fn list<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.lists.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        let readers = self.clone();
        let list = move || {
            // It runs to its end also when nobody waits for it any more.
            let _turn = turn;
            readers.look(query)
        };
        tokio::task::spawn_blocking(list).await.map_err(Error::internal)?
    }

    /// The same, for a list that is filtered by a text, in a lane of its own. Ends when it takes too long, or when nobody
    /// waits for it any more.
    pub(super) async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.searches.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        let readers = self.clone();
        let (_waiting, bound) = Bound::new(SEARCH_TIME_MAX);
        let search = move || {
            let _turn = turn;
            readers.look(|connection| bound.run(connection, query))
        };
        tokio::task::spawn_blocking(search).await.map_err(Error::internal)?
    }

    /// In the lane that fits a list with or without a text.
    pub(super) async fn list_by<T: Send + 'static>(
        self: &Arc<Self>,
        text: Option<&str>,
        query: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match text {
            Some(_) => self.search(query).await,
            None => self.list(query).await,
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn close(&self) {
        self.lists.close();
        self.searches.close();
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn take(&self) -> Result<Connection, Error> {
        match &mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner) {
            None => return Err(Error::ShuttingDown),
            Some(idle) => {
                if let Some(connection) = idle.pop() {
                    return Ok(connection);
                }
            }
        }
        open_reading(&self.file).map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sqlite::SqliteState;

    fn count(connection: &Connection, rows: i64) -> Result<i64, Error> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n";
        connection.query_row(sql, [rows], |row| row.get(0)).map_err(fault)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn searches_without_end_delay_no_list_and_end_with_those_who_wait_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).unwrap();
        let readers = state.readers.clone();
        let endless = || {
            let readers = readers.clone();
            tokio::spawn(async move { readers.search(|connection| count(connection, 1 << 50)).await })
        };
        let searches: Vec<_> = (0..24).map(|_| endless()).collect();
        while readers.searches.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(readers.list(|connection| count(connection, 9)).await.unwrap(), 9);
        searches.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(readers.search(|connection| count(connection, 9)).await.unwrap(), 9);
    }
}
