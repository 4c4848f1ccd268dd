//! Snapshots: `/api/lake/dataset/snapshot`.

use crate::server::{Stopped, TestServer, answer, assert_refused, bucket, skipped};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const T: &str = "/data/t";

async fn publish(server: &TestServer, files: &[(&str, &[u8])]) {
    let id = server.start_sync(T, "FullSync").await;
    for (name, bytes) in files {
        server.upload(id, name, bytes).await;
    }
    server.end_sync(id).await;
}

async fn take(server: &TestServer, more: Value) -> (u16, Value) {
    let mut body = json!({ "path": T, "api_key": server.key });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(server.post("/api/lake/dataset/snapshot", &body)).await
}

async fn taken(server: &TestServer, more: Value) -> Value {
    let (status, body) = take(server, more).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn folder(snapshot: &Value) -> PathBuf {
    snapshot["absolute"].as_str().unwrap().into()
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(below) = open.pop() {
        for entry in std::fs::read_dir(&below).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    files
}

fn are(folder: &Path, expected: &[(&str, &str)]) -> bool {
    let expected = expected.iter().map(|(name, bytes)| ((*name).to_owned(), (*bytes).to_owned()));
    files(folder) == expected.collect()
}

async fn call(server: &TestServer, method: &str, snapshot: &Value, key: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/api/lake/dataset/snapshot/{}", server.url, snapshot["snapshot"].as_str().unwrap());
    answer(server.client.request(method.parse().unwrap(), url).bearer_auth(key).json(&body)).await
}

#[tokio::test]
async fn a_snapshot_as_of_a_time_takes_numbers_and_text_and_names_the_forms() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", b"a").await;
    server.end_sync(id).await;
    let take = |as_of: Value| json!({ "path": "/data/t", "as_of": as_of, "api_key": server.key });
    for as_of in [json!(4_102_444_800_000_u64), json!("2100-01-01"), json!("2100-01-01T00:00:00Z")] {
        let (status, body) = answer(server.post("/api/lake/dataset/snapshot", &take(as_of))).await;
        assert_eq!((status, &body["version"]), (200, &json!(1)), "{body}");
    }
    let (status, body) = answer(server.post("/api/lake/dataset/snapshot", &take(json!("yesterday")))).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["msg"].as_str().unwrap().contains("2026-11-26T12:00:00Z"), "{body}");
}

