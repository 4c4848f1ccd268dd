//! `Idempotency-Key`: a repeated start starts no second sync.

use crate::server::{TestServer, answer, assert_refused, lakeshore};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

fn body(key: &str, path: &str) -> Value {
    json!({ "name": "nightly", "path": path, "api_key": key, "sync_type": "FullSync" })
}

fn start(server: &TestServer, idempotency_key: &str, body: &Value) -> RequestBuilder {
    server.post("/api/ingestion/file/sync/start", body).header("Idempotency-Key", idempotency_key)
}

#[tokio::test]
async fn the_same_key_with_the_same_start_returns_the_same_sync_even_after_a_kill() {
    let server = TestServer::start().await;
    let call = body(&server.key, "/data/t");
    assert_eq!(answer(start(&server, "\"8e03978e-40d5\"", &call)).await, (200, json!({ "sync_id": 1 })));
    assert_eq!(answer(start(&server, "\"8e03978e-40d5\"", &call)).await, (200, json!({ "sync_id": 1 })));
    let server = server.kill_and_restart().await;
    // Concurrent calls, with the key with and without quotes, and with both documented spellings of the type.
    let mut spelled = call.clone();
    spelled["sync_type"] = json!("Full Sync");
    let answers = futures_util::future::join_all((0..8).map(|n| {
        let key = if n % 2 == 0 { "8e03978e-40d5" } else { "\"8e03978e-40d5\"" };
        answer(start(&server, key, if n % 3 == 0 { &call } else { &spelled }))
    }));
    for got in answers.await {
        assert_eq!(got, (200, json!({ "sync_id": 1 })));
    }
    server.upload(1, "a.csv", b"a").await;
    server.end_sync(1).await;
    assert_eq!(answer(start(&server, "8e03978e-40d5", &call)).await, (200, json!({ "sync_id": 1 })));
    assert_eq!(server.rows("/api/ingestion/file/sync/list").await.len(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_start_is_refused_and_keys_are_each_callers_own() {
    let server = TestServer::start().await;
    assert_eq!(answer(start(&server, "k", &body(&server.key, "/data/t"))).await.0, 200);
    assert_refused(answer(start(&server, "k", &body(&server.key, "/data/u"))).await, 42200, "another request");
    let mut declared = body(&server.key, "/data/t");
    declared["expected"] = json!({ "count": 1 });
    assert_refused(answer(start(&server, "k", &declared)).await, 42200, "another request");
    // Equal texts of two owners are different keys.
    let data_dir = server.data_dir().to_str().unwrap();
    let made = lakeshore(&["key", "create", "--name", "other", "--data-dir", data_dir]);
    let other = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert_eq!(answer(start(&server, "k", &body(&other, "/data/u"))).await, (200, json!({ "sync_id": 2 })));
    // A refused start may be repeated under its key.
    assert_refused(answer(start(&server, "l", &body(&server.key, "/data/u"))).await, 40901, "sync 2");
    assert_eq!(server.try_abort(2).await.0, 200);
    assert_eq!(answer(start(&server, "l", &body(&server.key, "/data/u"))).await, (200, json!({ "sync_id": 3 })));
}

#[tokio::test]
async fn an_invalid_idempotency_key_is_refused() {
    let server = TestServer::start().await;
    let call = body(&server.key, "/data/t");
    for (key, words) in [("", "empty"), ("\"a", "quotes"), (&"x".repeat(256) as &str, "255")] {
        assert_refused(answer(start(&server, key, &call)).await, 40000, words);
    }
    let twice = start(&server, "a", &call).header("Idempotency-Key", "b");
    assert_refused(answer(twice).await, 40000, "more than one");
    assert!(server.rows("/api/ingestion/file/sync/list").await.is_empty());
}
