//! Clients that outlive their server, with their knowledge: acknowledged uploads, and the possible content of the lake.

use crate::resumers::Begun;
use crate::server::{Stopped, TestServer};
use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub const FILES_OF_A_VERSION: u64 = 3;

/// Knowledge of all clients of one lake.
#[derive(Default)]
pub struct Ledger {
    serial: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Default, Clone)]
pub struct Known {
    /// SHA-256 of each acknowledged upload since the last check.
    pub acknowledged: Vec<String>,
    /// Files that only one client writes, with the possible SHA-256 of each; [`ABSENT`] is no file. Several values
    /// while a step is in doubt; none if anything is possible.
    pub files: BTreeMap<String, Vec<String>>,
    /// Datasets of full syncs, with the possible versions of each: the id of the sync, 0 for none. In the same way.
    pub versions: BTreeMap<String, Vec<u64>>,
    /// Full syncs aborted before they were complete: their staged files are in the trash, and form no version.
    pub incomplete: BTreeSet<u64>,
    /// Resumable uploads to be continued.
    pub begun: Vec<Begun>,
    /// SHA-256 of purged content: it may be gone, or still be in the trash.
    pub emptied: BTreeSet<String>,
}

pub const ABSENT: &str = "";

/// Adds what a step that begins may leave. Where anything is possible, it still is.
pub fn add_if_known<T>(possible: &mut Vec<T>, outcome: T) {
    if !possible.is_empty() {
        possible.push(outcome);
    }
}

impl Ledger {
    pub fn knowing(known: Known) -> Self {
        Self { serial: AtomicU64::new(0), known: Mutex::new(known) }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }
}

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// All pages of a list, after its first `from` rows.
pub async fn every_row(server: &TestServer, list: &str, from: usize) -> Vec<Value> {
    const PAGE_ROWS: usize = 1000;
    let mut rows = Vec::new();
    loop {
        let page = server.rows(&format!("{list}from={}&size={PAGE_ROWS}", from + rows.len())).await;
        let is_last = page.len() < PAGE_ROWS;
        rows.extend(page);
        if is_last {
            return rows;
        }
    }
}

/// A file of a version. Every eighth version has a large one.
pub fn part_of(version: u64, file: u64) -> Vec<u8> {
    let mut bytes = format!("{version}:{file}:").into_bytes();
    if file == 0 && version.is_multiple_of(8) {
        bytes.resize(1_500_000, b'x');
    }
    bytes
}

/// Version in a folder, which must be complete; 0 if there is none.
pub fn version_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
    }
    assert!(!files.is_empty(), "a dataset is never empty: {}", folder.display());
    let first = String::from_utf8(files.values().next().unwrap().clone()).unwrap();
    let version = first.split(':').next().unwrap().parse().unwrap();
    let whole: BTreeMap<_, _> =
        (0..FILES_OF_A_VERSION).map(|file| (format!("part-{file}"), part_of(version, file))).collect();
    assert!(files == whole, "a reader sees a dataset whole, not {:?} of version {version}", files.keys());
    version
}

#[derive(Clone)]
pub struct Sender {
    pub url: String,
    pub key: String,
    pub client: Client,
    pub server: Stopped,
    pub ledger: Arc<Ledger>,
    /// What the server needs fails: its database or its object storage.
    pub may_fail: bool,
}

/// Calls of a client. Each returns `None` without a response: the server has ended. It does for a response of 5xx too where
/// that may be.
impl Sender {
    pub fn to(server: &TestServer, ledger: &Arc<Ledger>) -> Self {
        Self {
            url: server.url.clone(),
            key: server.key.clone(),
            client: server.client.clone(),
            server: server.stopped().clone(),
            ledger: ledger.clone(),
            may_fail: false,
        }
    }

    /// `None` for a failure that may be.
    pub fn expected(&self, status: u16) -> Option<u16> {
        (!self.may_fail || status < 500).then_some(status)
    }

    pub async fn post(&self, path: &str, body: Value) -> Option<(u16, Value)> {
        let response = self.client.post(format!("{}{path}", self.url)).json(&body).send().await.ok()?;
        let status = self.expected(response.status().as_u16())?;
        Some((status, response.json().await.ok()?))
    }

    pub async fn get(&self, url: &str) -> Option<Value> {
        let response = self.client.get(url).send().await.ok()?;
        self.expected(response.status().as_u16())?;
        response.json().await.ok()
    }

