//! The transaction of the writer, for all jobs that have come while the one before was running.
//!
//! A job that refuses leaves nothing behind. Most refuse before they write, and then there is nothing to undo; one that is
//! alone takes the transaction back. Only where a job of several has written is there a savepoint before it. Landings always
//! refuse before they write, and never need one.
//!
//! A failed sync is never gone on from: see [`Writing::make_safe`]. A job whose commit may or may not be there hears that.

use super::connection::{SQLITE_ERROR, fault, open_writing, result_code};
use super::deed_log;
use super::landings::{self, Known};
use super::lookups::CallerLookups;
use super::open::Turn;
use super::query::{Value, query, run};
use lakeshore::Error;
use lakeshore::model::audit::Deed;
use lakeshore::model::fault::FaultKind;
use lakeshore_system::crash::crash_point;
use sqlx::{AssertSqlSafe, Connection, Executor, Row as _, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// After so many commits, the log is written to the database file: some thousand pages of it.
const CHECKPOINT_COMMITS: u32 = 64;

/// What a commit promises. The pragma is `synchronous`, see the SQLite documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// Survives the end of the process, and is on stable storage with the next `Synced` commit.
    Written,
    /// Is on stable storage before the answer.
    Synced,
}

/// Why a transaction came to nothing; each of its jobs hears of it.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("the disk is full")]
    DiskFull,
    #[error("{0}")]
    Busy(Cause),
    /// A read, a write or a sync failed.
    #[error("{0}")]
    Disk(Cause),
    /// It is not known whether it was committed.
    #[error("{0}")]
    Unsettled(Cause),
    #[error("{0}")]
    Other(Cause),
}

/// What the operator has to know of a fault, and a caller.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(super) struct Cause {
    text: String,
    kind: FaultKind,
}

impl Fault {
    fn of(error: &Error) -> Self {
        let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        let kind = if let Error::Internal(fault) = error { fault.kind() } else { FaultKind::Unknown };
        let cause = Cause { text, kind };
        match error {
            Error::DiskFull => Self::DiskFull,
            busy if busy.may_pass() => Self::Busy(cause),
            _ if kind == FaultKind::FailingDisk => Self::Disk(cause),
            _ => Self::Other(cause),
        }
    }

    fn busy(text: &str) -> Self {
        Self::Busy(Cause { text: text.into(), kind: FaultKind::Unknown })
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&fault(error))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            Fault::Busy(cause) => Self::passing(cause.clone()).of_kind(cause.kind),
            Fault::Unsettled(cause) => Self::unsettled(cause),
            Fault::Disk(cause) | Fault::Other(cause) => Self::internal(cause.clone()).of_kind(cause.kind),
        }
    }
}

pub(super) type BoxFuture<'w, T> = Pin<Box<dyn Future<Output = T> + Send + 'w>>;

/// Runs in the transaction, and gives what is to be done when that has ended.
pub(super) type Work = Box<dyn for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Done> + Send>;
pub(super) type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

pub(super) struct Job {
    pub(super) durability: Durability,
    /// It is driven by the caller, and looks at tables that nobody but this process writes to: what it reads holds without a
    /// transaction too. It refuses before it writes.
    pub(super) is_in_place: bool,
    pub(super) work: Work,
    /// For a job whose turn never came.
    pub(super) refuse: Answer,
}

pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) answer: Answer,
}

/// How a job has ended.
pub(super) enum Outcome {
    Done,
    /// By a rule: nothing of it is kept, and the others go on.
    Refused,
    /// By the database, which may have taken the whole transaction back.
    Failed(Fault),
}

impl Outcome {
    pub(super) fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(fault @ (Error::DiskFull | Error::Internal(_))) => Self::Failed(Fault::of(fault)),
            Err(_) => Self::Refused,
        }
    }
}

/// The connection that writes, in a transaction. A job reads by it, and writes by [`super::query::changed`] and the like.
pub(super) struct Writing {
    file: PathBuf,
    connection: SqliteConnection,
    lookups: Arc<CallerLookups>,
    /// No other process has the database until this is dropped.
    turn: Turn,
    /// Keys or sessions are written.
    changes_callers: bool,
    /// After a fault it is not certain what the connection is in the midst of: it is opened anew.
    is_lost: bool,
    /// What `PRAGMA synchronous` was set to last.
    synchronous: Option<Durability>,
    /// All that is committed is on stable storage, or will be with the next sync that succeeds.
    is_safe: bool,
    /// The transaction is being committed.
    is_committing: bool,
    /// Commits since the last checkpoint.
    commits: u32,
    /// Jobs run that have not ended; where nobody runs them, whoever did was dropped.
    is_running: bool,
    /// A transaction was begun and has not ended.
    is_begun: bool,
    /// The transaction begins with the first statement that writes. All its jobs are in place, and may put off what they write,
    /// by [`Self::write_at_end`].
    is_lazy: bool,
    at_end: Vec<Vec<Value>>,
    /// What is logged when the transaction is committed.
    deeds: Vec<Deed>,
    /// What the next group of landings need not read. Nothing of it outlives what is written by others.
    pub(super) known: Known,
    savepoint: Savepoint,
}

