//! Tables of a lake on object storage: each dataset of Parquet is a Delta table that follows the versions of the dataset, a
//! commit a version; of other datasets, a version gets a manifest. See decision 0047.
//!
//! Of each dataset, one version after the other: what it adds to the bucket is derived from its rows ([`change`],
//! [`planning`]), its bytes are fixed in the database ([`fixing`]), then written to the bucket ([`writing`]). Whatever stops in
//! between, the next round goes on with what is fixed. Datasets do not wait for each other.

mod change;
mod checkpoint;
mod describing;
mod failure;
mod fixing;
mod planning;
mod writing;

use failure::{Failures, FollowError};
use lakeshore::Error;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::version::WhichVersion;
use lakeshore::ports::{Clock, Files, Randomness, State, TableLog};
use lakeshore_formats::FileFormats;
use lakeshore_storage::object::ObjectFiles;
use lakeshore_system::clock::{SystemClock, SystemRandomness};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Interval in which changes are looked for: one small query.
const INTERVAL: Duration = Duration::from_millis(100);
/// Pause after the database failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the time, the part that looking for lagging tables may take: one in so many.
const LOOKING_SHARE: u32 = 5;
/// Age from which a draft that was not fixed never will be.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Datasets that are followed at the same time.
const DATASETS_MAX: usize = 8;
/// Lagging datasets that one look finds.
const LAGGING_MAX: u64 = 1000;

/// Follows versions. Cheap to clone.
#[derive(Clone)]
pub struct Follower(Arc<Shared>);

struct Shared {
    state: Arc<dyn State>,
    files: Arc<dyn Files>,
    objects: ObjectFiles,
    log: Arc<dyn TableLog>,
    formats: Arc<FileFormats>,
    /// Identity of the lake.
    lake: String,
    /// Files that could not be read, and how often.
    unreadable: Mutex<HashMap<lakeshore::model::id::UploadId, u32>>,
}

impl Follower {
    pub fn new(state: Arc<dyn State>, objects: ObjectFiles, formats: Arc<FileFormats>, lake: String) -> Self {
        let (files, log) = (Arc::new(objects.clone()), Arc::new(objects.clone()));
        Self(Arc::new(Shared { state, files, objects, log, formats, lake, unreadable: Mutex::default() }))
    }

    /// Follows until the server stops. What is under way then is dropped: the next server goes on with it.
    pub async fn run(self, stopping: CancellationToken) {
        tokio::select! {
            () = self.follow_all() => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn follow_all(&self) {
        while let Err(error) = self.0.state.forget_drafts(SystemClock.now().minus(DRAFT_AGE_MAX)).await {
            tracing::error!(fault = ?error, "cannot forget what was never fixed of tables; retrying");
            tokio::time::sleep(PATIENCE).await;
        }
        let mut running: JoinSet<(LakePath, Result<(), FollowError>)> = JoinSet::new();
        let mut followed: HashSet<LakePath> = HashSet::new();
        let mut failures = Failures::default();
        // The change up to which nothing lags.
        let mut settled = None;
        loop {
            while let Some(ended) = running.try_join_next() {
                let Ok((dataset, ended)) = ended else { continue };
                followed.remove(&dataset);
                self.0.report(&mut failures, dataset, ended).await;
            }
            let looked = Instant::now();
            match self.start_some(&mut running, &mut followed, &failures, settled).await {
                Ok(now) => settled = now,
                Err(error) => {
                    tracing::error!(fault = ?error, "cannot find the tables that lag behind their datasets; retrying");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL.max(looked.elapsed() * LOOKING_SHARE)) => {}
                Some(ended) = running.join_next() => {
                    let Ok((dataset, ended)) = ended else { continue };
                    followed.remove(&dataset);
                    self.0.report(&mut failures, dataset, ended).await;
                }
            }
        }
    }

    /// Starts to follow datasets that lag. Gives the change up to which none does.
    async fn start_some(
        &self,
        running: &mut JoinSet<(LakePath, Result<(), FollowError>)>,
        followed: &mut HashSet<LakePath>,
        failures: &Failures,
        settled: Option<i64>,
    ) -> Result<Option<i64>, Error> {
        let last = self.0.state.last_change().await?;
        if settled == Some(last) || running.len() >= DATASETS_MAX {
            return Ok(settled);
        }
        let lagging = self.0.state.lagging_tables(LAGGING_MAX).await?;
        let is_settled = lagging.is_empty() && running.is_empty();
        for table in lagging {
            if running.len() >= DATASETS_MAX {
                break;
            }
            if failures.is_waiting(&table.dataset) || !followed.insert(table.dataset.clone()) {
                continue;
            }
            let shared = self.0.clone();
            running.spawn(async move {
                let ended = shared.follow(&table.dataset).await;
                (table.dataset, ended)
            });
        }
        Ok(is_settled.then_some(last))
    }
}

impl Shared {
    /// Follows a dataset up to its newest version.
    async fn follow(&self, dataset: &LakePath) -> Result<(), FollowError> {
        loop {
            self.write_entries(dataset).await?;
            let table = self.state.table(dataset).await?.unwrap_or_default();
            self.write_checkpoint(dataset, &table).await?;
            let next = match table.version {
                0 => self.state.first_version(dataset).await?,
                version => VersionNumber(version + 1),
            };
            match self.state.find_version(dataset, WhichVersion::Number(next)).await? {
                Some(version) => self.fix(dataset, &table, &version).await?,
                None => return Ok(()),
            }
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
                let problem = error.shown();
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
        let mut bytes = [0; 8];
        SystemRandomness.fill(&mut bytes)?;
        Ok(i64::from_le_bytes(bytes))
    }
}
