//! Groups of landings whose uploads are answered before their rows are written. Their intents and their files are durable,
//! so a crash loses nothing: the next start finds the files by the intents.
//!
//! The engine writes the rows with the next intent, or some milliseconds later. Everything else that reads or writes has them
//! written first, so nobody sees the difference.

use lakeshore::ports::metadata::upload::{FinishedLandings, LandingsId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Default)]
pub(super) struct Deferred(Arc<Groups>);

#[derive(Default)]
struct Groups {
    /// In the order of their landing.
    list: Mutex<Vec<Arc<FinishedLandings>>>,
    /// Whether the list has any, for readers.
    exists: AtomicBool,
}

impl Deferred {
    pub(super) fn exists(&self) -> bool {
        self.0.exists.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, group: Arc<FinishedLandings>) {
        let mut list = self.0.list.lock();
        list.push(group);
        self.0.exists.store(true, Ordering::Release);
    }

    /// All groups except those with these ids.
    pub(super) fn groups_without(&self, ids: &[LandingsId]) -> Vec<Arc<FinishedLandings>> {
        self.0.list.lock().iter().filter(|group| !ids.contains(&group.id)).cloned().collect()
    }

    pub(super) fn remove(&self, ids: &[LandingsId]) {
        if self.exists() {
            let mut list = self.0.list.lock();
            list.retain(|group| !ids.contains(&group.id));
            self.0.exists.store(!list.is_empty(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteState;
    use super::super::job::Durability::Synced;
    use super::super::query::{execute, values};
    use super::super::test_uploads::{start, upload};
    use super::*;
    use lakeshore::model::id::SyncId;
    use lakeshore::ports::metadata::State;
    use lakeshore::ports::metadata::upload::LandedUpload;
    use lakeshore::{Error, Timestamp};
    use std::path::Path;

    async fn opened(file: &Path) -> SqliteState {
        SqliteState::open(file).await.unwrap()
    }

    async fn defer(state: &dyn State) -> Arc<FinishedLandings> {
        let upload = upload(start(state).await, "f");
        let (id, _) = state.write_intents(None, std::slice::from_ref(&upload)).await.unwrap();
        let landed = vec![LandedUpload { upload, trash: None }];
        let group = Arc::new(FinishedLandings { id, landed, left: Vec::new(), at: Timestamp(30) });
        assert!(state.defer_landings(&group));
        group
    }

    async fn files(state: &dyn State) -> u64 {
        state.sync(SyncId(1)).await.unwrap().unwrap().sync.total_files
    }

    async fn run_statement(state: &SqliteState, sql: &'static str) -> Result<(), Error> {
        let work = state
            .writer
            .write(Synced, move |writing| Box::pin(async move { execute(writing, sql, values![]).await.map(drop) }));
        work.await
    }

    #[tokio::test]
    async fn closing_writes_deferred_rows_and_a_crash_keeps_their_intent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lakeshore.db");
        let state = opened(&file).await;
        let group = defer(&state).await;
        // Without a close.
        drop(state);
        let state = opened(&file).await;
        let unfinished = (&state as &dyn State).unfinished_landings().await.unwrap();
        assert_eq!(unfinished, [(group.id, vec![group.landed[0].upload.clone()])]);
        assert!((&state as &dyn State).defer_landings(&group));
        state.close().await;
        assert_eq!(files(&opened(&file).await).await, 1);
    }

    #[tokio::test]
    async fn rows_that_cannot_be_written_fail_writes_and_let_reads_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let state = opened(&folder.path().join("lakeshore.db")).await;
        let refusal = "CREATE TRIGGER refusal BEFORE INSERT ON uploads BEGIN SELECT RAISE(ABORT, 'no'); END";
        run_statement(&state, refusal).await.unwrap();
        let group = defer(&state).await;
        assert_eq!(files(&state).await, 0);
        let other = "INSERT INTO schema_policies VALUES ('/b', 'warn')";
        assert!(matches!(run_statement(&state, other).await, Err(Error::Internal(_))));
        assert!((&state as &dyn State).finish_deferred_landings().await.is_err());
        assert!(state.writer.has_deferred());
        (&state as &dyn State).withdraw_landings(group.id);
        run_statement(&state, other).await.unwrap();
        run_statement(&state, "DROP TRIGGER refusal").await.unwrap();
        assert!((&state as &dyn State).defer_landings(&group));
        assert_eq!(files(&state).await, 1);
        assert!(!state.writer.has_deferred());
    }
}
