//! `lakeshore check`: its findings, its repairs, and the findings that it leaves to a person.

use crate::database::Database;
use crate::server::{Stopped, TestServer, answer, lakeshore};
use crate::uploads::begin_upload;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Exit code, and the kind, path and repaired flag of each finding.
pub fn check(stopped: &Stopped, options: &[&str]) -> (i32, Vec<(String, String, bool)>) {
    // Where the lake is on object storage, the command finds it by its environment.
    let folder = stopped.bucket.is_none().then(|| stopped.folder());
    let mut arguments = vec!["check", "--json", "--data-dir", stopped.data_dir().to_str().unwrap()];
    arguments.extend(folder.iter().flat_map(|folder| ["--lake-root", folder.to_str().unwrap()]));
    let output = lakeshore(&[&arguments[..], options].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    let findings = lines.lines().map(|line| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("kind"), text("path"), finding["repaired"].as_bool().unwrap())
    });
    let mut findings: Vec<_> = findings.collect();
    findings.sort();
    let code = output.status.code().unwrap();
    assert_ne!(code, 2, "{}", String::from_utf8_lossy(&output.stderr));
    (code, findings)
}

fn assert_found(stopped: &Stopped, options: &[&str], code: i32, expected: &[(&str, &str, bool)]) {
    let expected: Vec<_> =
        expected.iter().map(|(kind, path, repaired)| ((*kind).into(), (*path).into(), *repaired)).collect();
    assert_eq!(check(stopped, options), (code, expected), "{options:?}");
}

async fn publish(server: &TestServer, path: &str, name: &str, bytes: &[u8]) -> u64 {
    let id = server.start_sync(path, "FullSync").await;
    server.upload(id, name, bytes).await;
    server.end_sync(id).await;
    id
}

async fn in_trash(server: &TestServer, call: &str, origin: &str) {
    let items = server.rows(&format!("/api/lake/trash?order=desc&path={origin}")).await;
    let body = json!({ "trash_id": items[0]["trash_id"], "api_key": server.key });
    assert_eq!(answer(server.post(&format!("/api/lake/trash/{call}"), &body)).await.0, 200);
}

/// A lake after every kind of call.
async fn busy_lake() -> TestServer {
    let server = TestServer::start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    for (name, bytes) in [("a.csv", "one"), ("a.csv", "three"), ("dt=1/b.csv", "b"), ("c.csv", "c"), ("c.csv", "cc")] {
        server.upload(id, name, bytes.as_bytes()).await;
    }
    assert_eq!(server.try_upload(&format!("sync_id={id}"), &[("../up", b"1")]).await.0, 400);
    server.end_sync(id).await;
    in_trash(&server, "restore", "/inc/a.csv").await;
    in_trash(&server, "empty", "/inc/c.csv").await;
    publish(&server, "/full", "old", b"old").await;
    publish(&server, "/full", "new", b"newer").await;
    publish(&server, "/back", "old", b"old").await;
    publish(&server, "/back", "new", b"newer").await;
    in_trash(&server, "restore", "/back").await;
    // Over an incremental dataset, and below one.
    publish(&server, "/inc/dt=1", "x", b"x").await;
    let aborted = server.start_sync("/aborted", "FullSync").await;
    server.upload(aborted, "a", b"1").await;
    assert_eq!(server.try_abort(aborted).await.0, 200);
    let open = server.start_sync("/open", "FullSync").await;
    server.upload(open, "a", b"1").await;
    server.upload(open, "a", b"22").await;
    server
}

#[tokio::test]
async fn a_lake_after_every_call_is_clean_after_a_stop_and_a_kill() {
    let mut server = busy_lake().await;
    assert_eq!(server.stop(), Some(0));
    let stopped = server.kill();
    assert_found(&stopped, &["--digests"], 0, &[]);
    let server = stopped.start().await;
    publish(&server, "/full", "newest", b"newest").await;
    let stopped = server.kill();
    assert_found(&stopped, &["--digests"], 0, &[]);
    assert_found(&stopped, &["--digests", "--repair"], 0, &[]);
    assert_found(&stopped, &[], 0, &[]);
}

fn put(at: &Path, bytes: &[u8]) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, bytes).unwrap();
}

