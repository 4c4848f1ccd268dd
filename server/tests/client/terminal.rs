//! Text of others on the terminal: no command prints a character that a terminal would obey, or hide.

use crate::hostile::{Hostile, answer};
use crate::machine::{Ended, Machine};
use crate::server::TestServer;
use serde_json::json;

/// Sets the title, clears, colours, goes back over the line, turns the direction, and hides: what names may try.
const EVIL: &str = "evil\u{1b}]0;pwned\u{7}\u{1b}[2J\r\n\u{9b}31m\u{202e}fdp\u{200b}\u{2066}.csv";

/// Nothing but lines of what can be seen.
fn assert_inert(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        for line in text.lines() {
            assert_eq!(lakeshore_system::terminal::visible(line), line, "{ended:?}");
        }
    }
}

#[tokio::test]
async fn names_of_syncs_and_keys_are_shown_and_not_obeyed() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    let body = json!({ "name": EVIL, "path": "/d/y", "api_key": server.key, "sync_type": "IncrementalSync" });
    assert!(server.post("/api/ingestion/file/sync/start", &body).send().await.unwrap().status().is_success());
    server.try_upload("sync_id=1&path=/d/y", &[("ok.csv", b"1")]).await;
    server.try_upload("sync_id=1&path=/d/y", &[("..\u{1b}[2J/x", b"1")]).await;
    let abort = json!({ "sync_id": 1, "api_key": server.key, "reason": EVIL });
    server.post("/api/ingestion/file/sync/abort", &abort).send().await.unwrap();
    for arguments in [&["status"][..], &["status", "1"], &["status", "--json"], &["ls", "/d/y"]] {
        let ended = machine.run(arguments);
        ended.assert(0, "");
        assert_inert(&ended);
    }
    let shown = machine.run(&["status"]).stdout;
    assert!(shown.contains(r"evil\u{1b}]0;pwned\u{7}"), "{shown}");
    // A script has the exact text all the same.
    let exact = machine.run(&["status", "1", "--json"]).json();
    assert_eq!(exact["name"], EVIL);

    let data_dir = server.data_dir().to_str().unwrap();
    machine.run(&["key", "create", "--name", EVIL, "--data-dir", data_dir]).assert(0, "");
    let listed = machine.run(&["key", "list", "--data-dir", data_dir]);
    assert_eq!(listed.stdout.lines().count(), 3, "one line a key: {listed:?}");
    assert_inert(&listed);
    assert_inert(&machine.run(&["key", "revoke", &format!("no such {EVIL}"), "--data-dir", data_dir]));
}

#[tokio::test]
async fn names_of_this_machine_are_shown_and_not_obeyed() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    machine.write(&format!("export/{EVIL}"), b"x");
    machine.write(&format!("export/.{EVIL}"), b"x");
    machine.write("hidden/zero\u{200b}width.csv", b"x");
    for arguments in [
        &["push", "export", "/p", "--incremental"][..],
        &["push", "export", "/p", "--full", "--json"],
        &["push", "hidden", "/p", "--full"],
        &["push", "hidden", "/p", "--full", "--dry-run"],
        &["get", "/p", EVIL],
        &["get", "/p/no", EVIL],
        &["ls", EVIL],
        &["push", EVIL, "/p", "--full"],
        &["push", "export", EVIL, "--full"],
        &["status", EVIL],
        &["status", "--config", EVIL],
        &["status", "--api-key-file", EVIL],
        &["push", "export", "/p", "--full", "--expect", EVIL],
        &["backup", EVIL, "--data-dir", EVIL],
        &["check", "--data-dir", EVIL],
        &[EVIL],
    ] {
        assert_inert(&machine.run(arguments));
    }
}

#[tokio::test]
async fn words_of_a_hostile_server_are_shown_and_not_obeyed() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    let plain = Hostile::new(|_| answer("418 teapot", "", EVIL));
    let refusal = Hostile::new(|_| answer("409 Conflict", "", &json!({ "code": 40900, "msg": EVIL }).to_string()));
    for hostile in [plain, refusal] {
        machine.server = hostile.url();
        machine.write("export/a", b"1");
        for arguments in [&["ls"][..], &["status"], &["get", "/d"], &["push", "export", "/d", "--incremental"]] {
            let ended = machine.run(&[arguments, &["--retry-for", "0s"]].concat());
            assert!(ended.code != 0 && ended.stderr.contains("evil"), "{ended:?}");
            assert_inert(&ended);
        }
    }
}
