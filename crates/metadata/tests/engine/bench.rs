//! Lakes of tests: the engine on SQLite, or on PostgreSQL in the target of that name, with its files in memory. Steps fail when a test wants that, and pauses end when it
//! lets them.

use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::model::access::key::{Caller, Grant};
use lakeshore::model::access::role::Role;
use lakeshore::model::error::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::page::ListParameters;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::request::UploadRequest;
use lakeshore::ports::memory::{CountingRandomness, MemoryFiles, MemoryFormats};
use lakeshore::ports::{Clock, Formats, Randomness, State};
use lakeshore::service::{Lake, Parts};
use lakeshore_metadata::sqlite::SqliteState;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

#[path = "../support/postgres.rs"]
mod postgres;

/// A database of its own, which costs no disk where the machine has a file system in memory.
pub struct Database {
    pub state: Arc<dyn State>,
    /// The next calls of this name end with these errors.
    fail_next: Arc<dyn Fn(&'static str, Vec<Error>) + Send + Sync>,
    _place: Arc<Place>,
}

#[allow(dead_code)]
enum Place {
    Folder(TempDir),
    Postgres(postgres::Database),
}

fn folder() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() { tempfile::tempdir_in(in_memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

impl Database {
    /// An empty one: a copy of the first, so that the migrations run but once.
    pub async fn new() -> Self {
        if is_on_postgres() { Self::postgres().await } else { Self::sqlite().await }
    }

    async fn postgres() -> Self {
        let Some(database) = postgres::Database::new().await else {
            // Told already; each test has a process of its own.
            std::process::exit(0);
        };
        let state = database.open().await;
        let failing = state.clone();
        Self {
            state: Arc::new(state),
            fail_next: Arc::new(move |call, errors| failing.fail_next(call, errors)),
            _place: Arc::new(Place::Postgres(database)),
        }
    }

    async fn sqlite() -> Self {
        static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
        let folder = folder();
        let file = folder.path().join("lakeshore.db");
        if let Some(empty) = EMPTY.get() {
            std::fs::write(&file, empty).unwrap();
        } else {
            SqliteState::open(&file).await.unwrap().close().await;
            EMPTY.get_or_init(|| std::fs::read(&file).unwrap());
        }
        let state = SqliteState::open(&file).await.unwrap();
        let failing = state.clone();
        Self {
            state: Arc::new(state),
            fail_next: Arc::new(move |call, errors| failing.fail_next(call, errors)),
            _place: Arc::new(Place::Folder(folder)),
        }
    }
}

/// Whether this is the target of PostgreSQL.
fn is_on_postgres() -> bool {
    env!("CARGO_CRATE_NAME") == "engine_on_postgres"
}

/// Random cases of a test that makes a database for each: one takes a tenth of a second on PostgreSQL.
pub fn cases(on_sqlite: u32) -> u32 {
    if is_on_postgres() { on_sqlite / 16 } else { on_sqlite }
}

/// The runtime of one test: it does the writing.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// A lake of these parts, with files that are in memory.
pub fn lake(
    state: &Arc<dyn State>,
    files: &MemoryFiles,
    formats: Arc<dyn Formats>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    limits: Limits,
) -> Lake {
    Lake::new(Parts { state: state.clone(), files: Arc::new(files.clone()), formats, clock, randomness, limits })
}

/// Pauses end when somebody lets them, and time passes when somebody sets it.
pub struct Stopwatch {
    pub ends: Semaphore,
    begun: Semaphore,
    now_ms: AtomicI64,
}

impl Stopwatch {
    /// Waits until one more pause has begun.
    pub async fn paused(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    /// Runs a call until one more pause has begun, before which it does not end.
    pub async fn paused_amid<T>(&self, call: impl Future<Output = T>) {
        tokio::select! {
            _ = call => panic!("it pauses before it ends"),
            () = self.paused() => {}
        }
    }

    pub fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(time.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Stopwatch {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst).try_into().unwrap())
    }

    async fn pause(&self, _length: Duration) {
        self.begun.add_permits(1);
        self.ends.acquire().await.unwrap().forget();
    }
}

pub struct Bench {
    pub lake: Lake,
    pub files: MemoryFiles,
    pub state: Arc<dyn State>,
    pub clock: Arc<Stopwatch>,
    pub sync_id: SyncId,
    database: Database,
}

pub fn caller() -> Caller {
    Caller::Known(Grant::new("etl", Role::Admin, None))
}

/// A lake in which so many pauses end at once.
pub async fn bench(pauses: usize) -> Bench {
    let (files, database) = (MemoryFiles::default(), Database::new().await);
    let state = database.state.clone();
    let now_ms = AtomicI64::new(1000);
    let clock = Arc::new(Stopwatch { ends: Semaphore::new(pauses), begun: Semaphore::new(0), now_ms });
    let randomness = Arc::new(CountingRandomness::default());
    let lake = lake(&state, &files, Arc::new(MemoryFormats), clock.clone(), randomness, Limits::default());
    let sync_type = SyncType::IncrementalSync;
    let start = StartSync { name: "n".into(), path: "/a".into(), sync_type, expected: None };
    let sync_id = lake.start_sync(&caller(), &start).await.unwrap();
    Bench { lake, files, state, clock, sync_id, database }
}

impl Bench {
    /// Another lake on the same state and files, as after a kill.
    pub fn restart(self) -> Self {
        let randomness = Arc::new(CountingRandomness::default());
        let (formats, clock) = (Arc::new(MemoryFormats), self.clock.clone());
        let lake = lake(&self.state, &self.files, formats, clock, randomness, Limits::default());
        Self { lake, ..self }
    }

    pub async fn upload(&self, name: &str, size: usize) -> Result<(), Error> {
        let mut upload =
            self.lake.destination(&caller(), self.sync_id, None).await?.begin(UploadRequest::named(name)).await?;
        let written = upload.write(Bytes::from(vec![b'x'; size])).await;
        match written {
            Ok(()) => upload.land().await.map(drop),
            Err(error) => upload.fail(&error).await.and(Err(error)),
        }
    }

    pub fn fail(&self, call: &'static str, errors: Vec<Error>) {
        if ["create_partial", "write_group", "seal", "land", "land_synced", "recover_landing"].contains(&call) {
            self.files.fail_next(call, errors);
        } else {
            (self.database.fail_next)(call, errors);
        }
    }

    pub async fn statuses(&self) -> Vec<Status> {
        let uploads = self.lake.uploads(&caller(), &ListParameters::default()).await.unwrap();
        uploads.into_iter().map(|upload| upload.sync_status).collect()
    }
}

pub const SMALL: usize = 10;
/// Has a partial file and a row before it lands.
pub const LARGE: usize = 1024 * 1024;
