//! Builds a plan from a folder: one thread walks, as many hash as there are cores, and entries keep the order of the
//! walk.

use super::digest::{DigestError, digest};
use super::error::ClientError;
use super::pick::Pick;
use super::plan::{Plan, PlanReader, PlanWriter, PlannedFile, PreviousPlan};
use super::private::PrivateFolder;
use super::progress::Progress;
use super::walk::{Skipped, Source, SourceFile, WalkEntry, walk};
use futures_util::{StreamExt, stream};
use lakeshore::LakePath;
use lakeshore::ports::Clock;
use lakeshore_system::clock::SystemClock;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Files between the walk and the plan, so that a large file does not stop others from being hashed.
const AHEAD_MAX: usize = 256;
/// Names listed of each kind.
pub const NAMED_MAX: usize = 10;

/// Source and options of a scan.
pub struct Scan {
    pub source: Source,
    pub dataset: LakePath,
    pub pick: Arc<Pick>,
    pub follow_links: bool,
    /// Folder of the plan; an earlier plan there supplies digests.
    pub state: Arc<PrivateFolder>,
    /// Ignore earlier digests.
    pub read_all: bool,
}

#[derive(Debug)]
pub struct Scanned {
    pub plan: Plan,
    pub skipped: BTreeMap<Skipped, Named>,
    pub problems: Problems,
    /// Files whose digest was known.
    pub remembered: u64,
}

/// Number of files, and the first names.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Named {
    pub count: u64,
    pub names: Vec<String>,
}

impl Named {
    pub fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        if self.names.len() < NAMED_MAX {
            self.names.push(name.into());
        }
    }
}

/// Files that should be sent but cannot be.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Problems {
    pub count: u64,
    pub named: Vec<Problem>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    pub path: String,
    pub why: String,
}

/// Names listed of failed files.
pub const PROBLEMS_NAMED_MAX: usize = 100;

impl Problems {
    pub fn add(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.count += 1;
        if self.named.len() < PROBLEMS_NAMED_MAX {
            self.named.push(Problem { path: path.into(), why: why.into() });
        }
    }
}

/// A file from the walk, with its earlier digest if known.
enum Step {
    File(SourceFile, Option<String>),
    Other(WalkEntry),
}

impl Scan {
    pub async fn run(self, progress: &Arc<Progress>, stop: &CancellationToken) -> Result<Scanned, ClientError> {
        progress.begin("hashing", None, None);
        // Before the walk begins: later changes may be missed by it.
        let mut writer = PlanWriter::create(&self.state, SystemClock.now().0)?;
        let earlier = if self.read_all { None } else { PlanReader::open(&self.state)?.map(PreviousPlan::new) };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hashers = Arc::new(Semaphore::new(cores));
        let folder = self.source.folder.clone();
        let mut steps = self.walk_aside(earlier, stop);
        let steps = stream::poll_fn(move |context| steps.poll_recv(context));
        let mut files = steps
            .map(|step| Self::hash(step, folder.clone(), hashers.clone(), progress.clone(), stop.clone()))
            .buffered(AHEAD_MAX);
        let (mut skipped, mut problems, mut remembered) = (BTreeMap::<_, Named>::new(), Problems::default(), 0);
        while let Some(hashed) = files.next().await {
            match hashed? {
                Hashed::File(file, was_known) => {
                    remembered += u64::from(was_known);
                    writer.add(&file)?;
                    progress.add_files(1);
                }
                Hashed::Other(WalkEntry::Skipped(kind, path)) => skipped.entry(kind).or_default().add(path),
                Hashed::Other(WalkEntry::Problem { path, why }) => problems.add(path, why),
                Hashed::Other(WalkEntry::File(_)) => {}
            }
        }
        drop(files);
        if stop.is_cancelled() {
            return Err(ClientError::Interrupted);
        }
        progress.end();
        Ok(Scanned { plan: writer.finish()?, skipped, problems, remembered })
    }

    fn walk_aside(self, mut earlier: Option<PreviousPlan>, stop: &CancellationToken) -> mpsc::Receiver<Step> {
        let (sender, steps) = mpsc::channel(AHEAD_MAX);
        let stop = stop.clone();
        tokio::task::spawn_blocking(move || {
            walk(&self.source, &self.dataset, &self.pick, self.follow_links, &mut |entry| {
                let step = match entry {
                    WalkEntry::File(found) => {
                        let known = earlier.as_mut().and_then(|plan| plan.digest(&found.relative, &found.stamp));
                        Step::File(found, known)
                    }
                    other => Step::Other(other),
                };
                !stop.is_cancelled() && sender.blocking_send(step).is_ok()
            });
        });
        steps
    }

    async fn hash(
        step: Step,
        folder: PathBuf,
        hashers: Arc<Semaphore>,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Result<Hashed, ClientError> {
        let (found, known) = match step {
            Step::File(found, known) => (found, known),
            Step::Other(entry) => return Ok(Hashed::Other(entry)),
        };
        let SourceFile { relative, stamp } = found;
        if let Some(sha256) = known {
            return Ok(Hashed::File(PlannedFile { path: relative, sha256, stamp }, true));
        }
        let _one = hashers.acquire_owned().await.map_err(|error| ClientError::Local(error.to_string()))?;
        let path = folder.join(&relative);
        let hashing =
            tokio::task::spawn_blocking(move || digest(&path, &stamp, &stop, &|count| progress.add_bytes(count)));
        match hashing.await.map_err(|error| ClientError::Local(error.to_string()))? {
            Ok(sha256) => Ok(Hashed::File(PlannedFile { path: relative, sha256, stamp }, false)),
            Err(DigestError::Stopped) => Err(ClientError::Interrupted),
            Err(DigestError::Problem(why)) => Ok(Hashed::Other(WalkEntry::Problem { path: relative, why })),
        }
    }
}

enum Hashed {
    File(PlannedFile, bool),
    Other(WalkEntry),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    async fn scan(folder: &Path, state: &Arc<PrivateFolder>, read_all: bool) -> Scanned {
        let scan = Scan {
            source: Source::find(folder).unwrap(),
            dataset: LakePath::parse("/data/t").unwrap(),
            pick: Arc::new(Pick::new(&[], &[]).unwrap()),
            follow_links: false,
            state: state.clone(),
            read_all,
        };
        scan.run(&Progress::new(true), &CancellationToken::new()).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_is_read_again_only_when_it_may_have_changed() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = Arc::new(PrivateFolder::open(&state.path().join("state")).unwrap());
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["a", "b/c", "d"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        // Files written a moment ago are not settled, so their digests are not reused, however often they are read.
        assert_eq!(scan(folder.path(), &place, false).await.remembered, 0);
        assert_eq!(scan(folder.path(), &place, false).await.remembered, 0);
        // The test needs time itself to pass.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        scan(folder.path(), &place, false).await;
        assert_eq!(scan(folder.path(), &place, false).await.remembered, 3);
        std::fs::write(folder.path().join("b/c"), "C").unwrap();
        std::fs::write(folder.path().join("0"), "new").unwrap();
        let scanned = scan(folder.path(), &place, false).await;
        assert_eq!((scanned.remembered, scanned.plan.files, scanned.plan.bytes), (2, 4, 6));
        let files = scanned.plan.read().unwrap().take(10).unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["0", "a", "d", "b/c"]);
        assert_eq!(files[3].sha256, "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d");
        assert_eq!(scan(folder.path(), &place, true).await.remembered, 0);
    }
}
