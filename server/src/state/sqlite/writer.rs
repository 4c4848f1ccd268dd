//! The one writer. Requests queue up; whoever comes first runs all that wait, in one transaction, commits once, and only
//! then answers them. So the cost of a durable commit is shared by everybody who came meanwhile.
//!
//! A job that refuses leaves nothing behind. Most refuse before they write, and then there is nothing to undo; one that is
//! alone takes the transaction back. Only where a job of several has written is there a savepoint before it.

use super::connection::{SQLITE_ERROR, fault, is_busy, is_disk_full, note_damage, open_writing, result_code};
use super::deed_log;
use super::landings::{self, Known};
use super::query::{Value, inserted, query};
use crate::crash::crash_point;
use lakeshore::Error;
use lakeshore::activity::Deed;
use sqlx::{Connection, Executor, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Requests in one transaction.
const BATCH_MAX: usize = 256;

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
enum Fault {
    #[error("the disk is full")]
    DiskFull,
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Other(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        note_damage(&error);
        match &error {
            full if is_disk_full(full) => Self::DiskFull,
            busy if is_busy(busy) => Self::Busy(busy.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            busy @ Fault::Busy(_) => Self::passing(busy),
            other @ Fault::Other(_) => Self::internal(other),
        }
    }
}

/// What the operator has to know of it.
fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

pub(super) type BoxFuture<'w, T> = Pin<Box<dyn Future<Output = T> + Send + 'w>>;

/// Runs in the transaction, and gives what is to be done when that has ended.
type Work = Box<dyn for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Done> + Send>;
type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

struct Job {
    durability: Durability,
    /// It is driven by the caller, and looks at tables that nobody but this process writes to: what it reads holds without a
    /// transaction too.
    is_in_place: bool,
    work: Work,
    /// For a job whose turn never came.
    refuse: Answer,
}

struct Done {
    outcome: Outcome,
    answer: Answer,
}

/// How a job has ended.
enum Outcome {
    Done,
    /// By a rule: nothing of it is kept, and the others go on.
    Refused,
    /// By the database, which may have taken the whole transaction back.
    Failed(Fault),
}

impl Outcome {
    fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Error::DiskFull) => Self::Failed(Fault::DiskFull),
            Err(fault) if fault.may_pass() => Self::Failed(Fault::Busy(cause(fault))),
            Err(fault @ Error::Internal(_)) => Self::Failed(Fault::Other(cause(fault))),
            Err(_) => Self::Refused,
        }
    }
}

pub(super) struct Writer {
    waiting: Mutex<Vec<Job>>,
    /// Held by whoever runs what waits. `None` when closed.
    open: tokio::sync::Mutex<Option<Writing>>,
    /// Runs what nobody drives to its end by themselves.
    runtime: Handle,
}

impl Writer {
    /// Call it in the runtime that is to do the work.
    pub(super) fn new(file: &Path, connection: SqliteConnection) -> Self {
        let open = tokio::sync::Mutex::new(Some(Writing::new(file.to_owned(), connection)));
        Self { waiting: Mutex::new(Vec::new()), open, runtime: Handle::current() }
    }

    /// Runs `work` in a transaction, and answers when it is committed. When it refuses, nothing of it is kept. It comes to
    /// its end also when nobody waits for it any more.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, false, work);
        let writer = self.clone();
        // Not awaited: somebody else may be committing this job already.
        self.runtime.spawn(async move { writer.run_all().await });
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    /// The same, driven by the caller, who has to go on to the end: for the steps of a landing, which have a thread of their
    /// own, see `serve.rs`.
    pub(super) async fn write_in_place<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, true, work);
        self.run_all().await;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    fn queue<T: Send + 'static>(
        &self,
        durability: Durability,
        is_in_place: bool,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Error>> {
        let (sender, receiver) = oneshot::channel();
        // Where nobody waits any more, the work is done all the same.
        let sender = Arc::new(Mutex::new(Some(sender)));
        let send = move |sender: &Mutex<Option<oneshot::Sender<_>>>, result| {
            if let Some(sender) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = sender.send(result);
            }
        };
        let refuse: Answer = Box::new({
            let sender = sender.clone();
            move |ended| {
                if let Err(fault) = ended {
                    send(&sender, Err(fault.into()));
                }
            }
        });
        let work: Work = Box::new(move |writing| {
            let running = work(writing);
            Box::pin(async move {
                let result = running.await;
                let outcome = Outcome::of(&result);
                let answer: Answer = Box::new(move |ended| {
                    send(&sender, ended.map_err(Error::from).and(result));
                });
                Done { outcome, answer }
            })
        });
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Job { durability, is_in_place, work, refuse });
        receiver
    }

    /// Commits until nothing waits, or somebody else is at it: they then commit this too.
    async fn run_all(&self) {
        while !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            // Looked at again after the lock is let go: what was queued while it was held would else wait for ever.
            let Ok(mut open) = self.open.try_lock() else { return };
            let jobs = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let count = waiting.len().min(BATCH_MAX);
                waiting.drain(..count).collect::<Vec<_>>()
            };
            match &mut *open {
                // Their senders hear that the server is shutting down.
                None => drop(jobs),
                Some(_) if jobs.is_empty() => {}
                Some(writing) => writing.commit(jobs).await,
            }
        }
    }

    /// Waits for the transaction that is running; what comes later is refused.
    pub(super) async fn close(&self) {
        self.run_all().await;
        if let Some(writing) = self.open.lock().await.take()
            && let Err(error) = writing.connection.close().await
        {
            tracing::warn!(%error, "closing the database");
        }
    }
}

