//! Host of a request, and request heads that can be parsed in two ways.

use crate::server::{TestServer, answer, assert_refused};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends these bytes, and returns all responses until the server closes.
pub fn exchange(server: &TestServer, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    connection.write_all(bytes).unwrap();
    let mut answers = Vec::new();
    // A server that rejects early may also reset the connection.
    let _ = connection.read_to_end(&mut answers);
    String::from_utf8_lossy(&answers).into_owned()
}

/// Asserts a single refusal, after which the server closes.
fn assert_head_refused(server: &TestServer, bytes: &[u8], words: &str) {
    let answers = exchange(server, bytes);
    let shown = bytes.escape_ascii();
    assert_eq!((answers.get(8..13), answers.matches("HTTP/1.").count()), (Some(" 400 "), 1), "{shown}: {answers}");
    assert!(answers.contains("40010") && answers.contains(words), "{shown}: {answers} lacks {words:?}");
}

const ROUTES: [(&str, &str); 24] = [
    ("GET", "/api/ingestion/file/sync/list"),
    ("GET", "/api/ingestion/file/sync/history"),
    ("GET", "/api/lake/file/list?path=/secret"),
    ("GET", "/api/lake/file/download?path=/secret/pay.csv"),
    ("HEAD", "/api/lake/file/download?path=/secret/pay.csv"),
    ("GET", "/api/lake/file/preview?path=/secret/pay.csv"),
    ("GET", "/api/lake/files"),
    ("GET", "/api/lake/activity"),
    ("GET", "/api/events"),
    ("GET", "/api/overview"),
    ("POST", "/api/ingestion/file/sync/start"),
    ("POST", "/api/lake/file/upload?sync_id=1"),
    ("PUT", "/api/lake/file/resumable/pay.csv?sync_id=1"),
    ("POST", "/api/lake/files?sync_id=1"),
    ("OPTIONS", "/api/lake/files"),
    ("PATCH", "/api/lake/files/x"),
    ("DELETE", "/api/lake/files/x"),
    ("POST", "/fn/syncs"),
    ("GET", "/"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/favicon.svg"),
    ("GET", "/healthz"),
    ("BREW", "/no/such/address"),
];

#[tokio::test]
async fn a_request_for_an_unknown_host_is_refused_on_every_route() {
    let server = TestServer::start().await;
    let id = server.start_sync("/secret", "IncrementalSync").await;
    server.upload(id, "pay.csv", b"name,pay\nada,1\n").await;
    let address = server.url.strip_prefix("http://").unwrap();
    let port = address.rsplit(':').next().unwrap();
    let named = format!("evil.example:{port}");
    for (method, path) in ROUTES {
        let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"pay.csv\"\r\n\r\nx\r\n--b--\r\n";
        let answer = exchange(
            &server,
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {named}\r\nOrigin: http://{named}\r\nSec-Fetch-Site: same-origin\r\n\
                 Connection: close\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 421 "), "{method} {path}: {answer}");
        assert!(method == "HEAD" || answer.contains("42100") && answer.contains("--allowed-host"), "{answer}");
        assert!(answer.contains("nosniff") && answer.contains("no-store"), "{answer}");
    }
    for host in [
        "evil.example",
        "EVIL.example.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.localhost",
        "localhostx",
        "127.1",
        "0x7f000001",
        "2130706433",
    ] {
        let refused = answer(server.get("/api/ingestion/file/sync/list").header("Host", host)).await;
        assert_refused(refused, 42100, "--allowed-host");
    }
    assert_eq!(server.files("secret")["pay.csv"], b"name,pay\nada,1\n");
    let told = server.eventually(async || Some(server.stderr()).filter(|said| said.contains("42100"))).await;
    assert!(told.contains(&named) && !told.contains("pay.csv"), "an address may hold a secret: {told}");
}

#[tokio::test]
async fn addresses_localhost_and_the_names_of_the_deployment_are_this_server() {
    let server = TestServer::start_with(&["--allowed-host", "Lake.Example.com,*.internal"]).await;
    for host in [
        "127.0.0.1",
        "192.0.2.7:80",
        "[::1]:3000",
        "[2001:db8::7]",
        "localhost",
        "LOCALHOST:3000",
        "localhost.",
        "lake.example.com",
        "LAKE.example.COM.:443",
        "a.b.internal:8443",
    ] {
        assert_eq!(answer(server.get("/api/ingestion/file/sync/list").header("Host", host)).await.0, 200, "{host}");
    }
    for host in ["example.com", "x.lake.example.com", "internal", "evilinternal"] {
        assert_refused(answer(server.get("/healthz").header("Host", host)).await, 42100, host);
    }
    assert!(server.stderr().contains("localhost, lake.example.com, *.internal"), "{}", server.stderr());
}

#[tokio::test]
async fn a_head_without_one_plain_host_is_refused() {
    let server = TestServer::start().await;
    for (head, words) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", "no Host"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "no Host"),
        ("GET http://127.0.0.1/healthz HTTP/1.1\r\n\r\n", "no Host"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "several"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n", "several"),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: user@localhost\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost/evil.example\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:http\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: ::1\r\n\r\n", "not a host name"),
        ("GET /healthz HTTP/1.1\r\nHost: l\u{f6}calhost\r\n\r\n", "not a host name"),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "different hosts"),
        ("GET http://x@localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "different hosts"),
        ("GET ftp://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "not a proxy"),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", "not a proxy"),
    ] {
        assert_head_refused(&server, head.as_bytes(), words);
    }
    let whole = "GET http://LOCALHOST/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(exchange(&server, whole.as_bytes()).starts_with("HTTP/1.1 200 "), "a whole address of this server is one");
    let evil = "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert!(exchange(&server, evil.as_bytes()).starts_with("HTTP/1.1 421 "));
}

#[tokio::test]
async fn an_ambiguous_head_is_refused_with_everything_after_it() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    // Each hides a second request, which a different parser would serve.
    let hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let call = "POST /api/ingestion/file/sync/end HTTP/1.1\r\nHost: localhost\r\n";
    for (head, words) in [
        ("GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n".to_owned(), "LF alone"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\n\r\n".to_owned(), "LF alone"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n".to_owned(), "LF alone"),
        ("\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "LF alone"),
        (format!("{call}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "LF alone"),
        (format!("{call}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "Content-Length"),
        (format!("{call}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), "Content-Length"),
        (format!("{call}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), "twice"),
        (format!("{call}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "other than chunked"),
    ] {
        assert_head_refused(&server, format!("{head}{hidden}").as_bytes(), words);
    }
    // Refused by hyper itself.
    for head in [
        format!("{call}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{call} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{call}X: y\r\n folded: z\r\n\r\n"),
        format!("{call}Content-Length: 0, 0\r\n\r\n"),
        format!("{call}Content-Length: +0\r\n\r\n"),
        format!("{call}X: a\rb\r\n\r\n"),
        format!("{call}X: a\0b\r\n\r\n"),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ] {
        let answers = exchange(&server, format!("{head}{hidden}").as_bytes());
        assert!(answers.starts_with("HTTP/1.1 400 ") && answers.matches("HTTP/1.1 ").count() == 1, "{head}: {answers}");
    }
    assert_eq!(server.sync(id).await["sync_status"], "Syncing");
}

#[tokio::test]
async fn a_bare_line_feed_after_a_valid_request_is_refused_and_bodies_may_have_any_bytes() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let upload = |name: &str, framing: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\n\n\r\n\r\nGET / HTTP/1.1\n\n\r\n--b--\r\n"
        );
        let length = body.len();
        let (framing, body) = match framing {
            "chunked" => {
                let (first, rest) = body.split_at(40);
                let chunks =
                    format!("28;x=\"y\"\r\n{first}\r\n{:X}\r\n{rest}\r\n0\r\nX-Trailer: y\r\n\r\n", rest.len());
                ("Transfer-Encoding: chunked".to_owned(), chunks)
            }
            _ => (format!("Content-Length: {length}"), body),
        };
        format!(
            "POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n{body}"
        )
    };
    let good = [upload("a", "length"), upload("b", "chunked"), upload("c", "chunked"), upload("d", "length")];
    let bad = "GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n";
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    for request in good {
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut chunk = [0; 4096];
            let length = connection.read(&mut chunk).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..length]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
    connection.write_all(bad.as_bytes()).unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 ") && rest.contains("LF alone"), "{rest}");
    assert_eq!(server.file_names("data/t"), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn responses_that_depend_on_a_key_are_never_cached() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    for path in [
        "/api/ingestion/file/sync/list",
        "/api/ingestion/file/sync/history",
        "/api/ingestion/file/sync/1",
        "/api/lake/file/list",
        "/api/lake/file/preview?path=/data/t/a.csv",
        "/api/lake/file/download?path=/data/t/a.csv",
        "/api/lake/file/download?path=/data/t/none",
        "/api/lake/files",
        "/api/lake/activity",
        "/api/overview",
        "/api/no-such-address",
        "/",
        "/syncs",
        "/no-such-page",
    ] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    }
    let session = server.post("/fn/session", &serde_json::json!({})).send().await.unwrap();
    assert_eq!((session.status().as_u16(), &session.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let file = "/api/lake/file/download?path=/data/t/a.csv";
    let tag = server.get(file).send().await.unwrap().headers()["etag"].clone();
    let unchanged = server.get(file).header("If-None-Match", tag).send().await.unwrap();
    assert_eq!(
        (unchanged.status().as_u16(), &unchanged.headers()["cache-control"]),
        (304, &"no-store".parse().unwrap())
    );
}
