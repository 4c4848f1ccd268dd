//! Missing files: `/api/lake/file/missing`.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MISSING: &str = "/api/lake/file/missing";

fn offered(path: &str, bytes: &[u8]) -> Value {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "path": path, "size_bytes": bytes.len(), "sha256": sha256 })
}

async fn try_missing(server: &TestServer, sync_id: u64, files: &[Value], more: Value) -> (u16, Value) {
    let mut body = json!({ "sync_id": sync_id, "files": files });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(server.post(MISSING, &body)).await
}

/// Paths to send, number of unchanged files, and number of those taken over.
async fn missing(server: &TestServer, sync_id: u64, files: &[Value], more: Value) -> (Vec<String>, u64, u64) {
    let (status, body) = try_missing(server, sync_id, files, more).await;
    assert_eq!((status, &body["code"], &body["msg"]), (200, &json!(0), &Value::Null), "{body}");
    let data = &body["data"];
    let paths = data["missing"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect();
    (paths, data["unchanged"].as_u64().unwrap(), data["taken_over"].as_u64().unwrap())
}

fn take_over() -> Value {
    json!({ "take_over": true })
}

/// Proxy that counts the bytes from the client.
async fn counting_proxy(server: &TestServer) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let to = server.url.strip_prefix("http://").unwrap().to_owned();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = TcpStream::connect(&to).await.unwrap().into_split();
            let counter = counter.clone();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut chunk = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut chunk).await {
                    counter.fetch_add(length, Ordering::SeqCst);
                    to_server.write_all(&chunk[..length]).await.unwrap();
                }
            });
        }
    });
    (url, sent)
}

#[tokio::test]
async fn a_daily_full_sync_in_which_one_percent_changed_sends_one_percent() {
    const FILES: usize = 200;
    const FILE_BYTES: usize = 100_000;
    let mut server = TestServer::start().await;
    let (url, sent) = counting_proxy(&server).await;
    server.url = url;
    let name = |file: usize| format!("dt={}/part-{file}.parquet", file % 7);
    let content = |file: usize, day: u8| -> Vec<u8> {
        format!("{file}:{day}:").into_bytes().into_iter().cycle().take(FILE_BYTES).collect()
    };
    let mut days: Vec<usize> = Vec::new();
    let mut files: Vec<(String, Vec<u8>)> = (0..FILES).map(|file| (name(file), content(file, 0))).collect();
    for day in 0..3_u8 {
        for changed in 0..FILES / 100 * usize::from(day > 0) {
            let file = changed * 97 + usize::from(day);
            files[file].1 = content(file, day);
        }
        let before = sent.load(Ordering::SeqCst);
        let id = server.start_sync("/data/db/t", "FullSync").await;
        let asked: Vec<_> = files.iter().map(|(name, bytes)| offered(name, bytes)).collect();
        let (to_send, unchanged, taken_over) = missing(&server, id, &asked, take_over()).await;
        assert_eq!((unchanged, taken_over), (((FILES - to_send.len()) as u64), unchanged));
        let to_send: Vec<_> = files.iter().filter(|(name, _)| to_send.contains(name)).collect();
        for some in to_send.chunks(20) {
            let some: Vec<_> = some.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            assert_eq!(server.try_upload(&format!("sync_id={id}"), &some).await.0, 200);
        }
        server.end_sync(id).await;
        days.push(sent.load(Ordering::SeqCst) - before);

        let live = server.files("data/db/t");
        assert_eq!(live.len(), FILES);
        assert!(files.iter().all(|(name, bytes)| live[name] == *bytes), "day {day}");
        let sync = server.sync(id).await;
        assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(FILES), &json!(0)));
        let history = server.history(&format!("sync_id={id}&size=1000")).await;
        let taken: Vec<_> = history.iter().filter(|row| row["taken_over"] == json!(true)).collect();
        assert_eq!(taken.len() as u64, taken_over);
        assert!(taken.iter().all(|row| row["sync_status"] == "Finished" && row["message"] == ""));
        assert!(
            history
                .iter()
                .all(|row| row["landed_path"] == format!("/data/db/t/{}", row["file_name"].as_str().unwrap()))
        );
    }
    assert!(days[0] > FILES * FILE_BYTES, "{days:?}");
    for day in &days[1..] {
        // The question itself, request heads, and multipart overhead.
        let question = FILES * 200 + 4000;
        assert!((FILES * FILE_BYTES / 100..FILES * FILE_BYTES / 100 + question).contains(day), "{days:?}");
    }
    // The days before are complete in the trash.
    assert_eq!(server.files(".lakeshore/trash").len(), 2 * FILES);
}

