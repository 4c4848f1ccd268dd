//! Sequences of uploads, together or one by one, with restarts or without, on one node or several: the store counts and
//! numbers them and their versions alike.

use crate::postgres_support::Database;
use futures_util::join;
use lakeshore::Timestamp;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::UploadId;
use lakeshore::model::page::{Order, Page, UploadQuery};
use lakeshore::model::path::LakePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::sync::job::SyncJob;
use lakeshore::model::sync::start::NewSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::trash::NewTrash;
use lakeshore::model::trash::{TrashKind, TrashReason};
use lakeshore::model::upload::row::Upload;
use lakeshore::model::version::{Version, VersionFile};
use lakeshore::ports::metadata::State;
use lakeshore::ports::metadata::upload::{
    CompletedUpload, FinishedLandings, LandedUpload, LandingsId, NewUpload, RefusedUpload,
};
use lakeshore::ports::metadata::version::VersionFilesQuery;
use lakeshore_metadata::postgres::PostgresState;
use lakeshore_metadata::sqlite::SqliteState;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

const SYNCS: u64 = 3;
const FOLDERS: [&str; 4] = ["", "/dt=1", "/dt=1/h=2", "/dt=3"];

/// Some uploads of a sync: by their numbers, which say the folder, the name and the bytes.
type Some = (u64, Vec<u8>);

#[derive(Debug, Clone)]
enum Step {
    /// One group after the other.
    Land(Vec<Some>),
    /// Two groups and an intent at once, of which the last two run in one transaction.
    Together(Some, Some, Some),
    /// A group, another, and an upload that begins meanwhile.
    Beside(Some, Some, u64),
    Begin(u64),
    FinishBegun(Some),
    FailBegun,
    Refuse(u64),
    Restart,
}

fn some() -> impl Strategy<Value = Some> {
    (1..=SYNCS, proptest::collection::vec(0_u8..16, 1..4))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::collection::vec(some(), 1..4).prop_map(Step::Land),
        2 => (some(), some(), some()).prop_map(|(one, other, last)| Step::Together(one, other, last)),
        2 => (some(), some(), 1..=SYNCS).prop_map(|(one, other, sync)| Step::Beside(one, other, sync)),
        2 => (1..=SYNCS).prop_map(Step::Begin),
        2 => some().prop_map(Step::FinishBegun),
        1 => Just(Step::FailBegun),
        1 => (1..=SYNCS).prop_map(Step::Refuse),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..24)
}

fn path(sync: u64, number: u8) -> LakePath {
    LakePath::parse(&format!("/s{sync}{}/f{}", FOLDERS[usize::from(number % 4)], number / 8)).unwrap()
}

fn whole(sync: u64, number: u8, upload_id: Option<UploadId>) -> CompletedUpload {
    CompletedUpload {
        upload_id,
        sync_id: SyncId(sync),
        file_name: format!("f{}", number / 8),
        target: path(sync, number),
        partial: PartialName::from_stored(format!("{sync}-{number}")),
        identity: Identity(number.to_string()),
        digest: Digest { size_bytes: number.into(), sha256: [number; 32] },
        begun_at: Timestamp(20),
        by: if number.is_multiple_of(3) { "another" } else { "me" }.into(),
        taken_over: false,
    }
}

/// A run of the steps against one store.
struct Run<'a> {
    state: &'a dyn State,
    seen: Seen,
    /// Requests that arrive together run one after the other, and no group is deferred.
    one_by_one: bool,
}

#[derive(Default)]
struct Seen {
    begun: Vec<(UploadId, u64)>,
    /// Where something lies: the next upload to it replaces that.
    targets: BTreeSet<LakePath>,
    trashed: u64,
    /// Group to store with the next intent.
    deferred: Option<Arc<FinishedLandings>>,
}

