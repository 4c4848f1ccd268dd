//! The one writer. Requests queue up; it takes all that wait, runs each in a savepoint of one transaction, commits once,
//! and only then answers them. So the cost of a durable commit is shared by everybody who came meanwhile.

use super::is_disk_full;
use crate::crash::crash_point;
use futures_util::future::BoxFuture;
use lakeshore::Error;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait; more wait in their senders.
const QUEUE_MAX: usize = 1024;
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

/// What a job's sender is told: nothing, when the commit went well, or the fault that undid it.
type Answer = Box<dyn FnOnce(Option<Error>) + Send>;
type Work = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Done> + Send>;

struct Job {
    durability: Durability,
    work: Work,
}

struct Done {
    refused: bool,
    answer: Answer,
}

enum Message {
    Job(Job),
    Close(oneshot::Sender<()>),
}

#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(connection, receiver));
        Self(sender)
    }

    /// Runs `work` in a transaction and answers when it is committed. When it refuses, nothing of it is kept.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            Box::pin(async move {
                let result = work(connection).await;
                let refused = result.is_err();
                let answer: Answer = Box::new(move |fault| {
                    // Where nobody waits any more, the work is done all the same.
                    let _ = sender.send(fault.map_or(result, Err));
                });
                Done { refused, answer }
            })
        });
        self.0.send(Message::Job(Job { durability, work })).await.map_err(|_| Error::ShuttingDown)?;
        // Dropped without an answer: the transaction failed before this job's turn, which has been logged.
        receiver.await.map_err(Error::internal)?
    }

    pub(super) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(Message::Close(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

async fn run(mut connection: SqliteConnection, mut receiver: mpsc::Receiver<Message>) {
    let mut synchronous = None;
    let mut messages = Vec::with_capacity(BATCH_MAX);
    while receiver.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let mut jobs = Vec::with_capacity(messages.len());
        let mut closing = None;
        for message in messages.drain(..) {
            match message {
                Message::Job(job) => jobs.push(job),
                Message::Close(done) => closing = Some(done),
            }
        }
        if !jobs.is_empty() {
            commit(&mut connection, jobs, &mut synchronous).await;
        }
        if let Some(done) = closing {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "closing the database");
            }
            let _ = done.send(());
            return;
        }
    }
}

/// One transaction for all of `jobs`. A job that could not even run hears that its sender was dropped: see [`Writer::write`].
async fn commit(connection: &mut SqliteConnection, jobs: Vec<Job>, synchronous: &mut Option<Durability>) {
    let mut answers = Vec::with_capacity(jobs.len());
    let result = transact(connection, jobs, synchronous, &mut answers).await;
    if let Err(error) = &result {
        tracing::error!(%error, "a transaction failed");
        // The fault may have ended it already; then there is nothing to roll back.
        let _ = sqlx::query("ROLLBACK").execute(connection).await;
    }
    for answer in answers {
        answer(match &result {
            Ok(()) => None,
            Err(error) if is_disk_full(error) => Some(Error::DiskFull),
            // One fault, told to each: sqlx's errors cannot be cloned.
            Err(error) => Some(Error::internal(std::io::Error::other(error.to_string()))),
        });
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    jobs: Vec<Job>,
    synchronous: &mut Option<Durability>,
    answers: &mut Vec<Answer>,
) -> Result<(), sqlx::Error> {
    let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Synced);
    begin(connection, durability, synchronous).await?;
    for job in jobs {
        sqlx::query("SAVEPOINT job").execute(&mut *connection).await?;
        let Done { refused, answer } = (job.work)(connection).await;
        answers.push(answer);
        if refused {
            sqlx::query("ROLLBACK TO job").execute(&mut *connection).await?;
        }
        sqlx::query("RELEASE job").execute(&mut *connection).await?;
    }
    crash_point!("state.before_commit");
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    crash_point!("state.committed");
    Ok(())
}

async fn begin(
    connection: &mut SqliteConnection,
    durability: Durability,
    synchronous: &mut Option<Durability>,
) -> Result<(), sqlx::Error> {
    if *synchronous != Some(durability) {
        let pragma = match durability {
            Durability::Written => "PRAGMA synchronous = NORMAL",
            Durability::Synced => "PRAGMA synchronous = FULL",
        };
        sqlx::query(pragma).execute(&mut *connection).await?;
        *synchronous = Some(durability);
    }
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}