#[tokio::test]
async fn stray_files_are_found_and_a_repair_removes_only_those_without_an_owner() {
    let stopped = busy_lake().await.kill();
    let lake = stopped.folder();
    put(&lake.join(".lakeshore/uploads/stray"), b"half");
    put(&lake.join(".lakeshore/staging/sync-1/a"), b"staged");
    put(&lake.join(".lakeshore/trash/upload-unknown/a"), b"nobody's");
    put(&lake.join(".lakeshore/trash/sync-99/t/a"), b"of a sync that is not there");
    fs::create_dir(lake.join(".lakeshore/trash/upload-empty")).unwrap();
    put(&lake.join("full/by-hand"), b"somebody's");
    put(&lake.join("elsewhere/no-dataset"), b"somebody's");
    let lying = |repaired: bool| {
        [
            ("empty-slot", ".lakeshore/trash/upload-empty", repaired),
            ("stray-partial", ".lakeshore/uploads/stray", repaired),
            ("stray-staging", ".lakeshore/staging/sync-1", repaired),
            ("unknown-file", "full/by-hand", false),
            ("unknown-trash", ".lakeshore/trash/sync-99", false),
            ("unknown-trash", ".lakeshore/trash/upload-unknown", false),
        ]
    };
    assert_found(&stopped, &[], 1, &lying(false));
    assert!(lake.join(".lakeshore/uploads/stray").exists(), "it only looked");
    assert_found(&stopped, &["--repair"], 1, &lying(true));
    let left = [
        ("unknown-file", "full/by-hand", false),
        // Renamed to free the name for a later sync 99.
        ("unknown-trash", ".lakeshore/trash/lost-sync-99", false),
        ("unknown-trash", ".lakeshore/trash/upload-unknown", false),
    ];
    assert_found(&stopped, &["--repair"], 1, &left);
    assert!(lake.join(".lakeshore/trash/lost-sync-99/t/a").exists());
    fs::remove_dir_all(lake.join(".lakeshore/trash/lost-sync-99")).unwrap();
    fs::remove_dir_all(lake.join(".lakeshore/trash/upload-unknown")).unwrap();
    assert_found(&stopped, &[], 0, &left[..1]);
}

#[tokio::test]
async fn staged_files_without_an_open_sync_are_in_the_trash_after_a_start_and_can_be_restored() {
    let stopped = busy_lake().await.kill();
    let lake = stopped.folder();
    put(&lake.join(".lakeshore/staging/sync-1/dt=1/a"), b"of a sync that has ended");
    put(&lake.join(".lakeshore/staging/sync-77/b"), b"of a sync that is not there");
    fs::create_dir_all(lake.join(".lakeshore/staging/sync-78/empty")).unwrap();
    let server = stopped.start().await;
    for name in ["sync-1", "sync-77", "sync-78"] {
        assert!(!lake.join(".lakeshore/staging").join(name).exists(), "{name}");
    }
    let trash = server.rows("/api/lake/trash").await;
    let lost = trash.iter().find(|entry| entry["origin"] == "/lost-and-found/sync-77").unwrap();
    let body = serde_json::json!({ "api_key": server.key, "trash_id": lost["trash_id"] });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    assert_eq!(server.files("lost-and-found/sync-77")["b"], b"of a sync that is not there");
    let kept = server.files(".lakeshore/trash");
    assert!(kept.values().any(|bytes| bytes == b"of a sync that has ended"), "{kept:?}");
}

#[tokio::test]
async fn missing_and_changed_files_are_found_and_rows_of_replaced_files_are_skipped() {
    let stopped = busy_lake().await.kill();
    let lake = stopped.folder();
    fs::remove_file(lake.join("full/new")).unwrap();
    fs::write(lake.join("inc/c.csv"), b"longer").unwrap();
    fs::write(lake.join("inc/dt=1/x"), b"y").unwrap();
    fs::remove_dir_all(lake.join(".lakeshore/staging")).unwrap();
    // A restored file is not checked against the uploads before it.
    fs::write(lake.join("inc/a.csv"), b"whatever").unwrap();
    let sync = lake.join(".lakeshore/staging");
    fs::create_dir(&sync).unwrap();
    let changed = [
        ("missing-file", ".lakeshore/staging/sync-8/a", false),
        ("missing-file", "full/new", false),
        ("wrong-size", "inc/c.csv", false),
    ];
    assert_found(&stopped, &["--repair"], 1, &changed);
    let by_digest = [&changed[..2], &[("wrong-digest", "inc/dt=1/x", false)], &changed[2..]].concat();
    assert_found(&stopped, &["--digests"], 1, &by_digest);
}

