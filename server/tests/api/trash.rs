//! Trash: `/api/lake/trash`.

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
async fn a_replaced_dataset_is_restored_in_one_call_and_the_newer_one_goes_to_the_trash() {
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
    assert_refused(restore(&server, id).await, 40402, "restored or deleted");
    assert_eq!(restore(&server, first_id(&server).await).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["new.csv"]);
}

#[tokio::test]
async fn an_overwritten_file_is_restored() {
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
    assert_refused(refused, 40100, "a key is required");
    let other = server.new_key(&["--path-prefix", "/other"]);
    let body = json!({ "trash_id": id, "api_key": other });
    assert_refused(answer(server.post("/api/lake/trash/restore", &body)).await, 40402, "not found");
    assert_refused(restore(&server, 99).await, 40402, "trash item 99");
}

#[tokio::test]
async fn a_dataset_is_not_restored_above_newer_datasets_unless_they_are_gone() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    server.upload(first, "a.csv", b"old").await;
    let (status, _) = server.try_abort(first).await;
    assert_eq!(status, 200);
    let below = server.start_sync("/data/t/below", "IncrementalSync").await;
    server.upload(below, "b.csv", b"new").await;
    server.end_sync(below).await;
    let item = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let restore = async || {
        answer(server.post("/api/lake/trash/restore", &json!({ "trash_id": item, "api_key": server.key }))).await
    };
    assert_refused(restore().await, 40904, "/data/t/below");
    assert_eq!(server.files("data/t")["below/b.csv"], b"new");
    std::fs::remove_dir_all(server.folder().join("data/t/below")).unwrap();
    assert_eq!(restore().await.0, 200);
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
}

#[tokio::test]
async fn the_trash_is_grouped_by_sync_and_a_group_is_restored_to_the_state_before_it() {
    let server = TestServer::start_with(&["--trash-retention", "7d"]).await;
    let first = server.start_sync("/data/t", "IncrementalSync").await;
    for name in ["a.csv", "b.csv"] {
        server.upload(first, name, b"old").await;
    }
    server.end_sync(first).await;
    let second = server.start_sync("/data/t", "IncrementalSync").await;
    for (name, bytes) in [("a.csv", b"new"), ("b.csv", b"new"), ("a.csv", b"yet")] {
        server.upload(second, name, bytes).await;
    }
    server.end_sync(second).await;

    let counted = async || {
        let groups = server.rows("/api/lake/trash/groups").await;
        (groups[0]["num_uncounted"] == 0).then_some(groups)
    };
    let groups = server.eventually(counted).await;
    assert_eq!((groups.len(), &groups[0]["sync_id"], &groups[0]["pieces"]), (1, &json!(second), &json!(3)));
    assert_eq!((&groups[0]["path"], &groups[0]["totals"]["bytes"]), (&json!("/data/t"), &json!(9)));
    let (first_at, expires_at) = (groups[0]["first_at"].as_i64().unwrap(), groups[0]["expires_at"].as_i64().unwrap());
    assert_eq!(expires_at - first_at, 7 * 24 * 3600 * 1000, "it says when the first item goes");
    let summary = answer(server.get("/api/lake/trash/summary")).await.1;
    assert_eq!((&summary["pieces"], &summary["totals"]["bytes"]), (&json!(3), &json!(9)));

    let restore = json!({ "sync_id": second, "api_key": server.key });
    let restored = answer(server.post("/api/lake/trash/restore", &restore)).await;
    assert_eq!(restored, (200, json!({ "success": true, "restored": 2, "num_failed": 0, "displaced": [4, 5] })));
    for name in ["a.csv", "b.csv"] {
        assert_eq!(server.files("data/t")[name], b"old", "{name} is what it was before the sync");
    }
    let left = server.rows(&format!("/api/lake/trash?sync_id={second}")).await;
    assert_eq!(left.len(), 1, "a version of the sync's own is left");
    assert_eq!(server.rows("/api/lake/trash?sync_id=0").await.len(), 2, "what was displaced");
}

