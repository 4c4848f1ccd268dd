//! Downloads: `/api/lake/file/download`.

use crate::server::{TestServer, answer, assert_refused};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const DOWNLOAD: &str = "/api/lake/file/download";

fn request(server: &TestServer, path: &str) -> RequestBuilder {
    server.get(DOWNLOAD).query(&[("path", path)])
}

/// Status, headers and bytes of a response.
async fn downloaded(request: RequestBuilder) -> (u16, BTreeMap<String, String>, Vec<u8>) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), headers(&response), response.bytes().await.unwrap().into())
}

fn headers(response: &Response) -> BTreeMap<String, String> {
    response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

async fn put(server: &TestServer, name: &str, bytes: &[u8]) {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, name, bytes).await;
    server.end_sync(id).await;
}

/// More than one chunk of a download.
fn large() -> Vec<u8> {
    (0..2_000_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_download_is_complete_and_has_the_known_metadata() {
    let server = TestServer::start().await;
    let bytes = large();
    put(&server, "sub/große Datei.parquet", &bytes).await;
    let path = "/data/t/sub/große Datei.parquet";
    let (status, headers, body) = downloaded(request(&server, path).header("accept-encoding", "gzip, br")).await;
    assert_eq!(status, 200);
    assert!(body == bytes);
    let digest = Sha256::digest(&bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    for (name, value) in [
        ("content-length", "2000000".to_owned()),
        ("content-type", "application/octet-stream".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("etag", format!("\"sha256-{hex}\"")),
        ("repr-digest", format!("sha-256=:{}:", BASE64_STANDARD.encode(digest))),
        (
            "content-disposition",
            "attachment; filename=\"gro_e Datei.parquet\"; filename*=UTF-8''gro%C3%9Fe%20Datei.parquet".to_owned(),
        ),
    ] {
        assert_eq!(headers.get(name), Some(&value), "{name}: {headers:?}");
    }
    assert!(headers.contains_key("last-modified") && !headers.contains_key("content-encoding"), "{headers:?}");
    let head = server.client.request(Method::HEAD, format!("{}{DOWNLOAD}", server.url)).query(&[("path", path)]);
    let (status, mut of_head, body) = downloaded(head.header("range", "bytes=0-9")).await;
    let mut of_get = headers;
    assert!((of_head.remove("date"), of_get.remove("date")).0.is_some());
    assert_eq!((status, of_head, body.len()), (200, of_get, 0));
}

#[tokio::test]
async fn an_html_file_of_the_lake_cannot_run_as_a_page_of_the_dashboard() {
    let server = TestServer::start().await;
    put(&server, "page.html", b"<script>alert(1)</script>").await;
    let (_, headers, _) = downloaded(request(&server, "/data/t/page.html")).await;
    assert!(headers["content-security-policy"].starts_with("default-src 'none'; sandbox"), "{headers:?}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    assert!(headers["content-disposition"].starts_with("attachment"));
}

#[tokio::test]
async fn a_range_request_is_resumed_only_in_the_same_version() {
    let server = TestServer::start().await;
    let bytes = large();
    put(&server, "a.bin", &bytes).await;
    let get = |pairs: &[(&'static str, &str)]| {
        let request = request(&server, "/data/t/a.bin");
        pairs.iter().fold(request, |request, &(name, value)| request.header(name, value))
    };
    let etag = downloaded(get(&[])).await.1["etag"].clone();
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=262143-262144", 262_143..262_145),
        ("bytes=1999990-", 1_999_990..2_000_000),
        ("bytes=-5", 1_999_995..2_000_000),
        ("bytes=100000-9999999", 100_000..2_000_000),
    ] {
        let (status, headers, body) = downloaded(get(&[("range", range), ("if-range", &etag)])).await;
        assert_eq!(status, 206, "{range}");
        assert!(body == bytes[part.clone()], "{range}");
        assert_eq!(headers["content-range"], format!("bytes {}-{}/2000000", part.start, part.end - 1));
        assert_eq!(headers["content-length"], part.len().to_string());
    }
    for (name, value) in [("if-range", "\"another\""), ("range", "bytes=0-1,5-6"), ("range", "pages=1")] {
        let range = if name == "range" { value } else { "bytes=5-" };
        let (status, _, body) =
            downloaded(get(&[("range", range), ("if-range", if name == "range" { &etag } else { value })])).await;
        assert_eq!((status, body.len()), (200, bytes.len()), "{name}: {value}");
    }
    let refused = get(&[("range", "bytes=2000000-")]).send().await.unwrap();
    assert_eq!(headers(&refused)["content-range"], "bytes */2000000");
    assert_refused((416, refused.json().await.unwrap()), 41600, "2000000 bytes");
    let (status, headers, body) = downloaded(get(&[("if-none-match", &etag)])).await;
    assert_eq!((status, &headers["etag"], body.len()), (304, &etag, 0));
    assert_refused(answer(get(&[("if-match", "\"another\"")])).await, 41201, "If-Match");
}

#[tokio::test]
async fn an_entity_tag_changes_with_each_version_and_each_change_by_hand() {
    let server = TestServer::start().await;
    put(&server, "a.csv", b"one").await;
    let etag = async || downloaded(request(&server, "/data/t/a.csv")).await.1;
    let first = etag().await;
    put(&server, "a.csv", b"two").await;
    let second = etag().await;
    assert_ne!(first["etag"], second["etag"]);
    // Modified in place, with the same length.
    let file = server.folder().join("data/t/a.csv");
    server
        .eventually(async || {
            std::fs::write(&file, b"eno").unwrap();
            let by_hand = etag().await;
            (!by_hand.contains_key("repr-digest")).then_some(by_hand["etag"].clone())
        })
        .await;
    assert_eq!(downloaded(request(&server, "/data/t/a.csv")).await.2, b"eno");
    std::fs::write(server.folder().join("data/t/by-hand.csv"), b"x").unwrap();
    let (status, headers, _) = downloaded(request(&server, "/data/t/by-hand.csv")).await;
    assert!(status == 200 && headers["etag"].starts_with("\"file-") && !headers.contains_key("repr-digest"));
}

#[tokio::test]
async fn a_file_replaced_during_its_download_is_sent_with_the_old_bytes() {
    let server = TestServer::start().await;
    // More than the buffers of a connection hold while nobody reads.
    let bytes: Vec<u8> = (0..64_000_000_u32).map(|n| (n / 1000 % 251) as u8).collect();
    put(&server, "a.bin", &bytes).await;
    let mut response = request(&server, "/data/t/a.bin").send().await.unwrap();
    let mut received = response.chunk().await.unwrap().unwrap().to_vec();
    put(&server, "a.bin", b"new").await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "b.bin", b"other").await;
    server.end_sync(id).await;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received.extend_from_slice(&chunk);
    }
    assert!(received == bytes);
    assert_refused(answer(request(&server, "/data/t/a.bin")).await, 40405, "/data/t/a.bin");
}

#[tokio::test]
async fn only_files_of_the_lake_are_downloaded() {
    let server = TestServer::start().await;
    put(&server, "sub/a.csv", b"one").await;
    std::fs::write(server.data_dir().join("secret"), b"secret").unwrap();
    let lake = server.folder();
    std::os::unix::fs::symlink(server.data_dir().join("secret"), lake.join("data/t/link")).unwrap();
    std::os::unix::fs::symlink(server.data_dir(), lake.join("data/t/folder-link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(lake.join("data/t/pipe")).status().unwrap().success());
    for nothing in [
        "/data/t/sub",
        "/data/t/none.csv",
        "/data/t/link",
        "/data/t/folder-link/secret",
        "/data/t/pipe",
        "/data/t/sub/a.csv/x",
    ] {
        assert_refused(answer(request(&server, nothing)).await, 40405, "not found");
    }
    for wrong in ["../secret", "/../secret", "/data/t/../../../secret", "/.lakeshore/trash", "a.csv", "/", "/data/\0"] {
        assert_refused(answer(request(&server, wrong)).await, 40001, "");
    }
    assert_refused(answer(server.get(DOWNLOAD)).await, 40000, "path is missing");
    assert_refused(answer(server.post(DOWNLOAD, &json!({}))).await, 40500, "GET");
}

#[tokio::test]
async fn downloading_needs_the_right_to_read() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let upload = server.upload_request(&format!("sync_id={id}"), &[("a.csv", b"one")]).bearer_auth(&server.key);
    assert_eq!(answer(upload).await.0, 200);
    server.end_sync(id).await;
    let get = || request(&server, "/data/t/a.csv");
    assert_refused(answer(get()).await, 40100, "a key is required");
    assert_refused(answer(get().bearer_auth("wrong")).await, 40101, "");
    let narrow = server.new_key(&["--role", "read", "--path-prefix", "/data/u"]);
    assert_refused(answer(get().bearer_auth(&narrow)).await, 40405, "not found");
    assert_refused(answer(request(&server, "/data/t/none").bearer_auth(&narrow)).await, 40405, "not found");
    let reader = server.new_key(&["--role", "read", "--path-prefix", "/data/t"]);
    assert_eq!(downloaded(get().bearer_auth(&reader)).await.2, b"one");
}

#[tokio::test]
async fn an_empty_file_is_downloaded_and_a_digest_follows_a_file_that_is_taken_over() {
    let server = TestServer::start().await;
    put(&server, "empty.csv", b"").await;
    let (status, headers, body) = downloaded(request(&server, "/data/t/empty.csv")).await;
    assert_eq!((status, headers["content-length"].as_str(), body.len()), (200, "0", 0));
    let id = server.start_sync("/data/t", "FullSync").await;
    let sha256: String = Sha256::digest(b"").iter().map(|byte| format!("{byte:02x}")).collect();
    let files = json!([{ "path": "empty.csv", "size_bytes": 0, "sha256": sha256 }]);
    let body = json!({ "sync_id": id, "files": files, "take_over": true });
    assert_eq!(answer(server.post("/api/lake/file/missing", &body)).await.1["data"]["taken_over"], 1);
    server.end_sync(id).await;
    assert_eq!(downloaded(request(&server, "/data/t/empty.csv")).await.1["etag"], headers["etag"]);
}
