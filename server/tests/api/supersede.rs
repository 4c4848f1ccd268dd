//! Superseding: a held or silent full sync gives way to a new start on its path. So a script that uses only the
//! documented calls, which have no abort, is never blocked by an earlier run.

use crate::server::{TestServer, answer, assert_refused};
use crate::tus_client::Tus;
use serde_json::{Value, json};
use std::time::Duration;

const AT_ONCE: [&str; 2] = ["--supersede-after", "1ms"];

async fn start(server: &TestServer, path: &str, sync_type: &str) -> (u16, Value) {
    let body = json!({ "name": "n", "path": path, "api_key": server.key, "sync_type": sync_type });
    answer(server.post("/api/ingestion/file/sync/start", &body)).await
}

async fn started(server: &TestServer, path: &str, sync_type: &str) -> u64 {
    let (status, body) = start(server, path, sync_type).await;
    assert_eq!(status, 200, "{body}");
    body["sync_id"].as_u64().unwrap()
}

/// Long enough for a sync to count as silent.
async fn silence() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_silent_full_sync_is_superseded_and_its_files_go_to_the_trash() {
    let server = TestServer::start_with(&AT_ONCE).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    server.upload(old, "a.csv", b"from the run that crashed").await;
    silence().await;
    let new = started(&server, "/data/t", "FullSync").await;
    let sync = server.sync(old).await;
    assert_eq!(
        (&sync["sync_status"], &sync["message"]),
        (&json!("Failed"), &json!(format!("superseded by sync {new}")))
    );
    // Clients of the old sync are told the new one.
    let said = format!("superseded by sync {new}");
    let late = server.upload_request(&format!("sync_id={old}"), &[("b.csv", b"late")]);
    assert_refused(answer(late).await, 40900, &said);
    assert_refused(server.try_end(old, json!({})).await, 40900, &said);
    let trash = server.rows("/api/lake/trash").await;
    assert_eq!((&trash[0]["reason"], &trash[0]["sync_id"]), (&json!("Superseded"), &json!(old)));
    server.upload(new, "b.csv", b"new").await;
    server.end_sync(new).await;
    assert_eq!(server.file_names("data/t"), ["b.csv"]);
    let activity = server.rows("/api/lake/activity?what=sync_superseded").await;
    assert_eq!((&activity[0]["sync_id"], &activity[0]["message"]), (&json!(old), &json!(said)));
    assert_eq!(activity[0]["by"]["name"], "test", "whoever has started the new one");
    // The old files can be restored completely.
    let body = json!({ "trash_id": trash[0]["trash_id"], "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
}

#[tokio::test]
async fn active_full_syncs_and_those_on_another_path_are_not_superseded() {
    let server = TestServer::start_with(&["--supersede-after", "1h"]).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    for path in ["/data/t", "/data", "/data/t/below"] {
        assert_refused(start(&server, path, "FullSync").await, 40901, &format!("sync {old}"));
    }
    let server = TestServer::start_with(&AT_ONCE).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    silence().await;
    for path in ["/data", "/data/t/below"] {
        assert_refused(start(&server, path, "FullSync").await, 40901, &format!("sync {old}"));
    }
    // An incremental start supersedes a full sync too, but is never superseded.
    let new = started(&server, "/data/t", "IncrementalSync").await;
    silence().await;
    assert_refused(start(&server, "/data/t", "FullSync").await, 40901, &format!("sync {new}"));
}

#[tokio::test]
async fn with_never_no_full_sync_is_superseded_held_or_not() {
    for never in ["never", "0"] {
        let server = TestServer::start_with(&["--supersede-after", never]).await;
        let old = server.start_sync("/data/t", "FullSync").await;
        assert_refused(server.try_end(old, json!({})).await, 40903, "held");
        silence().await;
        assert_refused(start(&server, "/data/t", "FullSync").await, 40901, &format!("sync {old}"));
    }
}

#[tokio::test]
async fn a_script_with_only_the_documented_calls_continues_after_an_empty_run() {
    let server = TestServer::start().await;
    for path in ["/data/new", "/data/known"] {
        if path == "/data/known" {
            let first = server.start_sync(path, "FullSync").await;
            server.upload(first, "a.csv", b"1").await;
            server.end_sync(first).await;
        }
        let empty = server.start_sync(path, "FullSync").await;
        assert_refused(server.try_end(empty, json!({})).await, 40903, "held");
        assert!(server.sync(empty).await["held"].is_object());
        // The next run starts at once.
        let next = started(&server, path, "FullSync").await;
        server.upload(next, "b.csv", b"2").await;
        server.end_sync(next).await;
        assert_eq!(server.sync(empty).await["message"], format!("superseded by sync {next}"));
        assert!(server.sync(empty).await.get("held").is_none());
        assert_eq!(server.file_names(path.trim_start_matches('/')), ["b.csv"]);
    }
}

#[tokio::test]
async fn an_upload_in_flight_prevents_superseding() {
    let server = TestServer::start_with(&AT_ONCE).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
        let chunk: Result<Vec<u8>, std::io::Error> = receiver.recv().await?;
        Some((chunk, receiver))
    });
    let body = reqwest::Body::wrap_stream(chunks);
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n";
    sender.send(Ok(head.as_bytes().to_vec())).await.unwrap();
    sender.send(Ok(vec![7; 300_000])).await.unwrap();
    let request = server
        .client
        .post(format!("{}/api/lake/file/upload?sync_id={old}", server.url))
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(body);
    let sending = tokio::spawn(async move { answer(request).await });
    server.eventually(async || (server.sync(old).await["num_in_flight"] == 1).then_some(())).await;
    silence().await;
    assert_refused(start(&server, "/data/t", "FullSync").await, 40901, &format!("sync {old}"));
    sender.send(Ok(b"\r\n--b--\r\n".to_vec())).await.unwrap();
    drop(sender);
    assert_eq!(sending.await.unwrap().0, 200);
}

