//! Log at its default level: actions with their actors, and refusals.

use crate::server::{TestServer, answer};
use serde_json::json;

/// Waits for the line with all of these parts.
async fn line(server: &TestServer, parts: &[&str]) -> String {
    server
        .eventually(async || {
            let said = server.stderr();
            said.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        })
        .await
}

#[tokio::test]
async fn each_start_end_hold_failure_and_refusal_is_logged_with_actor_and_origin() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let told = line(&server, &["sync_started", "who=\"test\"", "path=\"/data/t\""]).await;
    assert!(told.contains(" INFO ") && told.contains("127.0.0.1") && told.contains(&format!("sync_id={id}")), "{told}");
    server.try_end(id, json!({})).await;
    line(&server, &["sync_held", "path=\"/data/t\""]).await;
    let refused = line(&server, &["refused", "code=40903", "who=\"test\""]).await;
    assert!(refused.contains("/api/ingestion/file/sync/end") && refused.contains("127.0.0.1"), "{refused}");
    server.upload(id, "a", b"1").await;
    server.end_sync(id).await;
    line(&server, &["sync_ended", "outcome=\"done\"", "files=1"]).await;
    // A guest has no name, and a failed upload is logged with its sync.
    let request = server.upload_request(&format!("sync_id={id}"), &[("b", b"late")]);
    assert_eq!(answer(request).await.0, 409);
    let late = line(&server, &["refused", "code=40900"]).await;
    assert!(late.contains(&format!("sync_id=\"{id}\"")) && !late.contains("who="), "{late}");
    let aborted = server.start_sync("/data/t", "FullSync").await;
    server.try_abort(aborted).await;
    line(&server, &["sync_aborted", &format!("sync_id={aborted}")]).await;
    assert!(!server.stderr().contains(&server.key), "no secret");
}

#[tokio::test]
async fn no_name_forges_a_line_or_reaches_a_terminal_unescaped() {
    let server = TestServer::start().await;
    let name = "x\n2026-01-01T00:00:00Z  INFO forged: line\r\u{1b}[2J\u{202e}";
    let start = json!({ "name": name, "path": "/data/t", "api_key": server.key, "sync_type": "FullSync" });
    assert_eq!(answer(server.post("/api/ingestion/file/sync/start", &start)).await.0, 200);
    line(&server, &["sync_started", "forged"]).await;
    let path = "/data/%0A2026-01-01T00:00:00Z%20%20INFO%20forged:%20again%1B%5B2J";
    let request = server.upload_request(&format!("sync_id=99&path={path}"), &[("a", b"1")]);
    assert_eq!(answer(request).await.0, 404);
    line(&server, &["refused", "again"]).await;
    let said = server.stderr();
    assert!(!said.lines().any(|line| line.starts_with("2026-01-01")), "{said}");
    assert!(!said.contains(['\r', '\u{1b}', '\u{202e}']), "{said:?}");
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_not_logged() {
    let server = TestServer::start().await;
    for n in 0..200 {
        answer(server.get(&format!("/api/ingestion/file/sync/{}", 1000 + n))).await;
    }
    // Another kind of refusal is still logged.
    answer(server.get("/api/no/such/address")).await;
    line(&server, &["refused", "code=40400"]).await;
    let lines = server.stderr().lines().filter(|line| line.contains("code=40401")).count();
    assert_eq!(lines, 60);
}