    pub async fn start(&self, path: &str, sync_type: &str) -> Option<u64> {
        loop {
            let body = json!({ "name": "torture", "path": path, "api_key": self.key, "sync_type": sync_type });
            let (status, answer) = self.post("/api/ingestion/file/sync/start", body).await?;
            // A concurrent restore holds a file below it.
            if answer["code"] == json!(40901) {
                tokio::task::yield_now().await;
                continue;
            }
            assert_eq!(status, 200, "{answer}");
            return answer["sync_id"].as_u64();
        }
    }

    /// `how`: `end` or `abort`.
    pub async fn close(&self, how: &str, sync_id: u64) -> Option<()> {
        let body = json!({ "sync_id": sync_id, "api_key": self.key, "discard_in_flight": true, "confirm": true });
        let (status, answer) = self.post(&format!("/api/ingestion/file/sync/{how}"), body).await?;
        assert_eq!(status, 200, "{answer}");
        Some(())
    }

    pub async fn upload(&self, sync_id: u64, name: &str, bytes: Vec<u8>) -> Option<()> {
        let digest = digest(&bytes);
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
        let url = format!("{}/api/lake/file/upload?sync_id={sync_id}", self.url);
        let response = self.client.post(url).multipart(form).send().await.ok()?;
        let status = self.expected(response.status().as_u16())?;
        let answer: Value = response.json().await.ok()?;
        assert_eq!(status, 200, "{answer}");
        self.ledger.known().acknowledged.push(digest);
        Some(())
    }

    /// Bytes that no other upload has.
    pub fn fresh_bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = format!("{}:", self.ledger.serial.fetch_add(1, Ordering::Relaxed)).into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    /// Uploads to a name that nobody else writes.
    pub async fn upload_own(&self, sync_id: u64, path: &str, length: usize) -> Option<()> {
        let bytes = self.fresh_bytes(length);
        let digest = digest(&bytes);
        let absent = || vec![ABSENT.to_owned()];
        add_if_known(self.ledger.known().files.entry(path.to_owned()).or_insert_with(absent), digest.clone());
        self.upload(sync_id, path.rsplit('/').next().unwrap(), bytes).await?;
        self.ledger.known().files.insert(path.to_owned(), vec![digest]);
        Some(())
    }

    /// Stages a complete version in a sync of its own.
    pub async fn stage(&self, path: &str) -> Option<u64> {
        let sync_id = self.start(path, "FullSync").await?;
        self.ledger.known().versions.entry(path.to_owned()).or_insert_with(|| vec![0]);
        for file in 0..FILES_OF_A_VERSION {
            self.upload(sync_id, &format!("part-{file}"), part_of(sync_id, file)).await?;
        }
        Some(sync_id)
    }

    /// Publishes the current version again, without sending its files.
    #[cfg(feature = "failpoints")]
    pub async fn publish_unchanged(&self, path: &str) -> Option<()> {
        let version = self.ledger.known().versions[path][0];
        let sync_id = self.start(path, "FullSync").await?;
        let files: Vec<_> = (0..FILES_OF_A_VERSION)
            .map(|file| {
                let bytes = part_of(version, file);
                json!({ "path": format!("part-{file}"), "size_bytes": bytes.len(), "sha256": digest(&bytes) })
            })
            .collect();
        let body = json!({ "sync_id": sync_id, "files": files, "take_over": true, "api_key": self.key });
        let (status, answer) = self.post("/api/lake/file/missing", body).await?;
        assert_eq!((status, &answer["data"]["taken_over"]), (200, &json!(FILES_OF_A_VERSION)), "{answer}");
        self.close("end", sync_id).await
    }

    pub async fn publish(&self, path: &str, sync_id: u64) -> Option<()> {
        add_if_known(self.ledger.known().versions.get_mut(path).unwrap(), sync_id);
        self.close("end", sync_id).await?;
        self.ledger.known().versions.insert(path.to_owned(), vec![sync_id]);
        Some(())
    }

    /// Makes the end of a sync read the columns of all landed files.
    #[cfg(feature = "failpoints")]
    pub async fn hold_by_schema(&self, path: &str) -> Option<()> {
        let body = json!({ "path": path, "policy": "hold", "api_key": self.key });
        let (status, answer) = self.post("/api/lake/dataset/schema-policy", body).await?;
        assert_eq!(status, 200, "{answer}");
        Some(())
    }

    /// A sync that would shrink its dataset, and so is held.
    pub async fn hold(&self, path: &str) -> Option<u64> {
        let sync_id = self.start(path, "FullSync").await?;
        self.ledger.known().incomplete.insert(sync_id);
        self.upload(sync_id, "part-0", format!("{sync_id}:held").into_bytes()).await?;
        let body = json!({ "sync_id": sync_id, "api_key": self.key });
        let (status, answer) = self.post("/api/ingestion/file/sync/end", body).await?;
        assert_eq!((status, &answer["code"]), (409, &json!(40911)), "{answer}");
        Some(sync_id)
    }

