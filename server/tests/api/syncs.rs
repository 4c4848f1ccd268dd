//! Syncs: `/api/ingestion/file/sync/…`.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

fn ids(rows: &[Value], field: &str) -> Vec<u64> {
    rows.iter().map(|row| row[field].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn both_spellings_of_a_type_and_both_forms_of_an_id_are_understood_and_unknown_fields_ignored() {
    let server = TestServer::start().await;
    for (sync_type, path) in [("Full Sync", "/data/a"), ("Incremental Sync", "/data/b")] {
        let body = json!({ "name": "n", "path": path, "api_key": server.key, "sync_type": sync_type, "color": "blue" });
        let (status, _) = answer(server.post("/api/ingestion/file/sync/start", &body)).await;
        assert_eq!(status, 200);
    }
    let list = server.rows("/api/ingestion/file/sync/list").await;
    assert_eq!((&list[0]["sync_type"], &list[1]["sync_type"]), (&json!("FullSync"), &json!("IncrementalSync")));
    let body = json!({ "sync_id": "2", "api_key": server.key, "color": "blue" });
    let (status, _) = answer(server.post("/api/ingestion/file/sync/end", &body)).await;
    assert_eq!(status, 200);
    assert_eq!(server.sync(2).await["sync_status"], "Finished");
}

#[tokio::test]
async fn a_malformed_request_is_refused_with_what_is_wrong() {
    let server = TestServer::start().await;
    let start = "/api/ingestion/file/sync/start";
    let key = &server.key;
    let cases = [
        (json!({ "name": "n", "api_key": key, "sync_type": "FullSync" }), 40000, "path"),
        (json!({ "name": "n", "path": "/a", "api_key": key, "sync_type": "Sideways" }), 40000, "FullSync"),
        (json!({ "name": "n", "path": "data", "api_key": key, "sync_type": "FullSync" }), 40001, "begins with"),
        (json!({ "name": "n", "path": "/", "api_key": key, "sync_type": "FullSync" }), 40001, "empty"),
        (json!({ "name": "n", "path": "/a/../b", "api_key": key, "sync_type": "FullSync" }), 40001, ".."),
        (json!({ "name": "n", "path": "/.lakeshore/trash", "api_key": key, "sync_type": "FullSync" }), 40001, "dot"),
        (json!({ "name": "n".repeat(600), "path": "/a", "api_key": key, "sync_type": "FullSync" }), 40000, "512"),
    ];
    for (body, code, words) in cases {
        assert_refused(answer(server.post(start, &body)).await, code, words);
    }
    let broken = server.client.post(format!("{}{start}", server.url)).body("{ not json");
    assert_refused(answer(broken).await, 40000, "JSON");
    let endless = server.client.post(format!("{}/api/ingestion/file/sync/end", server.url)).body("x".repeat(100_000));
    assert_refused(answer(endless).await, 41300, "larger");
    for query in ["from=-1", "size=x", "size=1001", "status=Sleeping", "order=up"] {
        let (status, body) = answer(server.get(&format!("/api/ingestion/file/sync/list?{query}"))).await;
        assert_eq!((status, body["code"].as_u64()), (400, Some(40000)), "{query}: {body}");
    }
    assert_refused(answer(server.get("/api/ingestion/file/sync/7")).await, 40401, "sync 7 not found");
    assert_refused(answer(server.get("/api/ingestion/file/sync/seven")).await, 40000, "whole number");
    for nowhere in ["/api/ingestion/nowhere", "/api", "/api/", "/api/lake/nowhere?a=b", "/api/nowhere/"] {
        assert_refused(answer(server.get(nowhere)).await, 40400, "not found");
        assert_refused(answer(server.post(nowhere, &json!({}))).await, 40400, "not found");
    }
    assert_refused(answer(server.get(start)).await, 40500, "POST");
    assert!(server.rows("/api/ingestion/file/sync/list").await.is_empty());
}

#[tokio::test]
async fn lists_are_ascending_by_default_and_can_be_paged_reversed_and_filtered() {
    let server = TestServer::start().await;
    for n in 1..=12 {
        let id = server.start_sync(&format!("/data/{}", n % 3), "IncrementalSync").await;
        server.upload(id, &format!("{n}.csv"), b"x").await;
    }
    server.end_sync(2).await;
    let list =
        async |query: &str| ids(&server.rows(&format!("/api/ingestion/file/sync/list?{query}")).await, "sync_id");
    assert_eq!(list("").await, (1..=10).collect::<Vec<_>>());
    assert_eq!(list("from=10&size=10").await, [11, 12]);
    assert_eq!(list("from=3&size=2").await, [4, 5]);
    assert_eq!(list("from=1&size=2&order=desc").await, [11, 10]);
    assert_eq!(list("status=Finished").await, [2]);
    assert_eq!(list("path=/data/2&size=2&from=1").await, [5, 8]);
    assert_eq!(list("path=/data&size=1&order=desc").await, [12]);
    assert_eq!(list("q=DATA/1").await, [1, 4, 7, 10]);
    assert_eq!(list("sync_type=FullSync").await, [0; 0]);
    assert_eq!(list("status=&q=&size=1").await, [1], "an empty parameter is none");

    let history = async |query: &str| ids(&server.history(query).await, "history_id");
    assert_eq!(history("from=10").await, [11, 12]);
    assert_eq!(history("sync_id=3").await, [3]);
    assert_eq!(history("size=2&order=desc").await, [12, 11]);
    assert_eq!(history("q=12").await, [12]);
    assert_eq!(history("path=/data/0&status=Finished&from=1&size=2").await, [6, 9]);
}

#[tokio::test]
async fn a_full_sync_needs_its_path_exclusively_and_names_the_conflict() {
    let server = TestServer::start().await;
    let full = server.start_sync("/data/db", "FullSync").await;
    for path in ["/data", "/data/db", "/data/db/t"] {
        assert_refused(server.try_start(path, "IncrementalSync").await, 40901, &format!("sync {full}"));
        assert_refused(server.try_start(path, "FullSync").await, 40901, &format!("sync {full}"));
    }
    server.start_sync("/data/other", "IncrementalSync").await;
    server.start_sync("/data/other", "IncrementalSync").await;
    assert_refused(server.try_start("/data/other/t", "FullSync").await, 40901, "sync 2");
}

#[tokio::test]
async fn a_full_sync_is_refused_above_other_datasets_unless_they_are_gone() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/db/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.end_sync(id).await;
    assert_refused(server.try_start("/data/db", "FullSync").await, 40904, "/data/db/t");
    std::fs::remove_dir_all(server.folder().join("data/db/t")).unwrap();
    server.start_sync("/data/db", "FullSync").await;
}

#[tokio::test]
async fn a_full_sync_shows_nothing_until_its_end_and_then_everything_at_once() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    server.upload(first, "old.csv", b"old").await;
    assert!(server.file_names("data").is_empty());
    server.end_sync(first).await;
    assert_eq!(server.file_names("data/t"), ["old.csv"]);

    let second = server.start_sync("/data/t", "FullSync").await;
    for name in ["a.csv", "b.csv"] {
        server.upload(second, name, b"new").await;
        assert_eq!(server.file_names("data/t"), ["old.csv"]);
    }
    server.end_sync(second).await;
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv"]);
    assert_eq!(server.file_names(&format!(".lakeshore/trash/sync-{second}")), ["t/old.csv"]);
    assert!(server.file_names(".lakeshore/staging").is_empty());
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!(trash.len(), 1);
    assert_eq!((&trash[0]["origin"], &trash[0]["reason"]), (&json!("/data/t"), &json!("Replaced")));
    assert_eq!((&trash[0]["sync_id"], &trash[0]["trashed_by"]), (&json!(second), &json!("test")));
}

