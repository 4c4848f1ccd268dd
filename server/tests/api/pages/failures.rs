//! Failures on the pages: the cause, the first files, what is missing, and how to retry.

use super::{page, publish};
use crate::server::{TestServer, answer};
use crate::tus_client::Tus;
use serde_json::json;

const T: &str = "/data/t";

/// Announces a digest that the bytes do not have. `more`: of the address.
async fn upload_damaged(server: &TestServer, sync_id: u64, name: &str, more: &str) {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nRepr-Digest: sha-256=:{}=:\r\n\r\n\
         a\n2\n\r\n--b--\r\n",
        "A".repeat(43)
    );
    let url = format!("{}/api/lake/file/upload?sync_id={sync_id}{more}", server.url);
    let request = server.client.post(url).header("Content-Type", "multipart/form-data; boundary=b").body(body);
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["code"]), (400, &json!(40003)), "{body}");
}

#[tokio::test]
async fn a_failed_sync_names_its_cause_first_files_last_success_and_a_retry() {
    let server = TestServer::start().await;
    let good = publish(&server, T, &[("a.csv", "a\n1\n")]).await;
    let failed = server.start_sync(T, "FullSync").await;
    let files: Vec<_> =
        ["a.csv", "b.csv", "c.csv", "d.csv"].map(|path| json!({ "path": path, "size_bytes": 4 })).into();
    let expected = json!({ "sync_id": failed, "expected": { "files": files }, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/file/sync/expect", &expected)).await.0, 200);
    server.upload(failed, "a.csv", b"a\n1\n").await;
    upload_damaged(&server, failed, "b.csv", "").await;
    upload_damaged(&server, failed, "c.csv", "").await;
    assert_eq!(server.try_abort(failed).await.0, 200);

    let reason = "2 files failed their checksum; aborted by test";
    page(&server, "/").await.has(reason);
    let sync = page(&server, &format!("/syncs/{failed}")).await;
    sync.has(&format!("{reason}.")).has("Why it failed").has("/data/t/b.csv").has("/data/t/c.csv");
    sync.has("3 files missing").has("d.csv").has("lakeshore push ./export '/data/t' --full --server ");
    assert_eq!(sync.link(&format!("sync {good}")), format!("/syncs/{good}"));
    let failed_only = page(&server, &sync.link("Failed only")).await;
    let files = failed_only.html.split("id=\"files-title\"").nth(1).unwrap();
    assert_eq!(files.matches("<tr").count(), 3, "two files and the head");

    // Every row of the history has its target.
    for row in server.history(&format!("sync_id={failed}")).await {
        let name = row["file_name"].as_str().unwrap();
        assert_eq!(row["target_path"], json!(format!("/data/t/{name}")));
        assert_eq!(row["landed_path"].is_null(), name != "a.csv");
    }
    page(&server, "/history?status=Failed").await.has("/data/t/b.csv");
}

#[tokio::test]
async fn a_failed_upload_to_a_subfolder_tells_which() {
    let server = TestServer::start().await;
    let id = server.start_sync(T, "IncrementalSync").await;
    upload_damaged(&server, id, "part-0000.snappy.parquet", "&path=/data/t/dt=7").await;
    let row = &server.history(&format!("sync_id={id}")).await[0];
    assert_eq!(row["target_path"], json!("/data/t/dt=7/part-0000.snappy.parquet"));
    page(&server, "/history").await.has("/data/t/dt=7/part-0000.snappy.parquet");
    let sync = page(&server, &format!("/syncs/{id}")).await;
    sync.has("Failed uploads").has_not("Why it failed").has_not("No earlier sync of this path");
}

#[tokio::test]
async fn a_file_that_landed_later_and_a_cancelled_one_are_no_failures() {
    let server = TestServer::start().await;
    let id = server.start_sync(T, "IncrementalSync").await;
    upload_damaged(&server, id, "a.csv", "").await;
    server.upload(id, "a.csv", b"a\n1\n").await;
    let tus = Tus(&server);
    let created = tus.creation(id, "big.csv").header("Upload-Length", 100).send().await.unwrap();
    let address = created.headers()["location"].to_str().unwrap().to_owned();
    let discard = tus.request("DELETE", &address).header("X-API-Key", &server.key);
    assert_eq!(discard.send().await.unwrap().status(), 204);
    server.end_sync(id).await;

    let sync = page(&server, &format!("/syncs/{id}")).await;
    // The number is that of the list of syncs.
    sync.has("Failed 2").has("2 cancelled or landed later").has_not("Why it failed").has("Cancelled");
    let rows = server.history(&format!("sync_id={id}&status=Failed")).await;
    assert_eq!(rows.len(), 2, "the history keeps them: {rows:?}");
}

#[tokio::test]
async fn a_schema_hold_names_the_columns() {
    let server = TestServer::start().await;
    let policy = json!({ "path": T, "policy": "hold", "api_key": server.key });
    let first = server.start_sync(T, "FullSync").await;
    server.upload(first, "a.csv", b"id,price\n1,2.5\n").await;
    assert_eq!(answer(server.post("/api/lake/dataset/schema-policy", &policy)).await.0, 200);
    server.end_sync(first).await;
    let id = server.start_sync(T, "FullSync").await;
    server.upload(id, "a.csv", b"id,price,note\nx,2.5,new\n").await;
    assert_eq!(server.try_end(id, json!({})).await.1["code"], 40912);
    let columns = "1 file does not match the schema of /data/t: added note (text)";
    page(&server, "/").await.has(&format!("{columns}; id integer, now text. Held since"));
    page(&server, &format!("/syncs/{id}")).await.has(columns);
}

#[tokio::test]
async fn a_guard_hold_names_the_figures() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    publish(&server, T, &[("a.csv", "1"), ("b.csv", "2"), ("c.csv", "3")]).await;
    let id = server.start_sync(T, "FullSync").await;
    server.upload(id, "a.csv", b"1").await;
    assert_eq!(server.try_end(id, json!({})).await.1["code"], 40911);
    page(&server, "/").await.has("Publishing would replace 3 files, 3 B at /data/t with only 1 file, 1 B. Held since");
}
