//! Plain uploads: `/api/lake/file/upload`.

use crate::server::{TestServer, answer, assert_refused};
use futures_util::stream;
use reqwest::Body;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::TcpStream;

mod forms;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_upload_is_recorded_with_its_size_digest_and_landed_path() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    server.upload(id, "big.parquet", &bytes).await;
    server.upload(id, "empty.csv", b"").await;
    let history = server.history("").await;
    assert_eq!(history[0]["size_bytes"], 3_000_000);
    assert_eq!(history[0]["sha256"], sha256(&bytes));
    assert_eq!(history[0]["landed_path"], "/data/t/big.parquet");
    assert_eq!((&history[1]["size_bytes"], &history[1]["sha256"]), (&json!(0), &json!(sha256(b""))));
    let files = server.files("data/t");
    assert_eq!((files["big.parquet"].as_slice(), files["empty.csv"].as_slice()), (bytes.as_slice(), b"".as_slice()));
    assert_eq!(server.sync(id).await["size_bytes"], 3_000_000);
}

#[tokio::test]
async fn each_part_of_a_form_has_a_row_and_a_failed_one_does_not_stop_the_others() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let query = format!("sync_id={id}");
    let form = reqwest::multipart::Form::new()
        .text("overwrite", "true")
        .part("files", reqwest::multipart::Part::bytes(&b"1"[..]).file_name("a.csv"))
        .part("file", reqwest::multipart::Part::bytes(&b"2"[..]).file_name("../b.csv"))
        .part("files", reqwest::multipart::Part::bytes(&b"3"[..]).file_name("c.csv"));
    let request = server.client.post(format!("{}/api/lake/file/upload?{query}", server.url)).multipart(form);
    let (status, body) = answer(request).await;
    assert_refused((status, body.clone()), 40001, "1 of 3 files failed");
    assert_eq!(body["failed"][0]["file_name"], "../b.csv");
    assert_eq!(server.file_names("data/t"), ["a.csv", "c.csv"]);
    let statuses: Vec<_> = server.history("").await.iter().map(|row| row["sync_status"].clone()).collect();
    assert_eq!(statuses, ["Finished", "Failed", "Finished"]);
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn names_that_would_leave_the_dataset_are_refused_and_counted() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let outside = server.data_dir().join("escaped");
    let hostile = [
        "../../escaped",
        "/etc/passwd",
        "..",
        "a/../../b",
        "..\\..\\x",
        "C:\\x.csv",
        ".hidden",
        "a/.lakeshore/x",
        "",
        " ",
        "new\u{202E}vsc.exe",
        &"x".repeat(256),
    ];
    for name in hostile {
        let (status, body) = server.try_upload(&format!("sync_id={id}"), &[(name, b"x")]).await;
        assert_eq!((status, body["code"].as_u64()), (400, Some(40001)), "{name:?}: {body}");
    }
    assert!(!outside.exists());
    assert!(server.file_names("data").is_empty() && server.file_names(".lakeshore").is_empty());
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(hostile.len()), &json!(hostile.len())));
    server.upload(id, "Ünïcode und Leerzeichen.csv", b"x").await;
    server.upload(id, "%2e%2e%2fescaped", b"x").await;
    assert_eq!(server.file_names("data/t"), ["%2e%2e%2fescaped", "Ünïcode und Leerzeichen.csv"]);
}

#[tokio::test]
async fn a_path_is_absent_equal_below_or_relative_and_never_outside() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    for (path, name) in [
        ("", "0"),
        ("&path=/data/t", "1"),
        ("&path=/data/t/dt=2021-12-06", "2"),
        ("&path=dt=2021-12-07", "3"),
        ("&path=", "4"),
    ] {
        let (status, body) = server.try_upload(&format!("sync_id={id}{path}"), &[(name, b"x")]).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (status, _) = server.try_upload(&format!("sync_id={id}"), &[("dropped/folder/5", b"x")]).await;
    assert_eq!(status, 200);
    for path in ["/data", "/data/other", "../x", "/data/t/../x", "/data/t2"] {
        let refused = server.try_upload(&format!("sync_id={id}&path={path}"), &[("x", b"x")]).await;
        assert_eq!(refused.1["code"], 40001, "{path}");
    }
    server.end_sync(id).await;
    assert_eq!(server.file_names("data/t"), ["0", "1", "4", "dropped/folder/5", "dt=2021-12-06/2", "dt=2021-12-07/3"]);
}

