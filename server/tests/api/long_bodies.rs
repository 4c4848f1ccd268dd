//! Calls with long bodies: slow, deeply nested or useless ones do not block other callers.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;

const MISSING: &str = "/api/lake/file/missing";
const EXPECT: &str = "/api/lake/file/sync/expect";
const START: &str = "/api/ingestion/file/sync/start";

/// A question for missing files beyond a small body, and the number of files.
fn question(sync_id: u64, key: Option<&str>) -> (Value, usize) {
    let file = |n: usize| json!({ "path": format!("dt=2026-01-01/part-{n:06}.parquet"), "size_bytes": 1, "sha256": "0".repeat(64) });
    let files: Vec<_> = (0..1000).map(file).collect();
    let number = files.len();
    (json!({ "sync_id": sync_id, "files": files, "api_key": key }), number)
}

/// Begins a long body and sends no more of it.
fn begin(server: &TestServer, address: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let beginning = " ".repeat(66_000);
    write!(stream, "POST {address} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: 1000000\r\n\r\n{beginning}")
        .unwrap();
    stream
}

/// Whether the server has kept the connection open.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_that_never_end_delay_nobody() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let reader = server.new_key(&["--role", "read"]);
    let known = format!("authorization: Bearer {reader}\r\n");
    let mut held: Vec<_> = (0..100).flat_map(|_| [MISSING, START, EXPECT].map(|to| begin(&server, to, ""))).collect();
    held.extend((0..50).map(|_| begin(&server, MISSING, &known)));
    // With the key in the documented place, and elsewhere.
    let (body, number) = question(id, Some(&server.key));
    let (status, missing) = answer(server.post(MISSING, &body)).await;
    assert_eq!((status, missing["data"]["missing"].as_array().unwrap().len()), (200, number));
    let (body, _) = question(id, None);
    let (status, _) = answer(server.post(MISSING, &body).bearer_auth(&server.key)).await;
    assert_eq!(status, 200);
    assert!(held.iter().all(is_open), "while the others are still at it");
    assert_refused(answer(server.post(MISSING, &body)).await, 40100, "api_key");
    assert_refused(answer(server.post(MISSING, &body).bearer_auth(&reader)).await, 40300, "write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_with_its_key_in_a_long_body_is_accepted() {
    let server = TestServer::start().await;
    let files: Vec<_> = (0..3000).map(|n| json!({ "path": format!("part-{n:06}.parquet"), "size_bytes": n })).collect();
    let start = json!({ "name": "n", "path": "/data/declared", "sync_type": "FullSync", "api_key": server.key, "expected": { "files": files } });
    let (status, started) = answer(server.post(START, &start)).await;
    assert_eq!(status, 200, "{started}");
    let sync = server.sync(started["sync_id"].as_u64().unwrap()).await;
    assert_eq!(sync["expected"]["count"], 3000, "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_bodies_are_refused_and_unknown_fields_ignored() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let post = async |to: &str, body: String| {
        answer(server.client.post(format!("{}{to}", server.url)).bearer_auth(&server.key).body(body)).await
    };
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    for to in [MISSING, START, EXPECT] {
        for field in ["files", "expected", "name", "anything"] {
            assert_refused(post(to, format!("{{\"sync_id\":{id},\"{field}\":{open}{close}}}")).await, 40000, "JSON");
        }
        assert_refused(post(to, open.clone()).await, 40000, "JSON");
        assert_refused(post(to, "{\"a\":".repeat(50_000)).await, 40000, "JSON");
    }
    let file = r#"{"path":"a","size_bytes":1,"sha256":""}"#;
    let files = format!("{{\"sync_id\":{id},\"files\":[{}{file}]}}", format!("{file},").repeat(20_000));
    assert_refused(post(MISSING, files).await, 40000, "at most 10000 files");
    let file = r#"{"path":"a","size_bytes":1}"#;
    let files =
        format!("{{\"sync_id\":{id},\"expected\":{{\"files\":[{}{file}]}}}}", format!("{file},").repeat(100_100));
    assert_refused(post(EXPECT, files).await, 40000, "more than 100000 files");
    // Unknown fields are ignored, however large.
    let ignored = format!("{{\"sync_id\":{id},\"files\":[],\"ignored\":[{}[]]}}", "[],".repeat(200_000));
    assert_eq!(post(MISSING, ignored).await.0, 200);
    let larger = "x".repeat((32 << 20) + 1);
    let refused = server.client.post(format!("{}{MISSING}", server.url)).body(larger).send().await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 413));
    assert!(server.is_alive());
}
