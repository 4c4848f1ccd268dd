//! Temporary faults: a call of the server fails a few times, or forever, for a reason that may be temporary.

use crate::server::{BINARY, Ended, Stopped, TestServer, answer, assert_refused};
use crate::strace::{Call, Tracer};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::time::timeout;

/// Too large to be collected in memory, so it has a file from its beginning.
static LARGE: [u8; 300 * 1024] = [b'x'; 300 * 1024];
const TRACE: &str = "trace=openat,mkdirat,renameat2,renameat,fsync,fdatasync";
/// Attempts at a step that fails this way.
const ATTEMPTS: usize = 3;

/// A server with a sync after its first landing, so that files opened once are open. It runs on one processor with few
/// threads: faults are counted for each thread, and an attempt on a new thread each time would always fail.
async fn warm() -> (TestServer, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (script, data_dir) = (folder.path().join("start"), folder.path().join("data"));
    fs::write(&script, format!("#!/bin/sh\nexec taskset -c 0 {} \"$@\"\n", *BINARY)).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let server = Stopped::new(folder, data_dir, &[]).with_key().start_program(&script).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "warm.csv", b"warm").await;
    server.upload(id, "warm-large.csv", &LARGE).await;
    (server, id)
}

fn assert_nothing_is_left_over(server: &TestServer, fault: &str) {
    let partials = server.file_names(".lakeshore/uploads");
    assert!(partials.is_empty(), "{fault}: {partials:?} are left");
}

