//! A full disk: 507 with its remedy, nothing half done, and the same sync continues when there is space again.

use crate::clients::{Ledger, digest};
use crate::disk::SmallDisk;
use crate::server::{Stopped, TestServer, answer, assert_refused};
use crate::verify::Verifier;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const LAKE_IN_LIMITS: &str = "size=6m";

/// A server with its lake or its database on a small disk.
fn on_small_disk(of: &str, limits: &str) -> Option<(Stopped, SmallDisk)> {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (folder.path().join("data"), folder.path().join("lake"));
    let disk = SmallDisk::mount(&folder.path().join(of), limits)?;
    Some((stopped(folder, data_dir, &lake), disk))
}

fn stopped(folder: TempDir, data_dir: PathBuf, lake: &Path) -> Stopped {
    std::fs::create_dir_all(&data_dir).unwrap();
    Stopped::new(folder, data_dir, &["--min-free-space", "0B", "--lake-root", lake.to_str().unwrap()]).with_key()
}

/// Typical calls of a client, in a sync of each kind. Every step may be refused, but only for lack of space.
struct Evening<'a> {
    server: &'a TestServer,
    incremental: u64,
    full: u64,
    refused: usize,
    acknowledged: Vec<String>,
}

impl<'a> Evening<'a> {
    async fn begin(server: &'a TestServer) -> Self {
        let incremental = server.start_sync("/inc", "IncrementalSync").await;
        let full = server.start_sync("/full", "FullSync").await;
        Self { server, incremental, full, refused: 0, acknowledged: Vec::new() }
    }

    fn judge(&mut self, (status, body): (u16, Value)) -> bool {
        if status != 200 {
            assert_refused((status, body), 50700, "free up space");
            self.refused += 1;
        }
        status == 200
    }

    async fn upload(&mut self, sync_id: u64, name: &str, bytes: Vec<u8>) -> bool {
        let answered = self.server.try_upload(&format!("sync_id={sync_id}"), &[(name, &bytes)]).await;
        let taken = self.judge(answered);
        if taken {
            self.acknowledged.push(digest(&bytes));
        }
        taken
    }

    /// `round` varies the contents. True when everything was accepted.
    async fn go_on(&mut self, round: u64) -> bool {
        let refused = self.refused;
        for (sync_id, name, size_bytes) in [
            (self.incremental, "small.csv", 3_000),
            (self.incremental, "large.csv", 600_000),
            (self.incremental, "small.csv", 3_001),
            (self.full, "part-0", 500),
            (self.full, "part-1", 400_000),
        ] {
            let mut bytes = format!("{round}:{sync_id}:{name}:{size_bytes}:").into_bytes();
            bytes.resize(size_bytes, b'x');
            self.upload(sync_id, name, bytes).await;
        }
        let ended = self.server.try_end(self.full, json!({})).await;
        // With no landed file, it is refused for another reason.
        if ended.1["code"] != json!(40903) && self.judge(ended) {
            let (status, body) = self.server.try_start("/full", "FullSync").await;
            if self.judge((status, body.clone())) {
                self.full = body["sync_id"].as_u64().unwrap();
            }
        }
        refused == self.refused
    }

    async fn end(self) {
        // An upload whose failure could not be recorded may need a moment more.
        let ended = async || (self.server.try_end(self.incremental, json!({})).await.0 == 200).then_some(());
        self.server.eventually(ended).await;
        let (status, body) = self.server.try_abort(self.full).await;
        // The publish succeeded, and the next start did not.
        assert!(status == 200 || body["code"] == json!(40900), "{body}");
    }
}

/// Fills the disk up to each of these numbers of free bytes, works on it, frees space, and continues.
async fn fill_again_and_again(of: &str, limits: &str, free_bytes: impl Iterator<Item = u64>) {
    let Some((stopped, disk)) = on_small_disk(of, limits) else { return };
    let ledger = Ledger::default();
    let mut verifier = Verifier::default();
    let mut server = stopped.start().await;
    let mut refused = 0;
    for (round, free_bytes) in free_bytes.enumerate() {
        let round = round as u64 * 2;
        let mut evening = Evening::begin(&server).await;
        disk.fill(free_bytes);
        evening.go_on(round).await;
        disk.make_space();
        assert!(evening.go_on(round + 1).await, "there is space again; before that: {free_bytes} bytes");
        refused += evening.refused;
        ledger.known().acknowledged.append(&mut evening.acknowledged);
        evening.end().await;
        for row in server.history("status=Failed&size=1000").await {
            let message = row["message"].as_str().unwrap();
            assert!(message.contains("free up space") || message.contains("discarded"), "{row}");
        }
        server = server.kill_and_restart().await;
        verifier.verify(&server, &ledger).await;
        // The trash would fill the disk by itself.
        let trash = server.lake().join(".lakeshore/trash");
        assert!(trash.exists());
        drop(server.kill());
        server = fresh_lake(&stopped, &mut verifier).await;
    }
    assert!(refused > 0, "the disk was full");
    drop(server);
}