#[tokio::test]
async fn requests_that_are_not_uploads_are_refused_with_the_remedy() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let upload = |query: &str| server.client.post(format!("{}/api/lake/file/upload?{query}", server.url));
    let query = format!("sync_id={id}");
    assert_refused(answer(upload(&query).body("x")).await, 41500, "--form");
    assert_refused(answer(upload(&query).json(&json!({}))).await, 41500, "--form");
    let no_boundary = upload(&query).header("content-type", "multipart/form-data").body("x");
    assert_refused(answer(no_boundary).await, 41500, "boundary");
    let no_file = upload(&query).multipart(reqwest::multipart::Form::new().text("name", "x"));
    assert_refused(answer(no_file).await, 40000, "has no file");
    let no_name = upload(&query).multipart(reqwest::multipart::Form::new().text("file", "x"));
    assert_refused(answer(no_name).await, 40001, "has no name");
    let file: &[(&str, &[u8])] = &[("a", b"x")];
    assert_refused(server.try_upload("", file).await, 40000, "sync_id is missing");
    assert_refused(server.try_upload("sync_id=one", file).await, 40000, "whole number");
    assert_refused(server.try_upload("sync_id=99", file).await, 40401, "sync 99 not found");
    let malformed = upload(&query).header("content-type", "multipart/form-data; boundary=b").body("no boundary here");
    let (status, body) = answer(malformed).await;
    assert_eq!((status, body["code"].as_u64()), (400, Some(40002)), "{body}");
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_and_leaves_nothing() {
    let server = TestServer::start_with(&["--max-upload-size", "1MB"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let query = format!("sync_id={id}");
    let (at, above) = (vec![7; 1_000_000], vec![7; 1_000_001]);
    let answered = server.try_upload(&query, &[("above", &above), ("at", &at)]).await;
    assert_refused(answered, 41300, "1000000 bytes");
    assert_eq!(server.file_names("data/t"), ["at"]);
    assert!(server.file_names(".lakeshore").is_empty());
    assert_eq!(server.history("status=Failed").await[0]["file_name"], "above");
}

/// Sends the head of an upload and some of its body, and keeps the connection open.
pub fn begin_upload(server: &TestServer, sync_id: u64, name: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        connection,
        "POST /api/lake/file/upload?sync_id={sync_id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\nsome of it"
    )
    .unwrap();
    connection
}

async fn in_flight(server: &TestServer) -> Value {
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await
}

#[tokio::test]
async fn a_disconnected_client_leaves_a_failed_row_and_no_file() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let connection = begin_upload(&server, id, "half.csv");
    let row = in_flight(&server).await;
    assert_eq!((&row["end_time"], &row["landed_path"]), (&json!(0), &Value::Null));
    drop(connection);
    let row = server.eventually(async || server.history("status=Failed").await.first().cloned()).await;
    assert_eq!(row["file_name"], "half.csv");
    assert!(row["message"].as_str().unwrap().contains("send the file again"), "{row}");
    assert!(server.file_names("data").is_empty());
    server.eventually(async || server.file_names(".lakeshore").is_empty().then_some(())).await;
    assert_eq!(server.sync(id).await["num_failed"], 1);
    server.end_sync(id).await;
}

#[tokio::test]
async fn an_upload_without_progress_fails_after_the_timeout() {
    let server = TestServer::start_with(&["--upload-idle-timeout", "200ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let _connection = begin_upload(&server, id, "half.csv");
    let row = server.eventually(async || server.history("status=Failed").await.first().cloned()).await;
    assert!(row["message"].as_str().unwrap().contains("no data for"), "{row}");
}

#[tokio::test]
async fn an_end_names_the_uploads_in_flight_and_discards_them_when_told_to() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "whole.csv", b"1").await;
    let mut connection = begin_upload(&server, id, "slow.csv");
    in_flight(&server).await;
    assert_refused(server.try_end(id, json!({})).await, 40902, "slow.csv");
    assert_eq!(server.try_end(id, json!({ "discard_in_flight": true })).await.0, 200);
    let _ = connection.write_all(b"more of it");
    let sync = server.sync(id).await;
    assert_eq!(
        (&sync["sync_status"], &sync["total_files"], &sync["num_failed"]),
        (&json!("Finished"), &json!(2), &json!(1))
    );
    assert_eq!(server.file_names("data/t"), ["whole.csv"]);
    drop(connection);
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
    assert_eq!(server.sync(id).await["num_failed"], 1, "a discarded upload is counted once");
}

