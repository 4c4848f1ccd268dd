//! `get` and `push` in folders that others may write: links, foreign files, and lying servers.

use crate::gate::Gate;
use crate::hostile::{Hostile, answer, ok};
use crate::machine::{Ended, Machine, noise};
use crate::server::TestServer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

async fn filled() -> (TestServer, Machine) {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    machine.write("export/a.csv", b"of the lake\n");
    machine.write("export/sub/b.csv", b"of the lake too\n");
    machine.push(&["export", "/d/x", "--full"]);
    machine.write("victim", b"precious");
    (server, machine)
}

fn assert_untouched(machine: &Machine) {
    assert_eq!(std::fs::read(machine.path("victim")).unwrap(), b"precious");
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".lakeshore-")).collect()
}

#[tokio::test]
async fn a_link_at_the_name_of_a_file_is_replaced_and_not_followed() {
    let (_server, machine) = filled().await;
    let target = machine.path("shared/a.csv");
    std::fs::create_dir(machine.path("shared")).unwrap();
    // File names that an earlier version would have written to.
    let digits: String = Sha256::digest(b"a.csv")[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    for name in ["a.csv".to_owned(), format!(".lakeshore-{digits}.part"), format!(".lakeshore-{digits}.part.json")] {
        symlink(machine.path("victim"), machine.path("shared").join(name)).unwrap();
    }
    machine.run(&["get", "/d/x/a.csv", "shared/a.csv"]).assert(0, "1 files");
    assert_eq!(std::fs::read(&target).unwrap(), b"of the lake\n");
    assert!(target.symlink_metadata().unwrap().is_file());
    assert_untouched(&machine);
    // A link to identical bytes does not count as an existing file.
    std::fs::rename(&target, machine.path("elsewhere.csv")).unwrap();
    symlink(machine.path("elsewhere.csv"), &target).unwrap();
    machine.run(&["get", "/d/x/a.csv", "shared"]).assert(0, "1 files");
    assert!(target.symlink_metadata().unwrap().is_file());
    // A hard link of another file is not written through.
    std::fs::remove_file(&target).unwrap();
    std::fs::hard_link(machine.path("victim"), &target).unwrap();
    machine.run(&["get", "/d/x/a.csv", "shared"]).assert(0, "1 files");
    assert_untouched(&machine);
}

#[tokio::test]
async fn a_link_in_place_of_a_folder_below_the_target_is_refused_and_the_rest_is_fetched() {
    let (_server, machine) = filled().await;
    std::fs::create_dir_all(machine.path("outside")).unwrap();
    std::fs::create_dir_all(machine.path("tree")).unwrap();
    symlink(machine.path("outside"), machine.path("tree/sub")).unwrap();
    machine.run(&["get", "/d/x", "tree"]).assert(1, "tree/sub is a link").assert(1, "1 files could not be fetched");
    assert_eq!(std::fs::read(machine.path("tree/a.csv")).unwrap(), b"of the lake\n");
    assert_eq!(std::fs::read_dir(machine.path("outside")).unwrap().count(), 0);
    // A link is followed only if its name was typed.
    symlink(machine.path("outside"), machine.path("x")).unwrap();
    machine.run(&["get", "/d/x"]).assert(1, "x is a link");
    assert_eq!(std::fs::read_dir(machine.path("outside")).unwrap().count(), 0);
    machine.run(&["get", "/d/x", "x"]).assert(0, "2 files");
    assert_eq!(machine.files("outside"), machine.files("export"));
}

/// A download of a large file, killed half way, with its partial file.
async fn killed_half_way() -> (TestServer, Machine, Gate, Vec<u8>, PathBuf) {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    let whole = noise(5, 40 << 20);
    machine.write("big/big.bin", &whole);
    machine.push(&["big", "/data/big", "--full"]);
    let gate = Gate::back_from(&server.url, 20 << 20);
    machine.server = gate.url.clone();
    let mut get = machine.begin(&["get", "/data/big/big.bin"]);
    server.eventually(async || gate.is_waited_for().then_some(())).await;
    let part = server
        .eventually(async || parts(&machine.path("")).pop().filter(|part| part.metadata().unwrap().len() > 1 << 20))
        .await;
    get.kill().unwrap();
    get.wait().unwrap();
    gate.open();
    (server, machine, gate, whole, part)
}

#[tokio::test]
async fn a_killed_get_is_resumed_by_the_same_command() {
    let (_server, machine, gate, whole, part) = killed_half_way().await;
    let records = machine.path(".local/state/lakeshore/downloads");
    assert_eq!(std::fs::metadata(&records).unwrap().mode() & 0o777, 0o700);
    let record = std::fs::read_dir(&records).unwrap().next().unwrap().unwrap();
    assert_eq!(record.metadata().unwrap().mode() & 0o777, 0o600);
    let (before, had) = (gate.passed(), part.metadata().unwrap().len());
    machine.run(&["get", "/data/big/big.bin"]).assert(0, "1 files");
    assert_eq!(std::fs::read(machine.path("big.bin")).unwrap(), whole);
    let came = gate.passed() - before;
    assert!(came < whole.len() as u64 - had + (1 << 20), "{came} bytes came, and {had} were there");
    assert!(parts(&machine.path("")).is_empty() && std::fs::read_dir(&records).unwrap().next().is_none());
}

#[tokio::test]
async fn a_replaced_partial_file_is_not_resumed() {
    for by_link in [true, false] {
        let (_server, machine, _gate, whole, part) = killed_half_way().await;
        machine.write("victim", b"precious");
        std::fs::remove_file(&part).unwrap();
        if by_link {
            symlink(machine.path("victim"), &part).unwrap();
        } else {
            std::fs::hard_link(machine.path("victim"), &part).unwrap();
        }
        machine.run(&["get", "/data/big/big.bin"]).assert(0, "1 files");
        assert_eq!(std::fs::read(machine.path("big.bin")).unwrap(), whole);
        assert_untouched(&machine);
    }
}

#[tokio::test]
async fn fetched_files_have_the_permissions_of_the_umask_and_are_not_executable() {
    let (_server, machine) = filled().await;
    let get = |umask: &str, to: &str| {
        let command = format!("umask {umask}; exec \"$0\" get /d/x {to}");
        let lakeshore = machine.command(&[]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &command]).arg(lakeshore.get_program()).current_dir(lakeshore.get_current_dir().unwrap());
        shell.env_clear().envs(lakeshore.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ended::of(shell.output().unwrap()).assert(0, "2 files");
        let mode = |name: &str| machine.path(to).join(name).metadata().unwrap().mode() & 0o7777;
        (mode("a.csv"), mode("sub"), mode("sub/b.csv"))
    };
    assert_eq!(get("022", "open"), (0o644, 0o755, 0o644));
    assert_eq!(get("077", "closed"), (0o600, 0o700, 0o600));
}

#[tokio::test]
async fn the_state_of_pushes_is_private_and_no_link_to_it_is_followed() {
    let (_server, machine) = filled().await;
    let pushes = machine.path(".local/state/lakeshore/pushes");
    let push = std::fs::read_dir(&pushes).unwrap().next().unwrap().unwrap().path();
    for folder in [&machine.path(".local/state/lakeshore"), &pushes, &push] {
        assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o777, 0o700, "{folder:?}");
    }
    for file in std::fs::read_dir(&push).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
    }
    for name in ["plan.new", "plan.jsonl", "push.json.new", "push.json", "uploads.jsonl"] {
        let _ = std::fs::remove_file(push.join(name));
        symlink(machine.path("victim"), push.join(name)).unwrap();
    }
    machine.run(&["push", "export", "/d/x", "--full"]).assert(1, "cannot read");
    std::fs::remove_file(push.join("plan.jsonl")).unwrap();
    machine.push(&["export", "/d/x", "--full"]);
    assert_untouched(&machine);
    // A state folder that others may write to gets private permissions; a link is refused.
    std::fs::set_permissions(&pushes, std::fs::Permissions::from_mode(0o777)).unwrap();
    machine.push(&["export", "/d/x", "--full"]);
    assert_eq!(std::fs::metadata(&pushes).unwrap().mode() & 0o777, 0o700);
    std::fs::rename(&pushes, machine.path("moved")).unwrap();
    symlink(machine.path("moved"), &pushes).unwrap();
    machine.run(&["push", "export", "/d/x", "--full"]).assert(1, "not a folder");
}

