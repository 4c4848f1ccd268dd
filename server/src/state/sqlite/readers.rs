//! Connections that only read. In WAL mode they never wait for the writer.

use super::{fault, open_reading};
use lakeshore::Error;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Lists that are read side by side; more wait. A list may visit many rows, and each holds a blocking thread.
const LISTS_MAX: usize = 4;
/// Connections kept for later.
const IDLE_MAX: usize = 8;

pub(super) struct Readers {
    file: PathBuf,
    /// `None` when closed.
    idle: Mutex<Option<Vec<Connection>>>,
    lists: Semaphore,
}

impl Readers {
    pub(super) fn open(file: PathBuf) -> rusqlite::Result<Self> {
        let first = open_reading(&file)?;
        Ok(Self { file, idle: Mutex::new(Some(vec![first])), lists: Semaphore::new(LISTS_MAX) })
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
        let _turn = self.lists.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let readers = self.clone();
        tokio::task::spawn_blocking(move || readers.look(query)).await.map_err(Error::internal)?
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn close(&self) {
        self.lists.close();
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
