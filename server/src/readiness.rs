//! Readiness: whether a write would succeed. It is checked by writes to the database and to the lake, and by the free
//! space above the reserve. A result is cached for a moment, so that many requests cost no more than one.

use crate::opening::LakeFiles;
use async_trait::async_trait;
use lakeshore::Lake;
use lakeshore::ports::Clock;
use lakeshore_http::readiness::ReadinessProbe;
use lakeshore_metadata::store::Store;
use lakeshore_system::clock::SystemClock;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Time for which a result is cached.
const KNOWN_MAX: Duration = Duration::from_secs(2);
/// Timeout after which the server counts as not ready, as clients have a timeout too.
const LOOK_MAX: Duration = Duration::from_secs(4);

/// Reasons why a write would fail, each with a remedy.
type Reasons = Vec<String>;

#[derive(Clone)]
struct Probe {
    lake: Lake,
    store: Store,
    files: LakeFiles,
    database: PathBuf,
    /// Device and inode of the open database.
    opened: Option<(u64, u64)>,
}

pub struct Readiness {
    probe: Probe,
    looked: Mutex<Looked>,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    reasons: Reasons,
    /// A check in progress. At most one runs at a time.
    running: Option<JoinHandle<Reasons>>,
}

impl Readiness {
    pub fn new(lake: Lake, store: Store, files: LakeFiles, database: PathBuf) -> Self {
        let opened = place(&database);
        Self { probe: Probe { lake, store, files, database, opened }, looked: Mutex::default() }
    }
}

#[async_trait]
impl ReadinessProbe for Readiness {
    /// Changes of the result are logged.
    async fn look(&self) -> Result<(), String> {
        let mut looked = self.looked.lock().await;
        if looked.at.is_none_or(|at| at.elapsed() > KNOWN_MAX) {
            let mut running = looked.running.take().unwrap_or_else(|| tokio::spawn(self.probe.clone().run()));
            let reasons = match timeout(LOOK_MAX, &mut running).await {
                Ok(Ok(reasons)) => reasons,
                Ok(Err(error)) => vec![error.to_string()],
                Err(_) => {
                    looked.running = Some(running);
                    let limit = humantime::format_duration(LOOK_MAX);
                    vec![format!(
                        "a write takes longer than {limit}; check the disks, and which other programs use the database"
                    )]
                }
            };
            report(&looked.reasons, &reasons);
            (looked.at, looked.reasons) = (Some(Instant::now()), reasons);
        }
        if looked.reasons.is_empty() { Ok(()) } else { Err(looked.reasons.join("; and ")) }
    }
}

fn report(before: &Reasons, now: &Reasons) {
    // Numbers in the reasons change all the time, so only their presence is compared.
    match (before.is_empty(), now.is_empty()) {
        (true, false) => now.iter().for_each(|reason| tracing::warn!(%reason, "not ready: writes would fail")),
        (false, true) => tracing::info!("ready again: writes succeed"),
        _ => {}
    }
}

impl Probe {
    async fn run(self) -> Reasons {
        let mut reasons = Vec::new();
        if let Err(reason) = self.files.probe().await {
            reasons.push(reason);
        }
        let cannot_write = match &self.store {
            Store::Sqlite(state) => {
                if self.opened.is_none() || place(&self.database) != self.opened {
                    reasons.push("the database file is missing; move it back, then restart the server".into());
                }
                if state.is_damaged() {
                    reasons.push("the database is damaged; stop the server and restore a backup".into());
                }
                "cannot write to the database; check the log, the permissions of the data folder, and whether its disk is read-only"
            }
            Store::Postgres(state) if state.is_taken_over() => "another server has taken over this lake; stop this one",
            Store::Postgres(_) => {
                "cannot write to the database; check the log, whether PostgreSQL runs, and the network to it"
            }
        };
        match self.store.probe(SystemClock.now()).await {
            Ok(()) => {}
            Err(lakeshore::Error::DiskFull) => reasons.push("the disk of the database is full; free up space".into()),
            // The error is for the operator, and is in the log.
            Err(_) => reasons.push(cannot_write.into()),
        }
        match self.lake.has_room().await {
            Ok(()) => {}
            Err(error @ lakeshore::Error::BelowReserve { .. }) => reasons.push(error.to_string()),
            // A missing database is already reported.
            Err(_) if !reasons.is_empty() => {}
            Err(_) => reasons.push("cannot determine the free space of the disks; check them".into()),
        }
        reasons
    }
}

fn place(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}