/// The connection that writes, in a transaction. A job reads by it, and writes by [`super::query::changed`] and the like.
pub(super) struct Writing {
    file: PathBuf,
    connection: SqliteConnection,
    /// After a fault it is not certain what the connection is in the midst of: it is opened anew.
    is_lost: bool,
    /// What `PRAGMA synchronous` was set to last.
    synchronous: Option<Durability>,
    /// A transaction was begun and has not ended.
    is_begun: bool,
    /// The transaction begins with the first statement that writes; the job that is alone may do without, by
    /// [`Self::write_all`].
    is_lazy: bool,
    is_committed: bool,
    /// What is logged when the transaction is committed.
    deeds: Vec<Deed>,
    /// What the next group of landings need not read. Nothing of it outlives what is written by others.
    pub(super) known: Known,
    savepoint: Savepoint,
}

/// Whether what the running job writes can be undone by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    /// The job is alone: the whole transaction is taken back.
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
    fn new(file: PathBuf, connection: SqliteConnection) -> Self {
        Self {
            file,
            connection,
            is_lost: false,
            synchronous: None,
            is_begun: false,
            is_lazy: false,
            is_committed: false,
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
        }
        if self.savepoint == Savepoint::AtFirstWrite {
            self.run("SAVEPOINT job").await.map_err(fault)?;
            self.savepoint = Savepoint::There;
        }
        Ok(&mut self.connection)
    }

    /// Runs the statement that writes all that is left of a job. Of a job that is alone it is the transaction by itself, without
    /// the round trips of a beginning and a commit. The id of the row that was inserted last.
    pub(super) async fn write_all(&mut self, sql: &'static str, values: Vec<Value>) -> Result<i64, Error> {
        if !self.is_lazy || self.is_begun {
            return inserted(self, sql, values).await;
        }
        crash_point!("state.before_commit");
        let ran = query(sql, values).execute(&mut self.connection).await.map_err(fault)?;
        self.is_committed = true;
        Ok(ran.last_insert_rowid())
    }

    /// It is logged when the transaction is committed.
    pub(super) fn log(&mut self, deed: &Deed) {
        self.deeds.push(deed.clone());
    }

    /// One transaction for all of `jobs`.
    async fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let ended = self.transact(jobs, &mut answers).await;
        match &ended {
            Ok(()) => std::mem::take(&mut self.deeds).iter().for_each(deed_log::log),
            Err(fault) => {
                tracing::error!(%fault, "a transaction failed");
                self.take_back().await;
            }
        }
        for answer in answers {
            answer(ended.clone());
        }
    }

    async fn transact(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Fault> {
        let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Synced);
        let savepoint = if jobs.len() == 1 { Savepoint::Needless } else { Savepoint::AtFirstWrite };
        self.is_committed = false;
        self.is_lazy = matches!(jobs.as_slice(), [job] if job.is_in_place);
        let is_mixed = !jobs.iter().all(|job| job.is_in_place);
        if is_mixed {
            self.known.forget();
        }
        let mut ended = self.begin(durability).await;
        let mut is_kept = false;
        for job in jobs {
            if ended.is_err() {
                answers.push(job.refuse);
                continue;
            }
            self.savepoint = savepoint;
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
                    if has_savepoint {
                        self.run("ROLLBACK TO job; RELEASE job").await.map_err(Fault::from)
                    } else {
                        Ok(())
                    }
                }
            };
        }
        if is_mixed {
            self.known.forget();
        }
        ended?;
        if self.is_lazy && !self.is_begun {
            // Committed by its job, or nothing was written.
            if self.is_committed {
                crash_point!("state.committed");
            }
        } else if is_kept {
            crash_point!("state.before_commit");
            self.run("COMMIT").await?;
            crash_point!("state.committed");
        } else {
            // What a single job has written before it refused goes with the transaction.
            self.run("ROLLBACK").await?;
        }
        self.is_begun = false;
        Ok(())
    }

    async fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        if self.is_begun {
            // Whoever ran it was dropped amid it.
            self.take_back().await;
        }
        if self.is_lost {
            let mut anew = open_writing(&self.file).await?;
            landings::prepare(&mut anew).await?;
            let lost = std::mem::replace(&mut self.connection, anew);
            self.is_lost = false;
            self.synchronous = None;
            // It may still hold the lock of the transaction.
            let _ = lost.close().await;
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

    /// Nothing of the transaction is kept.
    async fn take_back(&mut self) {
        self.deeds.clear();
        self.known = Known::default();
        self.is_begun = false;
        // SQLite may have done so by itself: then this is an error, and of no consequence.
        if let Err(error) = self.run("ROLLBACK").await {
            self.is_lost = result_code(&error) != Some(SQLITE_ERROR);
        }
    }

    /// A statement without values.
    async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        // With arguments, if none, it stays prepared.
        sqlx::query(sql).execute(&mut self.connection).await.map(drop)
    }
}
