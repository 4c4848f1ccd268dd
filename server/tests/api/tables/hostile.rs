//! Tables beside names, purges and logs that are meant to spoil them.

use super::{assert_rows, land, publish, put, readers, server, stopped, table};
use crate::database::Database;
use crate::server::{answer, bucket};
use crate::tables::log::until_followed;
use crate::tables::parquet::ids;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn datasets_and_files_named_like_the_log_of_a_table_are_no_part_of_it() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    publish(&server, "/t", &[("1.parquet", ids([1]))]).await;
    let forged = br#"{"remove":{"path":"sync-1","dataChange":true}}"#;
    for folder in ["/t/_delta_log", "/t/_versions"] {
        let id = server.start_sync(folder, "IncrementalSync").await;
        for name in ["00000000000000000001.json", "_last_checkpoint", "current.json"] {
            put(&server, id, folder, name, forged).await;
        }
        server.end_sync(id).await;
    }
    let id = server.start_sync("/t", "IncrementalSync").await;
    put(&server, id, "/t", "_delta_log/00000000000000000002.json", forged).await;
    server.end_sync(id).await;
    land(&server, "/t", &[("2.parquet", ids([2]))]).await;
    let log = until_followed(&server, "/t").await;
    assert_eq!(log.live(), 2);
    let is_own = |key: &String| key.ends_with(".json") && key.len() == "t/_delta_log/00000000000000000000.json".len();
    let keys = log.keys_of("_delta_log");
    assert!(keys.iter().all(is_own) && keys.len() == log.len(), "{keys:?}");
    assert_rows(&mut readers, "t", &["id"], None, &json!([[1], [2]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_goes_on_after_its_replaced_files_were_purged_and_the_server_was_killed() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    publish(&server, "/t", &[("1.parquet", ids([1])), ("2.parquet", ids([2]))]).await;
    publish(&server, "/t", &[("1.parquet", ids([1])), ("2.parquet", ids([3]))]).await;
    let body = json!({ "all": true, "api_key": server.key });
    let (status, body) = answer(server.post("/api/lake/trash/empty", &body)).await;
    assert_eq!(status, 200, "{body}");
    let server = server.kill_and_restart().await;
    publish(&server, "/t", &[]).await;
    publish(&server, "/t", &[("4.parquet", ids([4]))]).await;
    land(&server, "/t", &[("5.parquet", ids([5]))]).await;
    let log = until_followed(&server, "/t").await;
    assert_eq!(log.live(), 2);
    assert_rows(&mut readers, "t", &["id"], None, &json!([[4], [5]]));
    assert_eq!(table(&server, "/t").await["problem"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_table_goes_on_by_itself_once_the_foreign_commit_is_gone() {
    let Some(server) = server().await else { return };
    land(&server, "/t", &[("1.parquet", ids([1]))]).await;
    let log = until_followed(&server, "/t").await;
    let commit = format!("{}/_delta_log/00000000000000000001.json", log.table);
    let of = server.stopped().bucket.clone().unwrap();
    bucket::put(&of, &commit, b"{\"commitInfo\":{}}\n");
    land(&server, "/t", &[("2.parquet", ids([2]))]).await;
    let is_stuck =
        server.eventually(async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_string()));
    is_stuck.await;
    bucket::delete(&of, &commit);
    // Nothing else happens in the lake.
    let goes_on =
        server.eventually(async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_null()));
    assert_eq!(goes_on.await["versions_behind"], json!(0));
    assert_eq!(until_followed(&server, "/t").await.live(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_older_than_a_log_that_was_cleaned_stops_the_table() {
    let Some(server) = server().await else { return };
    land(&server, "/t", &[("1.parquet", ids([1]))]).await;
    land(&server, "/csv", &[("1.csv", b"a\n1\n".to_vec())]).await;
    let log = until_followed(&server, "/t").await;
    let csv = until_followed(&server, "/csv").await.table;
    // The commits and manifests in the way are gone.
    let of = server.stopped().bucket.clone().unwrap();
    let checkpoint = br#"{"version":600,"size":3}"#;
    bucket::put(&of, &format!("{}/_delta_log/_last_checkpoint", log.table), checkpoint);
    bucket::put(&of, &format!("{csv}/_versions/current.json"), br#"{"version":600}"#);
    let server = server.kill_and_restart().await;
    land(&server, "/t", &[("2.parquet", ids([2]))]).await;
    land(&server, "/csv", &[("2.csv", b"a\n2\n".to_vec())]).await;
    for dataset in ["/t", "/csv"] {
        let stuck = server
            .eventually(async || Some(table(&server, dataset).await).filter(|table| table["problem"].is_string()))
            .await;
        assert!(stuck["problem"].as_str().unwrap().contains("older backup"), "{stuck}");
    }
    let commit = format!("{}/_delta_log/00000000000000000001.json", log.table);
    assert_eq!(bucket::object(&of, &commit), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_bytes_the_database_has_lost_is_told_and_none_comes_after_it() {
    if server().await.is_none() {
        return;
    }
    let stopped = stopped(&[]);
    let mut server = stopped.try_start(&[("LAKESHORE_CRASH_AT", "object.table_fixed:1")]).await.unwrap();
    let id = server.start_sync("/t", "IncrementalSync").await;
    let query = format!("sync_id={id}");
    let _ = server.upload_request(&query, &[("1.parquet", &ids([1]))]).send().await;
    server.eventually_ended();
    let database = Database::of(stopped.data_dir()).await;
    database.execute("DELETE FROM table_drafts").await;
    database.close().await;
    let server = stopped.start().await;
    let is_stuck =
        server.eventually(async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_string()));
    let table = is_stuck.await;
    assert!(table["problem"].as_str().unwrap().contains("has no bytes for"), "{table}");
    put(&server, id, "/t", "2.parquet", &ids([2])).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let of = server.stopped().bucket.clone().unwrap();
    assert!(bucket::keys(&of).iter().all(|key| !key.contains("/_delta_log/")), "the log would have a gap");
}