fn injected(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.result.contains("INJECTED")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporarily_failing_call_only_delays_an_upload() {
    let faults = [("openat", "EMFILE", 5), ("mkdirat", "ENOMEM", 2), ("renameat2", "EIO", 5)];
    let (server, id) = warm().await;
    for (call, error, times) in faults {
        let mut any = 0;
        // Large files are created on any thread of a pool, where each attempt may be the first of another thread.
        let third: &[u8] = if call == "openat" { b"third" } else { &LARGE };
        // Counted separately on each thread.
        for time in 1..=times {
            let fault = format!("{call} fails with {error} at its {time}. time");
            let inject = format!("inject={call}:error={error}:when={time}");
            let Some(tracer) = Tracer::attach(&server, &["-e", TRACE, "-e", &inject]).await else { return };
            let query = format!("sync_id={id}&path={call}-{error}-{time}");
            for (name, bytes) in [("a.csv", &b"old"[..]), ("a.csv", b"new"), ("large.csv", third)] {
                let (status, body) = server.try_upload(&query, &[(name, bytes)]).await;
                assert_eq!((status, &body["code"]), (200, &json!(0)), "{fault}, {name}: {body} {}", server.stderr());
            }
            any += injected(&tracer.stop());
            let files = server.files(&format!("data/t/{call}-{error}-{time}"));
            assert_eq!((files["a.csv"].as_slice(), files["large.csv"].len()), (&b"new"[..], third.len()), "{fault}");
            assert_nothing_is_left_over(&server, &fault);
        }
        assert!(any >= times, "{call} was made to fail {any} times only");
    }
    let rows = server.history(&format!("sync_id={id}&size=1000")).await;
    let failed: Vec<_> = rows.iter().filter(|row| row["sync_status"] != json!("Finished")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let on_disk = server.files(".lakeshore/trash").len();
    assert_eq!(server.rows("/api/lake/trash?size=1000").await.len(), on_disk, "the trash is what its list says");
    assert_eq!(on_disk, rows.len() / 3, "one of three was replaced");
    server.end_sync(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanently_failing_call_is_reported_after_a_few_attempts_and_nothing_lands_partially() {
    let (server, id) = warm().await;
    let before = server.files("data");
    let faults = [("renameat2", "EIO", 50005, "moving into place"), ("mkdirat", "ENOMEM", 50000, "opening a folder")];
    for (call, error, code, doing) in faults {
        let inject = format!("inject={call}:error={error}");
        let Some(tracer) = Tracer::attach(&server, &["-e", TRACE, "-e", &inject]).await else { return };
        for (name, bytes) in [("a.csv", &b"new"[..]), ("large.csv", &LARGE)] {
            let answered = server.try_upload(&format!("sync_id={id}&path={call}"), &[(name, bytes)]).await;
            assert_eq!((answered.0, &answered.1["code"]), (500, &json!(code)), "{call}: {answered:?}");
        }
        assert!(server.stderr().contains(doing), "the operator reads the cause: {}", server.stderr());
        let calls = tracer.stop();
        assert_eq!(injected(&calls), 2 * ATTEMPTS, "{call}: {calls:?}");
        assert_nothing_is_left_over(&server, call);
        assert_eq!(server.files("data"), before, "{call}");
        let failed = server.history(&format!("sync_id={id}&size=1000")).await;
        let failed = failed.iter().filter(|row| row["sync_status"] == json!("Failed")).count();
        assert_eq!(failed, if call == "renameat2" { 2 } else { 4 });
    }
    server.upload(id, "after.csv", b"after").await;
    server.end_sync(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_descriptor_refuses_uploads_until_it_has_some() {
    let (server, id) = warm().await;
    let before = server.files("data");
    let process = Pid::from_raw(server.process_id().cast_signed()).unwrap();
    let old = getrlimit(Resource::Nofile);
    // All lower numbers are in use. A new connection would wait until it is accepted, so the client has to have one.
    let limit = |current| prlimit(Some(process), Resource::Nofile, Rlimit { current, ..old }).unwrap();
    loop {
        answer(server.get("/healthz")).await;
        limit(Some(3));
        if timeout(Duration::from_secs(2), answer(server.get("/healthz"))).await.is_ok() {
            break;
        }
        limit(old.current);
    }
    for (name, bytes) in [("a.csv", &b"new"[..]), ("large.csv", &LARGE)] {
        let answered = server.try_upload(&format!("sync_id={id}"), &[(name, bytes)]).await;
        assert_refused(answered, 50004, "ulimit -n");
    }
    assert!(server.stderr().contains("Too many open files"), "{}", server.stderr());
    limit(old.current);
    assert_eq!(server.files("data"), before);
    assert_nothing_is_left_over(&server, "no descriptor");
    server.upload(id, "a.csv", b"new").await;
    server.upload(id, "large.csv", &LARGE).await;
    server.end_sync(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_file_that_could_not_be_removed_is_removed_later() {
    let (server, id) = warm().await;
    let inject = ["-e", "trace=unlinkat", "-e", "inject=unlinkat:error=EIO"];
    let Some(tracer) = Tracer::attach(&server, &inject).await else { return };
    let refused = server.upload_request(&format!("sync_id={id}"), &[("a.csv", &LARGE)]);
    let wrong = format!("sha256 {}", BASE64_STANDARD.encode([7; 32]));
    assert_refused(answer(refused.header("Upload-Checksum", wrong)).await, 40003, "SHA-256");
    assert_eq!(server.file_names(".lakeshore/uploads").len(), 1, "{}", server.stderr());
    drop(tracer);
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
    server.end_sync(id).await;
}

/// Starts a server with this limit of descriptors.
async fn with_descriptors(limit: u32) -> Result<TestServer, Ended> {
    let folder = tempfile::tempdir().unwrap();
    let (script, data_dir) = (folder.path().join("start"), folder.path().join("data"));
    fs::write(&script, format!("#!/bin/sh\nulimit -n {limit}\nexec {} \"$@\"\n", *BINARY)).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    Stopped::new(folder, data_dir, &[]).with_key().try_start_program(&script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_by_the_available_descriptors_with_a_message() {
    for too_few in [16, 24, 32, 64, 127] {
        let said = with_descriptors(too_few).await.err().unwrap().said;
        assert!(said.contains("ulimit -n") && said.contains(&too_few.to_string()), "{said}");
    }
    let server = with_descriptors(128).await.unwrap();
    assert!(server.stderr().contains("only 16 connections are served"), "{}", server.stderr());
    let id = server.start_sync("/d", "IncrementalSync").await;
    let uploads = (0..200).map(async |n| {
        let bytes: &[u8] = if n % 2 == 0 { b"small" } else { &LARGE };
        let request = server.upload_request(&format!("sync_id={id}"), &[(&format!("f-{n}"), bytes)]);
        // A kept connection would keep its slot from others.
        answer(request.header("Connection", "close")).await
    });
    for (status, body) in futures_util::future::join_all(uploads).await {
        // Beyond the share of one address.
        assert!(status == 200 || body["code"] == json!(50302), "{status} {body} {}", server.stderr());
    }
    assert!(!server.stderr().contains("Too many open files"), "{}", server.stderr());
    server.end_sync(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_is_not_repeated_and_its_upload_does_not_land() {
    for call in ["fdatasync", "fsync"] {
        for (name, bytes) in [("a.csv", &b"new"[..]), ("large.csv", &LARGE)] {
            let (server, id) = warm().await;
            let before = server.files("data");
            // The first call of each thread. Calls of the database fail too.
            let inject = format!("inject={call}:error=EIO:when=1");
            let Some(tracer) = Tracer::attach(&server, &["-e", TRACE, "-e", &inject]).await else { return };
            let answered = server.try_upload(&format!("sync_id={id}&path=new"), &[(name, bytes)]).await;
            assert_eq!(answered.0, 500, "{call} of {name}: {answered:?}");
            let calls = tracer.stop();
            assert!(injected(&calls) > 0, "{call} of {name} was not made to fail");
            let failed = calls.iter().filter(|call| call.result.contains("INJECTED"));
            for failed in failed.filter(|failed| !failed.file().contains("lakeshore.db")) {
                let again = calls.iter().filter(|other| other.name == failed.name && other.file() == failed.file());
                assert_eq!(again.count(), 1, "{} was synced again after it failed: {calls:?}", failed.file());
            }
            assert_eq!(server.files("data"), before, "{call} of {name}");
            assert!(!server.lake().join("data/t/new").exists(), "a folder whose name is not durable stays behind");
            assert_nothing_is_left_over(&server, call);
            // The disk has recovered.
            let (status, body) = server.try_upload(&format!("sync_id={id}&path=new"), &[(name, bytes)]).await;
            assert_eq!(status, 200, "{body}");
            let server = server.kill_and_restart().await;
            assert_eq!(server.files("data/t/new")[name], bytes);
        }
    }
}