#[tokio::test]
async fn an_interrupted_client_asks_again_and_sends_only_the_rest() {
    for sync_type in ["FullSync", "IncrementalSync"] {
        let server = TestServer::start().await;
        let id = server.start_sync("/data/t", sync_type).await;
        let query = format!("sync_id={id}&path=dt=1");
        assert_eq!(server.try_upload(&query, &[("a.csv", b"one"), ("sub/b.csv", b"two")]).await.0, 200);
        let server = server.kill_and_restart().await;
        let files = [
            offered("a.csv", b"one"),
            offered("sub//b.csv", b"two"),
            offered("c.csv", b"three"),
            offered("a.csv.bak", b"one"),
        ];
        for path in ["dt=1", "/data/t/dt=1"] {
            let (paths, unchanged, taken_over) = missing(&server, id, &files, json!({ "path": path })).await;
            assert_eq!(paths, ["c.csv", "a.csv.bak"], "{sync_type}");
            assert_eq!((unchanged, taken_over), (2, 0));
        }
        let (paths, ..) = missing(&server, id, &files, json!({ "path": "dt=2" })).await;
        assert_eq!(paths.len(), 4);
        // Other bytes with the same name and length, and the same bytes with a wrong length.
        let mut longer = offered("sub/b.csv", b"two");
        longer["size_bytes"] = json!(4);
        let (paths, ..) = missing(&server, id, &[offered("a.csv", b"eno"), longer], json!({ "path": "dt=1" })).await;
        assert_eq!(paths, ["a.csv", "sub/b.csv"]);
    }
}

/// Publishes a dataset of one file.
async fn published(server: &TestServer, name: &str, bytes: &[u8]) {
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, name, bytes).await;
    server.end_sync(id).await;
}

#[tokio::test]
async fn files_that_are_not_taken_over_are_missing() {
    let server = TestServer::start().await;
    published(&server, "a.csv", b"one").await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let files = [offered("a.csv", b"one"), offered("b.csv", b"two")];
    let expected = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    assert_eq!(missing(&server, id, &files, json!({})).await, (expected(&["a.csv", "b.csv"]), 1, 0));
    assert!(server.history(&format!("sync_id={id}")).await.is_empty());
    assert_eq!(missing(&server, id, &files, take_over()).await, (expected(&["b.csv"]), 1, 1));
    // Repeated, as after a lost response.
    assert_eq!(missing(&server, id, &files, take_over()).await, (expected(&["b.csv"]), 1, 0));
    assert_eq!(server.history(&format!("sync_id={id}")).await.len(), 1);
    server.upload(id, "b.csv", b"two").await;
    server.end_sync(id).await;
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv"]);
}

#[tokio::test]
async fn an_incremental_sync_takes_nothing_over_because_it_is_there() {
    let server = TestServer::start().await;
    published(&server, "a.csv", b"one").await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let found = missing(&server, id, &[offered("a.csv", b"one"), offered("b.csv", b"two")], take_over()).await;
    assert_eq!(found, (vec!["b.csv".to_owned()], 1, 0));
}

/// Changes a file until the kernel's change time is later than the landing.
fn change_by_hand(file: &std::path::Path, landed_at: i64, change: impl Fn()) {
    loop {
        change();
        let found = std::fs::metadata(file).unwrap();
        if found.ctime() * 1000 + found.ctime_nsec() / 1_000_000 > landed_at {
            return;
        }
    }
}

#[tokio::test]
async fn a_file_changed_by_hand_is_not_trusted_even_with_the_same_time_and_size() {
    let server = TestServer::start().await;
    published(&server, "a.csv", b"one").await;
    let file = server.folder().join("data/t/a.csv");
    let landed_at = server.history("").await[0]["end_time"].as_i64().unwrap();
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    change_by_hand(&file, landed_at, || {
        std::fs::write(&file, b"eno").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    });
    let id = server.start_sync("/data/t", "FullSync").await;
    for bytes in [b"one", b"eno"] {
        let (paths, unchanged, _) = missing(&server, id, &[offered("a.csv", bytes)], take_over()).await;
        assert_eq!((paths.len(), unchanged), (1, 0));
    }
    server.upload(id, "a.csv", b"one").await;
    server.end_sync(id).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    assert_eq!(missing(&server, id, &[offered("a.csv", b"one")], take_over()).await.2, 1, "known again");
}

