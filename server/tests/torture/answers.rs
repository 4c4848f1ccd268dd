//! Uploads whose rows are written behind their answers: nobody may tell the difference, not even after a kill.

use crate::server::TestServer;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Kills, each right behind an answer.
const KILLS: usize = 25;
/// Stops, each right behind an answer.
const STOPS: usize = 12;
const SENDERS: usize = 6;
const FILES: usize = 20;

async fn finished(server: &TestServer) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    loop {
        let page = server.history(&format!("status=Finished&from={}&size=100", names.len())).await;
        if page.is_empty() {
            return names;
        }
        names.extend(page.iter().map(|upload| upload["file_name"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn an_upload_survives_a_kill_right_behind_its_answer() {
    let mut server = TestServer::start().await;
    let sync_id = server.start_sync("/data/t", "IncrementalSync").await;
    let mut answered = BTreeSet::new();
    for kill in 0..KILLS {
        // The rows of the first ones go with the intents of the next; those of the last are not written yet.
        for file in 0..=kill % 4 {
            // A larger one has a row before it lands.
            let length = if (kill + file) % 5 == 0 { 300_000 } else { 10 };
            let name = format!("{kill}-{file}");
            server.upload(sync_id, &name, &vec![b'x'; length]).await;
            answered.insert(name);
        }
        server = server.kill_and_restart().await;
        assert_eq!(finished(&server).await, answered);
        assert_eq!(server.file_names("data/t"), answered.iter().cloned().collect::<Vec<_>>());
    }
    let sync = server.sync(sync_id).await;
    assert_eq!((&sync["total_files"], &sync["num_in_flight"]), (&answered.len().into(), &0.into()), "{sync}");
    server.end_sync(sync_id).await;
}

#[tokio::test]
async fn a_stop_right_behind_an_answer_exits_with_success_and_keeps_the_row() {
    let mut server = TestServer::start().await;
    let sync_id = server.start_sync("/data/t", "IncrementalSync").await;
    for stop in 0..STOPS {
        server.upload(sync_id, &stop.to_string(), b"x").await;
        assert_eq!(server.stop(), Some(0), "{}", server.stderr());
        assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
        server = server.kill_and_restart().await;
        assert_eq!(finished(&server).await.len(), stop + 1);
    }
}

#[tokio::test]
async fn every_reader_sees_an_upload_from_its_answer_on_while_others_land() {
    let server = Arc::new(TestServer::start().await);
    let sync_id = server.start_sync("/data/t", "IncrementalSync").await;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let server = server.clone();
        senders.spawn(async move {
            let mut before = 0;
            for file in 0..FILES {
                let name = format!("{sender}-{file}");
                server.upload(sync_id, &name, name.as_bytes()).await;
                // Each asks for something else first, as the first to ask has the rows written.
                match (sender + file) % 3 {
                    0 => assert!(finished(&server).await.contains(&name), "{name} is not in the history"),
                    1 => {
                        let total = server.sync(sync_id).await["total_files"].as_u64().unwrap();
                        assert!(total > before, "{name} is not counted: {total}");
                        before = total;
                    }
                    _ => {
                        let path = format!("/api/lake/file/download?path=/data/t/{name}");
                        let response = server.get(&path).bearer_auth(&server.key).send().await.unwrap();
                        assert!(response.headers().contains_key("lakeshore-version"), "{name} has no version");
                        assert_eq!(response.text().await.unwrap(), name);
                    }
                }
            }
        });
    }
    senders.join_all().await;
    assert_eq!(finished(&server).await.len(), SENDERS * FILES);
    server.end_sync(sync_id).await;
}