/// Whether what the running job writes can be undone by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    /// The job is alone, and the whole transaction is taken back; or it refuses before it writes.
    Needless,
    /// There is one as soon as it writes.
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

    /// The connection, for a statement that writes.
    pub(super) async fn ready_to_write(&mut self) -> Result<&mut SqliteConnection, Error> {
        if self.is_lazy && !self.is_begun {
            self.is_begun = true;
            self.run("BEGIN IMMEDIATE").await.map_err(fault)?;
            self.write_put_off().await?;
        }
        if self.savepoint == Savepoint::AtFirstWrite {
            self.run("SAVEPOINT job").await.map_err(fault)?;
            self.savepoint = Savepoint::There;
        }
        Ok(&mut self.connection)
    }

    /// The connection, for a statement that reads what jobs before may have put off.
    pub(super) async fn settled(&mut self) -> Result<&mut SqliteConnection, Error> {
        if self.at_end.is_empty() { Ok(&mut self.connection) } else { self.ready_to_write().await }
    }

    /// Writes a row of the view of [`landings`], all that is left of a job. It may be put off to the end of the transaction: the
    /// rows of all its jobs go in one statement then, which is the transaction by itself, without the round trips of a
    /// beginning and a commit.
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
            let sql = AssertSqlSafe(landings::write_groups(rows.len()));
            run(&mut self.connection, query(sql, rows.into_iter().flatten().collect())).await.map_err(fault)?;
        }
        Ok(())
    }

    /// It is logged when the transaction is committed.
    pub(super) fn log(&mut self, deed: &Deed) {
        self.deeds.push(deed.clone());
    }

    /// What was looked up of keys and sessions holds until the transaction has ended.
    pub(super) fn change_callers(&mut self) {
        self.changes_callers = true;
    }

    /// One transaction for all of `jobs`.
    pub(super) async fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut ended = self.transact(jobs, &mut answers).await;
        match &ended {
            Ok(()) => std::mem::take(&mut self.deeds).iter().for_each(deed_log::log),
            Err(fault) => {
                tracing::error!(%fault, "transaction failed");
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

    /// After a failed sync: the kernel has told of it once, and the next sync succeeds without what this one could not write
    /// (as PostgreSQL found out in 2018). What the log holds of committed transactions is written anew, to the database file,
    /// and synced there; the log is emptied, also of a transaction whose commit failed. Only then does anything else
    /// begin. An error means that it is not known what a power cut would leave.
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

    /// Writes the log to the database file, as far as nobody reads it. Not left to SQLite, which tells nobody when a sync fails
    /// amid it.
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
        let is_alone = jobs.len() == 1;
        self.is_lazy = jobs.iter().all(|job| job.is_in_place);
        if !self.is_lazy {
            self.known.forget();
        }
        let mut ended = self.begin(durability).await;
        let mut is_kept = false;
        for job in jobs {
            if ended.is_err() {
                answers.push(job.refuse);
                continue;
            }
            let needs_none = is_alone || job.is_in_place;
            self.savepoint = if needs_none { Savepoint::Needless } else { Savepoint::AtFirstWrite };
            let deeds = self.deeds.len();
            let Done { outcome, answer } = (job.work)(self).await;
            answers.push(answer);
            let has_savepoint = self.savepoint == Savepoint::There;
            ended = match outcome {
                Outcome::Failed(fault) => Err(fault),
                Outcome::Done => {
                    is_kept = true;
                    if has_savepoint { self.run("RELEASE job").await.map_err(Fault::from) } else { Ok(()) }
                }
                Outcome::Refused => {
                    self.deeds.truncate(deeds);
                    if has_savepoint { self.forget_job().await.map_err(Fault::from) } else { Ok(()) }
                }
            };
        }
        if !self.is_lazy {
            self.known.forget();
        }
        ended?;
        if is_kept {
            crash_point!("state.before_commit");
            self.is_committing = true;
            self.write_put_off().await.map_err(|error| Fault::of(&error))?;
            if self.is_begun {
                self.run("COMMIT").await?;
            }
            self.is_committing = false;
            crash_point!("state.committed");
        } else if self.is_begun {
            // What a single job has written before it refused goes with the transaction.
            self.run("ROLLBACK").await?;
        }
        self.is_begun = false;
        self.is_running = false;
        Ok(())
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
            // Nothing of these jobs was done.
            self.make_safe().await.map_err(|fault| Fault::busy(&fault.to_string()))?;
        }
        if self.synchronous != Some(durability) {
            let pragma = match durability {
                Durability::Written => "PRAGMA synchronous = NORMAL",
                Durability::Synced => "PRAGMA synchronous = FULL",
            };
            // Not by `run`: this pragma acts when it is prepared, and one that stays prepared does nothing.
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
        // It may still hold the lock of the transaction.
        let _ = lost.close().await;
        Ok(())
    }

    /// Nothing of the transaction is kept.
    async fn take_back(&mut self) {
        self.deeds.clear();
        self.at_end.clear();
        self.known = Known::default();
        self.is_begun = false;
        self.is_running = false;
        // SQLite may have done so by itself: then this is an error, and of no consequence.
        if let Err(error) = self.run("ROLLBACK").await {
            self.is_lost = result_code(&error) != Some(SQLITE_ERROR);
        }
    }

    /// Takes back to the savepoint.
    async fn forget_job(&mut self) -> sqlx::Result<()> {
        self.run("ROLLBACK TO job").await?;
        self.run("RELEASE job").await
    }

    /// A single statement without values.
    async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        // With arguments, if none, it stays prepared.
        run(&mut self.connection, sqlx::query(sql)).await.map(drop)
    }
}
