//! Crashes at every failpoint of `lakeshore_system::failpoints`, and crashes in the recovery. A point that the scenario
//! passes often is tested at the first passings and at each twelfth of the others; `CRASHES=all` tests every passing.

use crate::clients::{Ledger, Sender};
use crate::server::{Stopped, TestServer};
use crate::server::{bucket, skipped};
use crate::verify::Verifier;
use lakeshore_system::failpoints::{OF_OBJECTS, POINTS};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

const VARIABLE: &str = "LAKESHORE_CRASH_AT";
/// Points tested concurrently.
const WORKERS: usize = 3;
/// First passings of a point that are all tested.
const FIRST_PASSINGS: u64 = 3;
/// Of the others, each of this number is tested.
const STRIDE: u64 = 12;
/// More than the scenario passes any point.
const PASSINGS_MAX: u64 = 200;

/// A folder where syncs cost nothing, if there is one: these tests check the order of steps, not the disk.
fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Every step that moves something. `None` when the server ended before.
async fn scenario(sender: &Sender) -> Option<()> {
    let added = sender.start("/inc", "IncrementalSync").await?;
    sender.upload_own(added, "/inc/small", 100).await?;
    sender.upload_own(added, "/inc/large", 3_000_000).await?;
    sender.upload_own(added, "/inc/small", 50).await?;
    sender.upload_own(added, "/inc/large", 3_000_000).await?;
    // More than one part of an object.
    let large = if sender.server.bucket.is_some() { 18_000_000 } else { 3_000_000 };
    sender.upload_in_chunks(added, "/inc/large", large, 2).await?;
    sender.upload_in_parts(added, "/inc/joined", 5_000).await?;
    sender.leave_unfinished(added, 10).await?;
    sender.replace_and_empty(added, "/inc/doomed").await?;
    sender.hold_by_schema("/full").await?;
    let first = sender.stage("/full").await?;
    sender.publish("/full", first).await?;
    let second = sender.stage("/full").await?;
    sender.publish("/full", second).await?;
    sender.publish_unchanged("/full").await?;
    sender.snapshot("/full", true).await?;
    assert_eq!(sender.restore("/full").await?, "Replaced");
    sender.restore_version("/full", 1).await?;
    sender.hold_and_supersede("/full").await?;
    let aborted = sender.stage("/full").await?;
    sender.close("abort", aborted).await?;
    assert_eq!(sender.restore("/full").await?, "Aborted");
    let nowhere = sender.stage("/new").await?;
    sender.close("abort", nowhere).await?;
    assert_eq!(sender.restore("/new").await?, "Aborted");
    assert_eq!(sender.restore("/inc/small").await?, "Overwritten");
    sender.close("end", added).await
}

/// An unfinished upload, so that every crash interrupts one.
fn begin_upload(server: &TestServer, sync_id: u64) -> Option<TcpStream> {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).ok()?;
    write!(
        connection,
        "POST /api/lake/file/upload?sync_id={sync_id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"half\"\r\n\r\nsome of it"
    )
    .ok()?;
    Some(connection)
}

async fn run_scenario(server: &TestServer, ledger: &Arc<Ledger>) -> Option<()> {
    let sender = Sender::to(server, ledger);
    let half = sender.start("/half", "FullSync").await?;
    sender.upload(half, "whole", sender.fresh_bytes(10)).await?;
    let _half_way = begin_upload(server, half)?;
    scenario(&sender).await
}

fn in_folder() -> Stopped {
    let folder = fast_folder();
    let data_dir = folder.path().to_owned();
    Stopped::new(folder, data_dir, &["--shrink-guard", "0.5"])
}

