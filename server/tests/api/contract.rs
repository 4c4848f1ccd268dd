//! Every curl command of the documents, as printed, with only the file, key, host and ids replaced.

use crate::server::TestServer;
use serde_json::{Value, json};
use std::process::Command;

fn curl(command: &str) -> Value {
    let output = Command::new("bash").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn tour(sync_type: &str) -> (TestServer, u64) {
    let server = TestServer::start().await;
    let (url, key) = (&server.url, &server.key);
    let file = server.data_dir().join("sales_transaction.parquet");
    std::fs::write(&file, b"PAR1 not really PAR1").unwrap();
    let file = file.display();

    let started = curl(&format!(
        r#"curl -s --request POST \
  --url {url}/api/ingestion/file/sync/start \
  --header 'Content-Type: application/json' \
  --data '{{
  "name" : "transactions incremental sync 06/12/21",
  "path" : "/data/db/transactions",
  "api_key" : "{key}",
  "sync_type" : "{sync_type}"
}}'"#
    ));
    assert_eq!(started, json!({ "sync_id": 1 }));
    for _ in 0..2 {
        let uploaded = curl(&format!(
            r#"curl -s --request POST \
  --url '{url}/api/lake/file/upload?sync_id=1' \
    --header 'Content-Type: multipart/form-data; boundary=---011000010111000001101001' \
  --form file=@{file}"#
        ));
        assert_eq!(uploaded, json!({ "code": 0, "msg": null }));
    }
    let ended = curl(&format!(
        r#"curl -s --request POST \
  --url {url}/api/ingestion/file/sync/end \
  --header 'Content-Type: application/json' \
  --data '{{
  "sync_id" : 1,
  "api_key" : "{key}"
}}
'"#
    ));
    assert_eq!(ended, json!({ "success": true }));
    (server, 1)
}

async fn check(sync_type: &str) {
    let (server, sync_id) = tour(sync_type).await;
    let url = &server.url;
    let list = curl(&format!(
        "curl -s --request GET \
  --url '{url}/api/ingestion/file/sync/list?from=0&size=10' \
  --header 'Content-Type: application/json'"
    ));
    let sync = &list.as_array().unwrap()[0];
    let expected = json!({
        "org_id": 0, "sync_id": sync_id, "name": "transactions incremental sync 06/12/21",
        "path": "/data/db/transactions", "sync_type": sync_type, "sync_status": "Finished",
        "total_files": 2, "num_failed": 0
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&sync[field], value, "{field}");
    }
    assert!(sync["start_time"].as_i64().unwrap() > 1_600_000_000_000);
    assert!(sync["end_time"].as_i64().unwrap() >= sync["start_time"].as_i64().unwrap());

    let history = curl(&format!(
        "curl -s --request GET \
  --url '{url}/api/ingestion/file/sync/history?from=0&size=10' \
  --header 'Content-Type: application/json'"
    ));
    let history = history.as_array().unwrap();
    assert_eq!(history.len(), 2);
    for (row, id) in history.iter().zip(1..) {
        let expected = json!({
            "org_id": 0, "history_id": id, "sync_id": sync_id, "file_name": "sales_transaction.parquet",
            "sync_status": "Finished", "message": "", "size_bytes": 20,
            "landed_path": "/data/db/transactions/sales_transaction.parquet"
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&row[field], value, "{field}");
        }
        assert!(row["end_time"].as_i64().unwrap() >= row["start_time"].as_i64().unwrap());
    }
    let live = server.files("data/db/transactions");
    assert_eq!(
        live.into_iter().collect::<Vec<_>>(),
        [("sales_transaction.parquet".into(), b"PAR1 not really PAR1".to_vec())]
    );
    assert_eq!(server.file_names(".lakeshore/trash").len(), 1, "the first upload was replaced by the second");
}

#[tokio::test]
async fn every_documented_command_works_as_printed_for_an_incremental_sync() {
    check("IncrementalSync").await;
}

#[tokio::test]
async fn every_documented_command_works_as_printed_for_a_full_sync() {
    check("FullSync").await;
}

#[tokio::test]
async fn a_running_sync_is_syncing_without_an_end_time() {
    let server = TestServer::start().await;
    server.start_sync("/data/a", "IncrementalSync").await;
    let list = server.rows("/api/ingestion/file/sync/list").await;
    assert_eq!((&list[0]["sync_status"], &list[0]["end_time"]), (&json!("Syncing"), &json!(0)));
    assert_eq!((&list[0]["total_files"], &list[0]["num_failed"]), (&json!(0), &json!(0)));
}
