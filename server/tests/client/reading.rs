//! Commands `status`, `ls` and `get`.

use crate::gate::Gate;
use crate::machine::{Machine, noise};
use crate::server::TestServer;
use serde_json::{Value, json};

const T: &str = "/data/t";

async fn filled() -> (TestServer, Machine) {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    machine.write("export/a.csv", b"1,2\n");
    machine.write("export/dt=1/b c.bin", &noise(1, 3 << 20));
    machine.push(&["export", T, "--full", "--name", "nightly"]);
    (server, machine)
}

#[tokio::test]
async fn status_shows_the_latest_syncs_or_one() {
    let (server, machine) = filled().await;
    let open = server.start_sync("/data/u", "IncrementalSync").await;
    let all = machine.run(&["status"]);
    all.assert(0, "nightly");
    assert!(all.stdout.lines().nth(1).unwrap().contains("/data/u"), "the latest comes first: {all:?}");
    let lines = machine.run(&["status", "--json", "--path", T]).stdout;
    assert_eq!(lines.lines().count(), 1);
    machine.run(&["status", "1"]).assert(0, "FullSync to /data/t, Finished").assert(0, "2 landed");
    machine.run(&["status", "99"]).assert(3, "sync 99 not found");
    let follow = machine.begin(&["status", &open.to_string(), "--follow", "--json"]);
    server.try_abort(open).await;
    let output = follow.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["sync_status"], "Failed");
}

#[tokio::test]
async fn ls_lists_folders_and_files() {
    let (_server, machine) = filled().await;
    machine.run(&["ls"]).assert(0, "data/");
    machine.run(&["ls", T]).assert(0, "dt=1/").assert(0, "a.csv");
    let listed: Vec<Value> =
        machine.run(&["ls", T, "--json"]).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&listed[0]["name"], &listed[0]["is_folder"]), (&json!("dt=1"), &json!(true)));
    assert_eq!((&listed[1]["path"], &listed[1]["size_bytes"]), (&json!("/data/t/a.csv"), &json!(4)));
    machine.run(&["ls", "/data/nowhere"]).assert(3, "/data/nowhere");
}

#[tokio::test]
async fn get_fetches_a_file_a_folder_or_to_standard_output() {
    let (_server, machine) = filled().await;
    machine.run(&["get", "/data/t/a.csv"]).assert(0, "1 files");
    assert_eq!(std::fs::read(machine.path("a.csv")).unwrap(), b"1,2\n");
    assert_eq!(machine.run(&["get", "/data/t/a.csv", "-"]).stdout, "1,2\n");
    let report = machine.run(&["get", T, "copy", "--json"]).json();
    assert_eq!((&report["files"], &report["unchanged"]), (&json!(2), &json!(0)));
    assert_eq!(machine.files("copy"), machine.files("export"));
    machine.write("copy/a.csv", b"2,1\n");
    let report = machine.run(&["get", T, "copy", "--json"]).json();
    assert_eq!((&report["files"], &report["unchanged"]), (&json!(1), &json!(1)));
    assert_eq!(machine.files("copy"), machine.files("export"));
    machine.run(&["get", "/data/t/nothing"]).assert(3, "/data/t/nothing");
    machine.run(&["get", T, "-"]).assert(2, "a single file");
    assert!(!machine.path("nothing").exists());
}

#[tokio::test]
async fn an_interrupted_download_is_resumed_and_never_partial_under_its_name() {
    let (server, mut machine) = filled().await;
    let whole = noise(5, 40 << 20);
    machine.write("big/big.bin", &whole);
    machine.push(&["big", "/data/big", "--full"]);
    // Counts the bytes from the server.
    let gate = Gate::back_from(&server.url, 20 << 20);
    machine.server = gate.url.clone();
    let get = machine.begin(&["get", "/data/big/big.bin"]);
    server.eventually(async || gate.is_waited_for().then_some(())).await;
    assert!(!machine.path("big.bin").exists(), "it is not there before it is whole");
    let server = server.kill_and_restart().await;
    gate.lead_to(&server.url);
    gate.open();
    let output = get.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(machine.path("big.bin")).unwrap(), whole);
    // Only the rest and the bytes in transit are sent again.
    assert!(gate.passed() < 60 << 20, "{} bytes came", gate.passed());
    let hidden = std::fs::read_dir(machine.path("")).unwrap().map(Result::unwrap);
    let parts = hidden.filter(|entry| entry.file_name().to_str().unwrap().starts_with(".lakeshore-"));
    assert_eq!(parts.count(), 0, "nothing is left beside it");
}
