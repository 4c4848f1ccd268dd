//! `kill -9` at random moments under a mixed load, with a check of all guarantees after each restart.
//!
//! `KILLS` is the number of kills (`make torture KILLS=1000`). `KILLS_SEED` repeats the requests and the moments of a
//! run.

use crate::clients::{Ledger, Sender, version_in};
use crate::server::{Stopped, bucket, lakeshore, metadata, postgres, skipped};
use crate::verify::Verifier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const ADDERS: u64 = 3;
pub const REPLACED: [&str; 2] = ["/full", "/other"];
/// Kills before the run continues in a new lake, so that each round costs the same.
const KILLS_OF_A_LAKE: u64 = 50;
/// Trash items of each lake that are restored at its end.
const RESTORED: usize = 100;

/// Adds files to `/inc`, overwrites some, and restores some, in one sync after another, until the server ends.
pub async fn add(sender: Sender, adder: u64, mut random: StdRng) -> Option<()> {
    loop {
        let sync_id = sender.start("/inc", "IncrementalSync").await?;
        for _ in 0..random.random_range(5..40) {
            let length = if random.random_bool(0.1) { 2_000_000 } else { random.random_range(0..50_000) };
            let own = format!("/inc/own-{adder}-{}", random.random_range(0..3));
            match random.random_range(0..10) {
                // Names that others write concurrently.
                0..3 => {
                    let name = format!("hot-{}", random.random_range(0..3));
                    sender.upload(sync_id, &name, sender.fresh_bytes(length)).await?;
                }
                3..5 => sender.upload_own(sync_id, &own, length).await?,
                5 => {
                    // Sometimes longer than the interval of checkpoints.
                    let length = if random.random_bool(0.1) { 40_000_000 } else { 20 * length };
                    sender.upload_in_chunks(sync_id, &own, length, random.random_range(1..5)).await?;
                }
                7 => sender.upload_in_parts(sync_id, &own, length).await?,
                6 => drop(sender.restore(&own).await?),
                _ => {
                    let bytes = sender.fresh_bytes(length);
                    let name = format!("cold-{}", crate::clients::digest(&bytes));
                    sender.upload(sync_id, &name, bytes).await?;
                }
            }
        }
        if random.random_bool(0.3) {
            sender.leave_unfinished(sync_id, 50_000).await?;
        }
        sender.close(if random.random_bool(0.2) { "abort" } else { "end" }, sync_id).await?;
    }
}

/// Replaces a dataset by one version after another, aborts some, and restores some, until the server ends.
pub async fn replace(sender: Sender, path: &'static str, mut random: StdRng) -> Option<()> {
    loop {
        let sync_id = sender.stage(path).await?;
        if random.random_bool(0.2) {
            sender.close("abort", sync_id).await?;
        } else {
            sender.publish(path, sync_id).await?;
        }
        if random.random_bool(0.3) {
            sender.restore(path).await?;
        }
        if random.random_bool(0.3) {
            sender.restore_version(path, random.random_range(0..5)).await?;
        }
        if random.random_bool(0.2) {
            sender.snapshot(path, random.random_bool(0.7)).await?;
        }
    }
}

/// Starts all clients, until the server ends.
pub fn begin_load(sender: &Sender, random: &mut StdRng) -> JoinSet<Option<()>> {
    let mut load = JoinSet::new();
    for adder in 0..ADDERS {
        load.spawn(add(sender.clone(), adder, StdRng::seed_from_u64(random.random())));
    }
    for path in REPLACED {
        load.spawn(replace(sender.clone(), path, StdRng::seed_from_u64(random.random())));
    }
    load
}

