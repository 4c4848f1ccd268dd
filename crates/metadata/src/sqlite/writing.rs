//! The connection that writes, as the jobs of a transaction use it.
//!
//! It begins the transaction, and sets the savepoint of a job, before the first write that needs them. [`group_commit`]
//! runs the jobs.

mod group_commit;

use super::connection::fault;
use super::deferred::Deferred;
use super::folders;
use super::job::Durability;
use super::landing_facts::LandingFactsCache;
use super::landings;
use super::log_file;
use super::open::Turn;
use super::query::{Value, query, run};
use super::versions::unversioned::{HasUnversioned, Unversioned};
use crate::audit;
use crate::lookups::CallerLookups;
use crate::transaction::{Counter, SyncLock, WriteTransaction};
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::ports::metadata::upload::LandingsId;
use sqlx::{Connection, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

/// The connection that writes, within a transaction. A job reads by it, and writes by [`super::query::changed`] and
/// similar functions.
pub(crate) struct Writing {
    file: PathBuf,
    connection: SqliteConnection,
    lookups: Arc<CallerLookups>,
    /// Lock of the database; no other process has it until this is dropped.
    turn: Turn,
    /// Whether the transaction changes keys or sessions.
    changes_callers: bool,
    /// After a fault, the state of the connection is unknown: it is opened again.
    is_lost: bool,
    /// Last value of `PRAGMA synchronous`.
    synchronous: Option<Durability>,
    /// Whether all commits are durable, or will be with the next successful sync.
    is_safe: bool,
    /// Whether the transaction is being committed.
    is_committing: bool,
    /// Commits since the last checkpoint.
    commits: u32,
    /// Whether jobs are running. If no caller runs them, the one that did was dropped.
    is_running: bool,
    /// Whether a transaction has begun and not ended.
    is_begun: bool,
    /// Whether the transaction begins with the first statement that writes. All its jobs are in place, and may defer
    /// their writes by [`Self::write_at_end`].
    is_lazy: bool,
    at_end: Vec<Vec<Value>>,
    /// Audit entries to log after the commit.
    entries: Vec<AuditEntry>,
    /// Facts that the next group of landings need not read. Other writes invalidate them.
    pub(super) known: LandingFactsCache,
    pub(super) unversioned: Unversioned,
    pub(super) deferred: Deferred,
    /// Groups that this transaction finishes.
    pub(super) finished: Vec<LandingsId>,
    savepoint: Savepoint,
}

/// Whether the writes of the running job can be undone alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    /// Not needed: the job is alone, so the whole transaction is rolled back, or it refuses before it writes.
    Needless,
    /// Made before the first write of the job.
    AtFirstWrite,
    There,
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Writing {
    pub(super) fn new(file: PathBuf, connection: SqliteConnection, lookups: Arc<CallerLookups>, turn: Turn) -> Self {
        Self {
            unversioned: Unversioned::default(),
            deferred: Deferred::default(),
            finished: Vec::new(),
            file,
            connection,
            lookups,
            turn,
            changes_callers: false,
            is_lost: false,
            synchronous: None,
            is_safe: true,
            is_committing: false,
            commits: 0,
            is_running: false,
            is_begun: false,
            is_lazy: false,
            at_end: Vec::new(),
            entries: Vec::new(),
            known: LandingFactsCache::default(),
            savepoint: Savepoint::Needless,
        }
    }

    /// Returns the connection for a statement that writes; deferred writes are written first.
    pub(super) async fn ready_to_write(&mut self) -> Result<&mut SqliteConnection, Error> {
        if self.is_lazy && !self.is_begun {
            self.is_begun = true;
            self.run("BEGIN IMMEDIATE").await.map_err(fault)?;
        }
        self.write_put_off().await?;
        if self.savepoint == Savepoint::AtFirstWrite {
            self.run("SAVEPOINT job").await.map_err(fault)?;
            self.savepoint = Savepoint::There;
        }
        Ok(&mut self.connection)
    }

    /// Returns the connection for a statement that reads what was written before, deferred writes too.
    pub(super) async fn settled(&mut self) -> Result<&mut SqliteConnection, Error> {
        if self.at_end.is_empty() { Ok(&mut self.connection) } else { self.ready_to_write().await }
    }

    /// Writes a row of the view of [`landings`], the last write of a job. It may be deferred to the end of the
    /// transaction: the rows of all jobs then go into one statement, which is the whole transaction, without the round
    /// trips of BEGIN and COMMIT.
    pub(super) async fn write_at_end(&mut self, row: Vec<Value>) -> Result<(), Error> {
        self.at_end.push(row);
        if self.is_lazy {
            return Ok(());
        }
        self.ready_to_write().await?;
        self.write_put_off().await
    }

    async fn write_put_off(&mut self) -> Result<(), Error> {
        let rows = std::mem::take(&mut self.at_end);
        if !rows.is_empty() {
            let sql = landings::write_groups(rows.len());
            run(&mut self.connection, query(sql, rows.into_iter().flatten().collect())).await.map_err(fault)?;
        }
        Ok(())
    }

    /// Whether there are landed uploads without versions, for readers.
    pub(super) fn has_unversioned(&self) -> HasUnversioned {
        self.unversioned.exists().clone()
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        // SQLite writes the log to the database file as it closes the last connection.
        if !self.is_safe
            && let Err(error) = log_file::write_again(&self.file)
        {
            // Left open until the process ends: the next one has the log as it is.
            std::mem::forget(self.connection);
            return Err(sqlx::Error::Io(error));
        }
        let closed = self.connection.close().await;
        drop(self.turn);
        closed
    }

    /// Runs a single statement without values.
    async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        // With arguments, even none, the statement stays prepared.
        run(&mut self.connection, sqlx::query(sql)).await.map(drop)
    }
}

/// One writer runs all jobs, one after the other: nothing has to be locked, and the tables allocate the ids.
impl WriteTransaction for Writing {
    async fn lock(&mut self, _: Counter) -> Result<(), Error> {
        Ok(())
    }

    async fn lock_syncs(&mut self, _: Vec<i64>, _: SyncLock) -> Result<(), Error> {
        Ok(())
    }

    async fn lock_receiving(&mut self, _: SyncId) -> Result<(), Error> {
        Ok(())
    }

    async fn lock_starts(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn lock_all_syncs(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn new_ids(&mut self, _: Counter, _: usize) -> Result<Option<i64>, Error> {
        Ok(None)
    }

    fn change_callers(&mut self) {
        self.changes_callers = true;
    }

    async fn count_sync(&mut self, _: SyncId, _: SyncType, _: Option<Status>, _: Status) -> Result<(), Error> {
        // Triggers count.
        Ok(())
    }

    async fn folder_id(&mut self, path: &str) -> Result<i64, Error> {
        folders::folder_id(self, path).await
    }

    async fn record(&mut self, entry: &AuditEntry) -> Result<(), Error> {
        audit::insert(self, std::slice::from_ref(entry)).await?;
        self.entries.push(entry.clone());
        Ok(())
    }
}
