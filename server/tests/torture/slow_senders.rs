//! Hundreds of clients that send single bytes, or nothing, beside active ones.

use crate::bodies::{assert_peak_below, begin, connect, head, part};
use crate::server::{TestServer, skipped};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SLOW: usize = 500;

/// Sends a byte a second on each of the connections, until told to stop.
fn drip(mut connections: Vec<TcpStream>, stop: &AtomicBool) -> Vec<TcpStream> {
    while !stop.load(Ordering::Relaxed) {
        for connection in &mut connections {
            let _ = connection.write_all(b"x");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_senders_do_not_block_other_uploads() {
    let server = TestServer::start().await;
    let slow = server.start_sync("/slow", "IncrementalSync").await;
    let connections: Vec<_> = (0..SLOW).map(|n| begin(&server, slow, &format!("slow-{n}"), 1_000_000)).collect();
    // As many again that have not reached their first part.
    let heads: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut connection = connect(&server);
            connection.write_all(head(slow, 1_000_000).as_bytes()).unwrap();
            connection
        })
        .collect();
    server.eventually(async || (server.sync(slow).await["num_in_flight"] == json!(SLOW)).then_some(())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let dripping = std::thread::spawn({
        let (all, stop) = (connections.into_iter().chain(heads).collect(), stop.clone());
        move || drip(all, &stop)
    });
    let id = server.start_sync("/quick", "FullSync").await;
    let bytes = vec![7; 4_000_000];
    for n in 0..50 {
        server.upload(id, &format!("small-{n}"), b"1").await;
        if n % 5 == 0 {
            server.upload(id, &format!("large-{n}"), &bytes).await;
        }
    }
    server.end_sync(id).await;
    assert_eq!(server.file_names("quick").len(), 60);
    assert_eq!(server.sync(slow).await["num_in_flight"], json!(SLOW), "the slow ones are still at it");
    assert_peak_below(&server, 200);
    stop.store(true, Ordering::Relaxed);
    drop(dripping.join().unwrap());
    server.eventually(async || (server.sync(slow).await["num_failed"] == json!(SLOW)).then_some(())).await;
    server.end_sync(slow).await;
    assert!(server.file_names("slow").is_empty());
    // The row of a failed upload comes first; its bytes are removed right after.
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_received_while_the_server_was_paused_precede_the_idle_timeout() {
    const UPLOADS: usize = 8;
    const SIZE_BYTES: usize = 400_000;
    let server = TestServer::start_with(&["--upload-idle-timeout", "1s"]).await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    let (half, end) = (vec![b'x'; SIZE_BYTES / 2], "\r\n--b--");
    let mut uploads: Vec<_> = (0..UPLOADS)
        .map(|n| {
            let (mut connection, begin) = (connect(&server), part(&format!("f-{n}")));
            write!(connection, "{}{begin}", head(id, begin.len() + SIZE_BYTES + end.len())).unwrap();
            connection.write_all(&half).unwrap();
            connection
        })
        .collect();
    server.eventually(async || (server.sync(id).await["num_in_flight"] == json!(UPLOADS)).then_some(())).await;
    server.signal("STOP");
    for connection in &mut uploads {
        connection.write_all(&half).unwrap();
        connection.write_all(end.as_bytes()).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.signal("CONT");
    for connection in &mut uploads {
        assert_eq!(crate::bodies::read_answer(connection).0, 200);
    }
    server.end_sync(id).await;
    assert_eq!(server.file_names("d").len(), UPLOADS);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_large_uploads_take_bounded_memory() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let uploads: Vec<_> = (0..32)
        .map(|n| {
            let mut connection = connect(&server);
            std::thread::spawn(move || {
                let (begin, end) = (part(&format!("large-{n}")), "\r\n--b--");
                let size_bytes = 16 * 1024 * 1024;
                write!(connection, "{}{begin}", head(id, begin.len() + size_bytes + end.len())).unwrap();
                let chunk = vec![n; 1024 * 1024];
                for _ in 0..size_bytes / chunk.len() {
                    connection.write_all(&chunk).unwrap();
                }
                connection.write_all(end.as_bytes()).unwrap();
                crate::bodies::read_answer(&mut connection).0
            })
        })
        .collect();
    assert!(uploads.into_iter().all(|upload| upload.join().unwrap() == 200));
    assert_eq!(server.sync(id).await["size_bytes"], json!(32 * 16 * 1024 * 1024_u64));
    assert_peak_below(&server, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_send_nothing_do_not_use_up_the_server() {
    const FILES_MAX: usize = 128;
    let server = TestServer::start_with(&["--request-head-timeout", "500ms"]).await;
    let limit = format!("--nofile={FILES_MAX}");
    let limited = Command::new("prlimit").args(["--pid", &server.process_id().to_string(), &limit]).status();
    if !limited.is_ok_and(|status| status.success()) {
        return skipped("prlimit is missing, or may not set a limit");
    }
    let _silent: Vec<_> = (0..FILES_MAX + 50).map(|_| connect(&server)).collect();
    let _half_a_head: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = connect(&server);
            connection.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
            connection
        })
        .collect();
    // The server must drop silent connections, however long that takes.
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
    let answered = client.get(format!("{}/healthz", server.url)).send().await;
    assert!(answered.is_ok_and(|answer| answer.status() == 200), "silent connections shut everybody else out");
}
