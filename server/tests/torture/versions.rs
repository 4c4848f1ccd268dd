//! Versions after a restart: the newest one matches the dataset, and the files of older ones exist or are reported as
//! gone. Snapshots are complete, and all of them were reported to a client.

use crate::clients::{Sender, digest, version_in};
use crate::server::{Stopped, TestServer, answer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const DATASETS: [&str; 5] = ["/inc", "/full", "/other", "/new", "/half"];
/// Versions checked of each dataset, and files read of each version.
const VERSIONS: usize = 3;
const FILES: usize = 4;
/// Larger files are not read.
const BYTES_MAX: u64 = 1 << 20;

/// `places` has the paths of each content, by its digest.
pub async fn check(server: &TestServer, places: &HashMap<String, Vec<String>>) {
    for dataset in DATASETS.map(str::to_owned) {
        let dataset = dataset.as_str();
        let path = format!("/api/lake/dataset/versions?path={dataset}&size={VERSIONS}");
        let (status, versions) = answer(server.get(&path)).await;
        if status == 404 {
            assert_eq!(live(places, dataset), BTreeMap::new(), "what lies in {dataset} has a version");
            continue;
        }
        assert_eq!(status, 200, "{versions}");
        for version in versions.as_array().unwrap() {
            let files = files_of(server, dataset, version).await;
            if version["is_current"] == json!(true) && version["is_complete"] != json!(false) {
                let listed: BTreeMap<_, _> = files
                    .iter()
                    .map(|file| {
                        (file["path"].as_str().unwrap().to_owned(), file["sha256"].as_str().unwrap().to_owned())
                    })
                    .collect();
                assert_eq!(
                    listed,
                    live(places, dataset),
                    "the newest version of {dataset} is what lies there: {version}"
                );
            }
        }
    }
    check_snapshots(server).await;
}

/// Files of a dataset, with their digests.
fn live(places: &HashMap<String, Vec<String>>, dataset: &str) -> BTreeMap<String, String> {
    let prefix = format!("{}/", &dataset[1..]);
    let mut live = BTreeMap::new();
    for (digest, paths) in places {
        for path in paths.iter().filter(|path| path.starts_with(&prefix)) {
            live.insert(format!("/{path}"), digest.clone());
        }
    }
    live
}

async fn files_of(server: &TestServer, dataset: &str, version: &Value) -> Vec<Value> {
    let number = &version["version"];
    let mut files: Vec<Value> = Vec::new();
    loop {
        let after = files.last().map_or(String::new(), |file| format!("&after={}", file["path"].as_str().unwrap()));
        let path = format!("/api/lake/dataset/version?path={dataset}&version={number}&size=1000{after}");
        let (status, page) = answer(server.get(&path)).await;
        assert_eq!(status, 200, "{page}");
        files.extend(page["list"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            break;
        }
    }
    let bytes: u64 = files.iter().map(|file| file["size_bytes"].as_u64().unwrap()).sum();
    assert_eq!((&version["files"], &version["size_bytes"]), (&json!(files.len()), &json!(bytes)), "{version}");
    let small = files.iter().filter(|file| file["size_bytes"].as_u64().unwrap() <= BYTES_MAX);
    for file in small.take(FILES) {
        let Some(address) = file["address"].as_str() else { continue };
        let response = server.client.get(address).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file} of {version}: {}", response.text().await.unwrap());
        assert_eq!(json!(digest(&response.bytes().await.unwrap())), file["sha256"], "{file} of {version}");
    }
    files
}

async fn check_snapshots(server: &TestServer) {
    const TRIES: usize = 500;
    let folder = server.lake().join(".lakeshore/snapshots");
    let (mut listed, mut found) = (BTreeSet::new(), BTreeSet::new());
    // Dropped snapshots are removed in the background.
    for _ in 0..TRIES {
        let response = server.get("/api/lake/dataset/snapshots").bearer_auth(&server.key).send().await.unwrap();
        let snapshots: Vec<Value> = response.json().await.unwrap();
        for snapshot in &snapshots {
            assert!(version_in(snapshot["absolute"].as_str().unwrap().as_ref()) > 0, "{snapshot}");
        }
        listed = snapshots.iter().map(|snapshot| snapshot["snapshot"].as_str().unwrap().to_owned()).collect();
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found = names.collect();
        if listed == found {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(listed, found, "the folders are those of the snapshots that are listed");
}

impl Sender {
    /// Restores one of the latest versions of a dataset of full syncs, or finds that it is gone.
    pub async fn restore_version(&self, path: &str, back: usize) -> Option<()> {
        let url = format!("{}/api/lake/dataset/versions?path={path}&size=5", self.url);
        let versions = self.get(&url).await?;
        let Some(version) = versions.as_array().and_then(|versions| versions.get(back)) else { return Some(()) };
        self.ledger.known().versions.insert(path.to_owned(), Vec::new());
        let body = json!({ "path": path, "version": version["version"], "confirm": true, "api_key": self.key });
        let (status, said) = self.post("/api/lake/dataset/restore", body).await?;
        assert!(status == 200 || said["code"] == json!(41001), "{version}: {said}");
        if status == 200 && !self.may_fail {
            let live = version_in(&self.server.lake().join(&path[1..]));
            self.ledger.known().versions.insert(path.to_owned(), vec![live]);
        }
        Some(())
    }

    /// Takes a snapshot of a dataset of full syncs, reads it, and drops or leaves it.
    pub async fn snapshot(&self, path: &str, is_dropped: bool) -> Option<()> {
        if self.server.bucket.is_some() {
            return Some(());
        }
        let body = json!({ "path": path, "api_key": self.key, "for": "1h" });
        let (status, said) = self.post("/api/lake/dataset/snapshot", body).await?;
        if status == 404 || said["code"] == json!(50304) || said["code"] == json!(42900) {
            return Some(());
        }
        assert_eq!(status, 200, "{said}");
        let folder = said["absolute"].as_str().unwrap().to_owned();
        assert!(version_in(folder.as_ref()) > 0);
        if is_dropped {
            let url = format!("{}/api/lake/dataset/snapshot/{}", self.url, said["snapshot"].as_str().unwrap());
            let dropped = self.client.delete(url).bearer_auth(&self.key).send().await.ok()?;
            assert_eq!(dropped.status(), 200);
            for _ in 0..500 {
                if !std::path::Path::new(&folder).exists() {
                    return Some(());
                }
                // The server may have ended.
                self.client.get(format!("{}/healthz", self.url)).send().await.ok()?;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            panic!("a snapshot that was dropped stays");
        }
        Some(())
    }

    /// Whether a sync was one of the lake's own restores: aborted, it may have staged any file.
    pub async fn is_of_restore(&self, sync_id: u64) -> Option<bool> {
        let url = format!("{}/api/ingestion/file/sync/{sync_id}", self.url);
        let sync = self.get(&url).await?;
        Some(sync["name"].as_str().is_some_and(|name| name.starts_with("restore of version")))
    }
}

#[tokio::test]
async fn files_stay_recognised_when_a_stop_interrupts_the_making_or_the_removal_of_a_snapshot() {
    for point in ["snapshot.filled", "snapshot.unlinked"] {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let stopped = Stopped::new(folder, data_dir, &[]).with_key();
        let mut server = stopped.try_start(&[("LAKESHORE_CRASH_AT", point)]).await.unwrap();
        let id = server.start_sync("/data/t", "FullSync").await;
        server.upload(id, "a.csv", b"a1").await;
        server.upload(id, "b.csv", b"b1").await;
        server.end_sync(id).await;
        let body = json!({ "path": "/data/t", "api_key": server.key });
        let sent = server.post("/api/lake/dataset/snapshot", &body).send().await;
        if let Ok(sent) = sent {
            let taken: Value = sent.json().await.unwrap();
            let url = format!("{}/api/lake/dataset/snapshot/{}", server.url, taken["snapshot"].as_str().unwrap());
            // The server may end before it replies.
            let _ = server.client.delete(url).bearer_auth(&server.key).send().await;
        }
        server.eventually_ended();
        let server = stopped.start().await;
        let known = async || {
            let rows = server.rows("/api/lake/file/list?path=/data/t").await;
            rows.iter().all(|row| row["sha256"].is_string())
        };
        server.eventually(async || known().await.then_some(())).await;
        let snapshots = server.lake().join(".lakeshore/snapshots");
        server.eventually(async || std::fs::read_dir(&snapshots).unwrap().next().is_none().then_some(())).await;
        server.eventually(async || known().await.then_some(())).await;
    }
}
