//! Pushes: the files that they send and skip, and their output.

use crate::machine::{Machine, noise};
use crate::server::TestServer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const T: &str = "/data/t";

fn small_folder(machine: &Machine) {
    for name in ["a.csv", "b.csv", "dt=1/c d.csv", "dt=1/é.csv", "dt=2/e.csv"] {
        machine.write(&format!("export/{name}"), name.as_bytes());
    }
}

#[tokio::test]
async fn a_full_push_makes_the_folder_the_dataset() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.write("export/large.bin", &noise(1, 10 << 20));
    machine.write("export/.hidden", b"");
    let ended = machine.run(&["push", "export", T, "--full", "--name", "nightly"]);
    ended.assert(0, "sent       6 files").assert(0, "skipped: 1 hidden").assert(0, ".hidden");
    assert_eq!(server.files("data/t"), machine.files("export"));
    let sync = server.sync(1).await;
    assert_eq!(
        (&sync["name"], &sync["sync_status"], &sync["total_files"]),
        (&json!("nightly"), &json!("Finished"), &json!(6))
    );
    // Every file was declared by its name and digest.
    assert_eq!(sync["expected"]["is_named"], true, "{sync}");

    machine.write("export/only.csv", b"x");
    for name in ["a.csv", "dt=2/e.csv"] {
        std::fs::remove_file(machine.path("export").join(name)).unwrap();
    }
    machine.push(&["export", T, "--full"]);
    assert_eq!(server.files("data/t"), machine.files("export"));
}

#[tokio::test]
async fn a_full_push_sends_only_changed_files() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    for part in 0..100 {
        machine.write(&format!("export/part-{part}"), &noise(part, 1000));
    }
    assert_eq!(machine.push(&["export", T, "--full"])["sent"], json!({ "files": 100, "bytes": 100_000 }));
    machine.write("export/part-7", &noise(1000, 1234));
    let report = machine.push(&["export", T, "--full"]);
    assert_eq!(report["sent"], json!({ "files": 1, "bytes": 1234 }));
    assert_eq!((&report["unchanged"]["files"], &report["taken_over"]), (&json!(99), &json!(99)));
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("published"), &json!(0)));
    assert_eq!(server.files("data/t"), machine.files("export"));
}

#[tokio::test]
async fn an_incremental_push_adds_and_removes_nothing() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.push(&["export", T, "--full"]);
    machine.write("more/f.csv", b"f");
    machine.write("more/a.csv", b"a.csv");
    machine.write("more/b.csv", b"changed");
    let report = machine.push(&["more", T, "--incremental"]);
    assert_eq!((&report["sent"]["files"], &report["unchanged"]["files"]), (&json!(2), &json!(1)));
    assert_eq!(report["outcome"], "finished");
    let files = server.files("data/t");
    assert_eq!((files.len(), files["f.csv"].as_slice(), files["b.csv"].as_slice()), (6, &b"f"[..], &b"changed"[..]));
}

#[tokio::test]
async fn one_file_can_be_pushed_and_patterns_choose() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.write("export/dt=1/x.tmp", b"");
    machine.write("export/tmp/y.csv", b"");
    machine.push(&["export/a.csv", T, "--incremental"]);
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
    machine.push(&["export", "/data/u", "--full", "--include", "*.csv", "--exclude", "tmp", "--exclude", "dt=2/*"]);
    assert_eq!(server.file_names("data/u"), ["a.csv", "b.csv", "dt=1/c d.csv", "dt=1/é.csv"]);
}

#[tokio::test]
async fn a_dry_run_prints_the_difference_and_changes_nothing() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    let first = machine.push(&["export", T, "--full", "--dry-run"]);
    assert_eq!(first["difference"]["added"]["files"], 5);
    machine.push(&["export", T, "--full"]);
    let state = async || {
        let mut syncs = server.rows("/api/ingestion/file/sync/list").await;
        // Counted in the background, perhaps meanwhile: each of the five files has other columns.
        syncs.iter_mut().for_each(|sync| sync["num_schema_differences"] = Value::Null);
        (server.files(""), syncs)
    };
    let before = state().await;

    machine.write("export/dt=3/new.csv", b"new");
    machine.write("export/b.csv", b"other");
    std::fs::remove_dir_all(machine.path("export/dt=1")).unwrap();
    let report = machine.push(&["export", T, "--full", "--dry-run"]);
    let kind = |name: &str| (report["difference"][name]["files"].clone(), report["difference"][name]["names"].clone());
    assert_eq!(kind("added"), (json!(1), json!(["dt=3/new.csv"])));
    assert_eq!(kind("changed"), (json!(1), json!(["b.csv"])));
    assert_eq!(kind("removed"), (json!(2), json!(["dt=1/c d.csv", "dt=1/é.csv"])));
    assert_eq!(kind("unchanged").0, 2);
    assert_eq!((&report["outcome"], &report["sync_id"]), (&json!("dry_run"), &Value::Null));
    let incremental = machine.push(&["export", T, "--incremental", "--dry-run"]);
    assert_eq!(incremental["difference"]["removed"]["files"], 0);
    assert_eq!(incremental["difference"]["added"]["files"], 1);
    assert_eq!(before, state().await);
    machine.run(&["push", "export", T, "--full", "--dry-run"]).assert(0, "removed    2 files");
}

