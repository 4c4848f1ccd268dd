//! Pushes survive the end of the server, their own end, and changing files.

use crate::gate::Gate;
use crate::machine::{Ended, Machine, noise};
use crate::server::TestServer;
use serde_json::{Value, json};
use std::process::{Child, Command};

const T: &str = "/data/t";
/// Bytes of each large file. The buffers of connections must be far smaller than both files minus [`PASSED`].
const LARGE: usize = 32 << 20;
/// Bytes that pass before a push is stopped.
const PASSED: u64 = 16 << 20;

/// Two large files, and many small ones.
fn mixed_folder(machine: &Machine) {
    for part in 0..50 {
        machine.write(&format!("export/small/part-{part}"), &noise(part, 500));
    }
    for part in 0..2 {
        machine.write(&format!("export/large-{part}"), &noise(100 + part, LARGE));
    }
}

/// A push that is stopped in the middle of the large files.
async fn half_way(server: &TestServer, machine: &mut Machine) -> (Gate, Child) {
    let gate = Gate::to(&server.url, PASSED);
    machine.server = gate.url.clone();
    let push = machine.begin(&["push", "export", T, "--full", "--json"]);
    server.eventually(async || gate.is_waited_for().then_some(())).await;
    (gate, push)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().unwrap())
}

async fn assert_nothing_left(server: &TestServer) {
    assert_eq!(server.history("status=Syncing").await, [] as [Value; 0]);
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}

#[tokio::test]
async fn a_push_continues_after_the_server_was_killed_and_restarted() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    mixed_folder(&machine);
    let (gate, push) = half_way(&server, &mut machine).await;
    let server = server.kill_and_restart().await;
    gate.lead_to(&server.url);
    // Once more, during the continued push.
    gate.close_after(8 << 20);
    server.eventually(async || gate.is_waited_for().then_some(())).await;
    let server = server.kill_and_restart().await;
    gate.lead_to(&server.url);
    gate.open();
    let ended = ended(push);
    ended.assert(0, "retrying").assert(0, "reachable again");
    let report = ended.json();
    assert_eq!((&report["outcome"], &report["found"]["files"]), (&json!("published"), &json!(52)));
    assert_eq!(server.files("data/t"), machine.files("export"));
    assert_eq!(server.rows("/api/ingestion/file/sync/list").await.len(), 1);
    assert_nothing_left(&server).await;
}

#[tokio::test]
async fn an_interrupted_push_is_resumed_by_the_same_command_and_sends_only_the_rest() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    mixed_folder(&machine);
    let (gate, push) = half_way(&server, &mut machine).await;
    signal(&push, "INT");
    let interrupted = ended(push);
    interrupted.assert(130, "run the same command again").assert(130, "--resume 1");
    assert_eq!((&interrupted.json()["outcome"], &interrupted.json()["sync_id"]), (&json!("interrupted"), &json!(1)));
    let before = gate.passed();
    gate.open();
    let ended = machine.run(&["push", "export", T, "--full", "--json"]);
    ended.assert(0, "resuming sync 1");
    let report = ended.json();
    assert_eq!(
        (&report["sync_id"], &report["resumed"], &report["outcome"]),
        (&json!(1), &json!(true), &json!("published"))
    );
    assert_eq!(server.files("data/t"), machine.files("export"));
    // Bytes received before the interruption are not sent again, except for those in transit.
    let sent = gate.passed() - before;
    assert!(sent < 2 * LARGE as u64 - PASSED / 2, "{sent} bytes were sent after {before}");
    assert_nothing_left(&server).await;
}

#[tokio::test]
async fn a_killed_push_is_started_over_on_request() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    mixed_folder(&machine);
    let (gate, mut push) = half_way(&server, &mut machine).await;
    machine.run(&["push", "export", T, "--full"]).assert(1, "another push");
    push.kill().unwrap();
    push.wait().unwrap();
    gate.open();
    let ended = machine.run(&["push", "export", T, "--full", "--start-over", "--json"]);
    ended.assert(0, "aborted sync 1, which was left open");
    assert_eq!((&ended.json()["sync_id"], &ended.json()["sent"]["files"]), (&json!(2), &json!(52)));
    assert_eq!(server.sync(1).await["sync_status"], "Failed");
    assert_eq!(server.files("data/t"), machine.files("export"));
    assert_nothing_left(&server).await;
}

#[tokio::test]
async fn a_sync_aborted_meanwhile_is_not_resumed() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    mixed_folder(&machine);
    let (gate, push) = half_way(&server, &mut machine).await;
    signal(&push, "TERM");
    ended(push).assert(130, "sync 1 is still open");
    assert_eq!(server.try_abort(1).await.0, 200);
    gate.open();
    let ended = machine.run(&["push", "export", T, "--full", "--json"]);
    ended.assert(0, "has ended (");
    assert_eq!(ended.json()["sync_id"], 2);
    assert_eq!(server.files("data/t"), machine.files("export"));
}

#[tokio::test]
async fn a_file_that_changes_during_its_upload_fails_and_the_next_push_sends_it() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    mixed_folder(&machine);
    let (gate, push) = half_way(&server, &mut machine).await;
    // One of them may be complete in buffers, but not both.
    for part in 0..2 {
        machine.write(&format!("export/large-{part}"), &noise(200 + part, LARGE));
    }
    gate.open();
    let failed = ended(push);
    failed.assert(1, "it changed");
    let report = failed.json();
    let count = report["failed"]["count"].as_u64().unwrap();
    assert_eq!((&report["outcome"], report["sent"]["files"].as_u64().unwrap()), (&json!("incomplete"), 52 - count));
    assert!(server.file_names("data/t").is_empty(), "it is not published");
    let report = machine.push(&["export", T, "--full"]);
    assert_eq!((&report["sync_id"], &report["sent"]["files"]), (&json!(1), &json!(2)));
    assert_eq!(server.files("data/t"), machine.files("export"));
    assert_nothing_left(&server).await;
}