fn entry(name: &str, is_folder: bool) -> Value {
    json!({ "name": name, "path": "/d/x/ok", "is_folder": is_folder, "size_bytes": 1, "modified_time": 1, "sha256": null })
}

fn is_of_versions(head: &str) -> bool {
    head.contains("/api/lake/dataset")
}

/// Response of a server without versions.
fn without_versions() -> Vec<u8> {
    answer("404 Not Found", "", &json!({ "code": 40400, "msg": "no such address" }).to_string())
}

#[tokio::test]
async fn version_lists_with_foreign_paths_or_without_an_end_are_refused() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    let file = |path: &str| json!({ "path": path, "size_bytes": 1, "sha256": "00", "history_id": 1, "sync_id": 1 });
    let version = |list: serde_json::Value, next: serde_json::Value| {
        json!({
            "version": 1, "path": "/d/x", "at": 1, "kind": "publish", "is_current": true, "made_by": "", "files": 1,
            "size_bytes": 1, "rows": 0, "num_rows_unknown": 0, "list_digest": "", "list": list, "next": next,
        })
        .to_string()
    };
    let first = version(json!([file("/d/x/a")]), json!(null));
    for (list, next, words) in [
        (json!([file("/d/y/a")]), json!(null), "not below /d/x"),
        (json!([file("/d/x/../../a")]), json!(null), "cannot read"),
        (json!([file("/d/x/.ssh/a")]), json!(null), "cannot read"),
        (json!([file("/d/x/b"), file("/d/x/a")]), json!(null), "out of order"),
        (json!([]), json!("/d/x/a"), "out of order"),
    ] {
        let (first, then) = (first.clone(), version(list, next));
        let hostile = Hostile::new(move |head| match head {
            head if head.contains("size=1&") || head.contains("size=1 ") => ok(&first),
            head if is_of_versions(head) => ok(&then),
            _ => ok("x"),
        });
        machine.server = hostile.url();
        machine.run(&["get", "/d/x", "deep/a/b", "--retry-for", "0s"]).assert(3, words);
        assert!(machine.files("deep").is_empty());
    }
}

