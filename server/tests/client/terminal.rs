//! Untrusted text on the terminal: no command prints a control character or an invisible one.

use crate::hostile::{Hostile, answer};
use crate::machine::{Ended, Machine};
use crate::server::TestServer;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Control sequences in a name: sets the title, clears, colours, overwrites the line, reverses the direction, and
/// hides.
const EVIL: &str = "evil\u{1b}]0;pwned\u{7}\u{1b}[2J\r\n\u{9b}31m\u{202e}fdp\u{200b}\u{2066}.csv";

/// Asserts that the output has only lines of visible characters.
fn assert_inert(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        for line in text.lines() {
            assert_eq!(lakeshore_system::terminal::visible(line), line, "{ended:?}");
        }
    }
}

#[tokio::test]
async fn names_of_syncs_and_keys_are_escaped_on_the_terminal() {
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
    // Scripts still get the exact text.
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
async fn names_of_local_files_are_escaped_on_the_terminal() {
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
async fn messages_of_a_hostile_server_are_escaped_on_the_terminal() {
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

/// Forwards a request, and replaces each `harmless` in the response by untrusted text.
fn spoiled(server: &str, head: &str) -> Vec<u8> {
    let mut connection = TcpStream::connect(server.strip_prefix("http://").unwrap()).unwrap();
    let head = head.trim_end().to_owned() + "\r\nConnection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut said = Vec::new();
    connection.read_to_end(&mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let evil = serde_json::to_string(EVIL).unwrap();
    let body = body.replace("harmless", evil.trim_matches('"'));
    answer(head.lines().next().unwrap().strip_prefix("HTTP/1.1 ").unwrap(), "Content-Type: application/json\r\n", &body)
}

#[tokio::test]
async fn lists_of_a_hostile_server_are_escaped_on_the_terminal() {
    let server = TestServer::start().await;
    let body = json!({ "name": "harmless", "path": "/d/t", "api_key": server.key, "sync_type": "IncrementalSync" });
    assert!(server.post("/api/ingestion/file/sync/start", &body).send().await.unwrap().status().is_success());
    server.upload(1, "harmless", b"1").await;
    let mut machine = Machine::of(&server);
    let address = server.url.clone();
    let hostile = Hostile::new(move |head| spoiled(&address, head));
    machine.server = hostile.url();
    for arguments in [
        &["ls", "/d"][..],
        &["ls", "/d/t"],
        &["ls", "/", "--json"],
        &["status"],
        &["status", "1"],
        &["status", "1", "--json"],
        &["get", "/d", "got"],
        &["get", "/d/t/harmless"],
        &["get", "/d", "got", "--json"],
    ] {
        let ended = machine.run(&[arguments, &["--retry-for", "0s"]].concat());
        assert_inert(&ended);
        // It must not become a file name on this machine either.
        assert!(
            machine.files("").keys().all(|name| lakeshore_system::terminal::visible(name) == name.as_str()),
            "{arguments:?}"
        );
    }
    assert!(machine.run(&["status", "--retry-for", "0s"]).stdout.contains(r"evil\u{1b}"));
}

#[tokio::test]
async fn names_added_to_the_lake_by_hand_are_escaped_on_the_terminal() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a.csv", b"x,y\n1,2\n").await;
    server.end_sync(id).await;
    let machine = Machine::of(&server);
    let lake = server.lake();
    std::fs::write(lake.join("d").join(EVIL), b"x").unwrap();
    std::fs::create_dir_all(lake.join(EVIL)).unwrap();
    std::fs::write(lake.join(EVIL).join("b.csv"), b"x").unwrap();
    std::fs::remove_file(lake.join("d/a.csv")).unwrap();
    std::os::unix::fs::symlink(EVIL, lake.join("d/a.csv")).unwrap();
    for arguments in [&["ls", "/"][..], &["ls", "/d"], &["get", "/d", "got"], &["get", "/d/a.csv"]] {
        assert_inert(&machine.run(arguments));
    }
    let page = server.get("/lake/d").bearer_auth(&server.key).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    for arguments in [&["adopt", "/d"][..], &["check"], &["check", "--json"], &["check", "--digests"]] {
        assert_inert(&machine.run(&[arguments, &["--data-dir", &data_dir]].concat()));
    }
    server.stop();
    for line in server.stderr().lines() {
        assert_eq!(lakeshore_system::terminal::visible(line), line);
    }
}
