//! Steps of the wall clock, during a run and between two runs: no step makes anything expire early, and no changed file
//! counts as landed.

use crate::server::{Stopped, TestServer, answer, lakeshore};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A server whose clock has the offset in a file.
struct Machine {
    stopped: Stopped,
    offset: PathBuf,
}

impl Machine {
    async fn start() -> (Self, TestServer) {
        Self::start_at(0).await
    }

    async fn start_at(offset_ms: i64) -> (Self, TestServer) {
        let folder = tempfile::tempdir().unwrap();
        let (data_dir, offset) = (folder.path().join("data"), folder.path().join("offset"));
        let machine = Self { stopped: Stopped::new(folder, data_dir, &[]).with_key(), offset };
        machine.set(offset_ms);
        let server = machine.start_server().await;
        (machine, server)
    }

    async fn start_server(&self) -> TestServer {
        let offset = self.offset.to_str().unwrap();
        self.stopped.try_start(&[("LAKESHORE_CLOCK_OFFSET", offset)]).await.unwrap()
    }

    fn set(&self, offset_ms: i64) {
        // By one rename, so that no reader sees half of it.
        let next = self.offset.with_extension("next");
        fs::write(&next, offset_ms.to_string()).unwrap();
        fs::rename(next, &self.offset).unwrap();
    }

