//! Tables of a lake on object storage: each dataset of Parquet is a Delta table that follows the versions of the dataset, a
//! commit a version; of other datasets, a version gets a manifest. See decision 0047.
//!
//! The versions of a dataset come one after the other, groups of landings several at a time: what they add to the bucket is
//! derived from their rows ([`change`], [`landings`], [`planning`]), its bytes are fixed in the database ([`fixing`]), then written
//! to the bucket ([`writing`]). After a stop in between, the next round goes on with what is fixed. Datasets do not wait for each
//! other.

mod change;
mod checkpoint;
mod cleaning;
mod describing;
mod failure;
mod fitting;
mod fixing;
mod landings;
mod manifests;
mod planning;
mod writing;

use failure::{Failures, FollowError};
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::table::LaggingTable;
use lakeshore::ports::{Clock, State, random_bytes};
use lakeshore::{Error, Lake};
use lakeshore_formats::FileFormats;
use lakeshore_storage::object::ObjectFiles;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use manifests::ManifestRests;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Interval in which changes are looked for: one small query.
const INTERVAL: Duration = Duration::from_millis(100);
/// Pause between two looks whether this server is the one that follows.
const TURN_PAUSE: Duration = Duration::from_secs(1);
/// Pause after the database failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Looking for lagging tables takes at most this fraction of the time: one in `LOOKING_SHARE`.
const LOOKING_SHARE: u32 = 5;
/// A dataset rests after it was followed, so that the versions which come meanwhile are followed together: this many times as long as
/// that took, and at most for so long.
const REST_FACTOR: u32 = 4;
const REST_MAX: Duration = Duration::from_millis(500);
/// Age from which a draft that was not fixed never will be.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Pause between two searches for such drafts.
const DRAFTS_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Datasets that are followed at the same time.
const DATASETS_MAX: usize = 8;
/// Versions of a dataset that are looked up together.
const VERSIONS_MAX: u64 = 16;
/// Lagging datasets that one look finds.
const LAGGING_MAX: u64 = 1000;

/// Follows versions. Cheap to clone.
#[derive(Clone)]
pub struct Follower(Arc<Shared>);

struct Shared {
    state: Arc<dyn State>,
    objects: ObjectFiles,
    formats: Arc<FileFormats>,
    /// Identity of the lake.
    lake: String,
    rests: ManifestRests,
    /// Datasets whose log was compared with the database.
    compared: Mutex<HashSet<LakePath>>,
    /// Held while files are compared with the table that they would be in.
    fitting: tokio::sync::Mutex<()>,
    /// Files that could not be read, and how often.
    unreadable: Mutex<HashMap<UploadId, u32>>,
}

impl Follower {
    pub fn new(state: Arc<dyn State>, objects: ObjectFiles, formats: Arc<FileFormats>, lake: String) -> Self {
        Self(Arc::new(Shared {
            state,
            objects,
            formats,
            lake,
            rests: ManifestRests::default(),
            compared: Mutex::default(),
            fitting: tokio::sync::Mutex::default(),
            unreadable: Mutex::default(),
        }))
    }

