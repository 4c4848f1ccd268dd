//! Log at its most verbose level: no secret, and no forged line.

use crate::server::{TestServer, answer, path_of};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A name that ends a log line and begins another, with terminal control sequences.
const FORGED: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[31m\u{9b}2J";

fn raw(server: &TestServer, request: &str) {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let _ = connection.shutdown(std::net::Shutdown::Write);
    let _ = connection.read_to_end(&mut Vec::new());
}

#[tokio::test]
async fn no_level_of_the_log_holds_a_secret() {
    let server = TestServer::start_with(&["--log", "trace", "--auth", "required"]).await;
    let key = server.key.clone();
    let bearer = |request: reqwest::RequestBuilder| request.header("Authorization", format!("Bearer {key}"));
    let mut secrets = vec![key.clone()];
    // A key in the body, in each header, and at wrong places.
    let id = server.start_sync("/d/x", "IncrementalSync").await;
    answer(server.get("/api/ingestion/file/sync/list").header("X-API-Key", &key)).await;
    for address in
        ["/api/ingestion/file/sync/list?api_key=", "/syncs?token=", "/sign-in/link/", "/nowhere/", "/api/", "/fn/"]
    {
        bearer(server.get(&format!("{address}{key}"))).send().await.unwrap();
        bearer(server.post(&format!("{address}{key}"), &json!({ "api_key": key }))).send().await.unwrap();
    }
    // Tokens of resumable uploads in URLs.
    let created = bearer(server.client.post(format!("{}/api/lake/files?sync_id={id}", server.url)))
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Length", "20")
        .header("Upload-Metadata", crate::tus_client::metadata(&[("filename", "a")]));
    let created = created.send().await.unwrap();
    assert_eq!(created.status(), 201);
    let location = path_of(created.headers()["location"].to_str().unwrap());
    secrets.push(location.rsplit('/').next().unwrap().to_owned());
    let address = format!("{}{location}", server.url);
    for method in [reqwest::Method::HEAD, reqwest::Method::PATCH, reqwest::Method::DELETE, reqwest::Method::GET] {
        bearer(server.client.request(method, &address)).header("Tus-Resumable", "1.0.0").send().await.unwrap();
    }
    bearer(server.client.head(&address)).header("Host", "evil.example").send().await.unwrap();
    bearer(server.get(&format!("/syncs/{key}"))).header("Host", "evil.example").send().await.unwrap();
    // Sign-in, and its cookie.
    let form = [("key", key.as_str())];
    let signed_in = server.client.post(format!("{}/sign-in", server.url)).form(&form).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    secrets.push(cookie.split_once('=').unwrap().1.to_owned());
    server.get("/").header("Cookie", &cookie).send().await.unwrap();
    server.get("/api/events").header("Cookie", &cookie).send().await.unwrap();
    // Malformed heads and bodies.
    raw(&server, &format!("GET /{key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nbroken {key}\r\n\r\n"));
    raw(&server, &format!("{key} / HTTP/1.1\r\nHost: x\r\n\r\n"));
    raw(
        &server,
        &format!(
            "POST /api/ingestion/file/sync/start HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{\"api_key\":\"{key}\""
        ),
    );
    server.eventually(async || server.stderr().contains("request").then_some(())).await;
    let said = server.stderr();
    for secret in secrets {
        assert!(secret.len() > 20 && !said.contains(&secret), "{secret} is in the log: {said}");
    }
    assert!(said.contains("sync/start"), "requests are told of by their route: {said}");
}

#[tokio::test]
async fn the_sign_in_link_is_printed_in_one_line_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let server = crate::server::Stopped::new(folder, data_dir, &["--log", "trace"]).start().await;
    let link = server.eventually(async || {
        let said = server.stderr();
        said.split("token=").nth(1).and_then(|rest| rest.split_once('\n')).map(|(token, _)| token.to_owned())
    });
    let link = link.await;
    for address in ["/sign-in/link?token=", "/sign-in/link?x=1&token=", "/sign-in?token=", "/?token="] {
        server.get(&format!("{address}{link}")).send().await.unwrap();
    }
    server.eventually(async || server.stderr().contains("answered").then_some(())).await;
    assert_eq!(server.stderr().matches(&link).count(), 1);
}

#[tokio::test]
async fn no_value_forges_a_line_of_the_log_or_reaches_a_terminal_raw() {
    let server = TestServer::start_with(&["--log", "trace"]).await;
    let body = json!({ "name": FORGED, "path": "/d/x", "api_key": server.key, "sync_type": "IncrementalSync" });
    answer(server.post("/api/ingestion/file/sync/start", &body)).await;
    server.try_upload("sync_id=1", &[(FORGED, b"x"), ("ok", b"x")]).await;
    let encoded = "/api/lake/file/list?path=/x%0a2026-01-01%20ERROR%20forged%1b%5b2J";
    server.get(encoded).send().await.unwrap();
    server.get("/x%0a2026-01-01%20ERROR%20forged%1b%5b2J").send().await.unwrap();
    raw(&server, "GET /\x1b[2J HTTP/1.1\r\nHost: x\r\nX: \x1b[2J\r\n\r\n");
    raw(&server, "\x1b[2J / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n");
    server.end_sync(1).await;
    let said = server.stderr();
    for line in said.lines() {
        assert_eq!(lakeshore_system::terminal::visible(line), line);
        assert!(!line.starts_with("2026-01-01"), "{line}");
    }
}
