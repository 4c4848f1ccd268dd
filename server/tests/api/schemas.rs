//! Schemas: landed files are read, compared with their dataset, marked, and held if the policy says so.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

/// Waits until every landed file was read, which sets its row count.
async fn inspected(server: &TestServer, sync_id: u64, files: usize) -> Vec<Value> {
    server
        .eventually(async || {
            let rows = server.history(&format!("sync_id={sync_id}&size=100")).await;
            let done = rows.iter().filter(|row| row["row_count"].is_u64()).count();
            (done == files).then_some(rows)
        })
        .await
}

async fn send(server: &TestServer, sync_type: &str, files: &[(&str, &str)]) -> u64 {
    let id = server.start_sync("/data/t", sync_type).await;
    for (name, text) in files {
        server.upload(id, name, text.as_bytes()).await;
    }
    id
}

async fn set_policy(server: &TestServer, policy: &str) {
    let body = json!({ "path": "/data/t", "policy": policy, "api_key": server.key });
    let (status, body) = answer(server.post("/api/lake/dataset/schema-policy", &body)).await;
    assert_eq!((status, body), (200, json!({ "success": true })));
}

async fn schema(server: &TestServer) -> Value {
    answer(server.get("/api/lake/dataset/schema?path=/data/t")).await.1
}

const GOOD: &str = "id,price\n1,2.5\n2,3.5\n";
const OTHER: &str = "id,price,note\nx,2.5,new\n";

#[tokio::test]
async fn a_file_with_other_columns_is_marked_and_still_published() {
    let server = TestServer::start().await;
    let first = send(&server, "FullSync", &[("a.csv", GOOD), ("b.csv", GOOD)]).await;
    let rows = inspected(&server, first, 2).await;
    assert_eq!((&rows[0]["row_count"], rows[0].get("schema_difference")), (&json!(2), None));
    server.end_sync(first).await;
    let good = schema(&server).await;
    assert_eq!((&good["policy"], &good["sync_id"]), (&json!("warn"), &json!(first)));
    assert_eq!(good["schema"]["columns"][1], json!({ "name": "price", "type": "number", "nullable": false }));

    let second = send(&server, "FullSync", &[("a.csv", GOOD), ("b.csv", OTHER), ("c.csv", OTHER)]).await;
    let rows = inspected(&server, second, 3).await;
    assert_eq!(rows[0].get("schema_difference"), None);
    let difference = json!({
        "added": [{ "name": "note", "type": "text", "nullable": false }],
        "removed": [],
        "retyped": [{ "name": "id", "old_type": "integer", "new_type": "text" }],
        "num_added": 1,
        "num_removed": 0,
        "num_retyped": 1,
        "is_reordered": false,
    });
    assert_eq!(rows[1]["schema_difference"], difference);
    assert_eq!(server.sync(second).await["num_schema_differences"], 2);
    server.end_sync(second).await;
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv", "c.csv"]);
    // The published columns are the next baseline; the marks stay.
    assert_eq!(schema(&server).await["schema"]["columns"].as_array().unwrap().len(), 3);
    let third = send(&server, "IncrementalSync", &[("d.csv", OTHER)]).await;
    assert_eq!(inspected(&server, third, 1).await[0].get("schema_difference"), None);
    assert_eq!(inspected(&server, second, 3).await[1]["schema_difference"], difference);
}

#[tokio::test]
async fn the_hold_policy_prevents_a_publish_with_other_columns_until_confirmed() {
    let server = TestServer::start().await;
    let first = send(&server, "FullSync", &[("a.csv", GOOD)]).await;
    set_policy(&server, "hold").await;
    server.end_sync(first).await;
    let second = send(&server, "FullSync", &[("a.csv", OTHER), ("b.csv", GOOD)]).await;
    // The end of the sync reads unread files itself.
    let (status, body) = server.try_end(second, json!({})).await;
    assert_refused((status, body.clone()), 40912, "a.csv: added note (text); id integer, now text");
    assert_eq!(body["data"]["differing_files"], 1);
    assert_eq!(server.sync(second).await["held"], body["data"]);
    assert_eq!(server.file_names("data/t"), ["a.csv"], "nothing was published");
    assert_eq!(server.files("data/t")["a.csv"], GOOD.as_bytes());
    let (status, body) = server.try_end(second, json!({ "confirm": true })).await;
    assert_eq!((status, body), (200, json!({ "success": true })));
    let third = send(&server, "FullSync", &[("a.csv", OTHER), ("b.csv", OTHER)]).await;
    server.end_sync(third).await;
    assert_eq!(server.sync(third).await["sync_status"], "Finished", "what was confirmed is the measure now");
    let narrow = server.new_key(&["--role", "write", "--path-prefix", "/data/u"]);
    let body = json!({ "path": "/data/t", "policy": "ignore", "api_key": narrow });
    assert_refused(answer(server.post("/api/lake/dataset/schema-policy", &body)).await, 40301, "/data/u");
    set_policy(&server, "ignore").await;
    let fourth = send(&server, "FullSync", &[("a.csv", GOOD), ("b.csv", GOOD)]).await;
    server.end_sync(fourth).await;
    assert_eq!(inspected(&server, fourth, 2).await[0].get("schema_difference"), None);
}

