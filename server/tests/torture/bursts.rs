//! Bursts of faults: a call fails from its n-th time on, several times in a row, then the disk recovers. Every response
//! is true, at once and after a kill: replaced files exist, acknowledged ones are live, and every live file has a row.
//!
//! BURSTS=all runs every call, position and length, for hours.

use crate::server::{TestServer, answer, lakeshore};
use crate::strace::Tracer;
use serde_json::{Value, json};

const OLD: &[u8] = b"OLD, acknowledged";
const NEW: &[u8] = b"NEW, other bytes";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Replace,
    ReplaceLarge,
    Publish,
    Restore,
    Abort,
}

struct Burst {
    call: &'static str,
    error: &'static str,
    first: u32,
    length: u32,
}

impl Burst {
    /// Options of strace, which counts the calls of each thread separately.
    fn injection(&self) -> [String; 2] {
        let Self { call, error, first, length } = self;
        [format!("trace={call}"), format!("inject={call}:error={error}:when={first}..{}", first + length - 1)]
    }
}

fn bursts() -> Vec<Burst> {
    let is_all = std::env::var("BURSTS").is_ok_and(|all| all == "all");
    let calls: &[&str] = if is_all {
        &["fsync", "fdatasync", "renameat2", "renameat", "mkdirat", "unlinkat", "pwrite64", "ftruncate"]
    } else {
        &["fsync", "fdatasync", "renameat2"]
    };
    let (firsts, lengths): (Vec<u32>, &[u32]) =
        if is_all { ((1..=8).collect(), &[1, 2, 3, 6, 40]) } else { (vec![1, 2], &[2, 6]) };
    let errors: &[&str] = if is_all { &["EIO", "ENOSPC"] } else { &["EIO"] };
    let mut bursts = Vec::new();
    for call in calls {
        for error in errors {
            for first in &firsts {
                bursts.extend(lengths.iter().map(|length| Burst { call, error, first: *first, length: *length }));
            }
        }
    }
    bursts
}

/// A lake just before the operation.
struct Scene {
    server: TestServer,
    operation: Operation,
    old: Vec<u8>,
    new: Vec<u8>,
    sync_id: u64,
    trash_id: u64,
}

impl Scene {
    async fn set(operation: Operation) -> Self {
        let server = TestServer::start().await;
        let times = if operation == Operation::ReplaceLarge { 40_000 } else { 1 };
        let (old, new) = (OLD.repeat(times), NEW.repeat(times));
        let is_full = matches!(operation, Operation::Publish | Operation::Restore | Operation::Abort);
        let sync_type = if is_full { "FullSync" } else { "IncrementalSync" };
        let first = server.start_sync("/d", sync_type).await;
        server.upload(first, "a", &old).await;
        server.end_sync(first).await;
        let sync_id = server.start_sync("/d", sync_type).await;
        let mut trash_id = 0;
        if is_full {
            server.upload(sync_id, "a", &new).await;
        }
        if operation == Operation::Restore {
            server.end_sync(sync_id).await;
            trash_id = server.rows("/api/lake/trash").await[0]["trash_id"].as_u64().unwrap();
        }
        Self { server, operation, old, new, sync_id, trash_id }
    }

    async fn run(&self) -> (u16, Value) {
        let query = format!("sync_id={}", self.sync_id);
        match self.operation {
            Operation::Add => self.server.try_upload(&format!("{query}&path=sub"), &[("b", &self.new)]).await,
            Operation::Replace | Operation::ReplaceLarge => self.server.try_upload(&query, &[("a", &self.new)]).await,
            Operation::Publish => self.server.try_end(self.sync_id, json!({})).await,
            Operation::Abort => self.server.try_abort(self.sync_id).await,
            Operation::Restore => {
                let wanted = json!({ "api_key": self.server.key, "trash_id": self.trash_id });
                answer(self.server.post("/api/lake/trash/restore", &wanted)).await
            }
        }
    }

    fn look(&self, server: &TestServer, answered: u16, when: &str) {
        let files = server.files("");
        assert!(files.values().any(|bytes| *bytes == self.old), "{when}: what was acknowledged is destroyed");
        let live = files.get("d/a");
        assert!(live.is_some_and(|live| *live == self.old || *live == self.new), "{when}: readers see neither");
        if answered != 200 {
            return;
        }
        match self.operation {
            Operation::Add => assert_eq!(files.get("d/sub/b"), Some(&self.new), "{when}"),
            Operation::Replace | Operation::ReplaceLarge | Operation::Publish => {
                assert_eq!(live, Some(&self.new), "{when}");
            }
            Operation::Restore | Operation::Abort => assert_eq!(live, Some(&self.old), "{when}"),
        }
    }
}

/// Findings of `lakeshore check`, and files of an upload without a row.
fn findings(server: &mut TestServer) -> Vec<Value> {
    assert_eq!(server.stop(), Some(0), "{}", server.stderr());
    let (data_dir, lake) = (server.data_dir().to_owned(), server.lake());
    let found = lakeshore(&[
        "check",
        "--json",
        "--digests",
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--lake-root",
        lake.to_str().unwrap(),
    ]);
    let lines = String::from_utf8(found.stdout).unwrap();
    let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    findings.filter(|finding| finding["kind"] != "empty-slot").collect()
}

async fn survive_bursts(operation: Operation) {
    for burst in bursts() {
        let Burst { call, error, first, length } = &burst;
        let fault = format!("{operation:?}, {call} fails with {error} {length} times from its {first}. time on");
        let scene = Scene::set(operation).await;
        let [trace, inject] = burst.injection();
        let Some(tracer) = Tracer::attach(&scene.server, &["-e", &trace, "-e", &inject]).await else { return };
        let (answered, said) = scene.run().await;
        drop(tracer);
        assert!([200, 500, 507].contains(&answered), "{fault}: {said}");
        scene.look(&scene.server, answered, &format!("{fault}, at once"));
        let Scene { server, old, new, sync_id, trash_id, .. } = scene;
        let server = server.kill_and_restart().await;
        let mut scene = Scene { server, operation, old, new, sync_id, trash_id };
        scene.look(&scene.server, answered, &format!("{fault}, after a kill"));
        let found = findings(&mut scene.server);
        assert!(found.is_empty(), "{fault}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_survives_bursts_of_faults() {
    survive_bursts(Operation::Add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_survives_bursts_of_faults() {
    survive_bursts(Operation::Replace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_is_replaced_survives_bursts_of_faults() {
    survive_bursts(Operation::ReplaceLarge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_is_published_survives_bursts_of_faults() {
    survive_bursts(Operation::Publish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_is_restored_survives_bursts_of_faults() {
    survive_bursts(Operation::Restore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_survives_bursts_of_faults() {
    survive_bursts(Operation::Abort).await;
}
