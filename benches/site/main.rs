//! Every page of the dashboard over a lake of many files, by the real server, as a browser asks for it: the time until
//! the whole page has arrived, without other load.
//!
//! `BENCH_ROWS` sets the number of files of the history (default: a million, with ten thousand syncs); each one that
//! has landed exists in the lake, empty except for one that is previewed. `BENCH_ASKS` sets the calls of each page
//! (300); `BENCH_DIR` and `LAKESHORE_BIN` are those of the uploads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../pages/fill.rs"]
mod fill;
#[path = "../kit/mod.rs"]
mod kit;

use kit::client::ask;
use kit::lakeshore::{self, Server};
use kit::percentile;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

const PREVIEWED: &str = "id,name,amount\n1,one,1.5\n2,two,2.5\n3,three,3.5\n";
const TRASHED_FILES: usize = 400;
/// Goal: the 99th percentile of every page.
const P99_MAX: Duration = Duration::from_millis(30);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows = kit::number("BENCH_ROWS", 1_000_000);
    let asks = usize::try_from(kit::number("BENCH_ASKS", 300)).unwrap();
    let folder = kit::folder_on_disk("bench-site");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    // The server creates the database and its tables.
    drop(Server::start(&folder));
    let database = folder.join("data/lakeshore.db");
    let start = Instant::now();
    fill::fill(&database, rows).await;
    let counter = fill::Counter::open(&database).await;
    let files = make_files(&counter, &lakeshore::lake(&folder)).await;
    let examples = counter.examples().await;
    fs::write(lakeshore::lake(&folder).join(&examples.file[1..]), PREVIEWED).unwrap();
    make_trash(&counter, &lakeshore::lake(&folder)).await;
    println!(
        "{} syncs, {} files in the history, {files} in the lake; made in {} s",
        counter.count("syncs", "1").await,
        counter.count("uploads", "1").await,
        start.elapsed().as_secs()
    );
    let pages = pages(&counter, &examples).await;
    // Closed, since the server needs the database for itself.
    counter.close().await;
    let server = Server::start(&folder);
    let start = Instant::now();
    // After a start, the server counts the datasets and inspects the files in the background, which is no part of a page.
    for (work, table, condition) in [("counted", "datasets", "counted_at IS NULL"), ("inspected", "uninspected", "1")] {
        while left(&folder, table, condition).await > 0 {
            std::thread::sleep(Duration::from_secs(5));
        }
        println!("all {work} {} s after the start", start.elapsed().as_secs());
    }
    println!();
    println!("| page, ms | address | KiB | median | p99 | longest |\n|---|---|--:|--:|--:|--:|");
    let mut slow = Vec::new();
    for (name, address) in pages {
        let p99 = measure(server.address, name, &address, asks);
        if p99 > P99_MAX {
            slow.push(name);
        }
    }
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
    match slow.as_slice() {
        [] => println!("\nevery p99 is within {} ms", P99_MAX.as_millis()),
        slow => println!("\np99 beyond {} ms: {}", P99_MAX.as_millis(), slow.join(", ")),
    }
}

/// Number of rows that the server has left, read from a copy, since the server has the database.
async fn left(folder: &Path, table: &str, condition: &str) -> u64 {
    let copy = folder.join("copy.db");
    let _ = fs::remove_file(&copy);
    let mut backup = std::process::Command::new(lakeshore::binary());
    backup.arg("backup").arg(&copy).arg("--data-dir").arg(folder.join("data"));
    assert!(backup.status().unwrap().success());
    let counter = fill::Counter::open(&copy).await;
    let left = counter.count(table, condition).await;
    counter.close().await;
    left
}

/// Makes every file that has landed according to the history.
async fn make_files(counter: &fill::Counter, lake: &Path) -> usize {
    let mut folders = BTreeSet::new();
    let mut files = 0;
    let make = |target: String| {
        let (folder, _) = target[1..].rsplit_once('/').unwrap();
        if folders.insert(folder.to_owned()) {
            fs::create_dir_all(lake.join(folder)).unwrap();
        }
        File::create(lake.join(&target[1..])).unwrap();
        files += 1;
    };
    counter.each("SELECT DISTINCT target FROM uploads WHERE status = 'Finished'", make).await;
    files
}

