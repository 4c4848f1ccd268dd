//! Publish of a full sync with very many files, compared with one of ten, by the real server: the time of its `end`,
//! and the latency of an upload at the same time. Results are ratios: for a confirmed end, which is the exchange alone,
//! and for one before which the shrink guard counts the files of the dataset and of the staging.
//!
//! `BENCH_FILES` sets the number of files (default: a hundred thousand), `BENCH_ROUNDS` the rounds (3); `BENCH_DIR` and
//! `LAKESHORE_BIN` are those of the uploads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../kit/mod.rs"]
mod kit;

use kit::lakeshore::{self, Server};
use kit::{client, median, number, percentile};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const FEW_FILES: usize = 10;
/// Publishes of few files for each one of many: they are fast, and a single time varies.
const FEW_TIMES: u64 = 10;
const FULL_FILE_BYTES: usize = 1024;
const OTHER_FILE_BYTES: usize = 16 * 1024;
const FULL_IN_FLIGHT: usize = 32;
const OTHER_IN_FLIGHT: usize = 4;
/// Time over which the other client is watched before a publish and after it, since a publish leaves work behind.
const WATCHED: Duration = Duration::from_secs(2);

/// Measurements of the publishes of one size.
#[derive(Default)]
struct Seen {
    confirmed_ms: Vec<f64>,
    guarded_ms: Vec<f64>,
    beside_ms: Vec<f64>,
    /// Latencies of the other client, without a publish and with one.
    without_us: Vec<u128>,
    with_us: Vec<u128>,
}

fn main() {
    let many_files = usize::try_from(number("BENCH_FILES", 100_000)).unwrap();
    let rounds = number("BENCH_ROUNDS", 3);
    let folder = kit::folder_on_disk("bench-publish");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let server = Server::start(&folder);
    let block = client::block();
    let (mut few, mut many) = (Seen::default(), Seen::default());
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for _ in 0..FEW_TIMES {
            few.publish_alone(&server, FEW_FILES, &block);
        }
        many.publish_alone(&server, many_files, &block);
        publish_beside(&server, FEW_FILES, &block, &mut few);
        publish_beside(&server, many_files, &block, &mut many);
    }
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
    print(&few, &many, many_files);
}

impl Seen {
    fn publish_alone(&mut self, server: &Server, files: usize, block: &[u8]) {
        let sync_id = send_full(server, files, block);
        self.confirmed_ms.push(milliseconds(|| server.end_sync_confirmed(sync_id)));
        let sync_id = send_full(server, files, block);
        self.guarded_ms.push(milliseconds(|| server.end_sync(sync_id)));
    }
}

fn milliseconds(of: impl FnOnce()) -> f64 {
    let start = Instant::now();
    of();
    start.elapsed().as_secs_f64() * 1000.0
}

fn send_full(server: &Server, files: usize, block: &[u8]) -> u64 {
    let sync_id = server.start_sync(&format!("/bench/full-{files}"), "FullSync");
    let mut taken = 0;
    let report = client::send(server.address, FULL_IN_FLIGHT, block, |request| {
        taken += 1;
        lakeshore::upload(request, sync_id, &format!("file-{taken}"), FULL_FILE_BYTES);
        taken <= files
    });
    assert_eq!(report.accepted.len(), files, "{:?}", report.first_failure);
    sync_id
}

/// Publishes while another client uploads.
fn publish_beside(server: &Server, files: usize, block: &[u8], seen: &mut Seen) {
    let sync_id = send_full(server, files, block);
    let other = server.start_sync("/bench/other", "IncrementalSync");
    let stop = AtomicBool::new(false);
    let names = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            client::send(server.address, OTHER_IN_FLIGHT, block, |request| {
                let name = format!("other-{other}-{}", names.fetch_add(1, Ordering::Relaxed));
                lakeshore::upload(request, other, &name, OTHER_FILE_BYTES);
                !stop.load(Ordering::Relaxed)
            })
        });
        // The first moments are not counted.
        std::thread::sleep(WATCHED / 4);
        let watched_from = Instant::now();
        std::thread::sleep(WATCHED);
        let ended_from = Instant::now();
        seen.beside_ms.push(milliseconds(|| server.end_sync(sync_id)));
        let ended_at = Instant::now();
        std::thread::sleep(WATCHED);
        stop.store(true, Ordering::Relaxed);
        let report = uploads.join().unwrap();
        assert_eq!(report.failures, 0, "{:?}", report.first_failure);
        for (begun_at, latency) in report.accepted {
            let answered_at = begun_at + latency;
            if begun_at >= watched_from && answered_at <= ended_from {
                seen.without_us.push(latency.as_micros());
            } else if answered_at > ended_from && begun_at <= ended_at + WATCHED / 2 {
                seen.with_us.push(latency.as_micros());
            }
        }
    });
    server.end_sync(other);
}

fn print(few: &Seen, many: &Seen, many_files: usize) {
    println!(
        "\n| end of a full sync, ms, median | {FEW_FILES} files | {many_files} files | ratio |\n|---|--:|--:|--:|"
    );
    for (name, few, many) in [
        ("the exchange: confirmed", &few.confirmed_ms, &many.confirmed_ms),
        ("the guard counts first", &few.guarded_ms, &many.guarded_ms),
        ("the same beside another client", &few.beside_ms, &many.beside_ms),
    ] {
        let (few, many) = (median(few.clone()), median(many.clone()));
        println!("| {name} | {few:.2} | {many:.2} | {:.2} |", many / few);
    }
    println!("\n| uploads of the other client, us | median | p99 | longest |\n|---|--:|--:|--:|");
    for (name, latencies) in [
        ("before a publish".to_owned(), &[few.without_us.as_slice(), &many.without_us].concat()),
        (format!("while {FEW_FILES} files are published, and 1 s behind"), &few.with_us),
        (format!("while {many_files} files are published, and 1 s behind"), &many.with_us),
    ] {
        let mut sorted = latencies.clone();
        sorted.sort_unstable();
        println!(
            "| {name} | {} | {} | {} |",
            percentile(&sorted, 50),
            percentile(&sorted, 99),
            percentile(&sorted, 100)
        );
    }
}
