//! `kill -9` at random moments under a mixed load, a restart, and then: is everything that was promised there?
//!
//! `KILLS` says how often (`make torture KILLS=1000`). `KILLS_SEED` repeats what was sent and when it was cut off.

use crate::server::TestServer;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

const FILES_OF_A_VERSION: usize = 5;
const ADDERS: usize = 3;

/// What the clients of one run know.
#[derive(Default)]
struct Knowledge {
    serial: AtomicU64,
    /// SHA-256 of every upload that was answered with success.
    acknowledged: Mutex<Vec<String>>,
    /// What `/full` may hold now: one version, or two while a step is in doubt. 0 is nothing.
    versions: Mutex<Vec<u64>>,
}

/// A client that outlives its server.
#[derive(Clone)]
struct Sender {
    url: String,
    key: String,
    client: Client,
    lake: PathBuf,
    knowledge: Arc<Knowledge>,
}

impl Sender {
    /// `None` when no answer came.
    async fn post(&self, path: &str, body: Value) -> Option<(u16, Value)> {
        let response = self.client.post(format!("{}{path}", self.url)).json(&body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    async fn start(&self, path: &str, sync_type: &str) -> Option<u64> {
        let body = json!({ "name": "kills", "path": path, "api_key": self.key, "sync_type": sync_type });
        let (status, answer) = self.post("/api/ingestion/file/sync/start", body).await?;
        assert_eq!(status, 200, "{answer}");
        answer["sync_id"].as_u64()
    }

    async fn close(&self, how: &str, sync_id: u64) -> Option<()> {
        let body = json!({ "sync_id": sync_id, "api_key": self.key, "discard_in_flight": true });
        let (status, answer) = self.post(&format!("/api/ingestion/file/sync/{how}"), body).await?;
        assert_eq!(status, 200, "{answer}");
        Some(())
    }

    async fn upload(&self, sync_id: u64, name: &str, bytes: Vec<u8>) -> Option<()> {
        let digest = digest(&bytes);
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
        let url = format!("{}/api/lake/file/upload?sync_id={sync_id}", self.url);
        let response = self.client.post(url).multipart(form).send().await.ok()?;
        let status = response.status();
        let answer: Value = response.json().await.ok()?;
        assert_eq!(status, 200, "{answer}");
        self.knowledge.acknowledged.lock().unwrap().push(digest);
        Some(())
    }

    /// Adds files to `/inc`, and overwrites some, until the server is gone.
    async fn add(self, mut random: StdRng) -> Option<()> {
        let sync_id = self.start("/inc", "IncrementalSync").await?;
        loop {
            let serial = self.knowledge.serial.fetch_add(1, Ordering::Relaxed);
            let name = if random.random_bool(0.5) {
                format!("hot-{}", random.random_range(0..3))
            } else {
                format!("cold-{serial}")
            };
            let length = if random.random_bool(0.1) { 2_000_000 } else { random.random_range(0..50_000) };
            let mut bytes = format!("{serial}:").into_bytes();
            bytes.resize(bytes.len() + length, b'x');
            self.upload(sync_id, &name, bytes).await?;
        }
    }

    /// Replaces `/full` by one version after another, aborts some, and restores some, until the server is gone.
    async fn replace(self, mut random: StdRng) -> Option<()> {
        loop {
            let sync_id = self.start("/full", "FullSync").await?;
            for file in 0..FILES_OF_A_VERSION {
                self.upload(sync_id, &format!("part-{file}"), format!("{sync_id}:{file}").into_bytes()).await?;
            }
            if random.random_bool(0.2) {
                self.close("abort", sync_id).await?;
                continue;
            }
            self.knowledge.versions.lock().unwrap().push(sync_id);
            self.close("end", sync_id).await?;
            *self.knowledge.versions.lock().unwrap() = vec![sync_id];
            if random.random_bool(0.3) {
                self.restore(sync_id).await?;
            }
        }
    }

    /// Brings back what the sync has replaced.
    async fn restore(&self, sync_id: u64) -> Option<()> {
        let trash: Value = self
            .client
            .get(format!("{}/api/lake/trash?size=1000&order=desc&path=/full", self.url))
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        let replaced = |entry: &&Value| entry["sync_id"] == json!(sync_id) && entry["reason"] == json!("Replaced");
        let Some(entry) = trash.as_array().unwrap().iter().find(replaced) else { return Some(()) };
        // In doubt until the answer: which version comes back, only the lake itself can tell.
        *self.knowledge.versions.lock().unwrap() = Vec::new();
        let body = json!({ "trash_id": entry["trash_id"], "api_key": self.key });
        let (status, answer) = self.post("/api/lake/trash/restore", body).await?;
        assert_eq!(status, 200, "{answer}");
        *self.knowledge.versions.lock().unwrap() = vec![version_in(&self.lake.join("full"))];
        Some(())
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The version that a folder of `/full` holds; it has to be whole.
fn version_in(folder: &Path) -> u64 {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap());
    }
    assert!(!files.is_empty(), "a dataset is never empty");
    let (version, _) = files.values().next().unwrap().split_once(':').unwrap();
    let whole: BTreeMap<_, _> =
        (0..FILES_OF_A_VERSION).map(|file| (format!("part-{file}"), format!("{version}:{file}"))).collect();
    assert_eq!(files, whole, "a reader sees a dataset whole");
    version.parse().unwrap()
}

/// Reads `/full` all the while, as an engine does: it opens the folder, then its files.
fn read_on(lake: PathBuf, stop: &AtomicBool) -> u64 {
    let mut readings = 0;
    while !stop.load(Ordering::Relaxed) {
        // By the open handle: the name may mean another folder a moment later.
        if let Ok(folder) = std::fs::File::open(lake.join("full")) {
            version_in(Path::new(&format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder))));
            readings += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    readings
}

/// All pages of a list.
async fn every_row(server: &TestServer, list: &str) -> Vec<Value> {
    const PAGE_ROWS: usize = 1000;
    let mut rows = Vec::new();
    loop {
        let page = server.rows(&format!("{list}from={}&size={PAGE_ROWS}", rows.len())).await;
        let is_last = page.len() < PAGE_ROWS;
        rows.extend(page);
        if is_last {
            return rows;
        }
    }
}

/// After a restart nothing is in doubt: state, lake and what the clients were told agree.
async fn verify(server: &TestServer, knowledge: &Knowledge) {
    let rows = every_row(server, "/api/ingestion/file/sync/history?").await;
    let mut in_lake: HashMap<String, Vec<String>> = HashMap::new();
    for (path, bytes) in server.files("") {
        in_lake.entry(digest(&bytes)).or_default().push(path);
    }
    let mut finished = HashMap::new();
    let mut counters: HashMap<u64, (u64, u64)> = HashMap::new();
    for row in &rows {
        let (total, failed) = counters.entry(row["sync_id"].as_u64().unwrap()).or_default();
        *total += 1;
        match row["sync_status"].as_str().unwrap() {
            "Finished" => {
                let digest = row["sha256"].as_str().unwrap().to_owned();
                let places = in_lake.get(&digest).map_or(0, Vec::len);
                assert_eq!(places, 1, "nothing is destroyed: {row} is in the lake once, here or in the trash");
                assert!(finished.insert(digest, row).is_none(), "one row an upload: {row}");
            }
            "Failed" => *failed += 1,
            status => panic!("nothing is in flight after a restart, but {status}: {row}"),
        }
    }
    for digest in knowledge.acknowledged.lock().unwrap().iter() {
        assert!(finished.contains_key(digest), "acknowledged means kept: {digest}");
    }
    for (digest, places) in &in_lake {
        assert!(finished.contains_key(digest), "{places:?} came in by no finished upload");
    }
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    for sync in every_row(server, "/api/ingestion/file/sync/list?").await {
        let counted = counters.remove(&sync["sync_id"].as_u64().unwrap()).unwrap_or_default();
        let remembered = (sync["total_files"].as_u64().unwrap(), sync["num_failed"].as_u64().unwrap());
        assert_eq!(remembered, counted, "{sync}");
        assert_eq!(sync["num_in_flight"], json!(0), "{sync}");
    }
    let live = server.lake().join("full");
    let version = if live.exists() { version_in(&live) } else { 0 };
    let mut versions = knowledge.versions.lock().unwrap();
    assert!(versions.is_empty() || versions.contains(&version), "{version} is none of {versions:?}");
    *versions = vec![version];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_kill_interrupts_nothing_is_lost_half_or_in_doubt_after_the_restart() {
    let kills: u64 = std::env::var("KILLS").map_or(6, |kills| kills.parse().unwrap());
    let seed: u64 = std::env::var("KILLS_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("KILLS={kills} KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let knowledge = Arc::new(Knowledge { versions: Mutex::new(vec![0]), ..Knowledge::default() });
    let mut server = TestServer::start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (lake, stop) = (server.lake(), stop.clone());
        move || read_on(lake, &stop)
    });
    for _ in 0..kills {
        let sender = Sender {
            url: server.url.clone(),
            key: server.key.clone(),
            client: server.client.clone(),
            lake: server.lake(),
            knowledge: knowledge.clone(),
        };
        // What a kill has left open is aborted, or would hold its path.
        for sync in every_row(&server, "/api/ingestion/file/sync/list?status=Syncing&").await {
            sender.close("abort", sync["sync_id"].as_u64().unwrap()).await.unwrap();
        }
        let mut load = JoinSet::new();
        for _ in 0..ADDERS {
            load.spawn(sender.clone().add(StdRng::seed_from_u64(random.random())));
        }
        load.spawn(sender.replace(StdRng::seed_from_u64(random.random())));
        tokio::time::sleep(Duration::from_micros(random.random_range(20_000..600_000))).await;
        server = server.kill_and_restart().await;
        // A sender that saw a wrong answer has panicked.
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        verify(&server, &knowledge).await;
        server = server.kill_and_restart().await;
        verify(&server, &knowledge).await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0, "there was a dataset to read");
    assert!(!knowledge.acknowledged.lock().unwrap().is_empty());
}
