//! Recovery after `kill -9` at the next start.

use crate::server::TestServer;
use crate::uploads::begin_upload;
use serde_json::json;

#[tokio::test]
async fn acknowledged_uploads_exist_after_a_kill_and_the_others_have_failed() {
    let server = TestServer::start().await;
    let incremental = server.start_sync("/data/a", "IncrementalSync").await;
    server.upload(incremental, "a.csv", b"one").await;
    server.upload(incremental, "a.csv", b"two").await;
    let full = server.start_sync("/data/b", "FullSync").await;
    server.upload(full, "b.csv", b"three").await;
    let _half_way = begin_upload(&server, full, "half");
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;

    let server = server.kill_and_restart().await.kill_and_restart().await;
    assert_eq!(server.files("data/a")["a.csv"], b"two");
    let statuses: Vec<_> = server.history("").await.iter().map(|row| row["sync_status"].clone()).collect();
    assert_eq!(statuses, ["Finished", "Finished", "Finished", "Failed"]);
    assert!(server.history("status=Failed").await[0]["message"].as_str().unwrap().contains("stopped"));
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    assert_eq!(server.file_names(".lakeshore/staging"), [format!("sync-{full}/b.csv")]);
    let sync = server.sync(full).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"], &sync["num_in_flight"]), (&json!(2), &json!(1), &json!(0)));
    server.end_sync(full).await;
    assert_eq!(server.file_names("data/b"), ["b.csv"]);
}