#[tokio::test]
async fn an_empty_full_sync_empties_nothing_unless_allowed() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    server.upload(first, "old.csv", b"old").await;
    server.end_sync(first).await;
    let second = server.start_sync("/data/t", "FullSync").await;
    assert_refused(server.try_end(second, json!({})).await, 40903, "allow_empty");
    assert_eq!(server.sync(second).await["sync_status"], "Syncing");
    assert_eq!(server.file_names("data/t"), ["old.csv"]);
    assert_eq!(server.try_end(second, json!({ "allow_empty": true })).await.0, 200);
    assert!(server.file_names("data/t").is_empty());
    assert!(server.lake().join("data/t").is_dir());
}

#[tokio::test]
async fn ending_and_aborting_are_safe_to_repeat_but_do_not_undo_each_other() {
    let server = TestServer::start().await;
    let ended = server.start_sync("/data/a", "IncrementalSync").await;
    server.upload(ended, "a.csv", b"1").await;
    for _ in 0..2 {
        server.end_sync(ended).await;
    }
    assert_refused(server.try_abort(ended).await, 40900, "has ended (Finished)");
    assert_refused(server.try_upload(&format!("sync_id={ended}"), &[("b.csv", b"2")]).await, 40900, "has ended");
    assert_eq!(server.sync(ended).await["total_files"], 1);

    let aborted = server.start_sync("/data/b", "FullSync").await;
    server.upload(aborted, "b.csv", b"2").await;
    for _ in 0..2 {
        assert_eq!(server.try_abort(aborted).await, (200, json!({ "success": true })));
    }
    assert_refused(server.try_end(aborted, json!({})).await, 40900, "aborted by test");
    let sync = server.sync(aborted).await;
    assert_eq!((&sync["sync_status"], &sync["message"]), (&json!("Failed"), &json!("aborted by test")));
    assert!(server.file_names("data/b").is_empty());
    assert_eq!(server.file_names(&format!(".lakeshore/trash/sync-{aborted}")), ["b/b.csv"]);
    server.start_sync("/data/b", "FullSync").await;
}