/// Reads the datasets continuously, like an engine: opens a folder, then its files.
fn read_on(lake: &Path, stop: &AtomicBool) -> u64 {
    let mut readings = 0;
    while !stop.load(Ordering::Relaxed) {
        for dataset in REPLACED {
            // By the open handle, as the name may refer to another folder a moment later.
            if let Ok(folder) = std::fs::File::open(lake.join(&dataset[1..])) {
                let handle = std::os::fd::AsRawFd::as_raw_fd(&folder);
                assert!(version_in(Path::new(&format!("/proc/self/fd/{handle}"))) > 0);
                readings += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    readings
}

struct Reader {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Reader {
    fn of(lake: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || read_on(&lake, &stop)
        });
        Self { stop, thread }
    }

    fn readings(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[derive(Default)]
struct Figures {
    kills: u64,
    in_recovery: u64,
    acknowledged: usize,
    restored: usize,
    readings: u64,
}

/// One new lake, killed this many times.
async fn torture_a_lake(stopped: Stopped, kills: u64, random: &mut StdRng, figures: &mut Figures) {
    let stopped = stopped.with_key();
    let ledger = Arc::new(Ledger::default());
    let mut verifier = Verifier::default();
    let mut server = stopped.start().await;
    // Object storage has no folder that its readers could open.
    let reader = stopped.bucket.is_none().then(|| Reader::of(server.lake()));
    for _ in 0..kills {
        let sender = Sender::to(&server, &ledger);
        sender.abort_open_syncs(&server).await;
        let mut load = begin_load(&sender, random);
        // Object storage takes longer, and every kill is to find something.
        while stopped.bucket.is_some() && ledger.known().acknowledged.is_empty() {
            assert!(server.is_alive(), "{}", server.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(20_000..700_000))).await;
        server.kill();
        figures.kills += 1;
        // A sender with a wrong response has panicked.
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        if random.random_bool(0.5) {
            stopped.start_and_kill_after(Duration::from_micros(random.random_range(1_000..60_000)));
            figures.in_recovery += 1;
        }
        server = stopped.start().await;
        verifier.verify(&server, &ledger).await;
    }
    figures.readings += reader.map_or(0, Reader::readings);
    Sender::to(&server, &ledger).abort_open_syncs(&server).await;
    figures.restored += verifier.restore_latest(&server, &ledger, RESTORED).await;
    let server = server.kill_and_restart().await;
    verifier.verify(&server, &ledger).await;
    figures.acknowledged += verifier.acknowledged;
}

fn in_folder() -> Stopped {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    Stopped::new(folder, data_dir, &[])
}

/// Maximum additional kills until a reader has seen a dataset.
const MORE_KILLS_MAX: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_leave_nothing_lost_incomplete_or_in_doubt_after_the_restart() {
    let kills: u64 = std::env::var("KILLS").map_or(6, |kills| kills.parse().unwrap());
    let seed: u64 = std::env::var("KILLS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("KILLS={kills} KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut figures = Figures::default();
    // On a slow machine the first publish may need more kills than requested.
    while figures.kills < kills || (figures.readings == 0 && figures.kills < kills + MORE_KILLS_MAX) {
        let kills = KILLS_OF_A_LAKE.min(kills.saturating_sub(figures.kills).max(1));
        torture_a_lake(in_folder(), kills, &mut random, &mut figures).await;
    }
    let Figures { kills, in_recovery, acknowledged, restored, readings } = figures;
    assert!(readings > 0, "there was a dataset to read");
    assert!(acknowledged > 0);
    // Each of these would have failed the test.
    println!(
        "{kills} kills under load and {in_recovery} in the recovery, {acknowledged} acknowledged uploads checked, \
         {readings} datasets read meanwhile, {restored} items of trash restored: lost 0, half 0, mixed 0"
    );
}

/// Both at once, as PostgreSQL's commits and the objects of the bucket have to agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_on_postgresql_and_object_storage_lose_nothing_and_leave_no_object_without_its_row() {
    let Some(database) = postgres::Database::new().await else {
        return skipped("PostgreSQL is not installed; run \"make postgres\"");
    };
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let kills: u64 = std::env::var("KILLS").map_or(2, |kills| kills.parse().unwrap());
    let seed: u64 = std::env::var("KILLS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("KILLS={kills} KILLS_SEED={seed}");
    let (mut random, mut figures) = (StdRng::seed_from_u64(seed), Figures::default());
    let stopped = in_folder();
    metadata::assign(stopped.data_dir(), &database.address);
    let stopped = stopped.on_bucket();
    torture_a_lake(stopped.clone(), kills, &mut random, &mut figures).await;
    // A write that was cut off at the last kill may still arrive at the object storage.
    for _ in 0..100 {
        if bucket::disagreements(stopped.data_dir(), stopped.bucket.as_ref().unwrap()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bucket::disagreements(stopped.data_dir(), stopped.bucket.as_ref().unwrap()), [""; 0]);
    let checked = lakeshore(&["check", "--data-dir", stopped.data_dir().to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(figures.acknowledged > 0);
    println!("{} kills, {} acknowledged uploads checked", figures.kills, figures.acknowledged);
}