#[tokio::test]
async fn after_a_restore_the_restored_file_is_compared_not_the_last_landed_one() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"one").await;
    server.upload(id, "a.csv", b"two").await;
    server.end_sync(id).await;
    let restore = json!({ "trash_id": 1, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &restore)).await.0, 200);
    let id = server.start_sync("/data/t", "FullSync").await;
    assert_eq!(missing(&server, id, &[offered("a.csv", b"two")], take_over()).await.0, ["a.csv"]);
}

#[tokio::test]
async fn a_taken_over_file_is_a_copy_and_an_aborted_sync_leaves_the_dataset_as_it_was() {
    let server = TestServer::start().await;
    published(&server, "a.csv", b"one").await;
    let id = server.start_sync("/data/t", "FullSync").await;
    missing(&server, id, &[offered("a.csv", b"one")], take_over()).await;
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"one");

    let id = server.start_sync("/data/t", "FullSync").await;
    assert_eq!(missing(&server, id, &[offered("a.csv", b"one")], take_over()).await.2, 1, "it was never replaced");
    server.end_sync(id).await;
    std::fs::write(server.folder().join("data/t/a.csv"), b"written through").unwrap();
    assert!(server.files(".lakeshore/trash").values().all(|bytes| bytes == b"one"));
}

#[tokio::test]
async fn invalid_names_are_missing_and_their_upload_says_why() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let names = ["../escaped", ".hidden", "/etc/passwd", "", "a\u{202e}b", "ok.csv"];
    let files = names.map(|name| offered(name, b"x"));
    let (paths, unchanged, _) = missing(&server, id, &files, take_over()).await;
    assert_eq!((paths, unchanged), (names.map(str::to_owned).to_vec(), 0));
}

#[tokio::test]
async fn a_link_in_the_lake_is_not_taken_over() {
    let server = TestServer::start().await;
    published(&server, "a.csv", b"one").await;
    let outside = server.data_dir().join("outside");
    std::fs::write(&outside, b"one").unwrap();
    std::fs::remove_file(server.folder().join("data/t/a.csv")).unwrap();
    std::os::unix::fs::symlink(&outside, server.folder().join("data/t/a.csv")).unwrap();
    let id = server.start_sync("/data/t", "FullSync").await;
    assert_eq!(missing(&server, id, &[offered("a.csv", b"one")], take_over()).await.0, ["a.csv"]);
}

#[tokio::test]
async fn an_invalid_question_is_refused_with_the_reason() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let ask = async |id, files: &[Value], more| try_missing(&server, id, files, more).await;
    let one = [offered("a.csv", b"one")];
    assert_refused(ask(99, &one, json!({})).await, 40401, "sync 99 not found");
    assert_refused(ask(id, &one, json!({ "path": "../x" })).await, 40001, "upward");
    let twice = [offered("a/b.csv", b"one"), offered("a//b.csv", b"two")];
    assert_refused(ask(id, &twice, json!({})).await, 40000, "listed twice");
    let no_digest = json!({ "path": "a.csv", "size_bytes": 1, "sha256": "00" });
    assert_refused(ask(id, &[no_digest], json!({})).await, 40000, "sha256sum");
    assert_refused(ask(id, &[json!({ "path": "a.csv" })], json!({})).await, 40000, "size_bytes");
    let many: Vec<_> = (0..=10_000).map(|n| offered(&format!("{n}.csv"), b"x")).collect();
    assert_refused(ask(id, &many, json!({})).await, 40000, "10000 files");
    assert_eq!(ask(id, &many[1..], json!({})).await.0, 200);
    let long = [json!({ "path": "x".repeat(34_000_000), "size_bytes": 1, "sha256": "00" })];
    assert_refused(ask(id, &long, json!({})).await, 41300, "several requests");
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_refused(ask(id, &one, take_over()).await, 40900, "has ended");
}

#[tokio::test]
async fn asking_for_missing_files_needs_the_right_to_upload() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let one = [offered("a.csv", b"one")];
    assert_refused(try_missing(&server, id, &one, json!({})).await, 40100, "a key is required");
    let reader = server.new_key(&["--role", "read"]);
    assert_refused(try_missing(&server, id, &one, json!({ "api_key": reader })).await, 40300, "role write");
    let elsewhere = server.new_key(&["--role", "write", "--path-prefix", "/data/u"]);
    assert_refused(try_missing(&server, id, &one, json!({ "api_key": elsewhere })).await, 40401, "not found");
    let writer = server.new_key(&["--role", "write"]);
    assert_eq!(try_missing(&server, id, &one, json!({ "api_key": writer })).await.0, 200);
}
