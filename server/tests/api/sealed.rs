//! Sealed batches: a sync ends only when it matches its declaration.

use crate::server::{TestServer, answer, assert_refused};
use crate::uploads::begin_upload;
use serde_json::{Value, json};

const EXPECT: &str = "/api/lake/file/sync/expect";

async fn start_expecting(server: &TestServer, path: &str, sync_type: &str, expected: Value) -> (u16, Value) {
    let body =
        json!({ "name": "n", "path": path, "api_key": server.key, "sync_type": sync_type, "expected": expected });
    answer(server.post("/api/ingestion/file/sync/start", &body)).await
}

async fn expect(server: &TestServer, sync_id: u64, expected: Value) -> (u16, Value) {
    let body = json!({ "sync_id": sync_id, "api_key": server.key, "expected": expected });
    answer(server.post(EXPECT, &body)).await
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_declared_full_sync_is_published_only_with_exactly_the_declared_files() {
    let server = TestServer::start().await;
    let files = json!({ "files": [
        { "path": "dt=1/a.parquet", "size_bytes": 3, "sha256": sha256(b"one") },
        { "path": "dt=2/b.parquet", "size_bytes": 3 },
        { "path": "c.parquet", "size_bytes": 5 },
    ] });
    let (status, body) = start_expecting(&server, "/data/t", "FullSync", files).await;
    assert_eq!((status, &body), (200, &json!({ "sync_id": 1 })));
    assert_eq!(server.sync(1).await["expected"], json!({ "count": 3, "size_bytes": 11, "is_named": true }));
    server.upload(1, "dt=1/a.parquet", b"two").await;
    server.upload(1, "c.parquet", b"four").await;
    server.upload(1, "extra.parquet", b"x").await;

    let (status, refusal) = server.try_end(1, json!({})).await;
    assert_refused(
        (status, refusal.clone()),
        40910,
        "1 missing (dt=2/b.parquet), 1 unexpected (extra.parquet), 2 different",
    );
    let data = &refusal["data"];
    assert_eq!(data["missing"], json!([{ "path": "dt=2/b.parquet", "size_bytes": 3 }]));
    assert_eq!(data["extra"], json!([{ "path": "extra.parquet", "size_bytes": 1, "sha256": sha256(b"x") }]));
    assert_eq!(
        data["different"][1],
        json!({
            "path": "dt=1/a.parquet",
            "expected": { "size_bytes": 3, "sha256": sha256(b"one") },
            "landed": { "size_bytes": 3, "sha256": sha256(b"two") },
        })
    );
    assert_eq!((&data["num_missing"], &data["num_extra"], &data["num_different"]), (&json!(1), &json!(1), &json!(2)));
    assert!(server.file_names("data").is_empty(), "nothing was published");
    assert_eq!(server.sync(1).await["sync_status"], "Syncing");

    // Sends the different files again, and declares the extra one.
    server.upload(1, "dt=1/a.parquet", b"one").await;
    server.upload(1, "dt=2/b.parquet", b"abc").await;
    server.upload(1, "c.parquet", b"12345").await;
    assert_refused(server.try_end(1, json!({})).await, 40910, "1 unexpected (extra.parquet)");
    let files = json!({ "files": [
        { "path": "dt=1/a.parquet", "size_bytes": 3, "sha256": sha256(b"one") },
        { "path": "dt=2/b.parquet", "size_bytes": 3 },
        { "path": "c.parquet", "size_bytes": 5 },
        { "path": "extra.parquet", "size_bytes": 1 },
    ] });
    assert_eq!(expect(&server, 1, files).await, (200, json!({ "success": true })));
    server.end_sync(1).await;
    server.end_sync(1).await;
    assert_eq!(server.file_names("data/t"), ["c.parquet", "dt=1/a.parquet", "dt=2/b.parquet", "extra.parquet"]);
}

#[tokio::test]
async fn a_count_and_a_total_seal_an_incremental_sync_and_survive_a_kill() {
    let server = TestServer::start().await;
    let (status, _) =
        start_expecting(&server, "/data/t", "IncrementalSync", json!({ "count": 2, "size_bytes": 6 })).await;
    assert_eq!(status, 200);
    server.upload(1, "a", b"one").await;
    let server = server.kill_and_restart().await;
    let refused = server.try_end(1, json!({})).await;
    assert_refused(refused.clone(), 40910, "1 of 2 expected files landed, 3 of 6 expected bytes landed");
    assert_eq!(refused.1["data"]["landed"], json!({ "files": 1, "bytes": 3 }));
    server.upload(1, "b", b"two").await;
    server.upload(1, "b", b"two").await;
    server.end_sync(1).await;
    // An ended sync accepts no declaration.
    assert_refused(expect(&server, 1, json!({ "count": 9 })).await, 40900, "ended");
}

#[tokio::test]
async fn uploads_in_flight_are_reported_before_missing_files() {
    let server = TestServer::start().await;
    start_expecting(&server, "/data/t", "FullSync", json!({ "count": 2 })).await;
    server.upload(1, "a", b"one").await;
    let half_way = begin_upload(&server, 1, "half");
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    assert_refused(server.try_end(1, json!({})).await, 40902, "half");
    assert_refused(
        server.try_end(1, json!({ "discard_in_flight": true })).await,
        40910,
        "1 of 2 expected files landed",
    );
    assert_eq!(server.sync(1).await["num_in_flight"], 1, "a refused end has discarded nothing");
    drop(half_way);
    server.eventually(async || (server.sync(1).await["num_in_flight"] == 0).then_some(())).await;
    assert_refused(server.try_end(1, json!({})).await, 40910, "1 of 2 expected files landed");
}

#[tokio::test]
async fn tens_of_thousands_of_files_are_declared_in_one_call_and_the_answer_names_the_first_of_them() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let count = 40_000;
    let files: Vec<_> = (0..count)
        .map(|n| json!({ "path": format!("dt=2026-01-01/part-{n:06}.parquet"), "size_bytes": 1, "sha256": "0".repeat(64) }))
        .collect();
    assert_eq!(expect(&server, id, json!({ "files": files })).await.0, 200);
    server.upload(id, "dt=2026-01-01/part-000000.parquet", b"x").await;
    let (status, body) = server.try_end(id, json!({})).await;
    assert_refused((status, body.clone()), 40910, &format!("{} missing", count - 1));
    assert_eq!(body["data"]["missing"].as_array().unwrap().len(), 100);
    assert_eq!((&body["data"]["num_missing"], &body["data"]["num_different"]), (&json!(count - 1), &json!(1)));
    let (status, compared) = answer(server.get(&format!("{EXPECT}?sync_id={id}"))).await;
    assert_eq!((status, &compared), (200, &body["data"]));
}