#[tokio::test]
async fn a_snapshot_keeps_its_version_through_publishes_purges_and_restarts() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1"), ("dt=1/b.csv", b"b1")]).await;
    publish(&server, &[("a.csv", b"a2")]).await;
    let (first, second) = (taken(&server, json!({ "version": 1 })).await, taken(&server, json!({})).await);
    assert_eq!((&first["version"], &second["version"]), (&json!(1), &json!(2)));
    assert_eq!(folder(&first).file_name().unwrap(), "t");
    publish(&server, &[("a.csv", b"a3")]).await;
    let body = json!({ "all": true, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/empty", &body)).await.0, 200);
    let trash = server.folder().join(".lakeshore/trash");
    server.eventually(async || std::fs::read_dir(&trash).unwrap().next().is_none().then_some(())).await;
    let server = server.kill_and_restart().await;
    assert!(are(&folder(&first), &[("a.csv", "a1"), ("dt=1/b.csv", "b1")]));
    assert!(are(&folder(&second), &[("a.csv", "a2")]));
    assert_refused(take(&server, json!({ "version": 1 })).await, 41001, "removed for good");
    let listed = server.get("/api/lake/dataset/snapshots").bearer_auth(&server.key);
    assert_eq!(answer(listed).await.1.as_array().unwrap().len(), 2);
    assert_eq!(call(&server, "DELETE", &first, &server.key, json!({})).await.0, 200);
    server.eventually(async || (!folder(&first).exists()).then_some(())).await;
    assert!(are(&folder(&second), &[("a.csv", "a2")]));
    let snapshots = server.folder().join(".lakeshore/snapshots");
    server.eventually(async || (std::fs::read_dir(&snapshots).unwrap().count() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_snapshot_expires_unless_it_is_renewed() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    let (short, renewed) = (taken(&server, json!({ "for": "1s" })).await, taken(&server, json!({ "for": "1s" })).await);
    let (status, body) = call(&server, "PATCH", &renewed, &server.key, json!({ "for": "1h" })).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["expires_at"].as_i64() > renewed["expires_at"].as_i64());
    server.eventually(async || (!folder(&short).exists()).then_some(())).await;
    assert!(are(&folder(&renewed), &[("a.csv", "a1")]));
    assert_refused(call(&server, "PATCH", &short, &server.key, json!({})).await, 40410, "take a new one");
    for wrong in ["0s", "31d", "soon"] {
        assert_eq!(take(&server, json!({ "for": wrong })).await.1["code"], json!(40000), "{wrong}");
    }
    assert_refused(take(&server, json!({ "path": "/data/nothing" })).await, 40406, "/data/nothing");
    assert_refused(take(&server, json!({ "version": 7 })).await, 40409, "version 7 of /data/t not found");
}

#[tokio::test]
async fn files_stay_recognised_when_snapshots_are_made_and_dropped() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    let sha256: String = Sha256::digest(b"a1").iter().map(|byte| format!("{byte:02x}")).collect();
    let known = async || server.rows("/api/lake/file/list?path=/data/t").await[0]["sha256"] == json!(sha256);
    assert!(known().await);
    let snapshot = taken(&server, json!({})).await;
    assert!(known().await, "while there is a snapshot");
    assert_eq!(call(&server, "DELETE", &snapshot, &server.key, json!({})).await.0, 200);
    server.eventually(async || (!folder(&snapshot).exists()).then_some(())).await;
    server.eventually(async || known().await.then_some(())).await;
    // A change by hand is detected.
    let file = server.folder().join("data/t/a.csv");
    server
        .eventually(async || {
            // Repeated, since a change within the same millisecond as that of the lake is not visible.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            (!known().await).then_some(())
        })
        .await;
    taken(&server, json!({})).await;
    assert!(known().await, "the snapshot has read it, and found the bytes of its version");
}

#[tokio::test]
async fn a_snapshot_belongs_to_its_owner_only() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    let (reader, other) = (server.new_key(&["--role", "read"]), server.new_key(&["--role", "read"]));
    let apart = server.new_key(&["--role", "admin", "--path-prefix", "/other"]);
    let snapshot = taken(&server, json!({ "api_key": reader })).await;
    for key in [&other, &apart] {
        for method in ["PATCH", "DELETE"] {
            assert_refused(
                call(&server, method, &snapshot, key, json!({})).await,
                40410,
                "not found, or not covered by this key",
            );
        }
        let listed = server.get("/api/lake/dataset/snapshots").bearer_auth(key);
        assert_eq!(answer(listed).await.1, json!([]));
    }
    assert_refused(take(&server, json!({ "api_key": apart })).await, 40406, "/data/t");
    let without = json!({ "path": T, "for": "1m" });
    assert_eq!(answer(server.post("/api/lake/dataset/snapshot", &without)).await.0, 200, "reading is free");
    assert_eq!(call(&server, "PATCH", &snapshot, &reader, json!({})).await.0, 200);
    assert_eq!(call(&server, "DELETE", &snapshot, &server.key, json!({})).await.0, 200, "an admin ends any");
}

#[tokio::test]
async fn readers_can_reach_snapshots_and_no_other_engine_folder() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    let engine = server.folder().join(".lakeshore");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&engine), 0o700, "as long as there is none");
    let snapshot = taken(&server, json!({})).await;
    let server = server.kill_and_restart().await;
    for name in ["", "snapshots"] {
        assert_eq!(mode(&engine.join(name)), 0o711, "{name}");
    }
    for name in ["uploads", "staging", "trash"] {
        assert_eq!(mode(&engine.join(name)), 0o700, "{name}");
    }
    assert_eq!(mode(&folder(&snapshot)), mode(&server.folder().join("data/t")));
    assert_eq!(mode(&folder(&snapshot).join("a.csv")), mode(&server.folder().join("data/t/a.csv")));
    assert!(!server.stderr().contains("others could read"), "{}", server.stderr());
}

async fn refused_of_version(server: &TestServer, path: &str, version: u64) -> (u16, Value) {
    answer(server.get(&format!("/api/lake/file/download?path={path}&version={version}"))).await
}

