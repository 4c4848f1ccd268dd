//! Power cuts: the disk at a moment of a run, read by another start.
//!
//! The lake is on an ext4 of its own. While the server is halted, the image is copied: it has the data that the file
//! system has written, and lacks the data still in memory. A second server starts on the copy, after its journal was
//! replayed.

use crate::clients::{Ledger, Sender};
use crate::kills::begin_load;
use crate::mounts::{Mount, make_ext4};
use crate::server::{Stopped, skipped};
use crate::verify::Verifier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const IMAGE_MEBIBYTES: u64 = 512;
/// Longest interval of the file system's own writes, so that only the server's syncs reach the disk.
const SELDOM: &str = "commit=600";
/// Time in which syncs begun by a halted server complete.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_acknowledged_uploads_exist_and_every_file_has_its_row() {
    let cuts: u64 = std::env::var("POWER_CUTS").map_or(3, |cuts| cuts.parse().unwrap());
    let seed: u64 = std::env::var("KILLS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("POWER_CUTS={cuts} KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for _ in 0..cuts {
        let Some(checked) = cut_once(&mut random).await else { return };
        acknowledged += checked;
    }
    assert!(acknowledged > 0);
    eprintln!("{cuts} power cuts, {acknowledged} acknowledged uploads checked: lost 0, half 0, mixed 0");
}

/// Returns the number of checked acknowledged uploads.
async fn cut_once(random: &mut StdRng) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let (image, copy) = (folder.path().join("image"), folder.path().join("copy"));
    if !make_ext4(&image, IMAGE_MEBIBYTES) {
        skipped("mkfs.ext4 is missing");
        return None;
    }
    let (at, copy_at) = (folder.path().join("disk"), folder.path().join("copied"));
    let disk = Mount::image(&image, &at, SELDOM)?;
    let stopped = Stopped::new(folder, at.join("data"), &[]);
    // Unmounted before the folder of the images is removed.
    let _disk = disk;
    std::fs::create_dir_all(stopped.data_dir()).unwrap();
    let stopped = stopped.with_key();
    let server = stopped.start().await;
    let ledger = Arc::new(Ledger::default());
    let mut load = begin_load(&Sender::to(&server, &ledger), random);
    tokio::time::sleep(Duration::from_millis(random.random_range(200..1_500))).await;

    server.signal("STOP");
    tokio::time::sleep(SETTLED_AFTER).await;
    let before_the_cut = Ledger::knowing(ledger.known().clone());
    let copied = Command::new("cp").arg("--sparse=always").args([&image, &copy]).status().unwrap();
    assert!(copied.success());
    server.signal("CONT");
    drop(server.kill());
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }

    let _copied = Mount::image(&copy, &copy_at, "defaults")?;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut after = Stopped::new(elsewhere, copy_at.join("data"), &[]);
    after.key.clone_from(&stopped.key);
    let server = after.start().await;
    let mut verifier = Verifier::default();
    verifier.verify(&server, &before_the_cut).await;
    let server = server.kill_and_restart().await;
    verifier.verify(&server, &before_the_cut).await;
    Some(verifier.acknowledged)
}