impl Run<'_> {
    fn landed(&mut self, uploads: Vec<CompletedUpload>) -> Vec<LandedUpload> {
        let land = |upload: CompletedUpload| {
            self.seen.trashed += 1;
            let is_replaced = !self.seen.targets.insert(upload.target.clone());
            let trash = is_replaced.then(|| NewTrash {
                key: TrashKey::from_stored(format!("t{}", self.seen.trashed)),
                origin: upload.target.clone(),
                kind: TrashKind::File,
                reason: TrashReason::Overwritten,
                sync_id: Some(upload.sync_id),
                by: "me".into(),
                at: Timestamp(30),
            });
            LandedUpload { upload, trash }
        };
        uploads.into_iter().map(land).collect()
    }

    async fn intend(&mut self, (sync, numbers): &Some) -> (LandingsId, Vec<LandedUpload>) {
        let uploads: Vec<_> = numbers.iter().map(|number| whole(*sync, *number, None)).collect();
        let deferred = self.seen.deferred.take();
        let (id, permissions) = self.state.write_intents(deferred.as_deref(), &uploads).await.unwrap();
        assert!(permissions.iter().all(Result::is_ok));
        (id, self.landed(uploads))
    }

    async fn defer(&mut self, (id, landed): (LandingsId, Vec<LandedUpload>)) {
        let finished = Arc::new(FinishedLandings { id, landed, left: Vec::new(), at: Timestamp(30) });
        assert!(self.state.defer_landings(&finished));
        self.seen.deferred = Some(finished);
    }

    async fn finish(&self, (id, landed): &(LandingsId, Vec<LandedUpload>)) {
        let finished = FinishedLandings { id: *id, landed: landed.clone(), left: Vec::new(), at: Timestamp(30) };
        self.state.finish_landings(&finished).await.unwrap();
    }

    async fn begin(&self, sync: u64) -> UploadId {
        let new = NewUpload {
            sync_id: SyncId(sync),
            file_name: "b".into(),
            target: path(sync, 9),
            partial: PartialName::from_stored("b".into()),
            identity: Identity("b".into()),
            at: Timestamp(20),
        };
        self.state.begin_upload(&new).await.unwrap()
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Land(groups) => {
                for group in groups {
                    let group = self.intend(group).await;
                    if self.one_by_one {
                        self.finish(&group).await;
                    } else {
                        self.defer(group).await;
                    }
                }
            }
            Step::Together(one, other, last) => {
                let (one, other) = (self.intend(one).await, self.intend(other).await);
                let uploads: Vec<_> = last.1.iter().map(|number| whole(last.0, *number, None)).collect();
                let third = self.state.write_intents(None, &uploads);
                let third = if self.one_by_one {
                    self.finish(&one).await;
                    self.finish(&other).await;
                    third.await
                } else {
                    join!(self.finish(&one), self.finish(&other), third).2
                };
                let third = (third.unwrap().0, self.landed(uploads));
                self.finish(&third).await;
            }
            Step::Beside(one, other, sync) => {
                let (one, other) = (self.intend(one).await, self.intend(other).await);
                let begun = if self.one_by_one {
                    self.finish(&one).await;
                    self.finish(&other).await;
                    self.begin(*sync).await
                } else {
                    join!(self.finish(&one), self.finish(&other), self.begin(*sync)).2
                };
                self.seen.begun.push((begun, *sync));
            }
            Step::Begin(sync) => self.seen.begun.push((self.begin(*sync).await, *sync)),
            Step::FinishBegun((sync, numbers)) => {
                let mut uploads: Vec<_> = numbers.iter().map(|number| whole(*sync, *number, None)).collect();
                uploads.extend(self.seen.begun.pop().map(|(id, sync)| whole(sync, 9, Some(id))));
                let deferred = self.seen.deferred.take();
                let (id, _) = self.state.write_intents(deferred.as_deref(), &uploads).await.unwrap();
                let group = (id, self.landed(uploads));
                // Again, as after an answer that was lost.
                self.finish(&group).await;
                self.finish(&group).await;
            }
            Step::FailBegun => {
                if let Some((id, _)) = self.seen.begun.pop() {
                    self.state.fail_upload(id, "why", 3, Timestamp(31)).await.unwrap();
                }
            }
            Step::Refuse(sync) => {
                let refused = RefusedUpload {
                    sync_id: SyncId(*sync),
                    file_name: "r".into(),
                    folder: path(*sync, 4),
                    target: None,
                    message: "no".into(),
                    size_bytes: 0,
                    rows_max: 2,
                    begun_at: Timestamp(20),
                    at: Timestamp(21),
                };
                self.state.refuse_upload(&refused).await.unwrap();
            }
            Step::Restart => {}
        }
    }
}

async fn start(state: &dyn State) {
    for sync in 1..=SYNCS {
        let sync_type = if sync == SYNCS { SyncType::FullSync } else { SyncType::IncrementalSync };
        let new = NewSync {
            name: "n".into(),
            path: LakePath::parse(&format!("/s{sync}")).unwrap(),
            sync_type,
            started_by: Actor::from("me"),
            expected: None,
            once: None,
            restores_version: None,
            at: Timestamp(10),
        };
        assert_eq!(state.start_sync(&new).await.unwrap(), SyncId(sync));
    }
}

