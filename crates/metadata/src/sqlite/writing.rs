//! A transaction of the writer, for all jobs that arrived during the one before.
//!
//! A refused job leaves nothing behind. Most jobs refuse before they write, so nothing has to be undone; a job that is
//! alone rolls the transaction back. Only a job among several that writes gets a savepoint. Landings always refuse
//! before they write, and need none.
//!
//! After a failed sync, no transaction begins until [`Writing::make_safe`] has succeeded. A job whose commit may or may
//! not have happened gets an unsettled error.

use super::connection::{SQLITE_ERROR, fault, open_writing, result_code};
use super::deed_log;
use super::deferred::Deferred;
use super::folders;
use super::job::{Answer, Done, Durability, Effect, Job, JobOutcome};
use super::landing_facts::Known;
use super::landings;
use super::open::Turn;
use super::query::{Value, query, run};
use super::transaction_fault::Fault;
use super::versions::unversioned::{self, HasUnversioned, Unversioned};
use crate::audit;
use crate::lookups::CallerLookups;
use crate::transaction::{Counter, SyncLock, WriteTransaction};
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::ports::metadata::upload::LandingsId;
use lakeshore_system::failpoints::crash_point;
use sqlx::{Connection, Executor, Row as _, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

/// Commits between two checkpoints: some thousand pages of the log.
const CHECKPOINT_COMMITS: u32 = 64;

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
    deeds: Vec<AuditEntry>,
    /// Facts that the next group of landings need not read. Other writes invalidate them.
    pub(super) known: Known,
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
            deeds: Vec::new(),
            known: Known::default(),
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

    /// Runs all of `jobs` in one transaction.
    pub(super) async fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut ended = self.transact(jobs, &mut answers).await;
        match &ended {
            Ok(()) => std::mem::take(&mut self.deeds).iter().for_each(deed_log::log),
            Err(fault) => {
                match fault {
                    Fault::Busy(_) => tracing::warn!(%fault, "transaction failed; its callers may try again"),
                    _ => tracing::error!(%fault, "transaction failed"),
                }
                let was_committing = std::mem::take(&mut self.is_committing);
                self.take_back().await;
                if let Fault::Disk(cause) = fault {
                    self.is_safe = false;
                    let is_settled = self.make_safe().await.is_ok() || !was_committing;
                    ended = Err(if is_settled { Fault::Busy(cause.clone()) } else { Fault::Unsettled(cause.clone()) });
                }
            }
        }
        if std::mem::take(&mut self.changes_callers) {
            self.lookups.forget();
        }
        for answer in answers {
            answer(ended.clone());
        }
        self.commits += 1;
        if self.commits >= CHECKPOINT_COMMITS {
            self.checkpoint().await;
        }
    }

    /// Makes committed data durable after a failed sync. The kernel reports the failure once, and the next sync
    /// succeeds without the lost data (PostgreSQL found this in 2018). So the committed content of the log is written
    /// to the database file and synced there, and the log is emptied, also of a transaction whose commit failed. No
    /// other work begins before. On an error, the outcome of a power cut is unknown.
    async fn make_safe(&mut self) -> Result<(), Fault> {
        if self.is_lost {
            self.open_anew().await?;
        }
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await?;
        if checkpoint.try_get::<i64, _>(0)? != 0 {
            return Err(Fault::busy("a reader keeps the write-ahead log of the database from being truncated"));
        }
        self.commits = 0;
        self.is_safe = true;
        tracing::warn!("the database is consistent again: its write-ahead log was rewritten in full");
        Ok(())
    }

    /// Writes the log to the database file, as far as readers permit. SQLite's own checkpoints would not report a
    /// failed sync.
    async fn checkpoint(&mut self) {
        self.commits = 0;
        let checkpoint = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        if let Err(Fault::Disk(cause)) = checkpoint.map_err(Fault::from) {
            tracing::error!(%cause, "checkpoint failed");
            self.is_safe = false;
        }
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        let closed = self.connection.close().await;
        drop(self.turn);
        closed
    }

    async fn transact(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Fault> {
        let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Synced);
        let mut is_alone = jobs.len() == 1;
        self.is_lazy = jobs.iter().all(|job| job.effect == Effect::InPlace);
        let mut ended = self.begin(durability).await;
        let mut is_kept = false;
        for job in jobs {
            if ended.is_ok() && job.effect != Effect::InPlace {
                self.savepoint = Savepoint::Needless;
                match self.write_pending().await {
                    Ok(has_written) => {
                        is_kept |= has_written;
                        is_alone &= !has_written;
                    }
                    Err(error) => ended = Err(Fault::of(&error)),
                }
            }
            if ended.is_err() {
                answers.push(job.refuse);
                continue;
            }
            let changes_known = job.effect == Effect::Any;
            if changes_known {
                self.known.forget();
            }
            let needs_none = is_alone || job.effect == Effect::InPlace;
            self.savepoint = if needs_none { Savepoint::Needless } else { Savepoint::AtFirstWrite };
            let deeds = self.deeds.len();
            let Done { outcome, answer } = (job.work)(self).await;
            answers.push(answer);
            if changes_known {
                self.known.forget();
            }
            let has_savepoint = self.savepoint == Savepoint::There;
            ended = match outcome {
                JobOutcome::Failed(fault) => Err(fault),
                JobOutcome::Done => {
                    is_kept = true;
                    if has_savepoint { self.run("RELEASE job").await.map_err(Fault::from) } else { Ok(()) }
                }
                JobOutcome::Refused => {
                    self.deeds.truncate(deeds);
                    if has_savepoint { self.forget_job().await.map_err(Fault::from) } else { Ok(()) }
                }
            };
        }
        ended?;
        if is_kept {
            if self.unversioned.is_due() {
                self.savepoint = Savepoint::Needless;
                unversioned::write(self).await.map_err(|error| Fault::of(&error))?;
            }
            crash_point!("state.before_commit");
            self.is_committing = true;
            self.write_put_off().await.map_err(|error| Fault::of(&error))?;
            if self.is_begun {
                self.run("COMMIT").await?;
            }
            self.is_committing = false;
            self.unversioned.committed();
            self.deferred.remove(&std::mem::take(&mut self.finished));
            crash_point!("state.committed");
        } else if self.is_begun {
            // The rollback also undoes the writes of a single job that refused.
            self.finished.clear();
            self.run("ROLLBACK").await?;
        }
        self.is_begun = false;
        self.is_running = false;
        Ok(())
    }

    /// Writes the rows of deferred groups, and the versions of all landings. Returns whether there were any.
    async fn write_pending(&mut self) -> Result<bool, Error> {
        let groups = self.deferred.groups_without(&self.finished);
        for group in &groups {
            landings::finish_landings(self, group).await?;
        }
        Ok(unversioned::write(self).await? || !groups.is_empty())
    }

    async fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        if self.is_running {
            self.take_back().await;
        }
        self.is_running = true;
        if self.is_lost {
            self.open_anew().await?;
        }
        if !self.is_safe {
            // The transaction was rolled back, so none of these jobs was done.
            self.make_safe().await.map_err(|fault| Fault::busy(&fault.to_string()))?;
        }
        if self.synchronous != Some(durability) {
            let pragma = match durability {
                Durability::Written => "PRAGMA synchronous = NORMAL",
                Durability::Synced => "PRAGMA synchronous = FULL",
            };
            // Not by `run`: this pragma takes effect when it is prepared, so a cached statement does nothing.
            self.synchronous = None;
            self.connection.execute(pragma).await?;
            self.synchronous = Some(durability);
        }
        if !self.is_lazy {
            self.is_begun = true;
            self.run("BEGIN IMMEDIATE").await?;
        }
        Ok(())
    }

    async fn open_anew(&mut self) -> Result<(), Fault> {
        let mut anew = open_writing(&self.file).await?;
        landings::prepare(&mut anew).await?;
        let lost = std::mem::replace(&mut self.connection, anew);
        self.is_lost = false;
        self.synchronous = None;
        // The old connection may hold the lock of the transaction.
        let _ = lost.close().await;
        Ok(())
    }

    /// Rolls the transaction back.
    async fn take_back(&mut self) {
        self.deeds.clear();
        self.at_end.clear();
        self.known = Known::default();
        self.unversioned.forget();
        self.finished.clear();
        self.is_begun = false;
        self.is_running = false;
        // SQLite may have rolled back by itself; this error is then harmless.
        if let Err(error) = self.run("ROLLBACK").await {
            self.is_lost = result_code(&error) != Some(SQLITE_ERROR);
        }
    }

    /// Rolls back to the savepoint.
    async fn forget_job(&mut self) -> sqlx::Result<()> {
        self.run("ROLLBACK TO job").await?;
        self.run("RELEASE job").await
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

    async fn record(&mut self, deed: &AuditEntry) -> Result<(), Error> {
        audit::insert(self, std::slice::from_ref(deed)).await?;
        self.deeds.push(deed.clone());
        Ok(())
    }
}
