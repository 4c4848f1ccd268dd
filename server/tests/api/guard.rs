//! Shrink guard, and the changes that a sync would make.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

/// Publishes files of one byte each.
async fn publish(server: &TestServer, path: &str, names: &[&str]) -> u64 {
    let id = stage(server, path, names).await;
    let (status, body) = server.try_end(id, json!({ "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    id
}

async fn stage(server: &TestServer, path: &str, names: &[&str]) -> u64 {
    let id = server.start_sync(path, "FullSync").await;
    for name in names {
        server.upload(id, name, name.as_bytes()).await;
    }
    id
}

async fn difference(server: &TestServer, query: &str) -> Value {
    let (status, body) = answer(server.get(&format!("/api/lake/file/sync/difference?{query}"))).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn names(difference: &Value) -> Vec<String> {
    let files = difference["files"].as_array().unwrap().iter();
    files.map(|file| format!("{} {}", file["kind"].as_str().unwrap(), file["path"].as_str().unwrap())).collect()
}

/// Strict enough for the small datasets of these tests.
async fn strict() -> TestServer {
    TestServer::start_with(&["--shrink-guard", "0.5"]).await
}

#[tokio::test]
async fn by_default_a_small_dataset_may_change_freely_and_a_large_one_keeps_a_tenth_of_its_bytes() {
    const BYTES: usize = 16 << 20;
    let server = TestServer::start().await;
    publish(&server, "/data/small", &["a", "b", "c", "d"]).await;
    let one = stage(&server, "/data/small", &["a"]).await;
    server.end_sync(one).await;
    let large = server.start_sync("/data/large", "FullSync").await;
    server.upload(large, "a", &vec![1; BYTES / 2]).await;
    server.upload(large, "b", &vec![2; BYTES / 2]).await;
    server.end_sync(large).await;
    let less = server.start_sync("/data/large", "FullSync").await;
    server.upload(less, "a", &vec![3; BYTES / 10]).await;
    assert_refused(server.try_end(less, json!({})).await, 40911, "2 files (16777216 bytes)");
    // One more byte reaches a tenth, and lifts the hold.
    server.upload(less, "b", b"x").await;
    server.end_sync(less).await;
    assert_eq!(server.file_names("data/large"), ["a", "b"]);
}

#[tokio::test]
async fn a_full_sync_that_would_leave_less_than_half_is_held_until_somebody_confirms_it() {
    let server = strict().await;
    publish(&server, "/data/t", &["a", "b", "c", "d"]).await;
    let id = stage(&server, "/data/t", &["a"]).await;
    let (status, body) = server.try_end(id, json!({})).await;
    assert_refused((status, body.clone()), 40911, "4 files (4 bytes) at /data/t with 1 (1 bytes)");
    assert_eq!(body["data"]["replaced"], json!({ "files": 4, "bytes": 4 }));
    assert_eq!(body["data"]["published"], json!({ "files": 1, "bytes": 1 }));
    assert_eq!(server.file_names("data/t"), ["a", "b", "c", "d"], "nothing was published");
    let sync = server.sync(id).await;
    assert_eq!((&sync["sync_status"], &sync["held"]), (&json!("Syncing"), &body["data"]));
    assert_eq!(server.rows("/api/ingestion/file/sync/list").await[1]["held"], body["data"]);
    // A restart keeps the hold and its time.
    let server = server.kill_and_restart().await;
    assert_eq!(server.sync(id).await["held"], body["data"]);
    let (_, again) = server.try_end(id, json!({})).await;
    assert_eq!(again["data"], body["data"]);

    server.try_end(id, json!({ "confirm": true })).await;
    assert_eq!(server.file_names("data/t"), ["a"]);
    assert!(server.sync(id).await.get("held").is_none());
    server.end_sync(id).await;
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!((&trash[0]["origin"], &trash[0]["reason"]), (&json!("/data/t"), &json!("Replaced")));
}

#[tokio::test]
async fn an_upload_lifts_the_hold_and_enough_of_them_need_no_confirmation() {
    let server = strict().await;
    publish(&server, "/data/t", &["a", "b", "c", "d"]).await;
    let id = stage(&server, "/data/t", &["x"]).await;
    assert_refused(server.try_end(id, json!({})).await, 40911, "held");
    server.upload(id, "y", b"y").await;
    assert!(server.sync(id).await.get("held").is_none());
    server.end_sync(id).await;
    assert_eq!(server.file_names("data/t"), ["x", "y"]);
    // Bytes count as well as files.
    let large = server.start_sync("/data/t", "FullSync").await;
    server.upload(large, "x", &[0; 1000]).await;
    server.end_sync(large).await;
    let small = stage(&server, "/data/t", &["x", "y", "z"]).await;
    assert_refused(server.try_end(small, json!({})).await, 40911, "1 files (1000 bytes) at /data/t with 3 (3 bytes)");
    assert_eq!(server.try_abort(small).await.0, 200);
    assert!(server.sync(small).await.get("held").is_none());
}

#[tokio::test]
async fn files_overwritten_by_their_own_sync_count_once() {
    let server = strict().await;
    publish(&server, "/data/t", &["a", "b", "c"]).await;
    let id = stage(&server, "/data/t", &["a", "a", "a"]).await;
    assert_refused(server.try_end(id, json!({})).await, 40911, "3 files (3 bytes) at /data/t with 1 (1 bytes)");
}

/// Waits until the dataset is counted with this number of files.
async fn counted(server: &TestServer, path: &str, files: u64) {
    server
        .eventually(async || {
            let (_, found) = answer(server.get(&format!("/api/lake/dataset?path={path}"))).await;
            let holds = &found["dataset"]["holds"];
            (holds["files"] == files && holds["is_current"] == true).then_some(())
        })
        .await;
}

#[tokio::test]
async fn files_added_or_removed_by_hand_count() {
    let server = strict().await;
    let names: Vec<_> = (0..100).map(|number| format!("dt={}/{number}", number % 3)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    publish(&server, "/data/t", &names).await;
    counted(&server, "/data/t", 100).await;
    let by_hand = |number: u32| server.folder().join(format!("data/t/dt=2/by-hand-{number}"));
    (0..101).for_each(|number| std::fs::write(by_hand(number), "1").unwrap());
    let same = stage(&server, "/data/t", &names).await;
    assert_refused(server.try_end(same, json!({})).await, 40911, "201 files");
    assert_eq!(server.try_end(same, json!({ "confirm": true })).await.0, 200);
    counted(&server, "/data/t", 100).await;
    std::fs::remove_dir_all(server.folder().join("data/t/dt=1")).unwrap();
    std::fs::remove_dir_all(server.folder().join("data/t/dt=2")).unwrap();
    let fewer = stage(&server, "/data/t", &names[..20]).await;
    assert_eq!(server.try_end(fewer, json!({})).await, (200, json!({ "success": true })));
}

#[tokio::test]
async fn an_empty_full_sync_shows_as_held_and_is_published_only_as_empty() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &["a"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    assert_refused(server.try_end(id, json!({})).await, 40903, "allow_empty");
    assert_refused(server.try_end(id, json!({ "confirm": true })).await, 40903, "allow_empty");
    let held = server.sync(id).await["held"].clone();
    assert_eq!((&held["replaced"], &held["published"]["files"]), (&json!({ "files": 1, "bytes": 1 }), &json!(0)));
    assert_eq!(server.try_end(id, json!({ "allow_empty": true })).await.0, 200);
    assert!(server.file_names("data/t").is_empty());
    // Held even without a dataset to lose: a person has to decide.
    let id = server.start_sync("/data/new", "FullSync").await;
    assert_refused(server.try_end(id, json!({})).await, 40903, "allow_empty");
    assert_eq!(server.sync(id).await["held"]["replaced"], json!({ "files": 0, "bytes": 0 }));
}

#[tokio::test]
async fn the_guard_is_configured_by_path_and_can_be_turned_off() {
    let options = ["--shrink-guard", "0", "--shrink-guard", "/data/kept=1", "--shrink-guard", "/data/kept/not=0.1"];
    let server = TestServer::start_with(&options).await;
    for (path, is_held) in [("/data/free", false), ("/data/kept/this", true), ("/data/kept/not", false)] {
        publish(&server, path, &["a", "b", "c"]).await;
        let id = stage(&server, path, &["a", "b"]).await;
        let (status, body) = server.try_end(id, json!({})).await;
        assert_eq!(status == 409, is_held, "{path}: {body}");
    }
}

#[tokio::test]
async fn the_changes_of_a_publish_are_listed_before_it() {
    let server = TestServer::start().await;
    let first = server.start_sync("/data/t", "FullSync").await;
    for (name, bytes) in [("same", "same"), ("size", "1"), ("text", "one"), ("gone", "gone!"), ("dt=1/deep", "x")] {
        server.upload(first, name, bytes.as_bytes()).await;
    }
    server.end_sync(first).await;
    // Written by hand, so no history has its size.
    std::fs::write(server.folder().join("data/t/by-hand"), "hand").unwrap();
    let id = server.start_sync("/data/t", "FullSync").await;
    for (name, bytes) in [
        ("same", "same"),
        ("size", "22"),
        ("text", "two"),
        ("by-hand", "hand"),
        ("dt=1/deep", "x"),
        ("dt=2/new", "new"),
        ("gone/inside", "a folder where a file was"),
    ] {
        server.upload(id, name, bytes.as_bytes()).await;
    }
    let all = difference(&server, &format!("sync_id={id}")).await;
    assert_eq!(all["added"], json!({ "files": 2, "bytes": 28 }));
    assert_eq!(all["changed"], json!({ "files": 3, "bytes": 9 }));
    assert_eq!(all["removed"], json!({ "files": 1, "bytes": 5 }));
    assert_eq!(all["unchanged"], json!({ "files": 2, "bytes": 5 }));
    let expected = [
        "changed by-hand",
        "removed gone",
        "unchanged same",
        "changed size",
        "changed text",
        "unchanged dt=1/deep",
        "added dt=2/new",
        "added gone/inside",
    ];
    assert_eq!(names(&all), expected);
    assert_eq!(all["files"][3], json!({ "path": "size", "kind": "changed", "size_bytes": 2, "old_size_bytes": 1 }));
    let page = difference(&server, &format!("sync_id={id}&kind=changed&from=1&size=1")).await;
    assert_eq!((names(&page), &page["removed"]), (vec!["changed size".to_owned()], &all["removed"]));
    server.end_sync(id).await;
    let ended = answer(server.get(&format!("/api/lake/file/sync/difference?sync_id={id}"))).await;
    assert_refused(ended, 40900, "ended");

    // A restored file has its landed content.
    let item = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let body = json!({ "trash_id": item, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    let third = stage(&server, "/data/t", &[]).await;
    server.upload(third, "same", b"same").await;
    let restored = difference(&server, &format!("sync_id={third}&kind=unchanged")).await;
    assert_eq!(names(&restored), ["unchanged same"]);
}

#[tokio::test]
async fn an_incremental_sync_lists_its_added_and_replaced_files() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let first = server.start_sync("/data/t", "IncrementalSync").await;
    let upload = async |id: u64, name: &str, bytes: &[u8]| {
        let request = server.upload_request(&format!("sync_id={id}"), &[(name, bytes)]);
        assert_eq!(answer(request.bearer_auth(&server.key)).await.0, 200);
    };
    upload(first, "old", b"old").await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for (name, bytes) in [("new", b"1" as &[u8]), ("old", b"again"), ("new", b"22")] {
        upload(id, name, bytes).await;
    }
    server.end_sync(id).await;
    let address = format!("/api/lake/file/sync/difference?sync_id={id}");
    assert_refused(answer(server.get(&address)).await, 40100, "key");
    let reader = server.new_key(&["--role", "read"]);
    let (_, seen) = answer(server.get(&address).bearer_auth(&reader)).await;
    assert_eq!(names(&seen), ["changed old", "added new"]);
    assert_eq!(
        (&seen["added"], &seen["changed"]),
        (&json!({ "files": 1, "bytes": 2 }), &json!({ "files": 1, "bytes": 5 }))
    );
    let elsewhere = server.new_key(&["--role", "read", "--path-prefix", "/other"]);
    assert_refused(answer(server.get(&address).bearer_auth(&elsewhere)).await, 40401, "not found");
}
