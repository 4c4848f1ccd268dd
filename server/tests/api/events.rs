//! Events and uploads in flight: `/api/events` and `/api/ingestion/file/sync/in-flight`.

use crate::server::{TestServer, answer, assert_refused, lakeshore, path_of, round_robin};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;

pub const EVENTS: &str = "/api/events";
pub const IN_FLIGHT: &str = "/api/ingestion/file/sync/in-flight";
/// Timeout after which an event counts as missing.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Heard {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

/// An open stream.
pub struct Listening {
    response: Response,
    text: String,
    retry: Option<u64>,
}

impl Listening {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self { response, text: String::new(), retry: None }
    }

    /// Next event; `None` when the server has ended the stream.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
                };
                self.retry = self.retry.or(field("retry").map(|retry| retry.parse().unwrap()));
                if let Some(data) = field("data") {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    let kind = field("event").unwrap();
                    assert_eq!(data["type"], kind);
                    return Some(Heard { id: field("id").unwrap(), kind, data });
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
            // A killed server breaks the stream off, which is an end too.
            self.text.push_str(std::str::from_utf8(&chunk.ok().flatten()?).unwrap());
        }
    }

    /// Next event of this kind; skips the others.
    pub async fn until(&mut self, kind: &str) -> Heard {
        loop {
            let heard = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if heard.kind == kind {
                return heard;
            }
        }
    }

    /// The next of this kind that is about a sync; earlier changes may be sent first, and those of two servers in any order.
    async fn until_of_sync(&mut self, kind: &str, sync_id: u64) -> Value {
        loop {
            let heard = self.until(kind).await.data;
            if heard["sync"]["sync_id"] == sync_id {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn a_sync_has_events_from_start_to_publish_and_restore() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    server.upload(first, "a.csv", b"1").await;
    server.end_sync(first).await;
    let mut listening = Listening::open(server.get(EVENTS)).await;
    assert_eq!(listening.next().await.unwrap().kind, "ready");
    assert!(listening.retry.is_some());

    let id = server.start_sync("/data/t", "FullSync").await;
    let started = listening.until_of_sync("sync_started", id).await;
    assert_eq!(started["sync"], server.sync(id).await);
    server.upload(id, "b.csv", b"22").await;
    let landed = listening.until_of_sync("uploads_landed", id).await;
    assert_eq!(landed["files"], json!([{ "path": "/data/t/b.csv", "size_bytes": 2 }]));
    assert_eq!((&landed["num_files"], &landed["sync"]["size_bytes"]), (&json!(1), &json!(2)));
    server.try_upload(&format!("sync_id={id}"), &[("../x", b"3")]).await;
    let failed = listening.until("upload_failed").await.data;
    assert_eq!((&failed["file_name"], &failed["sync_id"]), (&json!("../x"), &json!(id)));
    assert!(failed["message"].as_str().unwrap().contains(".."));
    server.end_sync(id).await;
    let published = listening.until_of_sync("sync_published", id).await;
    assert_eq!(published["sync"], server.sync(id).await);
    let restore = json!({ "trash_id": 1, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &restore)).await.0, 200);
    let restored = listening.until("trash_restored").await.data;
    assert_eq!((&restored["path"], &restored["by"]), (&json!("/data/t"), &json!("test")));
}

#[tokio::test]
async fn held_and_failed_syncs_have_events_with_the_reason() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    let first = server.start_sync("/data/t", "FullSync").await;
    for name in ["a", "b", "c"] {
        server.upload(first, name, b"1").await;
    }
    server.end_sync(first).await;
    let mut listening = Listening::open(server.get(EVENTS)).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a", b"1").await;
    assert_refused(server.try_end(id, json!({})).await, 40911, "held");
    let held = listening.until("sync_held").await.data;
    assert_eq!(held["sync"]["held"]["replaced"]["files"], 3);
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_eq!(listening.until("sync_failed").await.data["sync"]["message"], "aborted by test");
}

