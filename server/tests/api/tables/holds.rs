//! Full syncs that are held because of the table of their dataset.

use super::{publish, put, server, table};
use crate::server::answer;
use crate::tables::log::until_followed;
use crate::tables::parquet::{Column, file, ids};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_hold_policy_prevents_a_publish_of_files_that_the_table_could_not_have() {
    let Some(server) = server().await else { return };
    publish(&server, "/t", &[("1.parquet", ids([1])), ("2.parquet", ids([2]))]).await;
    until_followed(&server, "/t").await;
    let body = json!({ "path": "/t", "policy": "hold", "api_key": server.key });
    let (status, body) = answer(server.post("/api/lake/dataset/schema-policy", &body)).await;
    assert_eq!(status, 200, "{body}");
    // The columns of a sync are the measure of the next one once they were read.
    let are_read = async |sync_id| {
        let columns = async || {
            let rows = server.history(&format!("sync_id={sync_id}")).await;
            rows.iter().all(|row| row["row_count"].is_u64()).then_some(())
        };
        server.eventually(columns).await;
    };
    let first = server.start_sync("/t", "FullSync").await;
    let unsigned = file(&[Column::Unsigned("id", vec![1])]);
    put(&server, first, "/t", "1.parquet", &unsigned).await;
    put(&server, first, "/t", "2.parquet", &unsigned).await;
    let (status, body) = server.try_end(first, json!({ "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    are_read(first).await;
    let second = server.start_sync("/t", "FullSync").await;
    put(&server, second, "/t", "1.parquet", &unsigned).await;
    put(&server, second, "/t", "2.parquet", &unsigned).await;
    put(&server, second, "/t", "notes.txt", b"not a table").await;
    let (status, body) = server.try_end(second, json!({})).await;
    assert_eq!((status, &body["code"]), (409, &json!(40912)), "{body}");
    let message = body["msg"].as_str().unwrap();
    assert!(
        message.contains("2 of its files") && message.contains("1.parquet: ") && message.contains("\"id\""),
        "{message}"
    );
    assert_eq!(server.sync(second).await["held"], body["data"]);
    let (status, body) = server.try_end(second, json!({ "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    until_followed(&server, "/t").await;
    assert_eq!(table(&server, "/t").await["outside"].as_array().unwrap().len(), 2);
    // Files that fit are published at once.
    let third = server.start_sync("/t", "FullSync").await;
    put(&server, third, "/t", "1.parquet", &ids([5])).await;
    let (status, body) = server.try_end(third, json!({ "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    are_read(third).await;
    let fourth = server.start_sync("/t", "FullSync").await;
    put(&server, fourth, "/t", "1.parquet", &ids([6])).await;
    put(&server, fourth, "/t", "2.parquet", &ids([7])).await;
    server.end_sync(fourth).await;
}
