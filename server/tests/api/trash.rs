//! `/api/lake/trash`

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

async fn publish(server: &TestServer, name: &str, bytes: &[u8]) {
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, name, bytes).await;
    server.end_sync(id).await;
}

async fn restore(server: &TestServer, trash_id: u64) -> (u16, Value) {
    let body = json!({ "trash_id": trash_id, "api_key": server.key });
    answer(server.post("/api/lake/trash/restore", &body)).await
}

async fn first_id(server: &TestServer) -> u64 {
    server.rows("/api/lake/trash").await[0]["trash_id"].as_u64().unwrap()
}

#[tokio::test]
async fn a_replaced_dataset_comes_back_with_one_act_and_the_newer_one_takes_its_place_in_the_trash() {
    let server = TestServer::start().await;
    publish(&server, "old.csv", b"old").await;
    publish(&server, "new.csv", b"newer").await;
    let counted =
        server.eventually(async || server.rows("/api/lake/trash").await[0]["totals"].as_object().cloned()).await;
    assert_eq!(json!(counted), json!({ "files": 1, "bytes": 3 }));

    let id = first_id(&server).await;
    assert_eq!(restore(&server, id).await, (200, json!({ "success": true })));
    assert_eq!(server.file_names("data/t"), ["old.csv"]);
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!((trash.len(), &trash[0]["reason"], &trash[0]["trashed_by"]), (1, &json!("Restored"), &json!("test")));
    assert_refused(restore(&server, id).await, 40402, "restored already");
    assert_eq!(restore(&server, first_id(&server).await).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["new.csv"]);
}

#[tokio::test]
async fn an_overwritten_file_comes_back() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"one").await;
    server.upload(id, "a.csv", b"two").await;
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!((&trash[0]["kind"], &trash[0]["origin"]), (&json!("File"), &json!("/data/t/a.csv")));
    assert_eq!(restore(&server, first_id(&server).await).await.0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"one");
    assert_eq!(server.files(".lakeshore/trash").into_values().collect::<Vec<_>>(), [b"two"]);
}

#[tokio::test]
async fn a_restore_waits_for_the_sync_that_holds_the_path() {
    let server = TestServer::start().await;
    publish(&server, "old.csv", b"old").await;
    publish(&server, "new.csv", b"new").await;
    let open = server.start_sync("/data/t", "IncrementalSync").await;
    let id = first_id(&server).await;
    assert_refused(restore(&server, id).await, 40901, &format!("sync {open}"));
    server.end_sync(open).await;
    assert_eq!(restore(&server, id).await.0, 200);
}

#[tokio::test]
async fn aborted_staging_can_be_restored_where_nothing_is() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", b"one").await;
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_eq!(restore(&server, first_id(&server).await).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
    assert!(server.rows("/api/lake/trash").await.is_empty());
    assert!(server.file_names(".lakeshore").is_empty());
}

#[tokio::test]
async fn restoring_needs_a_key_that_may_write_there() {
    let server = TestServer::start().await;
    publish(&server, "old.csv", b"old").await;
    publish(&server, "new.csv", b"new").await;
    let id = first_id(&server).await;
    let refused = answer(server.post("/api/lake/trash/restore", &json!({ "trash_id": id }))).await;
    assert_refused(refused, 40100, "no key");
    let other = server.new_key(&["--path-prefix", "/other"]);
    let body = json!({ "trash_id": id, "api_key": other });
    assert_refused(answer(server.post("/api/lake/trash/restore", &body)).await, 40301, "/other");
    assert_refused(restore(&server, 99).await, 40402, "trash 99");
}

#[tokio::test]
async fn a_dataset_is_not_restored_above_datasets_that_have_come_since_unless_they_are_gone() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    server.upload(first, "a.csv", b"old").await;
    let (status, _) = server.try_abort(first).await;
    assert_eq!(status, 200);
    let below = server.start_sync("/data/t/below", "IncrementalSync").await;
    server.upload(below, "b.csv", b"new").await;
    server.end_sync(below).await;
    let piece = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let restore = async || {
        answer(server.post("/api/lake/trash/restore", &json!({ "trash_id": piece, "api_key": server.key }))).await
    };
    assert_refused(restore().await, 40904, "/data/t/below");
    assert_eq!(server.files("data/t")["below/b.csv"], b"new");
    std::fs::remove_dir_all(server.lake().join("data/t/below")).unwrap();
    assert_eq!(restore().await.0, 200);
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
}