async fn seen(state: &dyn State) -> (Vec<SyncJob>, Vec<Upload>) {
    let mut syncs = Vec::new();
    for sync in 1..=SYNCS {
        syncs.push(state.sync(SyncId(sync)).await.unwrap().unwrap().sync);
    }
    let page = Page { from: 0, size: 10_000, order: Order::Asc };
    let all = UploadQuery { page, sync_id: None, status: None, path: None, text: None, scope: None };
    (syncs, state.uploads(&all).await.unwrap())
}

/// Every version of each dataset, with its files.
async fn versions(state: &dyn State) -> Vec<(Version, Vec<VersionFile>)> {
    let mut all = Vec::new();
    for sync in 1..=SYNCS {
        let dataset = LakePath::parse(&format!("/s{sync}")).unwrap();
        for version in state.list_versions(&dataset, 0, 1000).await.unwrap() {
            let query = VersionFilesQuery {
                dataset: dataset.clone(),
                version: version.version,
                below: None,
                after: None,
                size: 1000,
            };
            let files = state.version_files(&query).await.unwrap();
            all.push((version, files));
        }
    }
    all
}

/// Runs the steps one by one on SQLite, and by `step` on another store, which has to count and number them and their versions alike.
async fn compare(steps: &[Step], other: &mut dyn Other) {
    // In memory, where the machine has a file system there.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let plain = SqliteState::open(&folder.path().join("plain.db")).await.unwrap();
    start(&plain).await;
    start(&*other.state()).await;
    let mut of_plain = Run { state: &plain, seen: Seen::default(), one_by_one: true };
    let mut of_other = Seen::default();
    for step in steps {
        of_plain.step(step).await;
        if matches!(step, Step::Restart) {
            other.restart().await;
        }
        let state = other.state();
        let mut run = Run { state: &*state, seen: of_other, one_by_one: other.is_one_by_one() };
        run.step(step).await;
        of_other = run.seen;
        // Unread, what is deferred meets the next step.
        if other.is_one_by_one() || !matches!(step, Step::Land(_)) {
            assert_eq!(seen(&*other.state()).await, seen(&plain).await, "after {step:?}");
        }
        // On SQLite, each reading writes the versions of what has landed before.
        versions(&plain).await;
    }
    assert_eq!(seen(&*other.state()).await, seen(&plain).await);
    assert_eq!(versions(&*other.state()).await, versions(&plain).await);
    assert_eq!(other.state().miscounts().await.unwrap(), []);
    assert_eq!(other.state().damage().await.unwrap(), Vec::<String>::new());
    plain.close().await;
}

/// A store that is compared with SQLite.
#[async_trait::async_trait(?Send)]
trait Other {
    fn state(&mut self) -> Arc<dyn State>;

    async fn restart(&mut self);

    /// Whether requests that arrive together run one after the other: else their order is not known.
    fn is_one_by_one(&self) -> bool;
}

struct Sqlite {
    state: SqliteState,
    file: PathBuf,
}

#[async_trait::async_trait(?Send)]
impl Other for Sqlite {
    fn state(&mut self) -> Arc<dyn State> {
        Arc::new(self.state.clone())
    }

    async fn restart(&mut self) {
        self.state.close().await;
        self.state = SqliteState::open(&self.file).await.unwrap();
    }

    fn is_one_by_one(&self) -> bool {
        false
    }
}

/// Nodes of PostgreSQL, which take turns.
struct Nodes {
    nodes: Vec<PostgresState>,
    turn: usize,
}

#[async_trait::async_trait(?Send)]
impl Other for Nodes {
    fn state(&mut self) -> Arc<dyn State> {
        self.turn += 1;
        Arc::new(self.nodes[self.turn % self.nodes.len()].clone())
    }

    async fn restart(&mut self) {}

    fn is_one_by_one(&self) -> bool {
        true
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn uploads_together_and_across_restarts_have_the_counts_and_versions_of_those_one_by_one(steps in steps()) {
        block_on(async {
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            let file = folder.path().join("lakeshore.db");
            let state = SqliteState::open(&file).await.unwrap();
            let mut sqlite = Sqlite { state, file };
            compare(&steps, &mut sqlite).await;
            sqlite.state.close().await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn uploads_to_nodes_of_postgres_in_turn_have_the_counts_and_versions_of_those_to_sqlite(steps in steps()) {
        block_on(async {
            let Some(database) = Database::new().await else { return };
            let nodes = vec![database.open().await, database.open().await];
            compare(&steps, &mut Nodes { nodes, turn: 0 }).await;
        });
    }
}
