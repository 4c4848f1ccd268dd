//! `get` of a version, and `snapshot`.

use crate::machine::{Ended, Machine};
use crate::server::TestServer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const T: &str = "/data/t";
const FILES: usize = 12;

/// Each file has the number of its generation, and a size that depends on it.
async fn publish(server: &TestServer, generation: usize) {
    let id = server.start_sync(T, "FullSync").await;
    let bytes = format!("generation {generation}{}\n", ".".repeat(generation % 7)).into_bytes();
    let names: Vec<_> = (0..FILES).map(|file| format!("part-{file}.csv")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), bytes.as_slice())).collect();
    let (status, body) = server.try_upload(&format!("sync_id={id}"), &files).await;
    assert_eq!(status, 200, "{body}");
    server.end_sync(id).await;
}

#[tokio::test]
async fn get_fetches_the_requested_version_and_reports_a_missing_one() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    publish(&server, 1).await;
    publish(&server, 2).await;
    machine.run(&["get", T, "one", "--version", "1"]).assert(0, "12 files");
    machine.run(&["get", T, "two"]).assert(0, "12 files");
    assert!(machine.files("one").values().all(|bytes| bytes.starts_with(b"generation 1.")));
    assert!(machine.files("two").values().all(|bytes| bytes.starts_with(b"generation 2.")));
    let first = server.rows(&format!("/api/lake/dataset/versions?path={T}")).await[1]["at"].to_string();
    machine.run(&["get", T, "then", "--as-of", &first]).assert(0, "12 files");
    assert_eq!(machine.files("then"), machine.files("one"));
    let file = format!("{T}/part-3.csv");
    machine.run(&["get", &file, "-", "--version", "1"]).assert(0, "generation 1");
    machine.run(&["get", T, "--version", "9"]).assert(3, "version 9 of /data/t not found");
    machine.run(&["get", &format!("{T}/nothing"), "--version", "1"]).assert(1, "has nothing at");
    machine.run(&["get", T, "--as-of", "yesterday"]).assert(3, "is not a time");
    let body = json!({ "all": true, "api_key": server.key });
    assert!(server.post("/api/lake/trash/empty", &body).send().await.unwrap().status().is_success());
    machine.run(&["get", T, "gone", "--version", "1"]).assert(1, "removed for good");
    machine.run(&["get", "/data", "all"]).assert(0, "12 files");
    assert_eq!(machine.files("all/t"), machine.files("two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_and_snapshots_never_mix_generations_during_publishes() {
    let server = Arc::new(TestServer::start().await);
    publish(&server, 0).await;
    let machine = Machine::of(&server);
    let is_over = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn({
        let (server, is_over) = (server.clone(), is_over.clone());
        async move {
            let mut generation = 0;
            while !is_over.load(Ordering::Relaxed) {
                generation += 1;
                publish(&server, generation).await;
            }
            generation
        }
    });
    let of_one = |files: Vec<Vec<u8>>| {
        assert_eq!(files.len(), FILES);
        assert_eq!(files.into_iter().collect::<BTreeSet<_>>().len(), 1, "all of one generation");
    };
    for round in 0..8 {
        let to = format!("copy-{round}");
        let got = tokio::task::block_in_place(|| machine.run(&["get", T, &to]));
        got.assert(0, "12 files of version ");
        of_one(machine.files(&to).into_values().collect());
        let cat = ["snapshot", "--exec", T, "--", "sh", "-c", "cat {}/*.csv | sort -u | wc -l"];
        let read = tokio::task::block_in_place(|| machine.run(&cat));
        assert_eq!((read.code, read.stdout.trim()), (0, "1"), "{read:?}");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(publishing.await.unwrap() > 0);
}

#[tokio::test]
async fn snapshot_prints_its_folder_and_exec_ends_as_its_command_does() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    publish(&server, 1).await;
    let taken = machine.run(&["snapshot", T, "--for", "1h"]);
    taken.assert(0, "version 1 of /data/t");
    let folder = taken.stdout.trim();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES);
    let report: Value = machine.run(&["snapshot", "--renew", folder, "--for", "2h", "--json"]).json();
    assert_eq!((&report["version"], report["absolute"].as_str()), (&json!(1), Some(folder)));
    machine.run(&["snapshot", "--drop", folder]).assert(0, "");
    server.eventually(async || (!std::path::Path::new(folder).exists()).then_some(())).await;
    machine.run(&["snapshot", "--drop", folder]).assert(3, "not found, or not covered by this key");
    let exit = |script: &str| machine.run(&["snapshot", "--exec", T, "--", "sh", "-c", script]);
    assert_eq!(exit("exit 7").code, 7);
    assert_eq!(exit("kill -9 $$").code, 137);
    assert_eq!(exit("ls \"$LAKESHORE_SNAPSHOT\" | wc -l").stdout.trim(), "12");
    machine.run(&["snapshot", "--exec", T, "--", "no-such-program"]).assert(1, "no-such-program");
    machine.run(&["snapshot", "--exec", T]).assert(2, "COMMAND");
    let snapshots = server.lake().join(".lakeshore/snapshots");
    server.eventually(async || std::fs::read_dir(&snapshots).unwrap().next().is_none().then_some(())).await;
}