#[tokio::test]
async fn a_client_that_reconnects_with_the_last_id_gets_the_missed_events() {
    let server = TestServer::start().await;
    let mut listening = Listening::open(server.get(EVENTS)).await;
    let first = server.start_sync("/data/a", "IncrementalSync").await;
    let last = listening.until("sync_started").await.id;
    drop(listening);
    let second = server.start_sync("/data/b", "IncrementalSync").await;
    let parameter = format!("{EVENTS}?last_event_id={last}");
    for request in [server.get(EVENTS).header("Last-Event-ID", &last), server.get(&parameter)] {
        let mut again = Listening::open(request).await;
        assert_eq!(again.next().await.unwrap().kind, "ready");
        let heard = again.until("sync_started").await;
        assert_eq!(heard.data["sync"]["sync_id"], second, "not {first} again");
    }
}

#[tokio::test]
async fn after_a_restart_or_with_an_unknown_id_a_client_is_told_to_reload() {
    let server = TestServer::start().await;
    let mut listening = Listening::open(server.get(EVENTS)).await;
    server.start_sync("/data/a", "IncrementalSync").await;
    let last = listening.until("sync_started").await.id;
    let server = server.kill_and_restart().await;
    while listening.next().await.is_some() {}
    for last in [last.as_str(), "nonsense"] {
        let mut again = Listening::open(server.get(EVENTS).header("Last-Event-ID", last)).await;
        let reset = again.next().await.unwrap();
        assert_eq!(reset.kind, "reset");
        server.start_sync(&format!("/data/{}", last.len()), "IncrementalSync").await;
        assert_eq!(again.next().await.unwrap().kind, "sync_started");
    }
}

#[tokio::test]
async fn filters_and_key_prefixes_limit_the_events() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    assert_refused(answer(server.get(EVENTS)).await, 40100, "a key is required");
    assert_refused(answer(server.get(IN_FLIGHT)).await, 40100, "a key is required");
    let narrow = server.new_key(&["--role", "read", "--path-prefix", "/data/a"]);
    let mut narrow = Listening::open(server.get(EVENTS).bearer_auth(&narrow)).await;
    let mut by_path = Listening::open(server.get("/api/events?path=/data/b").bearer_auth(&server.key)).await;
    let mut by_sync = Listening::open(server.get("/api/events?sync_id=3").bearer_auth(&server.key)).await;
    for (listening, kind) in [(&mut narrow, "ready"), (&mut by_path, "ready"), (&mut by_sync, "ready")] {
        assert_eq!(listening.next().await.unwrap().kind, kind);
    }
    for path in ["/data/b", "/data/ab", "/data/b/c", "/data/a/t"] {
        server.start_sync(path, "IncrementalSync").await;
    }
    let path = |heard: Heard| heard.data["sync"]["path"].as_str().unwrap().to_owned();
    assert_eq!(path(narrow.next().await.unwrap()), "/data/a/t");
    assert_eq!(path(by_path.next().await.unwrap()), "/data/b");
    assert_eq!(path(by_path.next().await.unwrap()), "/data/b/c");
    assert_eq!(path(by_sync.next().await.unwrap()), "/data/b/c");
    assert_refused(answer(server.get("/api/events?sync_id=x").bearer_auth(&server.key)).await, 40000, "whole number");
}