/// A new database and key in the same folders, emptied.
async fn fresh_lake(stopped: &Stopped, verifier: &mut Verifier) -> TestServer {
    for folder in [stopped.data_dir().to_owned(), stopped.lake()] {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
    }
    *verifier = Verifier::default();
    stopped.clone().with_key().start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lake_refuses_every_write_and_the_sync_continues_when_there_is_space() {
    let steps = [0, 4, 8, 16, 64, 256, 500, 620, 800, 1_100, 1_500];
    fill_again_and_again("lake", LAKE_IN_LIMITS, steps.into_iter().map(|kibibytes| kibibytes * 1024)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_refuses_every_write_and_the_sync_continues_when_there_is_space() {
    fill_again_and_again("data", "size=8m", (0..24).map(|pages| pages * 8 * 1024)).await;
}

#[tokio::test]
async fn a_lake_without_free_inodes_refuses_uploads_and_recovers() {
    let Some((stopped, disk)) = on_small_disk("lake", "size=50m,nr_inodes=24") else { return };
    let server = stopped.start().await;
    let full = server.start_sync("/full", "FullSync").await;
    server.upload(full, "part-0", b"old").await;
    server.end_sync(full).await;
    let next = server.start_sync("/full", "FullSync").await;
    server.upload(next, "part-0", b"new").await;
    let fillers: Vec<_> = (0..100).map(|n| disk.0.join(format!("filler-{n}"))).collect();
    let made = fillers.iter().take_while(|filler| std::fs::write(filler, b"").is_ok()).count();
    assert!(made < fillers.len());
    // Neither a partial file nor a trash folder can be made.
    let refused = server.try_upload(&format!("sync_id={next}"), &[("part-1", b"new")]).await;
    assert_refused(refused, 50700, "free up space");
    assert_refused(server.try_end(next, json!({})).await, 50700, "free up space");
    assert_eq!(server.files("full")["part-0"], b"old");
    assert_eq!(server.sync(next).await["sync_status"], "Syncing");
    for filler in &fillers[..made] {
        std::fs::remove_file(filler).unwrap();
    }
    server.upload(next, "part-1", b"new").await;
    server.end_sync(next).await;
    assert_eq!(server.file_names("full"), ["part-0", "part-1"]);
    drop(server);
}

#[tokio::test]
async fn a_server_starts_on_a_full_disk_after_a_kill_and_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (folder.path().join("disk/data"), folder.path().join("disk/lake"));
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "size=4m") else { return };
    // Unmounted before its folder is removed.
    let (stopped, disk) = (stopped(folder, data_dir, &lake), disk);
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(id, "a.csv", b"one").await;
    // The first use of a key is recorded only if there is space.
    let unused = server.new_key(&["--role", "read"]);
    disk.fill(0);
    let mut server = server.kill_and_restart().await;
    // The start may have freed the log of the database.
    disk.fill(0);
    assert_refused(server.try_upload(&format!("sync_id={id}"), &[("b.csv", b"two")]).await, 50700, "free up space");
    assert_eq!(server.history("status=Finished").await.len(), 1, "reading goes on");
    assert_eq!(server.stop(), Some(0));
    let server = stopped.start().await;
    assert_eq!(answer(server.get("/api/ingestion/file/sync/list").bearer_auth(&unused)).await.0, 200);
    disk.make_space();
    server.upload(id, "b.csv", b"two").await;
    server.end_sync(id).await;
    assert_eq!(server.file_names("inc"), ["a.csv", "b.csv"]);
    drop(server);
}

#[tokio::test]
async fn a_server_starts_on_a_disk_without_a_free_byte_or_inode_and_allows_a_purge() {
    for limits in ["size=48m,nr_inodes=200", "size=48m,nr_inodes=20k"] {
        let folder = tempfile::tempdir().unwrap();
        let (data_dir, lake) = (folder.path().join("disk/data"), folder.path().join("disk/lake"));
        let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), limits) else { return };
        let (stopped, disk) = (stopped(folder, data_dir.clone(), &lake), disk);
        let mut server = stopped.start().await;
        let id = server.start_sync("/inc", "IncrementalSync").await;
        for _ in 0..2 {
            server.upload(id, "a.csv", &vec![b'x'; 8 << 20]).await;
        }
        let reserve = || std::fs::read_dir(data_dir.join("reserve")).map_or(0, Iterator::count);
        server.eventually(async || (reserve() == 4).then_some(())).await;
        assert_eq!(server.stop(), Some(0));
        let made = (0..20_000).take_while(|n| std::fs::write(disk.0.join(format!("f-{n}")), b"").is_ok()).count();
        for n in 0..made {
            // Frees the inodes that the filler needs.
            if n < 1 || !limits.contains("200") {
                std::fs::remove_file(disk.0.join(format!("f-{n}"))).unwrap();
            }
        }
        disk.fill(0);
        let server = stopped.start().await;
        // The start may have freed the log of the database.
        disk.fill(0);
        let refused = server.try_upload(&format!("sync_id={id}"), &[("b.csv", b"1")]).await;
        assert_refused(refused, 50700, "free up space");
        let server = server.kill_and_restart().await;
        assert_eq!(server.rows("/api/lake/trash").await.len(), 1);
        let body = json!({ "all": true, "api_key": server.key });
        let (status, body) = answer(server.post("/api/lake/trash/empty", &body)).await;
        assert_eq!(status, 200, "{body} {}", server.stderr());
        // The purge has freed space, and the reserve takes it first.
        server.eventually(async || (reserve() == 4 || limits.contains("200")).then_some(())).await;
        disk.make_space();
        let is_taken =
            async || (server.try_upload(&format!("sync_id={id}"), &[("b.csv", b"1")]).await.0 == 200).then_some(());
        server.eventually(is_taken).await;
        server.eventually(async || (reserve() == 4).then_some(())).await;
        drop(server);
    }
}