#[tokio::test]
async fn an_aborted_incremental_sync_keeps_what_has_landed() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/a", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_eq!(server.file_names("data/a"), ["a.csv"]);
    assert_eq!(server.sync(id).await["sync_status"], "Failed");
}

#[tokio::test]
async fn a_file_at_the_path_of_the_dataset_prevents_a_publish_which_can_be_retried() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", b"1").await;
    std::fs::create_dir_all(server.folder().join("data")).unwrap();
    std::fs::write(server.folder().join("data/t"), b"in the way").unwrap();
    assert_refused(server.try_end(id, json!({})).await, 40905, "/data/t");
    assert_eq!(server.sync(id).await["sync_status"], "Syncing");
    server.upload(id, "b.csv", b"2").await;
    std::fs::remove_file(server.folder().join("data/t")).unwrap();
    server.end_sync(id).await;
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv"]);
}

#[tokio::test]
async fn an_idle_sync_fails_with_the_reason() {
    let server = TestServer::start_with(&["--sync-idle-timeout", "1ms"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let sync =
        server.eventually(async || Some(server.sync(id).await).filter(|sync| sync["sync_status"] == "Failed")).await;
    assert!(sync["message"].as_str().unwrap().starts_with("expired"));
}

#[tokio::test]
async fn pages_and_rest_return_the_same_data() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.try_upload(&format!("sync_id={id}"), &[("../x", b"2")]).await;
    let door = async |name: &str, body: Value| answer(server.post(&format!("/fn/{name}"), &body)).await;

    let (status, syncs) = door("syncs", json!({ "parameters": { "size": 5, "order": "desc" } })).await;
    assert_eq!(
        (status, rows(&syncs)),
        (200, &json!(server.rows("/api/ingestion/file/sync/list?size=5&order=desc").await))
    );
    let (status, history) = door("history", json!({ "parameters": { "sync_id": id } })).await;
    assert_eq!((status, rows(&history)), (200, &json!(server.history(&format!("sync_id={id}")).await)));

    let (status, refused) = door("sync", json!({ "sync_id": 99 })).await;
    assert_eq!((status, refused), answer(server.get("/api/ingestion/file/sync/99")).await);
    let offer = json!({ "sync_id": id, "files": [{ "path": "a.csv", "size_bytes": 2, "sha256": "0".repeat(64) }] });
    let (status, missing) = door("missing", json!({ "offer": offer })).await;
    let (_, rest) = answer(server.post("/api/lake/file/missing", &offer)).await;
    assert_eq!((status, &missing, &missing["missing"]), (200, &rest["data"], &json!(["a.csv"])));
    let end = json!({ "sync_id": id });
    let (status, refused) = door("end", json!({ "end": end })).await;
    assert_eq!((status, refused), answer(server.post("/api/ingestion/file/sync/end", &end)).await);
}

/// Lists of the pages come with the server's time.
fn rows(answer: &Value) -> &Value {
    &answer["value"]
}
