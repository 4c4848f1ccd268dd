//! Purges: `/api/lake/trash/empty`, and purges by the background jobs.

use crate::server::{Stopped, TestServer, answer, assert_refused};
use serde_json::{Value, json};

/// Overwrites a file, so that its old content goes to the trash; the content determines the size.
async fn trash_a_file(server: &TestServer, name: &str, old: &[u8]) {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, name, old).await;
    server.upload(id, name, b"live").await;
    server.end_sync(id).await;
}

async fn empty(server: &TestServer, wanted: Value) -> (u16, Value) {
    empty_with(server, &server.key, wanted).await
}

async fn empty_with(server: &TestServer, key: &str, mut wanted: Value) -> (u16, Value) {
    wanted["api_key"] = json!(key);
    answer(server.post("/api/lake/trash/empty", &wanted)).await
}

/// Waits until the trash folder has only these contents.
async fn eventually_in_trash(server: &TestServer, left: &[&[u8]]) {
    server
        .eventually(async || {
            let slots = std::fs::read_dir(server.lake().join(".lakeshore/trash")).unwrap().count();
            (slots == left.len()).then_some(())
        })
        .await;
    let mut found: Vec<_> = server.files(".lakeshore/trash").into_values().collect();
    found.sort();
    assert_eq!(found, left);
}

async fn origins(server: &TestServer) -> Vec<Value> {
    server.rows("/api/lake/trash").await.into_iter().map(|item| item["origin"].clone()).collect()
}

#[tokio::test]
async fn one_item_is_purged_and_the_others_stay() {
    let server = TestServer::start().await;
    trash_a_file(&server, "a.csv", b"one").await;
    trash_a_file(&server, "b.csv", b"other").await;
    let id = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let answered = empty(&server, json!({ "trash_id": id })).await;
    assert_eq!(answered, (200, json!({ "success": true, "pieces": 1, "bytes": 3 })));
    assert_eq!(origins(&server).await, [json!("/data/t/b.csv")], "it is out of the list at once");
    let restore = json!({ "trash_id": id, "api_key": server.key });
    assert_refused(answer(server.post("/api/lake/trash/restore", &restore)).await, 40402, "restored or deleted");
    assert_refused(empty(&server, json!({ "trash_id": id })).await, 40402, "restored or deleted");
    eventually_in_trash(&server, &[b"other"]).await;
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv"]);
}

#[tokio::test]
async fn all_or_old_items_are_purged_only_by_an_explicit_request() {
    let server = TestServer::start().await;
    trash_a_file(&server, "a.csv", b"one").await;
    for n in 0..2 {
        let id = server.start_sync("/data/full", "FullSync").await;
        server.upload(id, "dt=1/part", &[b'x'; 10][..=n]).await;
        server.upload(id, "part", b"12345").await;
        server.end_sync(id).await;
    }
    assert_refused(empty(&server, json!({})).await, 40000, "trash_id");
    assert_refused(empty(&server, json!({ "older_than_days": 3 })).await, 40000, "all");
    assert_refused(empty(&server, json!({ "all": true, "trash_id": 1 })).await, 40000, "without");
    let none = json!({ "success": true, "pieces": 0, "bytes": 0 });
    assert_eq!(empty(&server, json!({ "all": true, "older_than_days": 1 })).await, (200, none));
    assert_eq!(origins(&server).await.len(), 2);
    let all = json!({ "success": true, "pieces": 2, "bytes": 9 });
    assert_eq!(empty(&server, json!({ "all": true })).await, (200, all));
    assert_eq!(origins(&server).await, [Value::Null; 0]);
    eventually_in_trash(&server, &[]).await;
    assert_eq!(server.file_names("data"), ["full/dt=1/part", "full/part", "t/a.csv"]);
}

#[tokio::test]
async fn only_an_admin_purges_the_trash() {
    let server = TestServer::start().await;
    trash_a_file(&server, "a.csv", b"one").await;
    let id = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let writer = server.new_key(&["--role", "write"]);
    let elsewhere = server.new_key(&["--role", "admin", "--path-prefix", "/other"]);
    let here = server.new_key(&["--role", "admin", "--path-prefix", "/data"]);
    for wanted in [json!({ "trash_id": id }), json!({ "all": true }), json!({ "trash_id": 99 })] {
        assert_refused(answer(server.post("/api/lake/trash/empty", &wanted)).await, 40100, "a key is required");
        assert_refused(empty_with(&server, &writer, wanted).await, 40300, "role admin");
    }
    assert_refused(empty_with(&server, &elsewhere, json!({ "trash_id": id })).await, 40402, "not found");
    assert_refused(empty_with(&server, &here, json!({ "all": true })).await, 40301, "whole lake");
    assert_eq!(origins(&server).await.len(), 1);
    assert_eq!(empty_with(&server, &here, json!({ "trash_id": id })).await.0, 200);
}