#[tokio::test]
async fn an_abort_ends_uploads_in_flight() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let _connection = begin_upload(&server, id, "slow.csv");
    in_flight(&server).await;
    assert_eq!(server.try_abort(id).await.0, 200);
    let row = &server.history("").await[0];
    assert_eq!(row["sync_status"], "Failed");
    assert!(row["message"].as_str().unwrap().contains("discarded"), "{row}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_accepted() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let chunks = (0..100).map(|n| Ok::<_, std::io::Error>(vec![n; 10_000]));
    let part = reqwest::multipart::Part::stream(Body::wrap_stream(stream::iter(chunks))).file_name("streamed");
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={id}", server.url));
    let (status, _) = answer(request.multipart(reqwest::multipart::Form::new().part("file", part))).await;
    assert_eq!(status, 200);
    assert_eq!(server.files("data/t")["streamed"].len(), 1_000_000);
}

#[tokio::test]
async fn concurrent_uploads_are_all_counted_and_one_of_the_same_name_wins() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let query = format!("sync_id={id}");
    let contents: Vec<Vec<u8>> = (0..40).map(|n| vec![n; 50_000]).collect();
    let names: Vec<String> = (0..40).map(|n| if n % 2 == 0 { "same".into() } else { format!("own-{n}") }).collect();
    let all = names.iter().zip(&contents).map(|(name, bytes)| {
        let request = server.upload_request(&query, &[(name, bytes)]);
        tokio::spawn(answer(request))
    });
    for upload in all.collect::<Vec<_>>() {
        assert_eq!(upload.await.unwrap().0, 200);
    }
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"], &sync["num_in_flight"]), (&json!(40), &json!(0), &json!(0)));
    let live = server.files("data/t");
    assert_eq!(live.len(), 21);
    assert!(contents.contains(&live["same"]));
    let trashed = server.files(".lakeshore/trash");
    assert_eq!(trashed.len(), 19, "every other one is in the trash");
    assert!(trashed.values().all(|bytes| contents.contains(bytes)));
}

#[tokio::test]
async fn a_symlink_in_the_lake_is_not_followed() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let outside = server.data_dir().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(server.folder().join("data/t")).unwrap();
    std::os::unix::fs::symlink(&outside, server.folder().join("data/t/link")).unwrap();
    let refused = server.try_upload(&format!("sync_id={id}&path=link"), &[("x", b"x")]).await;
    assert_refused(refused, 40905, "link");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

/// Sends a form, each part with the parameters of its disposition and its content.
async fn send_form(server: &TestServer, sync_id: u64, program: &str, parts: &[(&[u8], &str)]) -> (u16, Value) {
    let mut body = Vec::new();
    for (parameters, content) in parts {
        body.extend_from_slice(b"--b\r\nContent-Disposition: form-data; ");
        body.extend_from_slice(parameters);
        body.extend_from_slice(format!("\r\n\r\n{content}\r\n").as_bytes());
    }
    body.extend_from_slice(b"--b--\r\n");
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={sync_id}", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=b").header("user-agent", program);
    answer(request.body(body)).await
}

/// File name and status of each row of the history.
async fn rows(server: &TestServer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    server.history("").await.iter().map(|row| (text(&row["file_name"]), text(&row["sync_status"]))).collect()
}

fn row(name: &str, status: &str) -> (String, String) {
    (name.to_owned(), status.to_owned())
}