#[tokio::test]
async fn a_manifest_is_compared_before_any_upload() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    let sums: String = machine
        .files("export")
        .iter()
        .map(|(name, bytes)| {
            let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}  {name}\n")
        })
        .collect();
    machine.write("SUMS", sums.as_bytes());
    let push = ["push", "export", T, "--full", "--expect", "SUMS"];
    machine.write("export/extra.csv", b"x");
    machine.run(&push).assert(1, "extra.csv: not listed in the manifest");
    std::fs::remove_file(machine.path("export/extra.csv")).unwrap();
    machine.write("export/a.csv", b"A.csv");
    machine.run(&push).assert(1, "a.csv: its SHA-256 is");
    std::fs::remove_file(machine.path("export/a.csv")).unwrap();
    machine.run(&push).assert(1, "a.csv: listed in the manifest");
    assert!(server.rows("/api/ingestion/file/sync/list").await.is_empty(), "no sync was started");
    machine.write("export/a.csv", b"a.csv");
    machine.run(&push).assert(0, "is published");
    machine.write("SUMS", b"no manifest");
    machine.run(&push).assert(2, "SUMS, line 1");
}

#[tokio::test]
async fn a_file_with_an_invalid_name_stops_a_push_before_it_begins() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.write("export/bad\\name", b"");
    machine.run(&["push", "export", T, "--full"]).assert(1, "bad\\name").assert(1, "--exclude");
    assert!(server.rows("/api/ingestion/file/sync/list").await.is_empty());
    assert_eq!(machine.push(&["export", T, "--full", "--exclude", "bad*"])["sent"]["files"], 5);
}

#[tokio::test]
async fn an_empty_folder_does_not_empty_the_dataset_unless_confirmed() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.push(&["export", T, "--full"]);
    std::fs::create_dir(machine.path("empty")).unwrap();
    machine.run(&["push", "empty", T, "--full"]).assert(1, "no files to send");
    machine.run(&["push", "empty", T, "--incremental"]).assert(0, "nothing to send");
    assert_eq!(server.file_names("data/t").len(), 5);
    assert_eq!(machine.push(&["empty", T, "--full", "--confirm"])["outcome"], "published");
    assert!(server.file_names("data/t").is_empty());
}

#[tokio::test]
async fn a_held_push_has_its_own_exit_code_and_is_published_when_confirmed() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.push(&["export", T, "--full"]);
    std::fs::remove_dir_all(machine.path("export/dt=1")).unwrap();
    std::fs::remove_dir_all(machine.path("export/dt=2")).unwrap();
    let held = machine.run(&["push", "export", T, "--full", "--json"]);
    held.assert(4, "5 files").assert(4, "with 2");
    let report = held.json();
    assert_eq!((&report["outcome"], &report["sync_is_open"]), (&json!("held"), &json!(true)));
    assert_eq!(report["refusal"]["data"]["published"]["files"], 2, "{report}");
    assert_eq!(server.file_names("data/t").len(), 5);
    machine.run(&["push", "export", T, "--full"]).assert(4, "--confirm");
    machine.run(&["status", "2"]).assert(0, "2 files would replace 5");
    let report = machine.push(&["export", T, "--full", "--confirm"]);
    assert_eq!((&report["sync_id"], &report["outcome"]), (&json!(2), &json!("published")));
    assert_eq!(server.file_names("data/t"), ["a.csv", "b.csv"]);
}

#[tokio::test]
async fn several_machines_push_to_one_sync() {
    let server = TestServer::start().await;
    let (one, other) = (Machine::of(&server), Machine::of(&server));
    one.write("part/a", b"a");
    other.write("part/b", b"b");
    let open = one.push(&["part", T, "--full", "--keep-open"]);
    assert_eq!(open["outcome"], "kept_open");
    let id = open["sync_id"].to_string();
    assert!(server.file_names("data/t").is_empty(), "a full sync is published at its end");
    other.run(&["push", "part", "/data/u", "--full", "--resume", &id]).assert(2, "is a FullSync to /data/t");
    let ended = other.push(&["part", T, "--full", "--resume", &id]);
    assert_eq!((ended["sync_id"].to_string(), &ended["outcome"]), (id.clone(), &json!("published")));
    assert_eq!(server.file_names("data/t"), ["a", "b"]);
    other.run(&["push", "part", T, "--full", "--resume", &id]).assert(2, "has ended");
}