#[tokio::test]
async fn files_unread_before_a_kill_are_read_after_it() {
    let mut server = TestServer::start().await;
    let first = send(&server, "FullSync", &[("a.csv", GOOD)]).await;
    server.end_sync(first).await;
    inspected(&server, first, 1).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for round in 0..3 {
        let names: Vec<_> = (0..40).map(|n| format!("{round}-{n}.csv")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), OTHER.as_bytes())).collect();
        assert_eq!(server.try_upload(&format!("sync_id={id}"), &files).await.0, 200);
        // In any state of the background reads.
        server = server.kill_and_restart().await;
    }
    let rows = server
        .eventually(async || {
            let rows = server.history(&format!("sync_id={id}&size=1000")).await;
            rows.iter().all(|row| row["row_count"].is_u64()).then_some(rows)
        })
        .await;
    assert_eq!(rows.len(), 120);
    assert!(rows.iter().all(|row| row["schema_difference"]["added"][0]["name"] == "note"));
    assert_eq!(server.sync(id).await["num_schema_differences"], 120);
}

#[tokio::test]
async fn a_comparison_has_the_rows_and_columns_of_both_sides() {
    let server = TestServer::start().await;
    let first = send(&server, "FullSync", &[("a.csv", GOOD), ("b.csv", GOOD), ("gone.csv", GOOD)]).await;
    inspected(&server, first, 3).await;
    server.end_sync(first).await;
    let second =
        send(&server, "FullSync", &[("a.csv", GOOD), ("b.csv", OTHER), ("c.csv", OTHER), ("d.bin", "?")]).await;
    inspected(&server, second, 3).await;
    let before = answer(server.get(&format!("/api/lake/file/sync/difference?sync_id={second}"))).await.1;
    server.end_sync(second).await;
    let version = answer(server.get("/api/lake/dataset?path=/data/t")).await.1["versions"][0]["trash_id"].clone();
    let address = format!("/api/lake/dataset/difference?path=/data/t&trash_id={version}");
    let after = answer(server.get(&address)).await.1;
    for difference in [&before, &after] {
        // The file in an unreadable format is the only one with unknown rows.
        assert_eq!(difference["rows"], json!({ "old": 6, "new": 4, "num_unknown": 1 }));
        assert_eq!(difference["schema"]["added"][0]["name"], "note");
        let rows = |name: &str| {
            let files = difference["files"].as_array().unwrap();
            let file = files.iter().find(|file| file["path"] == name).unwrap();
            (file["rows"].as_u64(), file["old_rows"].as_u64())
        };
        assert_eq!(
            [rows("a.csv"), rows("b.csv"), rows("c.csv")],
            [(Some(2), Some(2)), (Some(1), Some(2)), (Some(1), None)]
        );
        assert_eq!([rows("gone.csv"), rows("d.bin")], [(None, Some(2)), (None, None)]);
    }
    // A file changed by hand differs from the one that was read.
    std::fs::write(server.folder().join("data/t/a.csv"), "id,price\n1,2.5\n").unwrap();
    let by_hand = answer(server.get(&address)).await.1;
    assert_eq!(by_hand["rows"], json!({ "old": 6, "new": 2, "num_unknown": 2 }));

    let third = send(&server, "IncrementalSync", &[("e.csv", GOOD), ("b.csv", OTHER)]).await;
    inspected(&server, third, 2).await;
    let brought = answer(server.get(&format!("/api/lake/file/sync/difference?sync_id={third}"))).await.1;
    assert_eq!(brought["rows"], json!({ "old": 0, "new": 3, "num_unknown": 0 }));
}