#[tokio::test]
async fn a_stop_ends_the_streams_and_does_not_wait_for_them() {
    let mut server = TestServer::start_with(&["--shutdown-grace", "1h"]).await;
    let mut listening = Listening::open(server.get(EVENTS)).await;
    assert_eq!(listening.next().await.unwrap().kind, "ready");
    assert_eq!(server.stop(), Some(0));
    assert!(listening.next().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let key = server.new_key(&["--role", "read"]);
    let mut listening = Listening::open(server.get(EVENTS).bearer_auth(&key)).await;
    assert_eq!(listening.next().await.unwrap().kind, "ready");
    let data_dir = server.data_dir().to_str().unwrap();
    // Id 2: the first key of that name belongs to the test.
    assert!(lakeshore(&["key", "revoke", "2", "--data-dir", data_dir]).status.success());
    let mut next = listening.next().await;
    // A server that joins another resets the streams, and the second may have begun after this one.
    if round_robin::is_wanted() && next.as_ref().is_some_and(|heard| heard.kind == "reset") {
        next = listening.next().await;
    }
    assert!(next.is_none());
    assert_refused(answer(server.get(EVENTS).bearer_auth(&key)).await, 40101, "revoked");
}

/// An upload whose body is sent by the test.
fn slow_upload(server: &TestServer, query: &str, name: &str) -> (tokio::sync::mpsc::Sender<Vec<u8>>, RequestBuilder) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(8);
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    });
    let part = reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(stream)).file_name(name.to_owned());
    let form = reqwest::multipart::Form::new().part("file", part);
    let url = format!("{}/api/lake/file/upload?{query}", server.url);
    (sender, server.client.post(url).header("User-Agent", "nightly-export/2").multipart(form))
}

