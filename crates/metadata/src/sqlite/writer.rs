//! The one writer. Requests queue up; the first caller runs all that wait in one transaction ([`Writing`]), commits
//! once, and then answers them. So concurrent requests share the cost of a durable commit.

use super::deferred::Deferred;
use super::job::{Answer, BoxFuture, Done, Durability, Effect, Job, JobOutcome, Work};
use super::open::Turn;
use super::versions::unversioned::HasUnversioned;
use super::writing::Writing;
use crate::lookups::CallerLookups;
use lakeshore::Error;
use parking_lot::Mutex;
use sqlx::SqliteConnection;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Limit of requests in one transaction.
const BATCH_MAX: usize = 256;

pub(super) struct Writer {
    waiting: Mutex<Vec<Job>>,
    /// Held by the caller that runs the queue. `None` when closed.
    open: tokio::sync::Mutex<Option<Writing>>,
    /// Runs jobs whose callers do not drive them.
    runtime: Handle,
    has_unversioned: HasUnversioned,
    pub(super) deferred: Deferred,
}

impl Writer {
    /// Call it in the runtime that is to run the jobs.
    pub(super) fn new(file: &Path, connection: SqliteConnection, lookups: Arc<CallerLookups>, turn: Turn) -> Self {
        let writing = Writing::new(file.to_owned(), connection, lookups, turn);
        let has_unversioned = writing.has_unversioned();
        let deferred = writing.deferred.clone();
        let open = tokio::sync::Mutex::new(Some(writing));
        Self { waiting: Mutex::new(Vec::new()), open, runtime: Handle::current(), has_unversioned, deferred }
    }

    /// Writes the versions of all landings whose uploads were answered. Call it before versions are read. On a full disk,
    /// they stay unwritten, as reads have to succeed there.
    pub(super) async fn write_versions(self: &Arc<Self>) -> Result<(), Error> {
        if !self.has_unversioned.get() && !self.has_deferred() {
            return Ok(());
        }
        match self.write_pending().await {
            Err(Error::DiskFull) => Ok(()),
            written => written,
        }
    }

    pub(super) fn has_deferred(&self) -> bool {
        self.deferred.exists()
    }

    /// Writes the rows of all deferred groups.
    pub(super) async fn write_deferred(self: &Arc<Self>) -> Result<(), Error> {
        if self.has_deferred() { self.write_pending().await } else { Ok(()) }
    }

    /// Any job writes deferred rows and versions before it runs; this one does nothing else.
    async fn write_pending(self: &Arc<Self>) -> Result<(), Error> {
        self.write_aside(Durability::Written, |_| Box::pin(async { Ok(()) })).await
    }