#[tokio::test]
async fn several_items_are_restored_and_each_failure_has_its_reason() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for bytes in [b"one", b"two"] {
        for name in ["a.csv", "b.csv"] {
            server.upload(id, name, bytes).await;
        }
    }
    let restore = json!({ "trash_ids": [1, 99], "api_key": server.key });
    let (status, body) = answer(server.post("/api/lake/trash/restore", &restore)).await;
    assert_eq!((status, &body["success"], &body["restored"]), (200, &json!(false), &json!(1)), "{body}");
    assert_eq!((&body["failed"][0]["trash_id"], &body["failed"][0]["code"]), (&json!(99), &json!(40402)));
    assert_eq!(server.files("data/t")["a.csv"], b"one");
    let key = &server.key;
    for wrong in [json!({ "api_key": key }), json!({ "trash_id": 1, "sync_id": id, "api_key": key })] {
        assert_refused(answer(server.post("/api/lake/trash/restore", &wrong)).await, 40000, "one of");
    }
}

#[tokio::test]
async fn a_trash_item_shows_its_files_and_rows_before_a_restore() {
    let server = TestServer::start_with(&["--shrink-guard", "0"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    for (folder, name) in [("dt=1", "a.csv"), ("dt=1", "b.csv"), ("", "c.csv")] {
        let query = format!("sync_id={id}&path={folder}");
        assert_eq!(server.try_upload(&query, &[(name, b"x,y\n1,2\n")]).await.0, 200);
    }
    server.end_sync(id).await;
    publish(&server, "new.csv", b"new").await;
    let look = async |query: &str| answer(server.get(&format!("/api/lake/trash/look?trash_id=1{query}"))).await;
    let (_, top) = look("").await;
    let names = |body: &Value| -> Vec<String> {
        body["files"].as_array().unwrap().iter().map(|file| file["relative"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(&top), &top["entry"]["origin"]), (vec!["dt=1".into(), "c.csv".to_owned()], &json!("/data/t")));
    assert_eq!(names(&look("&relative=dt=1&from=1").await.1), ["dt=1/b.csv"]);
    assert_eq!(names(&look("&size=1").await.1), ["dt=1"]);
    assert_eq!(names(&look("&from=1&size=1").await.1), ["c.csv"]);
    assert!(names(&look("&from=5000000").await.1).is_empty());
    let (_, file) = look("&relative=dt=1/a.csv").await;
    assert_eq!(file["preview"]["rows"][0], json!(["1", "2"]), "{file}");
    assert_refused(look("&relative=none").await, 40405, "/data/t/none");
    assert_refused(look("&relative=../x").await, 40001, "..");
    assert_refused(answer(server.get("/api/lake/trash/look?trash_id=9")).await, 40402, "9");
}

#[tokio::test]
async fn the_trash_of_one_sync_is_purged_by_itself() {
    let server = TestServer::start().await;
    publish(&server, "old.csv", b"old").await;
    publish(&server, "new.csv", b"new").await;
    publish(&server, "newest.csv", b"newest").await;
    let writer = server.new_key(&["--role", "write"]);
    let empty = |key: &str| json!({ "sync_id": 2, "api_key": key });
    assert_refused(answer(server.post("/api/lake/trash/empty", &empty(&writer))).await, 40300, "admin");
    let (status, body) = answer(server.post("/api/lake/trash/empty", &empty(&server.key))).await;
    assert_eq!((status, &body["pieces"]), (200, &json!(1)), "{body}");
    let left = server.rows("/api/lake/trash").await;
    assert_eq!((left.len(), &left[0]["sync_id"]), (1, &json!(3)));
    let told = answer(server.get("/api/lake/activity?what=trash_emptied")).await.1;
    assert_eq!((&told[0]["sync_id"], &told[0]["path"]), (&json!(2), &json!("/data/t")));
}
