//! Check after a restart: the metadata, the lake, the trash and the clients' knowledge agree.

use crate::clients::{ABSENT, Ledger, digest, every_row, version_in};
use crate::resumers::go_on;
use crate::server::{TestServer, answer};
use crate::versions;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;

/// Results for one lake so far, so that a repeated check costs only the new part.
#[derive(Default)]
pub struct Verifier {
    /// Checked rows of the history.
    rows: usize,
    /// Number of first syncs that have ended and were checked.
    syncs: usize,
    /// Contents of finished uploads, with their syncs: those that received it, and those that took it over.
    finished: HashMap<String, Vec<u64>>,
    counters: HashMap<u64, Counters>,
    /// Cache by inode, time of the last write, and size.
    digests: HashMap<(u64, i64, i64, u64), String>,
    pub acknowledged: usize,
    /// What the server needs may not be back yet.
    pub may_fail: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counters {
    total: u64,
    failed: u64,
    bytes: u64,
}

impl Verifier {
    /// After a power cut a file may differ even with equal metadata.
    pub fn forget_contents(&mut self) {
        self.digests.clear();
    }

    pub async fn verify(&mut self, server: &TestServer, ledger: &Ledger) {
        go_on(server, ledger, self.may_fail).await;
        // At the beginning and at the end, as purges run in the background.
        check_trash(server).await;
        self.read_history(server).await;
        let places = self.read_lake(server);
        let emptied = ledger.known().emptied.clone();
        for (digest, syncs) in &self.finished {
            let found = places.get(digest).map_or(0, Vec::len);
            if found == 0 && emptied.contains(digest) {
                continue;
            }
            let of =
                format!("what the syncs {syncs:?} landed is in the lake once for each, here or in the trash: {digest}");
            assert_eq!(found, syncs.len(), "{of}");
        }
        for (digest, paths) in &places {
            assert!(self.finished.contains_key(digest), "{paths:?} came in by no finished upload");
        }
        for digest in std::mem::take(&mut ledger.known().acknowledged) {
            assert!(self.finished.contains_key(&digest), "acknowledged means kept: {digest}");
            self.acknowledged += 1;
        }
        let open = self.check_syncs(server).await;
        assert!(server.file_names(".lakeshore/uploads").is_empty(), "no upload is in flight any more");
        self.check_staging(&places, &open);
        check_trash(server).await;
        check_live(server, ledger, &places);
        versions::check(server, &places).await;
    }

    async fn read_history(&mut self, server: &TestServer) {
        for row in every_row(server, "/api/ingestion/file/sync/history?", self.rows).await {
            self.rows += 1;
            let sync_id = row["sync_id"].as_u64().unwrap();
            let counters = self.counters.entry(sync_id).or_default();
            counters.total += 1;
            match row["sync_status"].as_str().unwrap() {
                "Finished" => {
                    counters.bytes += row["size_bytes"].as_u64().unwrap();
                    let digest = row["sha256"].as_str().unwrap().to_owned();
                    let syncs = self.finished.entry(digest).or_default();
                    assert_eq!(!syncs.is_empty(), row["taken_over"] == json!(true), "one row an upload: {row}");
                    syncs.push(sync_id);
                }
                "Failed" => counters.failed += 1,
                status => panic!("nothing is in flight after a restart, but {status}: {row}"),
            }
        }
    }

