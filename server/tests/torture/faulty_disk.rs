//! A failing disk: strace makes system calls of the server fail.

use crate::server::TestServer;
use crate::strace::Tracer;
use serde_json::json;

/// All contents in the lake, at any path.
fn contents(server: &TestServer) -> Vec<Vec<u8>> {
    let mut contents: Vec<_> = server.files("").into_values().collect();
    contents.sort();
    contents
}

const FAILING_CALLS: [&str; 8] =
    ["fsync", "fdatasync", "syncfs", "renameat2", "renameat", "mkdirat", "unlinkat", "pwrite64"];
/// Each call fails at its first, second, … time.
const PASSINGS: u32 = 4;
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

/// The old content must exist, live or in the trash, and the new one too after a success.
async fn replace_under_fault(sync_type: &str) {
    for call in FAILING_CALLS {
        for error in ERRORS {
            for passing in 1..=PASSINGS {
                let fault = format!("{call} fails with {error} at its {passing}. time");
                let server = TestServer::start().await;
                let first = server.start_sync("/data/t", sync_type).await;
                server.upload(first, "a.csv", b"old").await;
                server.end_sync(first).await;
                let id = server.start_sync("/data/t", sync_type).await;
                let inject = format!("inject={call}:error={error}:when={passing}");
                let trace = format!("trace={call}");
                let tracer = Tracer::attach(&server, &["-e", &trace, "-e", &inject]).await;
                let Some(tracer) = tracer else { return };
                let (uploaded, said) = server.try_upload(&format!("sync_id={id}"), &[("a.csv", b"new")]).await;
                let (ended, _) = server.try_end(id, json!({})).await;
                drop(tracer);
                assert!([200, 500, 507].contains(&uploaded), "{fault}: {said}");
                let check = |when: &str, server: &TestServer| {
                    let contents = contents(server);
                    assert!(contents.contains(&b"old".to_vec()), "{fault}, {when}: the old file is gone: {contents:?}");
                    let live = server.files("data/t").remove("a.csv");
                    assert!(live.is_some(), "{fault}, {when}: readers see no file");
                    if uploaded == 200 {
                        assert!(contents.contains(&b"new".to_vec()), "{fault}, {when}: acknowledged means kept");
                    }
                };
                check("at once", &server);
                // The disk has recovered, and the sync continues.
                if ended != 200 {
                    let (status, body) = server.try_end(id, json!({ "discard_in_flight": true })).await;
                    assert!(status == 200 || body["code"] == json!(40903), "{fault}: {body}, {}", server.stderr());
                }
                check("after the end", &server);
                let server = server.kill_and_restart().await;
                check("after the restart", &server);
                let on_disk = server.files(".lakeshore/trash").len();
                let listed = server.rows("/api/lake/trash").await;
                assert_eq!(listed.len(), on_disk, "{fault}: the trash is what its list says: {listed:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_interrupted_by_a_disk_fault_loses_neither_file() {
    replace_under_fault("IncrementalSync").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_interrupted_by_a_disk_fault_loses_neither_dataset() {
    replace_under_fault("FullSync").await;
}