    /// Follows until the server stops. What is under way then is dropped: the next server goes on with it.
    pub async fn run(self, lake: Lake, stopping: CancellationToken) {
        let followed = async {
            // Of several servers, one follows; it does so until it ends.
            while !self.0.state.is_first_node() {
                tokio::time::sleep(TURN_PAUSE).await;
            }
            self.follow_all(&lake).await;
        };
        tokio::select! {
            () = followed => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn follow_all(&self, lake: &Lake) {
        let mut following = Following::default();
        let mut drafts_due = Instant::now();
        loop {
            let looked = Instant::now();
            if looked >= drafts_due {
                let forgotten = self.0.state.forget_drafts(SystemClock.now().minus(DRAFT_AGE_MAX)).await;
                if let Err(error) = &forgotten {
                    tracing::error!(fault = ?error, "cannot delete unfinished table drafts; retrying");
                }
                drafts_due = looked + if forgotten.is_ok() { DRAFTS_PAUSE } else { RETRY_PAUSE };
            }
            if let Err(error) = self.start_some(lake, &mut following).await {
                tracing::error!(fault = ?error, "cannot find the tables that lag behind their datasets; retrying");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL.max(looked.elapsed() * LOOKING_SHARE)) => {}
                Some(ended) = following.tasks.join_next_with_id() => self.end(&mut following, ended).await,
            }
            while let Some(ended) = following.tasks.try_join_next_with_id() {
                self.end(&mut following, ended).await;
            }
        }
    }

    /// Starts to follow datasets that lag.
    async fn start_some(&self, lake: &Lake, following: &mut Following) -> Result<(), Error> {
        let last = self.0.state.last_change().await?;
        let is_any_due = following.failures.is_any_due() || following.rested_at.is_some_and(|at| at <= Instant::now());
        let is_settled = following.settled == Some(last) && !is_any_due;
        if is_settled || following.tasks.len() >= DATASETS_MAX {
            return Ok(());
        }
        let lagging = self.0.state.lagging_tables(LAGGING_MAX).await?;
        let Following { tasks, datasets, rests, failures, settled, rested_at } = following;
        let under_way: HashSet<_> = datasets.values().map(|(dataset, _)| dataset.clone()).collect();
        let followed: HashSet<_> = under_way.iter().chain(lagging.iter().map(|table| &table.dataset)).collect();
        failures.keep(|dataset| followed.contains(dataset));
        rests.retain(|_, end| *end > Instant::now());
        let rest_of = |table: &LaggingTable| {
            let end = self.0.rests.end_of(&table.dataset);
            end.filter(|_| table.lacks_manifest_alone).max(rests.get(&table.dataset).copied())
        };
        *rested_at = lagging.iter().filter_map(rest_of).min();
        let are_all_waiting =
            lagging.iter().all(|table| failures.is_waiting(&table.dataset) || rest_of(table).is_some());
        let is_settled = tasks.is_empty() && are_all_waiting && (lagging.len() as u64) < LAGGING_MAX;
        *settled = is_settled.then_some(last);
        let lagging = lagging.into_iter().filter(|table| rest_of(table).is_none());
        for LaggingTable { dataset, .. } in lagging {
            if tasks.len() >= DATASETS_MAX {
                break;
            }
            if failures.is_waiting(&dataset) || under_way.contains(&dataset) {
                continue;
            }
            let (shared, lake, followed) = (self.0.clone(), lake.clone(), dataset.clone());
            let task = tasks.spawn(async move { shared.follow(&lake, &followed).await });
            datasets.insert(task.id(), (dataset, Instant::now()));
        }
        Ok(())
    }

    async fn end(&self, following: &mut Following, ended: Ended) {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, ended),
            Err(panicked) => (panicked.id(), Err(panicked.into())),
        };
        if let Some((dataset, begun)) = following.datasets.remove(&task) {
            let rest = REST_MAX.min(begun.elapsed() * REST_FACTOR);
            following.rests.insert(dataset.clone(), Instant::now() + rest);
            self.0.report(&mut following.failures, dataset, ended).await;
        }
    }
}

type Ended = Result<(task::Id, Result<(), FollowError>), JoinError>;

/// Datasets that are followed at this moment, and those that failed.
#[derive(Default)]
struct Following {
    tasks: JoinSet<Result<(), FollowError>>,
    /// By their tasks, with the times at which these began.
    datasets: HashMap<task::Id, (LakePath, Instant)>,
    /// Datasets that were followed a moment ago, and when they are followed again.
    rests: HashMap<LakePath, Instant>,
    failures: Failures,
    /// Change up to which nothing is to be done: no table lags but those that failed or rest, whose time will come.
    settled: Option<i64>,
    /// When the first of the datasets that rest goes on.
    rested_at: Option<Instant>,
}

impl Shared {
    /// Follows a dataset up to its newest version.
    async fn follow(&self, lake: &Lake, dataset: &LakePath) -> Result<(), FollowError> {
        // Read before the entries, and again where there were any: so what another server fixes in between is written.
        let mut table = loop {
            let table = self.state.table(dataset).await?.unwrap_or_default();
            if !self.write_fixed(dataset).await? {
                break table;
            }
        };
        self.refuse_newer_log(dataset, &table).await?;
        loop {
            let has_new_checkpoint = self.write_checkpoint(dataset, &table).await?;
            if has_new_checkpoint {
                (table.checkpoint, table.actions) = (table.commit, 0);
            }
            if let Some(kept_from) = lake.table_log_kept_from() {
                self.clean_log(dataset, &table, has_new_checkpoint, kept_from).await;
            }
            let next = match table.version {
                0 => self.state.first_version(dataset).await?,
                version => VersionNumber(version + 1),
            };
            let versions = self.state.version_heads(dataset, next, VERSIONS_MAX).await?;
            if versions.is_empty() {
                return self.write_owed_manifest(dataset, &table).await;
            }
            let (fixed, entries) = self.fix(dataset, table, &versions).await?;
            table = fixed;
            self.write_new(dataset, entries).await?;
        }
    }

    /// Remembers why a dataset cannot be followed, or that it can.
    async fn report(&self, failures: &mut Failures, dataset: LakePath, ended: Result<(), FollowError>) {
        let told = match ended {
            // It is followed by another.
            Err(FollowError::Overtaken) => Ok(()),
            Ok(()) if failures.remove(&dataset) => self.state.set_table_problem(&dataset, None).await,
            Ok(()) => Ok(()),
            Err(error) => {
                let problem = error.to_string();
                if failures.add(dataset.clone()) {
                    tracing::error!(%dataset, fault = ?error, "the table of a dataset cannot follow it; retrying");
                }
                self.state.set_table_problem(&dataset, Some(&problem)).await
            }
        };
        if let Err(error) = told {
            tracing::debug!(%error, "cannot record the state of a table");
        }
    }

    fn random(&self) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(random_bytes(&SystemRandomness)?))
    }
}