#[tokio::test]
async fn items_older_than_the_retention_are_purged_and_the_rest_stays() {
    let server = TestServer::start().await;
    trash_a_file(&server, "a.csv", b"one").await;
    // Kept by the default, and by "forever".
    let data_dir = server.data_dir().to_owned();
    let stopped = server.kill();
    let folder = tempfile::tempdir().unwrap();
    let again = |retention: &str| {
        let mut again = Stopped::new(
            tempfile::tempdir_in(folder.path()).unwrap(),
            data_dir.clone(),
            &["--trash-retention", retention],
        );
        again.key.clone_from(&stopped.key);
        again
    };
    let server = again("forever").start().await;
    server.eventually(async || server.rows("/api/lake/trash").await[0]["totals"].as_object().cloned()).await;
    drop(server);
    let server = again("1ms").start().await;
    eventually_in_trash(&server, &[]).await;
    assert_eq!(origins(&server).await, [Value::Null; 0]);
    assert_eq!(server.files("data/t")["a.csv"], b"live");
    server.eventually(async || server.stderr().contains("purging expired trash").then_some(())).await;
}

#[tokio::test]
async fn the_oldest_items_are_purged_while_the_trash_exceeds_its_limit() {
    let server = TestServer::start_with(&["--trash-max-size", "8B"]).await;
    for (name, old) in [("a.csv", "1234"), ("b.csv", "5678"), ("c.csv", "9")] {
        trash_a_file(&server, name, old.as_bytes()).await;
    }
    eventually_in_trash(&server, &[b"5678", b"9"]).await;
    assert_eq!(origins(&server).await, [json!("/data/t/b.csv"), json!("/data/t/c.csv")]);
}

#[tokio::test]
async fn a_restart_continues_a_purge_and_uploads_land_meanwhile() {
    const FILES: usize = 3_000;
    let server = TestServer::start().await;
    let id = server.start_sync("/data/full", "FullSync").await;
    server.upload(id, "dt=1/part", b"x").await;
    // Written by hand, since that many uploads are slow.
    let staging = server.folder().join(format!(".lakeshore/staging/sync-{id}/dt=1"));
    (1..FILES).for_each(|n| std::fs::write(staging.join(format!("part-{n}")), b"x").unwrap());
    assert_eq!(server.try_abort(id).await.0, 200);
    let answered = empty(&server, json!({ "all": true })).await;
    assert_eq!(answered, (200, json!({ "success": true, "pieces": 1, "bytes": FILES })));
    let trashed = server.folder().join(format!(".lakeshore/trash/sync-{id}/full/dt=1"));
    let left = || std::fs::read_dir(&trashed).map_or(0, Iterator::count);
    server.eventually(async || (left() < FILES).then_some(())).await;
    let server = server.kill();
    let server = server.start().await;
    assert_eq!(origins(&server).await, [Value::Null; 0]);
    trash_a_file(&server, "a.csv", b"one").await;
    eventually_in_trash(&server, &[b"one"]).await;
}

#[tokio::test]
async fn the_page_offers_a_purge_to_admins_only_and_its_call_has_the_same_rules() {
    let server = TestServer::start().await;
    trash_a_file(&server, "a.csv", b"one").await;
    let writer = server.new_key(&["--role", "write"]);
    let page =
        async |key: &str| server.get("/trash").header("X-API-Key", key).send().await.unwrap().text().await.unwrap();
    let (seen_by_admin, seen_by_writer) = (page(&server.key).await, page(&writer).await);
    for words in ["Empty trash", "Restore"] {
        assert!(seen_by_admin.contains(words), "{words}");
        assert_eq!(seen_by_writer.contains(words), words == "Restore", "{words}");
    }
    // Sent like a form of that page by a browser without scripts.
    let post = async |key: &str, word: &str| {
        let request = server.client.post(format!("{}/fn/empty-trash", server.url)).form(&[("word", word)]);
        let request = request.header("X-API-Key", key).header("Accept", "text/html");
        let response = request.header("Referer", format!("{}/trash", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 302);
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(post(&writer, "empty").await, "/trash?refused=40300", "the form says what the call would");
    assert_eq!(post(&server.key, "yes").await, "/trash?refused=40000", "the word was not typed");
    assert_eq!(origins(&server).await.len(), 1);
    assert_eq!(post(&server.key, "empty").await, "/trash?emptied=1&bytes=3");
    assert_eq!(origins(&server).await, [Value::Null; 0]);
}