#[tokio::test]
async fn a_snapshot_command_that_is_terminated_ends_its_command_and_drops_the_snapshot() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    publish(&server, 1).await;
    let script = "trap 'exit 9' TERM; touch \"$0\"; while :; do sleep 0.05; done";
    let began = machine.path("began");
    let child = machine.begin(&["snapshot", "--exec", T, "--", "sh", "-c", script, began.to_str().unwrap()]);
    server.eventually(async || began.exists().then_some(())).await;
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(Ended::of(child.wait_with_output().unwrap()).code, 9, "the command chose its exit code");
    let snapshots = server.lake().join(".lakeshore/snapshots");
    server.eventually(async || std::fs::read_dir(&snapshots).unwrap().next().is_none().then_some(())).await;
}

#[tokio::test]
async fn a_snapshot_command_that_is_interrupted_twice_drops_the_snapshot_after_its_command() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    publish(&server, 1).await;
    let script = "touch \"$0\"; while [ ! -e \"$0.end\" ]; do sleep 0.05; done; exit 9";
    let began = machine.path("began");
    let child = machine.begin(&["snapshot", "--exec", T, "--", "sh", "-c", script, began.to_str().unwrap()]);
    server.eventually(async || began.exists().then_some(())).await;
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }
    std::fs::write(machine.path("began.end"), b"").unwrap();
    assert_eq!(Ended::of(child.wait_with_output().unwrap()).code, 9, "the exit code is that of the command");
    let snapshots = server.lake().join(".lakeshore/snapshots");
    server.eventually(async || std::fs::read_dir(&snapshots).unwrap().next().is_none().then_some(())).await;
}

#[tokio::test]
async fn snapshot_exec_keeps_the_exit_code_of_its_command_when_the_server_is_gone() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    publish(&server, 1).await;
    let script = format!("kill -9 {}; exit 7", server.process_id());
    let ran = machine.run(&["snapshot", "--exec", T, "--", "sh", "-c", &script]);
    ran.assert(7, "could not be dropped");
    machine.run(&["snapshot", T, "--for", "1ns"]).assert(2, "at least 1s");
}

#[tokio::test]
async fn a_snapshot_is_found_by_its_folder_though_its_dataset_is_named_like_a_snapshot() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    let dataset = format!("/data/{}", "0123456789abcdef".repeat(2));
    let id = server.start_sync(&dataset, "FullSync").await;
    server.upload(id, "a.csv", b"a").await;
    server.end_sync(id).await;
    let taken = machine.run(&["snapshot", &dataset]);
    let folder = taken.stdout.trim();
    assert!(folder.ends_with(&dataset[5..]), "{folder}");
    machine.run(&["snapshot", "--drop", folder]).assert(0, "");
    server.eventually(async || (!std::path::Path::new(folder).exists()).then_some(())).await;
}
