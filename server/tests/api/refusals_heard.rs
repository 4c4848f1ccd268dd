//! Refusals reach clients that send the whole body before they read, and are true.

use crate::nginx::Nginx;
use crate::server::{TestServer, answer, assert_refused, skipped};
use reqwest::Method;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// More than the buffers of both ends hold.
const BODY_BYTES: usize = 24 * 1024 * 1024;

/// Sends a whole request, then reads until the server closes the connection.
fn send_all_then_read(server: &TestServer, head: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap())?;
    connection.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(connection, "{head}\r\nHost: localhost\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n")?;
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..BODY_BYTES / chunk.len() {
        connection.write_all(&chunk)?;
    }
    let mut said = String::new();
    connection.read_to_string(&mut said)?;
    Ok(said)
}

async fn ended_sync(server: &TestServer) -> u64 {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.end_sync(id).await;
    id
}

#[tokio::test]
async fn a_refusal_reaches_clients_that_send_everything_first_on_every_route() {
    let server = TestServer::start_with(&["--max-upload-size", "1MB"]).await;
    let ended = ended_sync(&server).await;
    let open = server.start_sync("/data/u", "IncrementalSync").await;
    let form = "\r\nContent-Type: multipart/form-data; boundary=b";
    for (head, status) in [
        (format!("POST /api/lake/file/upload?sync_id={ended} HTTP/1.1{form}"), 409),
        (format!("POST /api/lake/file/upload?sync_id=99 HTTP/1.1{form}"), 404),
        (format!("POST /api/lake/file/upload?sync_id={open} HTTP/1.1"), 415),
        (format!("PUT /api/lake/file/resumable/a.csv?sync_id={ended} HTTP/1.1"), 409),
        (format!("PUT /api/lake/file/resumable/a.csv?sync_id={open} HTTP/1.1"), 413),
        (format!("PUT /api/lake/file/upload?sync_id={open} HTTP/1.1"), 405),
        ("PATCH /api/lake/files/00000000000000000000000000000000 HTTP/1.1\r\nTus-Resumable: 1.0.0".to_owned(), 415),
        ("POST /api/lake/files HTTP/1.1".to_owned(), 412),
        ("POST /api/nowhere HTTP/1.1".to_owned(), 404),
        ("PUT /nowhere HTTP/1.1".to_owned(), 405),
        ("GET /healthz HTTP/1.1".to_owned(), 200),
        ("POST /api/ingestion/file/sync/start HTTP/1.1".to_owned(), 400),
        ("POST /sign-in HTTP/1.1".to_owned(), 413),
        ("POST /api/lake/file/missing HTTP/1.1".to_owned(), 400),
    ] {
        let said = send_all_then_read(&server, &head);
        let said = said.unwrap_or_else(|error| panic!("{head}: {error}"));
        let status_line = said.lines().next().unwrap_or_default();
        assert!(status_line.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {status_line}");
    }
    assert_eq!(server.file_names("data"), [""; 0]);
}

#[tokio::test]
async fn the_refusal_of_an_unreadable_head_reaches_its_client() {
    let server = TestServer::start().await;
    let long = "x".repeat(1024 * 1024);
    for (head, status) in [
        (format!("PUT /api/lake/file/resumable/a?sync_id=1 HTTP/1.1\r\nX-Long: {long}"), 431),
        ("PUT  /two  spaces HTTP/1.1".to_owned(), 400),
        ("PUT /a HTTP/1.1\r\nBad Name: x".to_owned(), 400),
        ("P\u{1b}T /a HTTP/1.1".to_owned(), 400),
        ("PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip".to_owned(), 400),
    ] {
        let said = send_all_then_read(&server, &head).unwrap_or_else(|error| panic!("{:.60}: {error}", head));
        let status_line = said.lines().next().unwrap_or_default();
        assert!(status_line.starts_with(&format!("HTTP/1.1 {status} ")), "{head:.60}: {status_line}");
    }
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_refusal_is_sent_before_the_body_arrives_and_the_connection_is_reused() {
    let server = TestServer::start().await;
    let ended = ended_sync(&server).await;
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head =
        format!("PUT /api/lake/file/resumable/a?sync_id={ended} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9");
    write!(connection, "{head}\r\n\r\nsome").unwrap();
    let mut said = vec![0; 12];
    connection.read_exact(&mut said).unwrap();
    assert_eq!(said, b"HTTP/1.1 409");
    write!(connection, " more").unwrap();
    write!(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("HTTP/1.1 200 OK"), "{rest}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "measures real time on a real connection")]
async fn a_client_that_waits_for_100_continue_is_not_asked_for_a_refused_body() {
    let server = TestServer::start().await;
    let ended = ended_sync(&server).await;
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("PUT /api/lake/file/resumable/a?sync_id={ended} HTTP/1.1\r\nHost: localhost");
    write!(connection, "{head}\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let mut said = vec![0; 12];
    connection.read_exact(&mut said).unwrap();
    assert_eq!(said, b"HTTP/1.1 409");
    // A stopping server does not wait for the remaining body.
    let begun = Instant::now();
    let mut server = server;
    assert_eq!(server.stop(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn curl_wget_and_a_buffering_proxy_get_the_refusal() {
    let server = TestServer::start().await;
    let ended = ended_sync(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.bin");
    std::fs::write(&file, vec![0; BODY_BYTES]).unwrap();
    let file = file.to_str().unwrap();
    let address = |base: &str| format!("{base}/api/lake/file/resumable/large.bin?sync_id={ended}");
    let said = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(output) => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        }
        Err(_) => {
            skipped(&format!("{program} is not here"));
            None
        }
    };
    // Proxies speak HTTP/1.0, and their clients need a key.
    let key = format!("X-API-Key: {}", server.key);
    let curl = |base: &str, more: &[&str]| {
        let address = address(base);
        let arguments =
            [&["-sS", "-H", "Expect:", "-H", &key, "-w", " %{http_code}", "-T", file, &address], more].concat();
        said("curl", &arguments)
    };
    for more in [&[][..], &["-H", "Transfer-Encoding: chunked"], &["--http1.0"]] {
        if let Some(said) = curl(&server.url, more) {
            assert!(said.ends_with(" 409") && said.contains("40900"), "{more:?}: {said}");
        }
    }
    let put = ["-nv", "-O-", "--tries=1", "--content-on-error", "--method=PUT", "--body-file", file];
    if let Some(said) = said("wget", &[&put[..], &[&address(&server.url)]].concat()) {
        assert!(said.contains("409") && said.contains("40900"), "{said}");
    }
    let script = "const fs = require('fs'); const [url, file] = process.argv.slice(1); \
        fetch(url, { method: 'PUT', body: fs.readFileSync(file) }).then(async (a) => console.log(a.status, await a.text()), \
        (e) => console.log('failed', e.cause))";
    if let Some(said) = said("node", &["-e", script, &address(&server.url), file]) {
        assert!(said.starts_with("409 ") && said.contains("40900"), "{said}");
    }
    let Some(proxy) = Nginx::start(folder.path(), &server.url) else { return skipped("nginx is not here") };
    for _ in 0..3 {
        let said = curl(&proxy.url, &[]).unwrap_or_default();
        assert!(said.ends_with(" 409") && said.contains("40900"), "{said}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_method_lists_the_allowed_ones() {
    let server = TestServer::start().await;
    for (method, address) in [
        ("PUT", "/api/lake/file/upload"),
        ("GET", "/api/lake/file/upload"),
        ("DELETE", "/api/ingestion/file/sync/start"),
        ("POST", "/api/ingestion/file/sync/list"),
        ("PATCH", "/api/lake/file/sync/expect"),
        ("PUT", "/api/lake/files"),
        ("POST", "/api/lake/files/00000000000000000000000000000000"),
        ("DELETE", "/api/lake/file/resumable"),
        ("POST", "/healthz"),
        ("PUT", "/nowhere"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let refused = server.client.request(method.clone(), format!("{}{address}", server.url)).send().await.unwrap();
        let allow = refused.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned()).unwrap_or_default();
        let body: serde_json::Value = refused.json().await.unwrap();
        assert_refused((405, body.clone()), 40500, &allow);
        assert!(!allow.is_empty() && !allow.split(", ").any(|named| named == method.as_str()), "{method} {allow}");
    }
}

#[tokio::test]
async fn an_upload_that_could_never_finish_is_not_begun() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let creation = || {
        let address = format!("{}/api/lake/file/resumable?sync_id={id}&file_name=a.csv", server.url);
        server.client.post(address).header("Upload-Complete", "?0")
    };
    for version in ["3", "5", "10", "x", ""] {
        let refused = answer(creation().header("Upload-Draft-Interop-Version", version)).await;
        assert_refused(refused, 40000, "versions 6 to 9");
    }
    let address = format!("{}/api/lake/file/resumable?sync_id={id}&file_name=a.csv", server.url);
    let early = server.client.post(&address).header("Upload-Incomplete", "?1").body("some");
    assert_refused(answer(early).await, 40000, "versions 6 to 9");
    let tus = server.client.post(&address).header("Tus-Resumable", "1.0.0").header("Upload-Defer-Length", "1");
    assert_refused(answer(tus).await, 40000, "/api/lake/files");
    assert_refused(answer(server.client.post(&address).header("Upload-Complete", "0")).await, 40000, "?0");
    assert_eq!(server.rows("/api/lake/files").await, Vec::<serde_json::Value>::new());
    for version in ["6", "7", "8", "9"] {
        let created = creation().header("Upload-Draft-Interop-Version", version).send().await.unwrap();
        let address = created.headers()["location"].to_str().unwrap().to_owned();
        let last = server.client.patch(address).header("Upload-Draft-Interop-Version", version);
        let last = last.header("Content-Type", "application/partial-upload").header("Upload-Offset", 0);
        assert_eq!(answer(last.header("Upload-Complete", "?1").body("x")).await.0, 200, "{version}");
    }
    server.end_sync(id).await;
}

#[tokio::test]
async fn the_url_of_an_upload_is_absolute_and_valid_for_its_client() {
    let location = async |server: &TestServer, id: u64, fields: &[(&str, &str)]| {
        let tus = format!("{}/api/lake/files?sync_id={id}", server.url);
        let draft = format!("{}/api/lake/file/resumable?sync_id={id}&file_name=b.csv", server.url);
        let tus = server.client.post(tus).header("Tus-Resumable", "1.0.0").header("Upload-Length", 3);
        let requests = [
            tus.header("Upload-Metadata", "filename YS5jc3Y="),
            server.client.post(draft).header("Upload-Complete", "?0"),
        ];
        let mut bases = Vec::new();
        for request in requests {
            let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let created = request.header("X-API-Key", &server.key).send().await.unwrap();
            assert_eq!(created.status(), 201);
            let address = created.headers()["location"].to_str().unwrap().to_owned();
            bases.push(address.split_once("/api/lake/files/").unwrap().0.to_owned());
        }
        assert_eq!(bases[0], bases[1]);
        bases.remove(0)
    };
    let server = TestServer::start_with(&["--allowed-host", "lake.example.com"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    assert_eq!(location(&server, id, &[]).await, server.url);
    assert_eq!(location(&server, id, &[("Host", "lake.example.com:81")]).await, "http://lake.example.com:81");
    // Forwarding headers of untrusted peers are ignored, and the scheme is unknown.
    let forwarded = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/lake")];
    assert_eq!(location(&server, id, &forwarded).await, "");
    let by_browser = [("Host", "lake.example.com"), ("Origin", "https://lake.example.com"), ("Via", "1.1 proxy")];
    assert_eq!(location(&server, id, &by_browser).await, "https://lake.example.com");

    let options = ["--allowed-host", "lake.example.com", "--trusted-proxy", "127.0.0.1"];
    let server = TestServer::start_with(&options).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let seen = |more: &[(&'static str, &'static str)]| {
        let mut fields = vec![("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "lake.example.com")];
        fields.extend(more);
        fields
    };
    let tls = ("X-Forwarded-Proto", "https");
    for (more, base) in [
        (vec![], "http://lake.example.com"),
        (vec![tls], "https://lake.example.com"),
        (vec![tls, ("X-Forwarded-Prefix", "/lakeshore/")], "https://lake.example.com/lakeshore"),
        (vec![tls, ("X-Forwarded-Prefix", "//evil.example")], "https://lake.example.com"),
        (vec![("Forwarded", "for=192.0.2.7;proto=https")], "https://lake.example.com"),
    ] {
        assert_eq!(location(&server, id, &seen(&more)).await, base, "{more:?}");
    }
    let server = TestServer::start_with(&["--public-url", "https://example.com/lake/"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    assert_eq!(location(&server, id, &[("Host", "example.com")]).await, "https://example.com/lake");
    assert_eq!(server.sync(id).await["sync_id"], json!(id));
}

#[tokio::test]
async fn a_download_resumes_by_its_last_modified_date() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"0123456789").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let get = || server.get("/api/lake/file/download?path=/data/t/a.csv");
    let whole = get().send().await.unwrap();
    let date = whole.headers()["last-modified"].to_str().unwrap().to_owned();
    let part = get().header("Range", "bytes=2-4").header("If-Range", &date).send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "234"));
    let other = get().header("Range", "bytes=2-4").header("If-Range", "Wed, 21 Oct 2037 07:28:00 GMT");
    assert_eq!(other.send().await.unwrap().status(), 200);
}