#[tokio::test]
async fn files_sent_before_and_removed_since_are_not_published() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    machine.write("part/a", b"a");
    machine.write("part/b", b"b");
    machine.push(&["part", T, "--full", "--keep-open"]);
    std::fs::remove_file(machine.path("part/b")).unwrap();
    machine.run(&["push", "part", T, "--full"]).assert(3, "1 unexpected (b)").assert(3, "use --start-over");
    assert!(server.file_names("data/t").is_empty());
    assert_eq!(machine.push(&["part", T, "--full", "--start-over"])["sync_id"], 2);
    assert_eq!(server.file_names("data/t"), ["a"]);
}

#[tokio::test]
async fn exit_codes_distinguish_the_results_of_a_push() {
    let server = TestServer::start().await;
    let mut machine = Machine::of(&server);
    small_folder(&machine);
    for wrong in [
        &["push", "export", T][..],
        &["push", "export", T, "--full", "--incremental"],
        &["push", "export", "no/path", "--full"],
        &["push", "nowhere", T, "--full"],
        &["push", "export", T, "--full", "--include", "a["],
    ] {
        machine.run(wrong).assert(2, "");
    }
    let held = server.start_sync(T, "FullSync").await;
    machine.run(&["push", "export", T, "--full"]).assert(3, "is held by sync 1").assert(3, "--resume");
    server.try_abort(held).await;
    let key = std::mem::replace(&mut machine.key, server.new_key(&["--role", "read"]));
    machine.run(&["push", "export", T, "--full"]).assert(3, "role");
    machine.key = "lks_wrong".into();
    machine.run(&["push", "export", T, "--full"]).assert(3, "unknown or revoked");
    machine.key = key;
    machine.push(&["export", T, "--full"]);
    machine.server = "http://127.0.0.1:1".into();
    machine.run(&["push", "export", T, "--full", "--retry-for", "0s"]).assert(5, "cannot reach");
    let ended = machine.run(&["push", "export", T, "--full", "--retry-for", "0s", "--json"]);
    assert_eq!((&ended.json()["exit_code"], &ended.json()["outcome"]), (&json!(5), &json!("failed")));
}

#[tokio::test]
async fn a_failed_file_leaves_the_sync_open_to_be_resumed_or_aborts_it() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    // A folder of the lake is at its path.
    std::fs::create_dir_all(server.lake().join("data/t/b.csv/in the way")).unwrap();
    let failed = machine.run(&["push", "export", T, "--incremental", "--json"]);
    failed.assert(1, "b.csv");
    let report = failed.json();
    assert_eq!(
        (&report["outcome"], &report["failed"]["count"], &report["sent"]["files"]),
        (&json!("incomplete"), &json!(1), &json!(4))
    );
    assert_eq!(server.sync(1).await["sync_status"], "Syncing");
    std::fs::remove_dir_all(server.lake().join("data/t/b.csv")).unwrap();
    let report = machine.push(&["export", T, "--incremental"]);
    assert_eq!(
        (&report["sync_id"], &report["resumed"], &report["sent"]["files"]),
        (&json!(1), &json!(true), &json!(1))
    );
    assert_eq!(server.files("data/t"), machine.files("export"));

    machine.write("export/b.csv", b"new");
    std::fs::remove_file(server.lake().join("data/t/b.csv")).unwrap();
    std::fs::create_dir_all(server.lake().join("data/t/b.csv/in the way")).unwrap();
    machine.run(&["push", "export", T, "--incremental", "--abort-on-failure"]).assert(1, "is aborted");
    assert_eq!(server.sync(2).await["sync_status"], "Failed");
}

#[tokio::test]
async fn unreadable_files_are_skipped_on_request() {
    let server = TestServer::start().await;
    let machine = Machine::of(&server);
    small_folder(&machine);
    machine.write("export/bad\u{1b}[2J.csv", b"x");
    machine.run(&["push", "export", T, "--incremental"]).assert(1, "nothing was sent").assert(1, "--skip-unreadable");
    assert!(server.file_names("data").is_empty());
    let arguments = ["push", "export", T, "--incremental", "--skip-unreadable"];
    let ended = machine.run(&arguments);
    ended.assert(1, "sent       5 files").assert(1, "unreadable 1 files").assert(1, "has finished");
    assert_eq!(server.file_names("data/t").len(), 5);
    assert_eq!(server.sync(1).await["sync_status"], "Finished");
    // A full sync without them would remove them from the dataset.
    let ended = machine.run(&["push", "export", "/data/u", "--full", "--skip-unreadable"]);
    ended.assert(1, "sent       5 files").assert(1, "is still open");
    assert!(server.file_names("data/u").is_empty());
    std::fs::remove_file(machine.path("export/bad\u{1b}[2J.csv")).unwrap();
    assert_eq!(machine.push(&["export", "/data/u", "--full"])["outcome"], "published");
    assert_eq!(server.file_names("data/u").len(), 5);
}