    /// Runs `work` in a transaction, and answers after the commit. A refused job leaves nothing behind. The job is
    /// completed even if its caller is gone.
    pub(super) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.spawn(durability, Effect::Any, work).await
    }

    /// Like [`Self::write`], for work that changes nothing that groups of landings keep in memory
    /// ([`super::landing_facts::LandingFactsCache`]), so that the next group need not read it again.
    pub(super) async fn write_aside<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.spawn(durability, Effect::Aside, work).await
    }

    async fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        effect: Effect,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, effect, work);
        let writer = self.clone();
        // Not awaited: another caller may be committing this job already.
        self.runtime.spawn(async move { writer.run_all().await });
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    /// Like [`Self::write`], driven by the caller, which has to poll it to the end. It is for the steps of a landing,
    /// which have their own thread, see `serve.rs`. Where `work` refuses, it has to do so before it writes.
    pub(super) async fn write_in_place<T: Send + 'static>(
        self: &Arc<Self>,
        durability: Durability,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.queue(durability, Effect::InPlace, work);
        self.run_all().await;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    fn queue<T: Send + 'static>(
        &self,
        durability: Durability,
        effect: Effect,
        work: impl for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, Error>> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Error>> {
        let (sender, receiver) = oneshot::channel();
        // The job runs even if its caller is gone.
        let sender = Arc::new(Mutex::new(Some(sender)));
        let send = move |sender: &Mutex<Option<oneshot::Sender<_>>>, result| {
            if let Some(sender) = sender.lock().take() {
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
                let outcome = JobOutcome::of(&result);
                let answer: Answer = Box::new(move |ended| {
                    send(&sender, ended.map_err(Error::from).and(result));
                });
                Done { outcome, answer }
            })
        });
        self.waiting.lock().push(Job { durability, effect, work, refuse });
        receiver
    }

    /// Commits until the queue is empty, or returns where another caller runs it, who then commits this job too.
    async fn run_all(&self) {
        while !self.waiting.lock().is_empty() {
            // The queue is checked again after the lock is released, since a job that was queued meanwhile would
            // otherwise wait forever.
            let Ok(mut open) = self.open.try_lock() else { return };
            let jobs = {
                let mut waiting = self.waiting.lock();
                let count = waiting.len().min(BATCH_MAX);
                waiting.drain(..count).collect::<Vec<_>>()
            };
            match &mut *open {
                // Their callers get the error for a server that shuts down.
                None => drop(jobs),
                Some(_) if jobs.is_empty() => {}
                Some(writing) => writing.commit(jobs).await,
            }
        }
    }

    /// Waits for the running transaction, and writes what is deferred; later jobs are refused.
    pub(super) async fn close(&self) {
        if self.has_deferred() {
            // Without it, the next start writes the rows.
            let _written = self.queue(Durability::Synced, Effect::Aside, |_| Box::pin(async { Ok(()) }));
        }
        self.run_all().await;
        if let Some(writing) = self.open.lock().await.take()
            && let Err(error) = writing.close().await
        {
            tracing::warn!(%error, "closing the database");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteState;
    use crate::sqlite::job::Durability::Synced;
    use crate::sqlite::query::{execute, fetch_all, values};
    use lakeshore::model::id::SyncId;
    use sqlx::Row;
    use std::time::Duration;

    async fn opened() -> (SqliteState, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap(), folder)
    }

    async fn insert(writing: &mut Writing, path: &'static str) -> Result<(), Error> {
        execute(writing, "INSERT INTO schema_policies VALUES (?, 'warn')", values![path]).await.map(drop)
    }

    /// Writes a row, then ends with the given result.
    async fn write(writer: Arc<Writer>, path: &'static str, end: Result<(), Error>) -> Result<(), Error> {
        writer
            .write(Synced, move |writing| {
                Box::pin(async move {
                    insert(writing, path).await?;
                    end
                })
            })
            .await
    }

    async fn kept(state: &SqliteState) -> Vec<String> {
        let mut connection = state.readers.look().await.unwrap();
        let sql = "SELECT path FROM schema_policies ORDER BY path";
        fetch_all(&mut connection, sql, values![], |row| row.try_get(0)).await.unwrap()
    }

    fn refusal() -> Result<(), Error> {
        Err(Error::NoSuchSync(SyncId(9)))
    }

    /// Queues jobs while the writer is busy, so that one transaction takes them all.
    async fn together(state: &SqliteState, jobs: Vec<(&'static str, Result<(), Error>)>) -> Vec<Result<(), Error>> {
        let busy = state.writer.open.lock().await;
        let count = jobs.len();
        let jobs: Vec<_> =
            jobs.into_iter().map(|(path, end)| tokio::spawn(write(state.writer.clone(), path, end))).collect();
        while state.writer.waiting.lock().len() < count {
            tokio::task::yield_now().await;
        }
        drop(busy);
        state.writer.run_all().await;
        let mut ended = Vec::new();
        for job in jobs {
            ended.push(job.await.unwrap());
        }
        ended
    }

    #[tokio::test]
    async fn a_job_that_refuses_after_it_has_written_leaves_nothing_alone_or_among_others() {
        let (state, _folder) = opened().await;
        let alone = write(state.writer.clone(), "/alone", refusal()).await;
        assert!(matches!(alone, Err(Error::NoSuchSync(SyncId(9)))));
        let ended = together(&state, vec![("/a", Ok(())), ("/b", refusal()), ("/c", Ok(()))]).await;
        assert!(ended[0].is_ok() && ended[2].is_ok());
        assert!(matches!(ended[1], Err(Error::NoSuchSync(SyncId(9)))));
        assert_eq!(kept(&state).await, ["/a", "/c"]);
        let ended = together(&state, vec![("/d", refusal()), ("/e", refusal())]).await;
        assert!(ended.iter().all(Result::is_err));
        write(state.writer.clone(), "/f", Ok(())).await.unwrap();
        assert_eq!(kept(&state).await, ["/a", "/c", "/f"]);
    }

    #[tokio::test]
    async fn a_fault_of_the_database_keeps_nothing_of_its_transaction_and_holds_up_nobody_after() {
        let (state, _folder) = opened().await;
        // The third job finds the name taken.
        let ended = together(&state, vec![("/a", Ok(())), ("/b", Ok(())), ("/a", Ok(())), ("/c", Ok(()))]).await;
        assert!(ended.iter().all(|ended| matches!(ended, Err(Error::Internal(_)))), "{ended:?}");
        assert!(kept(&state).await.is_empty());
        write(state.writer.clone(), "/d", Ok(())).await.unwrap();
        assert_eq!(kept(&state).await, ["/d"]);
    }

    #[tokio::test]
    async fn a_job_that_is_dropped_amid_its_transaction_leaves_nothing_and_holds_up_nobody() {
        let (state, _folder) = opened().await;
        let endless = state.writer.write_in_place(Synced, |writing| {
            Box::pin(async move {
                insert(writing, "/dropped").await?;
                std::future::pending::<Result<(), Error>>().await
            })
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
        write(state.writer.clone(), "/after", Ok(())).await.unwrap();
        assert_eq!(kept(&state).await, ["/after"]);
    }
}