#[tokio::test]
async fn names_of_a_hostile_server_stay_below_the_target() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    let names = [
        "../../escape",
        "..",
        ".",
        "/abs",
        ".ssh",
        "a\u{1b}[2J",
        "",
        " ",
        "a\\b",
        "a/b",
        "nul\0",
        "a\u{202e}b",
        "../x",
    ];
    let list: Vec<_> =
        names.iter().flat_map(|name| [entry(name, false), entry(name, true)]).chain([entry("ok", false)]).collect();
    let list = serde_json::to_string(&list).unwrap();
    let hostile = Hostile::new(move |head| match head {
        head if is_of_versions(head) => without_versions(),
        head if head.contains("/list") => ok(&list),
        _ => ok("x"),
    });
    machine.server = hostile.url();
    machine.write("deep/a/b/mark", b"");
    let ended = machine.run(&["get", "/d/x", "deep/a/b", "--retry-for", "0s"]);
    ended.assert(1, "26 files could not be fetched");
    assert!(!ended.stderr.contains('\u{1b}') && !ended.stderr.contains('\u{202e}'), "{ended:?}");
    assert_eq!(machine.files("deep").into_keys().collect::<Vec<_>>(), ["a/b/mark", "a/b/ok"]);
    assert!(parts(&machine.path("deep/a/b")).is_empty());
}

#[tokio::test]
async fn lists_and_responses_without_an_end_are_refused() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    let refused = |machine: &mut Machine, hostile: &Hostile, arguments: &[&str], words: &str| {
        machine.server = hostile.url();
        machine.run(&[arguments, &["--retry-for", "20s"]].concat()).assert(3, words);
    };
    let more = serde_json::to_string(&vec![entry("ok", true); 1001]).unwrap();
    let hostile = Hostile::new(move |_| ok(&more));
    refused(&mut machine, &hostile, &["ls", "/d"], "more entries than requested");
    let hostile = Hostile::new(|_| {
        let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..80 {
            endless.extend_from_slice(b"100000\r\n");
            endless.resize(endless.len() + (1 << 20), b' ');
            endless.extend_from_slice(b"\r\n");
        }
        endless
    });
    refused(&mut machine, &hostile, &["status"], "a response larger than");
    assert_eq!(hostile.heads().len(), 1, "it is not asked again");
    // More bytes than requested: the server could make the file arbitrarily long.
    let hostile = Hostile::new(|head| {
        if is_of_versions(head) {
            return without_versions();
        }
        if head.contains("/list") {
            return answer("404 Not Found", "", &json!({ "code": 40405, "msg": "no folder" }).to_string());
        }
        answer("206 Partial Content", "Content-Range: bytes 9999999999999-9999999999999/10000000000000\r\n", "x")
    });
    refused(&mut machine, &hostile, &["get", "/d/x"], "not from 0 as requested");
    assert!(parts(&machine.path("")).is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_with_its_server() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    machine.write("export/a", b"1");
    let elsewhere = std::sync::Arc::new(Hostile::new(|_| ok("[]")));
    let url = elsewhere.url();
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: {url}/x\u{9b}31m\r\n");
        let hostile = Hostile::new(move |_| answer(status, &location, ""));
        machine.server = hostile.url();
        for arguments in [&["ls", "/"][..], &["get", "/d/x"], &["status"], &["push", "export", "/d", "--incremental"]] {
            let ended = machine.run(&[arguments, &["--retry-for", "20s"]].concat());
            ended.assert(3, "use that as the --server");
            assert!(!ended.stderr.contains('\u{9b}'));
        }
        assert!(hostile.heads().iter().all(|head| head.contains("authorization: Bearer")), "{:?}", hostile.heads());
        assert_eq!(hostile.heads().len(), 4, "each command asked once");
    }
    assert_eq!(elsewhere.heads(), [] as [String; 0]);
}