    /// Paths of each content.
    fn read_lake(&mut self, server: &TestServer) -> HashMap<String, Vec<String>> {
        let mut places: HashMap<String, Vec<String>> = HashMap::new();
        let root = server.lake();
        let mut open = vec![root.clone()];
        let snapshots = root.join(".lakeshore/snapshots");
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                // Hard links of the same files.
                if path == snapshots {
                    continue;
                }
                let found = entry.metadata().unwrap();
                if found.is_dir() {
                    open.push(path);
                    continue;
                }
                let identity = (found.ino(), found.mtime(), found.mtime_nsec(), found.size());
                let digest = self.digests.entry(identity).or_insert_with(|| digest(&std::fs::read(&path).unwrap()));
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                places.entry(digest.clone()).or_default().push(path);
            }
        }
        places
    }

    /// Checks the counters against the history. Returns the open syncs.
    async fn check_syncs(&mut self, server: &TestServer) -> BTreeSet<u64> {
        let mut open = BTreeSet::new();
        let from = self.syncs;
        for sync in every_row(server, "/api/ingestion/file/sync/list?", from).await {
            let id = sync["sync_id"].as_u64().unwrap();
            let remembered = Counters {
                total: sync["total_files"].as_u64().unwrap(),
                failed: sync["num_failed"].as_u64().unwrap(),
                bytes: sync["size_bytes"].as_u64().unwrap(),
            };
            assert_eq!(remembered, self.counters.get(&id).copied().unwrap_or_default(), "{sync}");
            assert_eq!(sync["num_in_flight"], json!(0), "{sync}");
            if sync["sync_status"] == json!("Syncing") {
                open.insert(id);
            } else if open.is_empty() {
                self.syncs += 1;
            }
        }
        open
    }

    /// Checks that staging has exactly the landed files of open full syncs.
    fn check_staging(&self, places: &HashMap<String, Vec<String>>, open: &BTreeSet<u64>) {
        for (digest, paths) in places {
            for staged in paths.iter().filter_map(|path| path.strip_prefix(".lakeshore/staging/")) {
                let owner: u64 = staged.split('/').next().unwrap().strip_prefix("sync-").unwrap().parse().unwrap();
                assert!(self.finished[digest].contains(&owner), "{staged} belongs to another sync");
                assert!(open.contains(&owner), "{staged} belongs to a sync that has ended");
            }
        }
    }

    /// Checks that each trash item can be restored, and that the replaced one can be restored too. Newest first, at
    /// most `items`. No sync may be open.
    pub async fn restore_latest(&mut self, server: &TestServer, ledger: &Ledger, items: usize) -> usize {
        let trash = server.rows(&format!("/api/lake/trash?order=desc&size={items}")).await;
        for entry in &trash {
            let body = json!({ "trash_id": entry["trash_id"], "api_key": server.key });
            let (status, said) = answer(server.post("/api/lake/trash/restore", &body)).await;
            assert_eq!(status, 200, "{entry}: {said}");
            let origin = &entry["origin"].as_str().unwrap()[1..];
            assert!(server.lake().join(origin).exists(), "{entry} is back");
        }
        let mut known = ledger.known();
        known.files.clear();
        known.versions.clear();
        trash.len()
    }
}

/// Checks that the listed items are on disk, and nothing else: one entry in each folder, of that name and kind. Purged
/// items may need a moment to disappear.
async fn check_trash(server: &TestServer) {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let (listed, found) = trash_as_listed_and_found(server).await;
        if listed == found {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (listed, found) = trash_as_listed_and_found(server).await;
    assert_eq!(listed, found, "the trash is what its list says (left: listed, right: on disk; true: a dataset)");
}

/// Number of items, by name and by whether they are datasets.
type Items = BTreeMap<(String, bool), i64>;

async fn trash_as_listed_and_found(server: &TestServer) -> (Items, Items) {
    let mut listed = Items::new();
    for entry in every_row(server, "/api/lake/trash?", 0).await {
        let leaf = entry["origin"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        *listed.entry((leaf, entry["kind"] == "Dataset")).or_default() += 1;
    }
    let mut found = Items::new();
    for slot in std::fs::read_dir(server.lake().join(".lakeshore/trash")).unwrap().map(Result::unwrap) {
        let items: Vec<_> = std::fs::read_dir(slot.path()).into_iter().flatten().map(Result::unwrap).collect();
        // A folder emptied by an exchange, and left by a kill, is not an item.
        assert!(items.len() <= 1, "{items:?} share a slot");
        for item in items {
            let name = item.file_name().into_string().unwrap();
            *found.entry((name, item.file_type().is_ok_and(|kind| kind.is_dir()))).or_default() += 1;
        }
    }
    (listed, found)
}

/// Checks that datasets and files are as their only writer expects, and removes the doubt.
fn check_live(server: &TestServer, ledger: &Ledger, places: &HashMap<String, Vec<String>>) {
    let mut known = ledger.known();
    for (path, allowed) in &mut known.versions {
        let version = version_in(&server.lake().join(&path[1..]));
        assert!(allowed.is_empty() || allowed.contains(&version), "{path}: {version} is none of {allowed:?}");
        *allowed = vec![version];
    }
    let live: HashMap<&str, &String> =
        places.iter().flat_map(|(digest, paths)| paths.iter().map(move |path| (path.as_str(), digest))).collect();
    for (path, allowed) in &mut known.files {
        let digest = live.get(&path[1..]).map_or(ABSENT, |digest| digest.as_str());
        let is_allowed = allowed.is_empty() || allowed.iter().any(|allowed| allowed == digest);
        assert!(is_allowed, "{path}: {digest} is none of {allowed:?}");
        *allowed = vec![digest.to_owned()];
    }
}
