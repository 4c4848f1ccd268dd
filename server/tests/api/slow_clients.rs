//! Slow clients: no unfinished body and no unread response occupies a connection forever, on any route.

use crate::server::{TestServer, path_of};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const IDLE: &str = "300ms";

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads until the server ends the connection.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is held: {error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends single bytes until the server ends the connection. False if it never does.
fn drip(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    for _ in 0..500 {
        if stream.write_all(b"1").is_err() {
            return true;
        }
        let mut byte = [0];
        match stream.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return true,
        }
    }
    false
}

/// Unfinished requests of every kind with a body, each with a larger announced length.
async fn unfinished_requests(server: &TestServer) -> Vec<(&'static str, String)> {
    let key = &server.key;
    let id = server.start_sync("/data/slow", "IncrementalSync").await;
    let new_upload = || async {
        let headers = [("tus-resumable", "1.0.0"), ("upload-length", "100000"), ("upload-metadata", "filename YQ==")];
        let mut request = server.client.post(format!("{}/api/lake/files?sync_id={id}", server.url)).bearer_auth(key);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        path_of(request.send().await.unwrap().headers()["location"].to_str().unwrap())
    };
    let tus = new_upload().await;
    let ietf = new_upload().await;
    let post = |address: &str, more: &str, body: &str| {
        let (method, address) = address.split_once(' ').unwrap_or(("POST", address));
        format!("{method} {address} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n{more}\r\n\r\n{body}")
    };
    let part = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"slow.csv\"\r\n\r\n1";
    let multipart = "content-type: multipart/form-data; boundary=b\r\n";
    let long = "content-length: 100000";
    let chunked = "transfer-encoding: chunked";
    let upload = format!("/api/lake/file/upload?sync_id={id}");
    let whole = format!("PUT /api/lake/file/resumable/whole.csv?sync_id={id}");
    let tus_headers =
        format!("tus-resumable: 1.0.0\r\nupload-offset: 0\r\ncontent-type: application/offset+octet-stream\r\n{long}");
    let ietf_headers =
        format!("upload-complete: ?1\r\nupload-offset: 0\r\ncontent-type: application/partial-upload\r\n{long}");
    vec![
        (
            "the sign-in form",
            post("/sign-in", "content-length: 100\r\ncontent-type: application/x-www-form-urlencoded", "k"),
        ),
        ("a sign-out", post("/sign-out", "content-length: 100", "k")),
        ("a server function", post("/fn/session", "content-length: 100\r\ncontent-type: application/json", "{")),
        ("a small JSON body", post("/api/ingestion/file/sync/end", "content-length: 100", "{")),
        (
            "a JSON body that waits to be asked",
            post("/api/ingestion/file/sync/end", "content-length: 9\r\nexpect: 100-continue", ""),
        ),
        ("a long JSON body", post("/api/lake/file/missing", long, &format!("{{{}", " ".repeat(70_000)))),
        ("a declaration", post("/api/lake/file/sync/expect", long, "{")),
        ("a part", post(&upload, &format!("{multipart}{long}"), part)),
        ("the head of a part", post(&upload, &format!("{multipart}{long}"), "--b\r\ncontent-dis")),
        ("a preamble", post(&upload, &format!("{multipart}{long}"), "never a part")),
        (
            "a chunked upload",
            post(&upload, &format!("{multipart}{chunked}"), &format!("{:x}\r\n{part}\r\n", part.len())),
        ),
        ("a chunk's size", post(&upload, &format!("{multipart}{chunked}"), "00000")),
        ("a chunk's extension", post(&upload, &format!("{multipart}{chunked}"), "5;name=")),
        ("trailers", post(&upload, &format!("{multipart}{chunked}"), "1\r\nx\r\n0\r\nname: v")),
        ("a tus chunk", post(&format!("PATCH {tus}"), &tus_headers, "1")),
        ("an IETF chunk", post(&format!("PATCH {ietf}"), &ietf_headers, "1")),
        ("a whole file", post(&whole, long, "1")),
        ("a file that may be gone on with", post(&whole, &format!("upload-complete: ?0\r\n{long}"), "1")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_is_ended_on_every_route() {
    let server = TestServer::start_with(&["--upload-idle-timeout", IDLE]).await;
    let open: Vec<_> = unfinished_requests(&server)
        .await
        .into_iter()
        .map(|(kind, text)| {
            let mut stream = connect(&server);
            stream.write_all(text.as_bytes()).unwrap();
            (kind, stream)
        })
        .collect();
    for (kind, mut stream) in open {
        let answer = read_to_end(&mut stream);
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{kind}: {answer:?}");
        assert!(answer.contains("no data for 300ms") || kind == "trailers", "{kind}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_bytes_keep_a_connection_no_longer_than_silence() {
    let server = TestServer::start_with(&["--upload-idle-timeout", IDLE]).await;
    let dripping: Vec<_> = unfinished_requests(&server)
        .await
        .into_iter()
        .map(|(kind, text)| {
            let mut stream = connect(&server);
            stream.write_all(text.as_bytes()).unwrap();
            std::thread::spawn(move || (kind, drip(&mut stream)))
        })
        .collect();
    for dripping in dripping {
        let (kind, has_ended) = dripping.join().unwrap();
        assert!(has_ended, "{kind} is held by a byte now and then");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_with_progress_outlives_the_idle_timeout() {
    let server = TestServer::start_with(&["--upload-idle-timeout", "1s"]).await;
    let id = server.start_sync("/data/slow", "IncrementalSync").await;
    let mut stream = connect(&server);
    let (head, end) =
        ("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"slow.csv\"\r\n\r\n", "\r\n--b--\r\n");
    let chunks = 20;
    let chunk = [7; 200];
    let length = head.len() + chunks * chunk.len() + end.len();
    write!(
        stream,
        "POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n\r\n{head}",
        server.key
    )
    .unwrap();
    for _ in 0..chunks {
        // 2,000 bytes a second for two seconds.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(&chunk).unwrap();
    }
    stream.write_all(end.as_bytes()).unwrap();
    assert!(read_to_end(&mut stream).starts_with("HTTP/1.1 200"));
}

/// Asserts that others are served after all connections were occupied by clients that do not read.
async fn assert_unread_answers_end(server: &TestServer, request: &str, read: impl Fn(&mut TcpStream)) {
    let mut held: Vec<_> = (0..2).map(|_| connect(server)).collect();
    for stream in &mut held {
        stream.write_all(request.as_bytes()).unwrap();
    }
    let answered = async {
        loop {
            let client = reqwest::Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
            if client.get(format!("{}/healthz", server.url)).send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            held.iter_mut().for_each(&read);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("unread answers hold their connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_response_ends_its_connection() {
    let options = ["--upload-idle-timeout", IDLE, "--max-connections", "2", "--max-connections-per-address", "3"];
    let server = TestServer::start_with(&options).await;
    // More than the kernel buffers of a response.
    let id = server.start_sync("/data/large", "IncrementalSync").await;
    server.upload(id, "large.bin", &vec![7; 24 << 20]).await;
    // Only the connections of the test count.
    let server = server.kill_and_restart().await;
    let download = "GET /api/lake/file/download?path=/data/large/large.bin HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    assert_unread_answers_end(&server, download, |_| {}).await;
    // Reading single bytes makes no difference.
    assert_unread_answers_end(&server, download, |stream| drop(stream.read(&mut [0]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_its_share_of_connections_is_refused_and_others_are_served() {
    let server = TestServer::start_with(&["--max-connections-per-address", "4"]).await;
    let server = server.kill_and_restart().await;
    let mut held: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    let mut more = connect(&server);
    more.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
    let answer = read_to_end(&mut more);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("\"code\":50302") && answer.contains("--max-connections-per-address"), "{answer}");
    let elsewhere = reqwest::Client::builder().local_address("127.0.0.2".parse::<std::net::IpAddr>().unwrap());
    let answer = elsewhere.build().unwrap().get(format!("{}/healthz", server.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    held.pop();
    server
        .eventually(async || {
            let answer = server.client.get(format!("{}/healthz", server.url)).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_caller_of_a_server_function_are_client_errors() {
    let server = TestServer::start().await;
    let call = async |method: reqwest::Method, address: &str, body: String| {
        let request = server.client.request(method, format!("{}{address}", server.url)).body(body);
        let request = request.bearer_auth(&server.key).header(CONTENT_TYPE, "application/json");
        request.header(ACCEPT, "application/json").send().await.unwrap()
    };
    let post = reqwest::Method::POST;
    let nested = format!("{{\"parameters\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    for body in ["", "{", "[]", "{\"parameters\":7}", "\u{0}", &nested] {
        let answer = call(post.clone(), "/fn/syncs", body.into()).await;
        assert_eq!(answer.status(), 400, "{:.20}", body);
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["code"], 40000, "{answer}");
    }
    let form = format!("trash_ids{}=1", "[0]".repeat(5000));
    for body in [form.as_str(), "trash_ids[4294967295]=x", "trash_ids=%ff&trash_ids[]=2"] {
        let answer = call(post.clone(), "/fn/restore-trash", body.into()).await;
        assert!(answer.status().is_client_error(), "{:.40}: {}", body, answer.status());
    }
    let large = format!("{{\"parameters\":{{\"q\":\"{}\"}}}}", "a".repeat(3_000_000));
    let answer = call(post.clone(), "/fn/syncs", large).await;
    assert_eq!(answer.status(), 413);
    let answer = call(post, "/fn/no-such-function", "{}".into()).await;
    assert_eq!(
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap()["code"].clone()),
        (404, 40400.into())
    );
    assert_eq!(call(reqwest::Method::PUT, "/fn/syncs", "{}".into()).await.status(), 405);
}