/// Makes the trash of the dataset that was replaced last, whose page is measured.
async fn make_trash(counter: &fill::Counter, lake: &Path) {
    let sql = "SELECT trash_key, origin FROM trash WHERE kind = 'Dataset' ORDER BY trash_id DESC LIMIT 1";
    let (key, origin): (String, String) = counter.row(sql).await;
    let folder = lake.join(".lakeshore/trash").join(key).join(origin.rsplit('/').next().unwrap());
    fs::create_dir_all(&folder).unwrap();
    for number in 0..TRASHED_FILES {
        File::create(folder.join(format!("part-{number:05}.parquet"))).unwrap();
    }
}

async fn pages(counter: &fill::Counter, examples: &fill::Examples) -> Vec<(&'static str, String)> {
    let fill::Examples { sync_id, dataset, versioned, folder, file, rare_text } = examples;
    let last = async |table: &str, condition: &str| counter.count(table, condition).await.saturating_sub(50);
    let of_sync = format!("sync_id = {sync_id}");
    let running = counter.highest("sync_id", "syncs", "phase = 'Open'").await;
    let item = counter.highest("trash_id", "trash", "kind = 'Dataset'").await;
    let full = counter.highest("sync_id", "trash", "kind = 'Dataset'").await;
    let wide = file.rsplit_once('/').unwrap().0;
    vec![
        ("Overview", "/".to_owned()),
        ("Overview, by dataset", "/?by=dataset".to_owned()),
        ("Syncs", "/syncs".to_owned()),
        ("Syncs, the last page", format!("/syncs?from={}", last("syncs", "1").await)),
        ("Syncs, those that failed", "/syncs?status=Failed".to_owned()),
        ("Syncs below a folder", format!("/syncs?path={folder}")),
        ("A sync that runs", format!("/syncs/{running}")),
        ("A sync of 400 files", format!("/syncs/{sync_id}")),
        ("Datasets", "/datasets".to_owned()),
        ("Datasets, the last page", format!("/datasets?from={}", last("datasets", "1").await)),
        ("Datasets, by text", "/datasets?q=table_7".to_owned()),
        ("A dataset", format!("/datasets{dataset}")),
        ("Versions of a dataset", format!("/datasets{versioned}?tab=versions")),
        ("Upload", "/upload".to_owned()),
        ("Lake", "/lake".to_owned()),
        ("Lake, a folder", format!("/lake{dataset}")),
        ("Lake, a folder of files", format!("/lake{wide}")),
        ("Lake, the same by size", format!("/lake{wide}?sort=size&order=desc")),
        ("A file", format!("/lake{file}")),
        ("History", "/history".to_owned()),
        ("History, the middle", format!("/history?from={}", last("uploads", "1").await / 2)),
        ("History, the last page", format!("/history?from={}", last("uploads", "1").await)),
        ("History, failures", "/history?status=Failed".to_owned()),
        (
            "History, the last failures",
            format!("/history?status=Failed&from={}", last("uploads", "status = 'Failed'").await),
        ),
        ("History of a sync", format!("/history?sync_id={sync_id}&from={}", last("uploads", &of_sync).await)),
        ("History below a folder", format!("/history?path={folder}")),
        ("History of a file", format!("/history?path={file}")),
        ("History, by text", format!("/history?q={rare_text}")),
        ("Trash", "/trash".to_owned()),
        ("Trash of a sync", format!("/trash/syncs/{full}")),
        ("An item of trash", format!("/trash/pieces/{item}")),
        ("Activity", "/activity".to_owned()),
        ("Keys", "/keys".to_owned()),
        ("Sign in", "/sign-in".to_owned()),
    ]
}

/// 99th percentile of the times of a page.
fn measure(address: SocketAddr, name: &str, page: &str, asks: usize) -> Duration {
    let request = format!(
        "GET {page} HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n"
    );
    let mut times = Vec::with_capacity(asks);
    let mut bytes = 0;
    for _ in 0..asks {
        let start = Instant::now();
        let answer = ask(address, &request).unwrap();
        times.push(start.elapsed());
        assert_eq!(answer.status, 200, "{page}: {}", String::from_utf8_lossy(&answer.body));
        bytes = answer.body.len();
    }
    times.sort_unstable();
    let milliseconds = |percent| percentile(&times, percent).as_secs_f64() * 1000.0;
    let (median, p99, longest) = (milliseconds(50), milliseconds(99), milliseconds(100));
    println!("| {name} | `{page}` | {:.1} | {median:.1} | {p99:.1} | {longest:.1} |", bytes as f64 / 1024.0);
    percentile(&times, 99)
}