#[tokio::test]
async fn an_upload_in_flight_shows_its_progress_its_sender_and_a_stall() {
    let server = TestServer::start_with(&["--stalled-after", "1ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let mut listening = Listening::open(server.get(&format!("{EVENTS}?sync_id={id}"))).await;
    let (bytes, request) = slow_upload(&server, &format!("sync_id={id}"), "big.parquet");
    let sending = tokio::spawn(request.send());
    bytes.send(vec![7; 300_000]).await.unwrap();
    let list = format!("{IN_FLIGHT}?sync_id={id}");
    let upload = server
        .eventually(async || {
            let (_, rows) = answer(server.get(&list).bearer_auth(&server.key)).await;
            let mut rows = rows.as_array().unwrap().iter();
            rows.find(|row| row["received_bytes"] == 300_000 && row["activity"] == "stalled").cloned()
        })
        .await;
    assert_eq!((&upload["file_name"], &upload["path"]), (&json!("big.parquet"), &json!("/data/t/big.parquet")));
    assert_eq!((&upload["dataset"], &upload["is_resumable"]), (&json!("/data/t"), &json!(false)));
    let sender = json!({ "by": "test", "address": "127.0.0.1", "program": "nightly-export/2" });
    assert_eq!(upload["sender"], sender);
    assert!(server.rows(&format!("{IN_FLIGHT}?sync_id=99")).await.is_empty());
    let progress = listening.until("upload_progress").await.data;
    assert_eq!(progress["upload"]["history_id"], upload["history_id"]);
    bytes.send(vec![7; 100]).await.unwrap();
    while listening.until("upload_progress").await.data["upload"]["received_bytes"] != 300_100 {}
    drop(bytes);
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
    assert_eq!(listening.until("upload_left").await.data["history_id"], upload["history_id"]);
    assert!(server.rows(&list).await.is_empty());
}

#[tokio::test]
async fn a_resumable_upload_without_a_sender_is_abandoned_until_discarded_even_after_a_restart() {
    let server = TestServer::start_with(&["--stalled-after", "1ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let begin = server.client.post(format!("{}/api/lake/files?sync_id={id}", server.url));
    let begin = begin.header("Tus-Resumable", "1.0.0").header("Upload-Length", "10");
    let begin =
        begin.header("Upload-Metadata", "filename YS5jc3Y=").header("Content-Type", "application/offset+octet-stream");
    let begun = begin.body("1234").send().await.unwrap();
    assert_eq!(begun.status(), 201);
    let place = begun.headers()["location"].to_str().unwrap().to_owned();
    let abandoned = async |server: &TestServer| {
        let rows = async || answer(server.get(IN_FLIGHT).bearer_auth(&server.key)).await.1;
        let is_abandoned = |row: &&Value| row["activity"] == "abandoned";
        server.eventually(async || rows().await.as_array().unwrap().iter().find(is_abandoned).cloned()).await
    };
    let upload = abandoned(&server).await;
    assert_eq!((&upload["received_bytes"], &upload["expected_bytes"]), (&json!(4), &json!(10)));
    assert_eq!(upload["sender"]["address"], "127.0.0.1");
    let server = server.kill_and_restart().await;
    let again = abandoned(&server).await;
    assert_eq!((&again["received_bytes"], &again["expected_bytes"]), (&json!(4), &json!(10)));
    assert_eq!((&again["history_id"], &again["sender"]["by"]), (&upload["history_id"], &json!("test")));
    let discard = server.client.delete(format!("{}{}", server.url, path_of(&place))).header("Tus-Resumable", "1.0.0");
    assert_eq!(discard.send().await.unwrap().status(), 204);
    assert!(server.rows(IN_FLIGHT).await.is_empty());
}

#[tokio::test]
async fn uploads_discarded_by_an_abort_are_no_longer_in_flight() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let (bytes, request) = slow_upload(&server, &format!("sync_id={id}"), "big.parquet");
    let sending = tokio::spawn(request.send());
    bytes.send(vec![7; 300_000]).await.unwrap();
    server.eventually(async || (server.rows(IN_FLIGHT).await.len() == 1).then_some(())).await;
    assert_eq!(server.try_abort(id).await.0, 200);
    assert!(server.rows(IN_FLIGHT).await.is_empty());
    bytes.send(vec![7; 300_000]).await.unwrap();
    drop(bytes);
    assert_eq!(sending.await.unwrap().unwrap().status(), 409);
}

#[tokio::test]
async fn only_administrators_and_the_sender_see_where_an_upload_comes_from() {
    let server = TestServer::start_with(&["--stalled-after", "1ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let prefix = ["--path-prefix", "/data/t"];
    let [sender, writer, reader, admin] = [
        vec!["--role", "write"],
        vec!["--role", "write"],
        [&["--role", "read"][..], &prefix[..]].concat(),
        [&["--role", "admin"][..], &prefix[..]].concat(),
    ]
    .map(|options| server.new_key(&options));
    // The sender of an upload is told by the server that receives it.
    let (all, some) = (json!(["127.0.0.1", "nightly-export/2"]), json!([null, null]));
    let seen = [
        (Some(&server.key), &all),
        (Some(&writer), &some),
        (Some(&reader), &some),
        (Some(&admin), &some),
        (None, &some),
    ];
    let get = |path: &str, key: Option<&String>| {
        key.into_iter().fold(server.get(path), |request, key| request.bearer_auth(key))
    };
    let mut streams = Vec::new();
    for (key, expected) in seen {
        streams.push((Listening::open(get(EVENTS, key)).await, expected));
    }
    let mut own = Listening::open(get(EVENTS, Some(&sender))).await;
    let (bytes, request) = slow_upload(&server, &format!("sync_id={id}"), "big.parquet");
    let sending = tokio::spawn(request.bearer_auth(&sender).send());
    bytes.send(vec![7; 300_000]).await.unwrap();
    let origin = |upload: &Value| json!([upload["sender"]["address"], upload["sender"]["program"]]);
    let listed = async |key: Option<&String>| answer(get(IN_FLIGHT, key)).await.1[0].clone();
    for (key, expected) in seen {
        // Each server hears of it.
        let upload =
            server.eventually(async || Some(listed(key).await).filter(|row| row["received_bytes"] == 300_000)).await;
        assert_eq!((&origin(&upload), &upload["sender"]["by"]), (expected, &json!("test")));
    }
    for (stream, expected) in &mut streams {
        assert_eq!(origin(&stream.until("upload_progress").await.data["upload"]), **expected);
    }
    if round_robin::is_wanted() {
        return;
    }
    assert_eq!(origin(&listed(Some(&sender)).await), all);
    assert_eq!(origin(&own.until("upload_progress").await.data["upload"]), all);
    drop(bytes);
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
}