    /// Sets the clock, and waits until the server has checked everything for expiry.
    async fn set_and_look(&self, server: &TestServer, offset_ms: i64) {
        // The first message precedes the check, and the second one follows it.
        for offset_ms in [offset_ms, offset_ms - 5000] {
            let said = || server.stderr().matches("the clock ").count();
            let before = said();
            self.set(offset_ms);
            server.eventually(async || (said() > before).then_some(())).await;
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn missing(server: &TestServer, sync_id: u64, name: &str, bytes: &[u8]) -> Vec<Value> {
    let file = json!({ "path": name, "size_bytes": bytes.len(), "sha256": sha256(bytes) });
    let offer = json!({ "sync_id": sync_id, "files": [file] });
    let (status, body) = answer(server.post("/api/lake/file/missing", &offer)).await;
    assert_eq!(status, 200, "{body}");
    body["data"]["missing"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_clock_set_a_month_ahead_expires_nothing_during_a_run_or_at_a_start() {
    let (machine, server) = Machine::start().await;
    for generation in 0..3 {
        let full = server.start_sync("/full", "FullSync").await;
        server.upload(full, "part", format!("{generation}").as_bytes()).await;
        server.end_sync(full).await;
    }
    let open = server.start_sync("/open", "FullSync").await;
    server.upload(open, "part", b"staged").await;
    let count = async |server: &TestServer| server.rows("/api/lake/trash").await.len();
    machine.set_and_look(&server, 31 * DAY_MS).await;
    assert_eq!(count(&server).await, 2);

    // A start checks everything for expiry at once.
    drop(server.kill());
    machine.set(62 * DAY_MS);
    let server = machine.start_server().await;
    assert!(server.stderr().contains("since the last server"), "{}", server.stderr());
    machine.set_and_look(&server, 93 * DAY_MS).await;
    assert_eq!(count(&server).await, 2);
    assert_eq!(server.sync(open).await["sync_status"], "Syncing");
    assert_eq!(server.files(".lakeshore/staging").len(), 1);

    // A purge of all trash includes items from before and after the current clock.
    machine.set_and_look(&server, -DAY_MS).await;
    let body = json!({ "all": true, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/empty", &body)).await.0, 200);
    assert_eq!(count(&server).await, 0);
    server.end_sync(open).await;
}

#[tokio::test]
async fn a_resumable_upload_continues_after_the_clock_was_set_two_days_ahead() {
    let (machine, server) = Machine::start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let metadata =
        format!("filename {},sync_id {}", BASE64_STANDARD.encode("a.csv"), BASE64_STANDARD.encode(id.to_string()));
    let create = server.client.post(format!("{}/api/lake/files", server.url)).header("Tus-Resumable", "1.0.0");
    let create = create.header("Upload-Length", 6).header("Upload-Metadata", metadata);
    let created = create.send().await.unwrap();
    assert_eq!(created.status(), 201);
    let address = created.headers()["location"].to_str().unwrap().to_owned();
    let path = address.strip_prefix(&server.url).unwrap_or(&address).to_owned();
    let append = async |server: &TestServer, offset: u64, bytes: &'static [u8]| {
        let request = server.client.patch(format!("{}{path}", server.url)).header("Tus-Resumable", "1.0.0");
        let request = request.header("Upload-Offset", offset).header("Content-Type", "application/offset+octet-stream");
        request.body(bytes).send().await.unwrap().status().as_u16()
    };
    assert_eq!(append(&server, 0, b"abc").await, 204);
    drop(server.kill());
    machine.set(2 * DAY_MS);
    let server = machine.start_server().await;
    machine.set_and_look(&server, 4 * DAY_MS).await;
    assert_eq!(append(&server, 3, b"def").await, 204);
    server.end_sync(id).await;
    assert_eq!(server.files("inc")["a.csv"], b"abcdef");
}

#[tokio::test]
async fn a_file_landed_ahead_of_the_clock_is_not_recognised_after_a_change_by_hand() {
    for between_servers in [false, true] {
        let (machine, server) = Machine::start_at(DAY_MS).await;
        let first = server.start_sync("/d", "IncrementalSync").await;
        server.upload(first, "a", b"AAAA").await;
        assert!(missing(&server, first, "a", b"AAAA").await.is_empty());
        let server = if between_servers {
            let mut stopping = server;
            assert_eq!(stopping.stop(), Some(0));
            machine.set(0);
            machine.start_server().await
        } else {
            machine.set_and_look(&server, 5000).await;
            server
        };
        fs::write(server.lake().join("d/a"), b"BBBB").unwrap();
        assert_eq!(missing(&server, first, "a", b"AAAA").await, ["a"], "between servers: {between_servers}");
        let downloaded = server.get("/api/lake/file/download?path=/d/a").send().await.unwrap();
        let tag = downloaded.headers()["etag"].to_str().unwrap();
        assert!(!tag.contains(&sha256(b"AAAA")[..8]), "{tag}");
        // It can be sent again.
        server.upload(first, "a", b"AAAA").await;
        assert_eq!(server.files("d")["a"], b"AAAA");
    }
}

#[tokio::test]
async fn a_clock_set_back_causes_no_finding_and_no_negative_duration() {
    let (machine, server) = Machine::start_at(DAY_MS).await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a", b"one").await;
    machine.set_and_look(&server, 5000).await;
    server.upload(id, "a", b"another").await;
    server.end_sync(id).await;
    let sync = server.sync(id).await;
    assert!(sync["end_time"].as_i64() >= sync["start_time"].as_i64(), "{sync}");
    let stopped = server.kill();
    let (data_dir, lake) = (stopped.data_dir().to_str().unwrap(), stopped.lake());
    let checked = lakeshore(&["check", "--digests", "--data-dir", data_dir, "--lake-root", lake.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test]
async fn a_step_of_the_clock_removes_no_snapshot_before_its_time() {
    let (machine, server) = Machine::start().await;
    let full = server.start_sync("/full", "FullSync").await;
    server.upload(full, "part", b"1").await;
    server.end_sync(full).await;
    let body = json!({ "path": "/full", "for": "1h", "api_key": server.key });
    let (status, snapshot) = answer(server.post("/api/lake/dataset/snapshot", &body)).await;
    assert_eq!(status, 200, "{snapshot}");
    machine.set_and_look(&server, DAY_MS).await;
    let body = json!({ "path": "/full", "for": "1s", "api_key": server.key });
    let (_, short) = answer(server.post("/api/lake/dataset/snapshot", &body)).await;
    let folder = |snapshot: &Value| PathBuf::from(snapshot["absolute"].as_str().unwrap());
    // One that has expired shows that the others were checked.
    server.eventually(async || (!folder(&short).exists()).then_some(())).await;
    assert!(folder(&snapshot).exists());
}