#[tokio::test]
async fn a_file_under_the_name_of_another_part_fails_beside_those_that_land() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let parts: [(&[u8], &str); 5] = [
        (b"name=\"file2\"; filename=\"b.csv\"", "2"),
        (b"name=\"file\"; filename=\"a.csv\"", "1"),
        (b"name=\"note\"", "text"),
        (b"name=\"unfilled\"; filename=\"\"", ""),
        (b"name=\"filled\"; filename=\"\"", "3"),
    ];
    let (status, body) = send_form(&server, id, "curl/8", &parts).await;
    assert_refused((status, body.clone()), 40000, "2 of 3 files failed; the other 1 landed");
    assert_eq!((&body["failed"][0]["file_name"], &body["failed"][0]["code"]), (&json!("b.csv"), &json!(40000)));
    let msg = body["failed"][0]["msg"].as_str().unwrap();
    assert!(msg.contains("\"file2\"") && msg.contains("as the part \"file\""), "{msg}");
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
    assert_eq!(rows(&server).await, [row("b.csv", "Failed"), row("a.csv", "Finished"), row("", "Failed")]);
    assert!(server.history("").await[0]["message"].as_str().unwrap().contains("as the part \"file\""));
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(3), &json!(2)));

    // Without any file there is one answer, and no row.
    let refused = send_form(&server, id, "curl/8", &parts[..1]).await;
    assert_refused(refused, 40000, "the body has no file, only \"file2\"");
    assert_eq!(server.sync(id).await["total_files"], 3);
    // An input that was left empty is no file.
    assert_eq!(send_form(&server, id, "curl/8", &parts[1..4]).await.0, 200);
}

#[tokio::test]
async fn a_file_name_that_cannot_be_read_fails_its_own_file_alone() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let parts: [(&[u8], &str); 4] = [
        (b"name=\"file\"; filename=\"a.csv\"", "1"),
        (b"name=\"file\"; filename=\"=?utf-8?B?YQ==?=\"", "2"),
        (b"name=\"file\"; filename=\"gr\xf6.csv\"", "3"),
        (b"name=\"file\"; filename=\"c.csv\"", "4"),
    ];
    let (status, body) = send_form(&server, id, "curl/8", &parts).await;
    assert_refused((status, body.clone()), 40000, "2 of 4 files failed; the other 2 landed");
    assert!(body["failed"][0]["msg"].as_str().unwrap().contains("RFC 2047"), "{body}");
    assert!(body["failed"][1]["msg"].as_str().unwrap().contains("not UTF-8"), "{body}");
    assert_eq!(server.file_names("data/t"), ["a.csv", "c.csv"]);
    let replaced = "gr\u{FFFD}.csv";
    let expected = [("a.csv", "Finished"), ("=?utf-8?B?YQ==?=", "Failed"), (replaced, "Failed"), ("c.csv", "Finished")];
    assert_eq!(rows(&server).await, expected.map(|(name, status)| row(name, status)));
    // Alone too, it is recorded.
    assert_refused(send_form(&server, id, "curl/8", &parts[2..3]).await, 40000, "not UTF-8");
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(5), &json!(3)));
}

#[tokio::test]
async fn file_names_that_aiohttp_encodes_are_decoded_and_those_of_others_are_not() {
    let server = TestServer::start().await;
    for (program, names) in [
        (
            "Python/3.11 aiohttp/3.14.5",
            ["50%25C3%25B6.csv", "a%20b.csv", "dt%3D1%2Fa.csv", "dt%3D1%2Fgr%C3%B6.csv", "größe 0.txt", "x%C3%B6.csv"],
        ),
        (
            "curl/8",
            [
                "50%25C3%25B6.csv",
                "a%20b.csv",
                "dt%3D1%2Fa.csv",
                "dt%3D1%2Fgr%C3%B6.csv",
                "gr%C3%B6%C3%9Fe%200.txt",
                "x%C3%B6.csv",
            ],
        ),
    ] {
        let dataset = if program.contains("aiohttp") { "encoded" } else { "plain" };
        let id = server.start_sync(&format!("/data/{dataset}"), "IncrementalSync").await;
        let parts: [(&[u8], &str); 6] = [
            (b"name=\"file\"; filename=\"dt%3D1%2Fgr%C3%B6.csv\"", "5"),
            (b"name=\"file\"; filename=\"dt%3D1%2Fa.csv\"", "6"),
            (b"name=\"file\"; filename=\"gr%C3%B6%C3%9Fe%200.txt\"", "1"),
            (b"name=\"file\"; filename=\"a%20b.csv\"", "2"),
            (b"name=\"file\"; filename=\"50%25C3%25B6.csv\"", "3"),
            (b"name=\"file\"; filename=\"x\"; filename*=UTF-8''x%25C3%25B6.csv", "4"),
        ];
        assert_eq!(send_form(&server, id, program, &parts).await.0, 200, "{program}");
        assert_eq!(server.file_names(&format!("data/{dataset}")), names, "{program}");
    }
}