#[tokio::test]
async fn a_file_changed_in_place_is_not_served_as_its_version() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"id\n1\n"), ("b.csv", b"id\n2\n")]).await;
    let file = server.folder().join("data/t/a.csv");
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    // A change within the same millisecond as the landing is not visible.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&open, b"id\n9\n", 0).unwrap();
    open.set_modified(before).unwrap();
    drop(open);
    assert_refused(refused_of_version(&server, "/data/t/a.csv", 1).await, 41001, "by hand");
    let preview = answer(server.get("/api/lake/file/preview?path=/data/t/a.csv&version=1")).await;
    assert_refused(preview, 41001, "by hand");
    assert_refused(take(&server, json!({})).await, 41001, "by hand");
    let live = server.get("/api/lake/file/download?path=/data/t/a.csv").send().await.unwrap();
    assert_eq!((live.status().as_u16(), live.headers().get("lakeshore-version")), (200, None));
    publish(&server, &[("a.csv", b"a2")]).await;
    let id = server.start_sync(T, "IncrementalSync").await;
    server.upload(id, "c.csv", b"c").await;
    server.end_sync(id).await;
    assert_refused(refused_of_version(&server, "/data/t/a.csv", 1).await, 41001, "by hand");
    let other = server.get("/api/lake/file/download?path=/data/t/b.csv&version=1").send().await.unwrap();
    assert_eq!(other.text().await.unwrap(), "id\n2\n");
}

#[tokio::test]
async fn a_file_with_other_rights_but_the_same_bytes_is_still_its_version() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    std::thread::sleep(std::time::Duration::from_millis(20));
    let file = server.folder().join("data/t/a.csv");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let snapshot = taken(&server, json!({})).await;
    assert!(are(&folder(&snapshot), &[("a.csv", "a1")]));
    // Overwritten files are renamed into the trash.
    let id = server.start_sync(T, "IncrementalSync").await;
    server.upload(id, "a.csv", b"a2").await;
    server.end_sync(id).await;
    let old = server.get("/api/lake/file/download?path=/data/t/a.csv&version=1").send().await.unwrap();
    assert_eq!(old.text().await.unwrap(), "a1");
    assert!(are(&folder(&taken(&server, json!({ "version": 1 })).await), &[("a.csv", "a1")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_stay_recognised_when_snapshots_are_made_and_dropped_at_the_same_time() {
    const FILES: usize = 100;
    let server = TestServer::start().await;
    let names: Vec<_> = (0..FILES).map(|file| format!("f{file:03}.csv")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let id = server.start_sync(T, "FullSync").await;
    assert_eq!(server.try_upload(&format!("sync_id={id}"), &files).await.0, 200);
    server.end_sync(id).await;
    let unknown = async || {
        let rows = server.rows("/api/lake/file/list?path=/data/t&size=1000").await;
        assert_eq!(rows.len(), FILES);
        rows.iter().filter(|row| row["sha256"].is_null()).count()
    };
    assert_eq!(unknown().await, 0);
    let holder = async || {
        for _ in 0..4 {
            let snapshot = taken(&server, json!({})).await;
            assert_eq!(call(&server, "DELETE", &snapshot, &server.key, json!({})).await.0, 200);
        }
    };
    tokio::join!(holder(), holder(), holder());
    let snapshots = server.folder().join(".lakeshore/snapshots");
    server.eventually(async || std::fs::read_dir(&snapshots).unwrap().next().is_none().then_some(())).await;
    server.eventually(async || (unknown().await == 0).then_some(())).await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_removed_stops_no_other_removal() {
    let server = TestServer::start().await;
    publish(&server, &[("a.csv", b"a1")]).await;
    let (stuck, dropped) = (taken(&server, json!({})).await, taken(&server, json!({})).await);
    let expiring = taken(&server, json!({ "for": "2s" })).await;
    let chattr = |options: &[&str]| std::process::Command::new("chattr").args(options).arg(folder(&stuck)).output();
    if !chattr(&["+i"]).is_ok_and(|output| output.status.success()) {
        return crate::server::skipped("chattr cannot make a folder immutable here");
    }
    for snapshot in [&stuck, &dropped] {
        assert_eq!(call(&server, "DELETE", snapshot, &server.key, json!({})).await.0, 200);
    }
    server.eventually(async || (!folder(&dropped).exists() && !folder(&expiring).exists()).then_some(())).await;
    assert!(folder(&stuck).exists());
    assert_eq!(server.stderr().matches("cannot remove a snapshot").count(), 1, "{}", server.stderr());
    assert!(chattr(&["-i"]).unwrap().status.success());
}

#[tokio::test]
async fn a_snapshot_of_a_lake_on_object_storage_is_refused_with_what_to_read_instead() {
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let server = Stopped::new(folder, data_dir, &[]).on_bucket().with_key().start().await;
    let id = server.start_sync(T, "FullSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.end_sync(id).await;
    assert_refused(take(&server, json!({})).await, 40000, "object storage, which has no snapshot folders");
    assert_eq!(server.rows("/api/lake/dataset/snapshots").await, [json!(null); 0], "nothing is left of it");
}