/// Was the server killed at the `passing`-th time that the scenario came to the point?
async fn crash_at(stopped: Stopped, point: &str, passing: u64) -> bool {
    let stopped = stopped.with_key();
    let ledger = Arc::new(Ledger::default());
    let armed = format!("{point}:{passing}");
    match stopped.try_start(&[(VARIABLE, &armed)]).await {
        Ok(mut server) => {
            if run_scenario(&server, &ledger).await.is_some() {
                return false;
            }
            server.eventually_ended();
        }
        Err(ended) => assert!(ended.was_killed, "{}", ended.said),
    }
    // The recovery is interrupted too: at the same point twice, and at a write of the recovery.
    let of_recovery = ["state.before_commit", "state.committed", "sweep.begun", "sweep.uploads_removed"];
    for again in [point, point, of_recovery[passing as usize % of_recovery.len()]] {
        match stopped.try_start(&[(VARIABLE, again)]).await {
            Ok(server) => drop(server.kill()),
            Err(ended) => assert!(ended.was_killed, "{armed}, then {again}: {}", ended.said),
        }
    }
    let mut verifier = Verifier::default();
    let server = stopped.start().await;
    verifier.verify(&server, &ledger).await;
    let server = server.kill_and_restart().await;
    verifier.verify(&server, &ledger).await;
    Sender::to(&server, &ledger).abort_open_syncs(&server).await;
    verifier.restore_latest(&server, &ledger, 100).await;
    // The lake still works.
    run_scenario(&server, &ledger).await.unwrap();
    let server = server.kill_and_restart().await;
    verifier.verify(&server, &ledger).await;
    if let Some(of) = &stopped.bucket {
        // Unreferenced objects go in the background.
        for _ in 0..200 {
            if bucket::unreferenced(stopped.data_dir()) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(bucket::unreferenced(stopped.data_dir()), 0, "{armed}");
        assert_eq!(bucket::disagreements(stopped.data_dir(), of), [""; 0], "{armed}");
    }
    true
}

/// Number of crashes.
async fn crash_at_passings(point: &str) -> u64 {
    let stride = if std::env::var("CRASHES").is_ok_and(|crashes| crashes == "all") { 1 } else { STRIDE };
    // Other passings for each point.
    let offset = point.bytes().map(u64::from).sum::<u64>() % stride;
    let others = (FIRST_PASSINGS + 1..PASSINGS_MAX).filter(|passing| passing % stride == offset);
    for (crashes, passing) in (0..).zip((1..=FIRST_PASSINGS).chain(others)) {
        if !crash_at(in_folder(), point, passing).await {
            return crashes;
        }
    }
    panic!("{point} is passed too often");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_any_step_and_in_the_recovery_lose_nothing_and_leave_nothing_incomplete() {
    let wanted = std::env::var("POINTS").ok();
    let is_wanted = |point: &&str| {
        wanted.as_ref().is_none_or(|wanted| point.starts_with(wanted.as_str())) && !point.starts_with(OF_OBJECTS)
    };
    let queue: VecDeque<_> = POINTS.iter().copied().filter(is_wanted).collect();
    let count = queue.len();
    let queue = Arc::new(Mutex::new(queue));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut passed = BTreeMap::new();
            loop {
                // From the end, which has the points that are passed most often.
                let Some(point) = queue.lock().unwrap().pop_back() else { return passed };
                passed.insert(point, crash_at_passings(point).await);
            }
        });
    }
    let passed: BTreeMap<_, _> = workers.join_all().await.into_iter().flatten().collect();
    println!("crashed at: {passed:?}");
    assert_eq!(passed.len(), count);
    assert!(passed.values().all(|&passings| passings > 0), "the scenario passes every point: {passed:?}");
}

/// Points that a lake on object storage passes, beside its own.
const SHARED: [&str; 9] = [
    "partial.checkpoint",
    "partial.synced",
    "take_over.synced",
    "exchange.done",
    "drop.moved",
    "emptying.removed",
    "sweep.uploads_removed",
    "state.before_commit",
    "state.committed",
];
/// Passings of a point at which the server is killed; the first alone without `PASSINGS=all`.
const PASSINGS_ON_BUCKET: [u64; 3] = [1, 3, 10];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_on_object_storage_loses_nothing_and_leaves_no_object_without_a_row_nor_a_row_without_its_object() {
    if bucket::object_storage::object_storage().is_none() {
        skipped(bucket::object_storage::MISSING);
        return;
    }
    let wanted = std::env::var("POINTS").ok();
    let is_wanted = |point: &&str| {
        wanted.as_ref().is_none_or(|wanted| point.starts_with(wanted.as_str()))
            && (point.starts_with(OF_OBJECTS) || SHARED.contains(point))
    };
    let passings = if std::env::var("PASSINGS").is_ok_and(|passings| passings == "all") { 3 } else { 1 };
    let queue: VecDeque<_> = POINTS.iter().copied().filter(is_wanted).collect();
    let queue = Arc::new(Mutex::new(queue));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut never = Vec::new();
            loop {
                let Some(point) = queue.lock().unwrap().pop_front() else { return never };
                for passing in &PASSINGS_ON_BUCKET[..passings] {
                    if !crash_at(in_folder().on_bucket(), point, *passing).await {
                        if *passing == 1 {
                            never.push(point);
                        }
                        break;
                    }
                }
            }
        });
    }
    let never: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(never, [""; 0], "the scenario passes every point");
}