#[tokio::test]
async fn one_of_two_concurrent_starts_supersedes_and_uploads_land_or_learn_of_it() {
    let server = TestServer::start_with(&AT_ONCE).await;
    for round in 0..8 {
        let path = format!("/data/t{round}");
        let old = server.start_sync(&path, "FullSync").await;
        server.upload(old, "kept", b"x").await;
        silence().await;
        let upload = answer(server.upload_request(&format!("sync_id={old}"), &[("beside", b"y")]));
        let end = server.try_end(old, json!({}));
        let (first, second, (upload, said), (end, _)) =
            tokio::join!(start(&server, &path, "FullSync"), start(&server, &path, "FullSync"), upload, end);
        let sync = server.sync(old).await;
        let won = [&first, &second].iter().filter(|(status, _)| *status == 200).count();
        match sync["sync_status"].as_str().unwrap() {
            "Failed" => {
                assert!(won >= 1 && end == 409, "{first:?} {second:?} {end}");
                assert!(upload == 200 || said["msg"].as_str().unwrap().contains("superseded"), "{said}");
                assert!(server.file_names(path.trim_start_matches('/')).is_empty(), "nothing of it was published");
            }
            "Finished" => assert!(end == 200 && (upload == 200 || upload == 409), "{upload} {end}"),
            other => panic!("{other}: {first:?} {second:?} {end}"),
        }
    }
}

#[tokio::test]
async fn a_kill_during_superseding_leaves_both_syncs_consistent() {
    let server = TestServer::start_with(&AT_ONCE).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    server.upload(old, "a.csv", b"1").await;
    let stopped = server.kill();
    let mut dying = stopped.try_start(&[("LAKESHORE_CRASH_AT", "supersede.remembered")]).await.unwrap();
    silence().await;
    let body = json!({ "name": "n", "path": "/data/t", "api_key": dying.key, "sync_type": "FullSync" });
    assert!(dying.post("/api/ingestion/file/sync/start", &body).send().await.is_err(), "it was killed amid the start");
    dying.eventually_ended();
    let server = stopped.start().await;
    let (old, new) = (server.sync(old).await, server.sync(old + 1).await);
    assert_eq!((&old["sync_status"], &old["message"]), (&json!("Failed"), &json!("superseded by sync 2")));
    assert_eq!(new["sync_status"], "Syncing");
    assert_eq!(server.rows("/api/lake/trash").await[0]["reason"], "Superseded");
    server.upload(2, "b.csv", b"2").await;
    server.end_sync(2).await;
    assert_eq!(server.file_names("data/t"), ["b.csv"]);
}

#[tokio::test]
async fn an_idle_resumable_upload_does_not_prevent_superseding_and_learns_the_successor() {
    let server = TestServer::start_with(&AT_ONCE).await;
    let tus = Tus(&server);
    let old = server.start_sync("/data/t", "FullSync").await;
    let address = tus.create(old, "big", 10).await;
    assert_eq!(tus.append(&address, 0, b"some").await, (204, Some(4)));
    // The time of the last byte is known to a second.
    let attempt = async || Some(start(&server, "/data/t", "FullSync").await).filter(|(status, _)| *status == 200);
    let new = server.eventually(attempt).await.1["sync_id"].as_u64().unwrap();
    let row = server.rows(&format!("/api/ingestion/file/sync/history?sync_id={old}")).await[0].clone();
    assert_eq!(row["sync_status"], "Failed");
    assert!(row["message"].as_str().unwrap().contains(&format!("superseded by sync {new}")), "{row}");
    assert_refused(answer(tus.chunk(&address, 4, b"things")).await, 41000, &format!("superseded by sync {new}"));
    // A recently active upload counts as in flight.
    let server = TestServer::start_with(&["--supersede-after", "1h"]).await;
    let old = server.start_sync("/data/t", "FullSync").await;
    Tus(&server).create(old, "big", 10).await;
    assert_refused(server.try_end(old, json!({})).await, 40902, "big");
    assert_refused(start(&server, "/data/t", "FullSync").await, 40901, &format!("sync {old}"));
}
