//! Refused files are all counted, but only some of them have a row.

use crate::server::{TestServer, answer, lakeshore};
use lakeshore::model::limits::{REFUSED_ROWS_MAX, REFUSED_ROWS_OF_REQUEST_MAX};
use serde_json::{Value, json};

/// One request with several files of this name.
async fn send(server: &TestServer, sync_id: u64, name: &str, files: usize) -> (u16, Value) {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\r\n");
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={sync_id}", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    answer(request.body(head.repeat(files) + "--b--\r\n")).await
}

#[tokio::test]
async fn refused_names_beyond_the_limits_of_a_request_and_a_sync_are_only_counted() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/x", "IncrementalSync").await;
    let long = format!("../{}", "x".repeat(1000));
    let (status, body) = send(&server, id, &long, 500).await;
    assert_eq!((status, body["code"].as_u64()), (400, Some(40001)));
    let msg = body["msg"].as_str().unwrap();
    assert!(msg.starts_with("500 of 500 files failed") && msg.contains(" more"), "{msg}");
    assert!(body.to_string().len() < 64 * 1024, "{} bytes", body.to_string().len());
    let rows = server.history(&format!("sync_id={id}&size=1000")).await;
    assert_eq!(rows.len() as u64, REFUSED_ROWS_OF_REQUEST_MAX);
    assert!(rows.iter().all(|row| row["file_name"].as_str().unwrap().len() <= 255), "{}", rows[0]);
    assert!(rows.iter().all(|row| row["message"].as_str().unwrap().len() <= 500), "{}", rows[0]);
    let sync = server.sync(id).await;
    assert_eq!(
        (&sync["total_files"], &sync["num_failed"], &sync["num_unlisted"]),
        (&json!(500), &json!(500), &json!(490))
    );

    // The limit of a sync applies to any names, and across requests.
    for name in [".", "..", "a/../b", "/etc/passwd"] {
        for _ in 0..3 {
            send(&server, id, name, 20).await;
        }
    }
    assert_eq!(server.history(&format!("sync_id={id}&size=1000")).await.len() as u64, REFUSED_ROWS_MAX);
    assert_eq!(server.sync(id).await["num_failed"], json!(740));

    // Landed uploads have their rows after these, and paging stays exact.
    server.upload(id, "a.csv", b"a").await;
    server.upload(id, "b.csv", b"b").await;
    let page = server.history(&format!("sync_id={id}&from={REFUSED_ROWS_MAX}")).await;
    let names: Vec<_> = page.iter().map(|row| row["file_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.csv", "b.csv"]);
    let last = server.history(&format!("sync_id={id}&order=desc&size=1&from=1")).await;
    assert_eq!(last[0]["file_name"], "a.csv");
    let failed = server.history(&format!("sync_id={id}&status=Failed&from=99")).await;
    assert_eq!(failed.len(), 1);
    server.end_sync(id).await;
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["sync_status"]), (&json!(742), &json!("Finished")));

    // Another sync has a limit of its own.
    let other = server.start_sync("/data/y", "IncrementalSync").await;
    send(&server, other, ".", 1).await;
    assert_eq!(server.history(&format!("sync_id={other}")).await.len(), 1);
    assert!(server.sync(other).await.get("num_unlisted").is_none());
    assert_eq!(server.stop(), Some(0));
    let checked = lakeshore(&["check", "--data-dir", server.data_dir().to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test]
async fn rows_of_small_uploads_with_wrong_digests_are_bounded_too() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/x", "IncrementalSync").await;
    let wrong = format!("sha256 {}", "A".repeat(43) + "=");
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nUpload-Checksum: {wrong}\r\n\r\nx\r\n"
    );
    for _ in 0..3 {
        let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={id}", server.url));
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        assert_eq!(answer(request.body(head.repeat(400) + "--b--\r\n")).await.0, 400);
    }
    let sync = server.sync(id).await;
    let num_listed = lakeshore::model::limits::FAILED_ROWS_MAX;
    assert_eq!((&sync["num_failed"], &sync["num_unlisted"]), (&json!(1200), &json!(1200 - num_listed)));
    // Refused names count against the same limit.
    send(&server, id, ".", 1).await;
    assert_eq!(server.sync(id).await["num_unlisted"], json!(1201 - num_listed));
}