#[tokio::test]
async fn a_contradictory_declaration_is_refused_and_starts_nothing() {
    let server = TestServer::start().await;
    let cases = [
        (json!({}), 40000, "is empty"),
        (json!({ "files": [], "count": 0 }), 40000, "either"),
        (json!({ "files": [{ "path": "a" }] }), 40000, "size_bytes"),
        (json!({ "files": [{ "path": "../a", "size_bytes": 1 }] }), 40001, "upward"),
        (json!({ "files": [{ "path": "a", "size_bytes": 1, "sha256": "12" }] }), 40000, "sha256sum"),
        (json!({ "files": [{ "path": "a", "size_bytes": 1 }, { "path": "a", "size_bytes": 1 }] }), 40000, "twice"),
    ];
    for (expected, code, words) in cases {
        assert_refused(start_expecting(&server, "/data/t", "FullSync", expected).await, code, words);
    }
    assert!(server.rows("/api/ingestion/file/sync/list").await.is_empty());
    let id = server.start_sync("/data/t", "FullSync").await;
    assert_eq!(answer(server.get(&format!("{EXPECT}?sync_id={id}"))).await, (200, Value::Null));
    assert_refused(answer(server.get(&format!("{EXPECT}?sync_id=9"))).await, 40401, "sync 9 not found");
    let too_long = server.client.post(format!("{}{EXPECT}", server.url)).body(vec![b' '; (32 << 20) + 1]);
    assert_refused(answer(too_long).await, 41300, "larger");
    let reader = server.new_key(&["--role", "read"]);
    let body = json!({ "sync_id": id, "api_key": reader, "expected": { "count": 1 } });
    assert_refused(answer(server.post(EXPECT, &body)).await, 40300, "write");
}
