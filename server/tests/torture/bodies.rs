//! Bodies that lie, stop, never end, or are garbage: each gets a clear error, and the server continues.

use crate::server::{TestServer, answer};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Timeout longer than any response takes here, so that a hang fails the test.
const ANSWER_MAX: Duration = Duration::from_secs(60);

pub fn connect(server: &TestServer) -> TcpStream {
    let connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    connection.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    connection.set_write_timeout(Some(ANSWER_MAX)).unwrap();
    connection
}

pub fn head(sync_id: u64, length: impl std::fmt::Display) -> String {
    format!(
        "POST /api/lake/file/upload?sync_id={sync_id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
}

pub fn part(name: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n")
}

/// Sends the head of an upload and some of its body, and keeps the connection open.
pub fn begin(server: &TestServer, sync_id: u64, name: &str, length: u64) -> TcpStream {
    let mut connection = connect(server);
    write!(connection, "{}{}some of it", head(sync_id, length), part(name)).unwrap();
    connection
}

/// Status of the next response, and its body if that is JSON.
pub fn read_answer(connection: &mut TcpStream) -> (u16, Value) {
    let (status, length) = read_head(connection);
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Status and body length of the next response.
fn read_head(connection: &mut TcpStream) -> (u16, usize) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let read = connection.read(&mut byte);
        assert!(matches!(read, Ok(1)), "no answer ({read:?}): {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    (head.split(' ').nth(1).unwrap().parse().unwrap(), length.unwrap_or(0))
}

/// Sends all bytes, or as many as the server accepts.
fn send(server: &TestServer, bytes: &[u8]) -> TcpStream {
    let mut connection = connect(server);
    let _ = connection.write_all(bytes);
    connection
}

fn refused(answered: &(u16, Value), code: u64) {
    let (status, body) = answered;
    assert_eq!((u64::from(*status), body["code"].as_u64()), (code / 100, Some(code)), "{body}");
    assert!(!body["msg"].as_str().unwrap().is_empty());
}

async fn assert_serves_on(server: &mut TestServer) {
    assert!(server.is_alive());
    let id = server.start_sync("/after", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.end_sync(id).await;
    assert!(!server.stderr().contains("panic"), "{}", server.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_shorter_than_its_length_fails_when_the_client_stops_and_leaves_nothing() {
    let mut server = TestServer::start_with(&["--upload-idle-timeout", "500ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    // Half closed: it can still read.
    let connection = begin(&server, id, "closed", 1_000);
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    server.eventually(async || server.history("status=Failed").await.first().cloned()).await;
    let mut silent = begin(&server, id, "silent", 1_000);
    refused(&read_answer(&mut silent), 40002);
    let rows = server.history("").await;
    assert!(rows.iter().all(|row| row["message"].as_str().unwrap().contains("send the file again")), "{rows:?}");
    assert!(server.file_names("").is_empty());
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_its_length_is_cut_and_the_rest_is_not_a_request() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let whole = format!("{}content\r\n--b--\r\n", part("a.csv"));
    // The end of the part is beyond the announced length.
    let mut connection = send(&server, format!("{}{whole}", head(id, whole.len() - 8)).as_bytes());
    refused(&read_answer(&mut connection), 40002);
    assert_eq!(server.history("").await[0]["sync_status"], "Failed");
    assert!(server.file_names("").is_empty());
    // Complete, followed by garbage on the connection.
    let mut connection = send(&server, format!("{}{whole}rubbish\r\n\r\n", head(id, whole.len())).as_bytes());
    assert_eq!(read_answer(&mut connection).0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"content");
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_multipart_are_refused_with_the_reason() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let long_head = format!("--b\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many_lines = format!("--b\r\n{}\r\n", "X: y\r\n".repeat(100));
    let rubbish: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bodies: [&[u8]; 9] = [
        b"",
        b"\0\xff\xfe",
        &rubbish,
        b"--b",
        b"--b\r\n",
        b"--bContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n1\r\n--b--",
        long_head.as_bytes(),
        many_lines.as_bytes(),
        b"--b\r\nno header line\r\n\r\n1\r\n--b--",
    ];
    for body in bodies {
        let mut connection = send(&server, &[head(id, body.len()).as_bytes(), body].concat());
        refused(&read_answer(&mut connection), 40002);
    }
    // A form, with a name that sending it again does not help.
    let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\xff\"\r\n\r\n1\r\n--b--";
    let mut connection = send(&server, &[head(id, body.len()).as_bytes(), body].concat());
    refused(&read_answer(&mut connection), 40000);
    assert!(server.file_names("").is_empty());
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_that_never_ends_its_part_fails_at_the_end_of_the_body() {
    let mut server = TestServer::start_with(&["--max-upload-size", "8MB"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    // Near matches of a delimiter, without a real one.
    let tease = "\r\n--".repeat(500_000);
    let body = format!("{}{tease}", part("a.csv"));
    let mut connection = send(&server, format!("{}{body}", head(id, body.len())).as_bytes());
    refused(&read_answer(&mut connection), 40002);
    // Without an end, it exceeds the maximum size of a file.
    let mut connection = connect(&server);
    let sent = connection.write_all(format!("{}{}", head(id, u64::MAX / 2), part("endless")).as_bytes());
    sent.unwrap();
    let chunk = [b'x'; 65_536];
    while connection.write_all(&chunk).is_ok() {}
    let row = server.eventually(async || server.history("status=Failed&from=1").await.first().cloned()).await;
    assert!(row["message"].as_str().unwrap().contains("the upload limit of this server"), "{row}");
    assert!(server.file_names("").is_empty());
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_tiny_parts_take_little_memory_and_get_a_response() {
    const PARTS: usize = 1_000_000;
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let field = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
    let mut connection = connect(&server);
    connection.write_all(head(id, field.len() * PARTS + 5).as_bytes()).unwrap();
    let thousand = field.repeat(1000);
    for _ in 0..PARTS / 1000 {
        connection.write_all(thousand.as_bytes()).unwrap();
    }
    connection.write_all(b"--b--").unwrap();
    let answered = read_answer(&mut connection);
    refused(&answered, 40000);
    assert!(answered.1["msg"].as_str().unwrap().contains("has no file"));
    assert_peak_below(&server, 150);
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_refused_files_in_one_body_take_little_memory_and_get_a_short_response() {
    const FILES: usize = 2_000;
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let file = format!("{}1\r\n", part(&format!(".{}", "x".repeat(15_000))));
    let mut connection = connect(&server);
    connection.write_all(head(id, file.len() * FILES + 5).as_bytes()).unwrap();
    for _ in 0..FILES {
        connection.write_all(file.as_bytes()).unwrap();
    }
    connection.write_all(b"--b--").unwrap();
    let (status, length) = read_head(&mut connection);
    assert_eq!(status, 400);
    assert!(length < 1_000_000, "the answer is {length} bytes long");
    assert_peak_below(&server, 150);
    assert_serves_on(&mut server).await;
}

/// Asserts a limit on the peak memory of the server.
pub fn assert_peak_below(server: &TestServer, mebibytes: u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < mebibytes * 1024, "the server had {} MiB at its peak", peak / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_headers_and_garbage_instead_of_http_are_refused_at_once() {
    let mut server = TestServer::start().await;
    let long_line = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(1_000_000));
    let many_lines = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Many: y\r\n".repeat(100_000));
    let long_address = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(1_000_000));
    for request in
        [long_line.as_str(), &many_lines, &long_address, "\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "SSH-2.0-x\r\n\r\n"]
    {
        let mut connection = send(&server, request.as_bytes());
        let mut answered = Vec::new();
        // A server that rejects early may also just close.
        let _ = connection.read_to_end(&mut answered);
        let answered = String::from_utf8_lossy(&answered);
        assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 4"), "{answered}");
    }
    assert_peak_below(&server, 150);
    assert_serves_on(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_too_long_too_deep_or_of_another_shape_is_refused() {
    let mut server = TestServer::start().await;
    let start = format!("{}/api/ingestion/file/sync/start", server.url);
    let deep = "[".repeat(30_000);
    for body in ["", "null", "[]", "\u{feff}{}", &deep] {
        refused(&answer(server.client.post(&start).body(body.to_owned())).await, 40000);
    }
    // A start may declare many files; the other calls are short.
    for (call, length) in [("end", 2_000_000), ("start", 33_554_433)] {
        let address = format!("{}/api/ingestion/file/sync/{call}", server.url);
        refused(&answer(server.client.post(address).body("x".repeat(length))).await, 41300);
    }
    refused(&answer(server.client.post(&start).body(b"{\"name\":\"\xff\"}".to_vec())).await, 40000);
    assert_serves_on(&mut server).await;
}