#[tokio::test]
async fn trash_without_a_row_is_listed_again_and_a_row_without_its_trash_leaves_the_list() {
    let server = busy_lake().await;
    let items = server.rows("/api/lake/trash").await;
    let stopped = server.kill();
    let lake = stopped.folder();
    let database = Database::of(stopped.data_dir()).await;
    let key = async |origin: &str, reason: &str| -> String {
        let sql = format!(
            "SELECT trash_key FROM trash WHERE origin = '{origin}' AND reason = '{reason}' AND restored_at IS NULL \
             AND emptying_at IS NULL"
        );
        database.value(sql).await
    };
    let (dataset, file) = (key("/full", "Replaced").await, key("/inc/a.csv", "Restored").await);
    let gone = key("/back", "Restored").await;
    for key in [&dataset, &file] {
        let sql = format!("DELETE FROM trash WHERE trash_key = '{key}' AND restored_at IS NULL");
        assert_eq!(database.execute(sql).await, 1);
    }
    fs::remove_dir_all(lake.join(".lakeshore/trash").join(&gone)).unwrap();
    database.close().await;
    let (missing, of_dataset, of_file) = (
        format!(".lakeshore/trash/{gone}/back"),
        format!(".lakeshore/trash/{dataset}"),
        format!(".lakeshore/trash/{file}"),
    );
    let found = |repaired| {
        [
            ("missing-trash", missing.as_str(), repaired),
            ("unknown-trash", of_dataset.as_str(), repaired),
            ("unknown-trash", of_file.as_str(), repaired),
        ]
    };
    assert_found(&stopped, &[], 1, &found(false));
    assert_found(&stopped, &["--repair"], 0, &found(true));
    assert_found(&stopped, &["--digests"], 0, &[]);
    let server = stopped.start().await;
    let again = server.rows("/api/lake/trash").await;
    assert_eq!(again.len(), items.len() - 1, "{again:?}");
    in_trash(&server, "restore", "/full").await;
    assert_eq!(server.file_names("full"), ["old"]);
    in_trash(&server, "restore", "/inc/a.csv").await;
    assert_eq!(server.files("inc")["a.csv"], b"three");
}

#[tokio::test]
async fn wrong_counters_are_recounted() {
    let stopped = busy_lake().await.kill();
    let database = Database::of(stopped.data_dir()).await;
    database
        .execute(
            "UPDATE syncs SET total_files = 9, size_bytes = 0 WHERE sync_id = 1;
             UPDATE upload_counts SET finished = finished + 1 WHERE scope = 0;
             DELETE FROM sync_counts WHERE sync_type = 'IncrementalSync';",
        )
        .await;
    database.close().await;
    let found = |repaired| {
        [
            ("miscount", "sync 1", repaired),
            ("miscount", "sync_counts", repaired),
            ("miscount", "upload_counts", repaired),
        ]
    };
    assert_found(&stopped, &[], 1, &found(false));
    assert_found(&stopped, &["--repair"], 0, &found(true));
    let server = stopped.start().await;
    let sync = server.sync(1).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"], &sync["size_bytes"]), (&json!(6), &json!(1), &json!(12)));
    assert_eq!(server.rows("/api/ingestion/file/sync/list?sync_type=IncrementalSync").await.len(), 1);
}

#[tokio::test]
async fn work_interrupted_by_a_kill_is_unfinished_until_a_repair_or_a_start() {
    let server = TestServer::start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(id, "a.csv", b"one").await;
    let _half_way = begin_upload(&server, id, "half");
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    let stopped = server.kill();
    let (code, found) = check(&stopped, &[]);
    assert_eq!((code, found.len(), found[0].0.as_str()), (1, 1, "unfinished"), "{found:?}");
    let (code, found) = check(&stopped, &["--repair"]);
    assert_eq!((code, found.len(), found[0].2), (0, 1, true), "{found:?}");
    assert_found(&stopped, &[], 0, &[]);
    let server = stopped.start().await;
    assert_eq!(server.history("status=Failed").await.len(), 1);
}

#[tokio::test]
async fn missing_rows_are_damage_that_only_a_backup_repairs() {
    let stopped = busy_lake().await.kill();
    let database = Database::of(stopped.data_dir()).await;
    database.execute("DELETE FROM uploads WHERE history_id = 2").await;
    database.close().await;
    assert_found(&stopped, &["--repair"], 1, &[("damaged", "the database", false)]);
}

#[tokio::test]
async fn a_failed_check_says_why_and_creates_nothing() {
    let server = TestServer::start().await;
    let refused = |data_dir: &Path, words: &str| {
        let output = lakeshore(&["check", "--data-dir", data_dir.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said} lacks {words:?}");
    };
    refused(server.data_dir(), "stop it first");
    let id = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(id, "a.csv", b"the server is not disturbed").await;
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path(), "no database");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    let stopped = server.kill();
    fs::rename(stopped.folder(), empty.path().join("lake")).unwrap();
    refused(stopped.data_dir(), "no lake");
    assert!(!stopped.folder().exists());
}

#[tokio::test]
async fn the_text_output_has_a_line_with_kind_path_and_repair_for_each_finding() {
    let stopped = TestServer::start().await.kill();
    put(&stopped.folder().join(".lakeshore/uploads/stray\n"), b"half");
    let output = lakeshore(&["check", "--data-dir", stopped.data_dir().to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    let line = "stray-partial\t.lakeshore/uploads/stray\\n\tbelongs to no upload in flight \
                [--repair removes it, as the next start does]\n";
    assert_eq!(said, line);
    let summary = String::from_utf8(output.stderr).unwrap();
    assert_eq!(summary, "1 findings, 0 repaired; 0 notes\n");
}
