//! A full Btrfs: it copies on write, so that even overwriting needs a new block, `statvfs` reports space that it does
//! not give, and a removal needs space too. `FULL_DISKS=10` fills it ten times.

use crate::clients::{Ledger, digest};
use crate::mounts::Mount;
use crate::server::{Stopped, TestServer, answer, assert_refused};
use crate::verify::Verifier;
use futures_util::stream::{self, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Pauses of a sender after an accepted upload, and after a refused one.
const PAUSE: Duration = Duration::from_millis(2);
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Foreign files on the disk.
struct Ballast {
    folder: PathBuf,
    random: StdRng,
    made: u64,
}

impl Ballast {
    fn below(at: &Path) -> Self {
        let folder = at.join("ballast");
        fs::create_dir(&folder).unwrap();
        Self { folder, random: StdRng::seed_from_u64(7), made: 0 }
    }

    /// Fills the disk: data blocks first, then metadata, by files small enough to be stored in the trees.
    fn fill(&mut self) {
        for chunk_bytes in [1 << 20, 64 << 10, 4 << 10, 1500, 100] {
            let mut refused = 0;
            while refused < 3 {
                self.made += 1;
                refused += u32::from(!self.add(chunk_bytes));
            }
            // Btrfs updates its counters with the next commit.
            let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        }
    }

    fn add(&mut self, chunk_bytes: usize) -> bool {
        // Random, since Btrfs would compress repetitive data.
        let mut chunk = vec![0; chunk_bytes];
        self.random.fill_bytes(&mut chunk);
        let file = self.folder.join(self.made.to_string());
        let added = File::create(&file).and_then(|mut file| file.write_all(&chunk).and_then(|()| file.sync_all()));
        added.is_ok()
    }

    /// Frees some of the space.
    fn shrink(&self, bytes: u64) {
        let mut left = bytes;
        for entry in fs::read_dir(&self.folder).unwrap().map(Result::unwrap) {
            let size = entry.metadata().map_or(0, |found| found.len());
            if left > 0 && size > 0 && fs::remove_file(entry.path()).is_ok() {
                left = left.saturating_sub(size);
            }
        }
        let _ = OpenOptions::new().read(true).open(&self.folder).and_then(|folder| folder.sync_all());
    }
}

/// Uploads until stopped; every response is one that is allowed on a full disk.
async fn upload_on(
    server: &TestServer,
    sync_id: u64,
    sender: u64,
    serial: &AtomicU64,
    ledger: &Ledger,
    end: &AtomicBool,
) -> u64 {
    let mut refused = 0;
    while !end.load(Ordering::Relaxed) {
        let number = serial.fetch_add(1, Ordering::Relaxed);
        let mut bytes = format!("{sender}:{number}:").into_bytes();
        bytes.resize([800, 30_000, 400_000][usize::try_from(number % 3).unwrap()], b'x');
        let name = format!("{sender}-{}", number % 7);
        let (status, body) = server.try_upload(&format!("sync_id={sync_id}"), &[(&name, &bytes)]).await;
        match status {
            200 => ledger.known().acknowledged.push(digest(&bytes)),
            507 => refused += 1,
            // The disk filled up during the landing. Its outcome is settled later, by the restart at the latest.
            500 if body["code"] == json!(50006) => refused += 1,
            _ => panic!("{status} {body}; the server said: {}", server.stderr()),
        }
        // The history has only a limited number of failed uploads of a sync.
        tokio::time::sleep(if status == 200 { PAUSE } else { REFUSED_PAUSE }).await;
    }
    refused
}

async fn outlive_full_disks(options: &[&str], mebibytes: u64) {
    let rounds = std::env::var("FULL_DISKS").map_or(1, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
    let Some(disk) = Mount::new_btrfs(&image, &at, mebibytes, options) else { return };
    let (data_dir, lake) = (at.join("data"), at.join("lake"));
    // Unmounted before its folder is removed.
    let arguments = ["--min-free-space", "0B", "--lake-root", lake.to_str().unwrap()];
    let (stopped, _disk) = (Stopped::new(folder, data_dir.clone(), &arguments).with_key(), disk);
    let (ledger, serial, mut verifier) = (Ledger::default(), AtomicU64::new(0), Verifier::default());
    let mut ballast = Ballast::below(&at);
    let mut server = stopped.start().await;
    let reserve = || fs::read_dir(data_dir.join("reserve")).map_or(0, Iterator::count);
    let mut refused = 0;
    for round in 0..rounds {
        server.eventually(async || (reserve() == 4).then_some(())).await;
        let id = server.start_sync("/inc", "IncrementalSync").await;
        // Large files for a purge to free.
        for version in 0..3 {
            let mut bytes = format!("large:{round}:{version}:").into_bytes();
            bytes.resize(4 << 20, b'x');
            server.upload(id, "large", &bytes).await;
            ledger.known().acknowledged.push(digest(&bytes));
        }
        let end = Arc::new(AtomicBool::new(false));
        let others = std::thread::spawn({
            let end = end.clone();
            move || {
                for shrink_bytes in [64 << 10, 1 << 20, 256 << 10, 2 << 20] {
                    ballast.fill();
                    std::thread::sleep(Duration::from_millis(300));
                    ballast.shrink(shrink_bytes);
                    std::thread::sleep(Duration::from_millis(300));
                }
                ballast.fill();
                end.store(true, Ordering::Relaxed);
                ballast
            }
        });
        let senders = (0..4).map(|sender| upload_on(&server, id, sender, &serial, &ledger, &end));
        refused += futures_util::future::join_all(senders).await.into_iter().sum::<u64>();
        ballast = others.join().unwrap();
        assert!(server.is_alive(), "{}", server.stderr());
        server = read_and_purge(server, id, &mut ballast).await;
        let emptied = server.rows("/api/lake/trash?size=1000").await;
        assert!(emptied.is_empty(), "{emptied:?}");
        // No content is expected in the trash after this.
        let known = ledger.known().acknowledged.clone();
        ledger.known().emptied.extend(known);
        ballast.shrink(24 << 20);
        let is_taken = async || {
            let bytes = format!("again:{round}");
            let (status, _) = server.try_upload(&format!("sync_id={id}"), &[("again", bytes.as_bytes())]).await;
            (status == 200).then(|| ledger.known().acknowledged.push(digest(bytes.as_bytes())))
        };
        server.eventually(is_taken).await;
        server = start_without_a_reserve(server, id, &mut ballast).await;
        server = server.kill_and_restart().await;
        server.end_sync(id).await;
        verifier.verify(&server, &ledger).await;
    }
    assert!(refused > 0, "the disk was full");
    drop(server);
}

/// Calls of people on a full disk.
async fn read_and_purge(server: TestServer, id: u64, ballast: &mut Ballast) -> TestServer {
    let query = format!("sync_id={id}");
    let large = vec![b'y'; 3 << 20];
    assert_refused(server.try_upload(&query, &[("more", &large)]).await, 50700, "free up space");
    let read_all = async |server: &TestServer| {
        for path in ["/api/ingestion/file/sync/list", "/api/lake/trash", "/", "/healthz"] {
            assert_eq!(server.get(path).send().await.unwrap().status(), 200, "{path} {}", server.stderr());
        }
        let large = server.get("/api/lake/file/download?path=/inc/large").send().await.unwrap();
        assert_eq!(large.bytes().await.unwrap().len(), 4 << 20);
    };
    read_all(&server).await;
    let mut server = server.kill_and_restart().await;
    // The start may have freed the log of the database.
    ballast.fill();
    read_all(&server).await;
    assert!(server.is_alive(), "{}", server.stderr());
    let body = json!({ "all": true, "api_key": server.key });
    let (status, answered) = answer(server.post("/api/lake/trash/empty", &body)).await;
    assert_eq!(status, 200, "{answered} {}", server.stderr());
    server.eventually(async || server.rows("/api/lake/trash").await.is_empty().then_some(())).await;
    assert!(server.is_alive(), "{}", server.stderr());
    server
}

/// Kills the server during an upload, and starts it with an empty reserve: the recovery completes when there is space.
async fn start_without_a_reserve(server: TestServer, id: u64, ballast: &mut Ballast) -> TestServer {
    let first = stream::once(async { Ok::<_, std::io::Error>(vec![b'z'; 1 << 20]) });
    let stalled = Part::stream(Body::wrap_stream(first.chain(stream::pending()))).file_name("stalled");
    let address = format!("{}/api/lake/file/upload?sync_id={id}", server.url);
    let upload = server.client.post(address).multipart(Form::new().part("file", stalled)).send();
    let upload = tokio::spawn(upload);
    server.eventually(async || (server.sync(id).await["num_in_flight"] == 1).then_some(())).await;
    let stopped = server.kill();
    assert!(upload.await.unwrap().is_err());
    for entry in fs::read_dir(stopped.data_dir().join("reserve")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    ballast.fill();
    let server = match stopped.try_start(&[]).await {
        Ok(server) => {
            for path in ["/api/ingestion/file/sync/list", "/api/lake/trash", "/", "/healthz"] {
                assert_eq!(server.get(path).send().await.unwrap().status(), 200, "{path} {}", server.stderr());
            }
            ballast.shrink(24 << 20);
            server
        }
        // Not even the log can be made durable: the error has the remedy.
        Err(ended) => {
            assert!(ended.said.contains("free up space") && !ended.was_killed, "{}", ended.said);
            ballast.shrink(24 << 20);
            stopped.start().await
        }
    };
    let is_finished = async || (server.sync(id).await["num_in_flight"] == 0).then_some(());
    server.eventually(is_finished).await;
    let failed = server.history("status=Failed&order=desc&size=1").await;
    assert_eq!(failed[0]["file_name"], "stalled", "{failed:?}");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mixed_btrfs_does_not_end_the_server_and_allows_a_purge() {
    outlive_full_disks(&["-M"], 144).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_btrfs_does_not_end_the_server_and_allows_a_purge() {
    outlive_full_disks(&[], 320).await;
}