    /// Supersedes a held sync by another one, which is aborted.
    #[cfg(feature = "failpoints")]
    pub async fn hold_and_supersede(&self, path: &str) -> Option<()> {
        self.hold(path).await?;
        let successor = self.start(path, "FullSync").await?;
        self.ledger.known().incomplete.insert(successor);
        self.close("abort", successor).await
    }

    /// Aborts syncs left open by a kill, which would hold their paths.
    pub async fn abort_open_syncs(&self, server: &TestServer) {
        for sync in every_row(server, "/api/ingestion/file/sync/list?status=Syncing&", 0).await {
            let id = sync["sync_id"].as_u64().unwrap();
            self.ledger.known().incomplete.insert(id);
            self.close("abort", id).await.unwrap();
        }
    }

    /// Replaces a file that nobody else writes, and purges the old one.
    #[cfg(feature = "failpoints")]
    pub async fn replace_and_empty(&self, sync_id: u64, path: &str) -> Option<()> {
        self.upload_own(sync_id, path, 70).await?;
        let old = self.ledger.known().files[path].clone();
        self.upload_own(sync_id, path, 60).await?;
        let url = format!("{}/api/lake/trash?size=1&order=desc&path={path}", self.url);
        let trash: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        self.ledger.known().emptied.extend(old);
        let body = json!({ "trash_id": trash[0]["trash_id"], "api_key": self.key });
        let (status, answer) = self.post("/api/lake/trash/empty", body).await?;
        assert_eq!(status, 200, "{answer}");
        // The rest happens in the background; a point that is passed there has to be passed before the scenario ends.
        // A kill may have left a slot behind that an exchange had emptied.
        let is_item =
            |slot: &std::fs::DirEntry| std::fs::read_dir(slot.path()).is_ok_and(|mut slot| slot.next().is_some());
        let slots = || std::fs::read_dir(self.server.lake().join(".lakeshore/trash")).unwrap();
        let count = || slots().map(Result::unwrap).filter(is_item).count();
        let url = format!("{}/api/lake/trash?size=1000", self.url);
        for _ in 0..500 {
            let listed: Value = self.client.get(&url).send().await.ok()?.json().await.ok()?;
            if listed.as_array().unwrap().len() >= count() {
                return Some(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the trash was not emptied");
    }

    /// Restores a recent complete trash item of `path`, if there is one. Returns its reason.
    pub async fn restore(&self, path: &str) -> Option<String> {
        let url = format!("{}/api/lake/trash?size=20&order=desc&path={path}", self.url);
        let trash = self.get(&url).await?;
        let is_whole = |entry: &&Value| match (&entry["reason"], entry["sync_id"].as_u64()) {
            (Value::String(reason), Some(sync_id)) if reason == "Aborted" || reason == "Superseded" => {
                !self.ledger.known().incomplete.contains(&sync_id)
            }
            _ => true,
        };
        let mut whole = None;
        let candidates: Vec<&Value> = trash.as_array().unwrap().iter().filter(is_whole).collect();
        for entry in candidates {
            let is_of_restore = match entry["sync_id"].as_u64() {
                Some(sync_id) if entry["reason"] == json!("Aborted") => self.is_of_restore(sync_id).await?,
                _ => false,
            };
            if !is_of_restore {
                whole = Some(entry);
                break;
            }
        }
        let Some(entry) = whole else { return Some(String::new()) };
        assert_eq!(entry["origin"], json!(path));
        let is_file = entry["kind"] == json!("File");
        // In doubt until the response: only the lake knows the restored content.
        if is_file {
            self.ledger.known().files.insert(path.to_owned(), Vec::new());
        } else {
            self.ledger.known().versions.insert(path.to_owned(), Vec::new());
        }
        let body = json!({ "trash_id": entry["trash_id"], "api_key": self.key });
        let (status, answer) = self.post("/api/lake/trash/restore", body).await?;
        assert_eq!(status, 200, "{answer}");
        if self.may_fail {
            return Some(entry["reason"].as_str().unwrap().to_owned());
        }
        let live = self.server.lake().join(&path[1..]);
        if is_file {
            let bytes = std::fs::read(live).unwrap();
            self.ledger.known().files.insert(path.to_owned(), vec![digest(&bytes)]);
        } else {
            self.ledger.known().versions.insert(path.to_owned(), vec![version_in(&live)]);
        }
        Some(entry["reason"].as_str().unwrap().to_owned())
    }
}
