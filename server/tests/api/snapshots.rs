//! Snapshots: `/api/lake/dataset/snapshot`.

use crate::server::{TestServer, answer, assert_refused};
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
    let trash = server.lake().join(".lakeshore/trash");
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
    let snapshots = server.lake().join(".lakeshore/snapshots");
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
    let file = server.lake().join("data/t/a.csv");
    server
        .eventually(async || {
            // Repeated, since a change within the same millisecond as that of the lake is not visible.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            (!known().await).then_some(())
        })
        .await;
    taken(&server, json!({})).await;
    assert!(!known().await, "a snapshot makes nothing known that was not");
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
    let engine = server.lake().join(".lakeshore");
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
    assert_eq!(mode(&folder(&snapshot)), mode(&server.lake().join("data/t")));
    assert_eq!(mode(&folder(&snapshot).join("a.csv")), mode(&server.lake().join("data/t/a.csv")));
    assert!(!server.stderr().contains("others could read"), "{}", server.stderr());
}
