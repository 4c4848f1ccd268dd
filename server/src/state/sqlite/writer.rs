//! The one writer. Requests queue up; whoever comes first runs all that wait, each in a savepoint of one transaction,
//! commits once, and only then answers them. So the cost of a durable commit is shared by everybody who came meanwhile.

use super::{deed_log, is_disk_full, note_damage};
use crate::crash::crash_point;
use lakeshore::Error;
use rusqlite::Connection;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
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
    Other(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        note_damage(&error);
        if is_disk_full(&error) { Self::DiskFull } else { Self::Other(error.to_string()) }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DiskFull => Self::DiskFull,
            other @ Fault::Other(_) => Self::internal(other),
        }
    }
}

/// Runs in the transaction, and gives what is to be done when that has ended.
type Work = Box<dyn FnOnce(&Connection) -> Done + Send>;
type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

struct Job {
    durability: Durability,
    work: Work,
    /// For a job whose turn never came.
    refuse: Answer,
}

struct Done {
    /// Set when it refused: nothing of it is kept.
    refused: Option<Fault>,
    answer: Answer,
}

pub(super) struct Writer {
    waiting: Mutex<Vec<Job>>,
    /// Held by whoever runs what waits. `None` when closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    connection: Connection,
    /// What `PRAGMA synchronous` was set to last.
    synchronous: Option<Durability>,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        let open = Open { connection, synchronous: None };
        Self { waiting: Mutex::new(Vec::new()), open: Mutex::new(Some(open)) }
    }

    /// Runs `work` in a transaction, on a thread that may block, and answers when it is committed. When it refuses,
    /// nothing of it is kept.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, work);
        let writer = self.clone();
        // Not awaited: somebody else may be committing this job already.
        tokio::task::spawn_blocking(move || writer.run_all());
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    /// The same, on the caller's own thread, for the steps of a landing, which has a thread to block: see `serve.rs`.
    pub(super) async fn write_in_place<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, work);
        self.run_all();
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    fn queue<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
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
        let work: Work = Box::new(move |connection| {
            let result = work(connection);
            let refused = match &result {
                Ok(_) => None,
                Err(Error::DiskFull) => Some(Fault::DiskFull),
                Err(error) => Some(Fault::Other(error.to_string())),
            };
            let answer: Answer = Box::new(move |ended| {
                send(&sender, ended.map_err(Error::from).and(result));
            });
            Done { refused, answer }
        });
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Job { durability, work, refuse });
        receiver
    }

    /// Commits until nothing waits, or somebody else is at it: they then commit this too.
    fn run_all(&self) {
        while !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            // Looked at again after the lock is let go: what was queued while it was held would else wait for ever.
            let mut guard = match self.open.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            };
            let jobs = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let count = waiting.len().min(BATCH_MAX);
                waiting.drain(..count).collect::<Vec<_>>()
            };
            match &mut *guard {
                // Their senders hear that the server is shutting down.
                None => drop(jobs),
                Some(_) if jobs.is_empty() => {}
                Some(open) => open.commit(jobs),
            }
        }
    }

    /// Waits for the transaction that is running; what comes later is refused.
    pub(super) fn close(&self) {
        self.run_all();
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
            && let Err((_, error)) = open.connection.close()
        {
            tracing::warn!(%error, "closing the database");
        }
    }
}

impl Open {
    /// One transaction for all of `jobs`.
    fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let ended = self.transact(jobs, &mut answers);
        match &ended {
            Ok(()) => deed_log::flush(),
            Err(_) => deed_log::truncate(0),
        }
        if let Err(fault) = &ended {
            tracing::error!(%fault, "a transaction failed");
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        for answer in answers {
            answer(ended.clone());
        }
    }

    fn transact(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Fault> {
        let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Synced);
        let mut ended = self.begin(durability);
        for job in jobs {
            if ended.is_err() {
                answers.push(job.refuse);
                continue;
            }
            if let Err(error) = self.run("SAVEPOINT job") {
                ended = Err(error.into());
                answers.push(job.refuse);
                continue;
            }
            let deeds = deed_log::len();
            let Done { refused, answer } = (job.work)(&self.connection);
            if refused.is_some() {
                deed_log::truncate(deeds);
            }
            answers.push(answer);
            ended = match refused {
                // A fault such as a full disk may undo the whole transaction, not this job alone.
                Some(fault) if self.connection.is_autocommit() => Err(fault),
                Some(_) => self.run("ROLLBACK TO job").and_then(|()| self.run("RELEASE job")).map_err(Fault::from),
                None => self.run("RELEASE job").map_err(Fault::from),
            };
        }
        ended?;
        crash_point!("state.before_commit");
        self.run("COMMIT")?;
        crash_point!("state.committed");
        Ok(())
    }

    fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        if self.synchronous != Some(durability) {
            let pragma = match durability {
                Durability::Written => "NORMAL",
                Durability::Synced => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", pragma)?;
            self.synchronous = Some(durability);
        }
        self.run("BEGIN IMMEDIATE")?;
        Ok(())
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}
