//! `lakeshore backup`: the copy can replace the database, with the state of its time.

use crate::check::check;
use crate::server::{Stopped, TestServer, assert_refused, create_key, lakeshore};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn backup(data_dir: &Path, file: &Path) -> (bool, String) {
    let output = lakeshore(&["backup", file.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// A new data folder with a copy of the lake, and with the backup as its database.
fn restored(backup: &Path, lake: &Path, key: &str) -> Stopped {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    std::fs::copy(backup, data_dir.join("lakeshore.db")).unwrap();
    let copied = Command::new("cp").arg("-a").args([lake, &data_dir.join("lake")]).status().unwrap();
    assert!(copied.success());
    let mut stopped = Stopped::new(folder, data_dir, &[]);
    stopped.key = key.to_owned();
    stopped
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_during_uploads_is_consistent_and_lacks_later_landings() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let id = server.start_sync("/inc", "IncrementalSync").await;
    for n in 0..5 {
        server.upload(id, &format!("before-{n}"), b"before").await;
    }
    let copy = elsewhere.path().join("copy.db");
    let uploads = async {
        for n in 0..40 {
            server.upload(id, &format!("amid-{n}"), b"amid").await;
        }
    };
    let (data_dir, file) = (server.data_dir().to_owned(), copy.clone());
    let copying = tokio::task::spawn_blocking(move || backup(&data_dir, &file));
    let ((), copied) = tokio::join!(uploads, copying);
    assert_eq!(copied.unwrap(), (true, String::new()));
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing is left beside it");
    server.upload(id, "after", b"after").await;

    let stopped = restored(&copy, &server.folder(), &server.key);
    let (code, found) = check(&stopped, &["--digests", "--repair"]);
    // An upload that was landing at this moment is found unfinished, and completed by the repair.
    assert_eq!(code, 0, "{found:?}");
    assert!(found.iter().all(|(kind, _, repaired)| kind == "unknown-file" || *repaired), "{found:?}");
    assert!(found.iter().any(|(kind, path, _)| kind == "unknown-file" && path == "inc/after"), "{found:?}");
    let other = stopped.start().await;
    let history = other.history("size=100&status=Finished").await;
    assert!((5..=45).contains(&history.len()), "{} uploads are known", history.len());
    let sync = other.sync(id).await;
    assert_eq!(sync["total_files"].as_u64(), Some(history.len() as u64));
    other.upload(id, "goes-on", b"1").await;
    other.end_sync(id).await;
    let unknown = check(&other.kill(), &[]).1;
    assert_eq!(unknown.iter().filter(|(kind, ..)| kind == "unknown-file").count(), 47 - history.len() - 1);
}

#[tokio::test]
async fn a_database_older_than_the_lake_loses_no_trash_item() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let publish = async |server: &TestServer, name: &str| {
        let id = server.start_sync("/full", "FullSync").await;
        server.upload(id, name, name.as_bytes()).await;
        server.end_sync(id).await;
    };
    publish(&server, "one").await;
    let copy = elsewhere.path().join("copy.db");
    assert!(backup(server.data_dir(), &copy).0);
    publish(&server, "two").await;
    let stopped = restored(&copy, &server.folder(), &server.key);
    drop(server);
    let (code, found) = check(&stopped, &["--repair"]);
    let found: Vec<_> = found.iter().map(|(kind, path, _)| (kind.as_str(), path.as_str())).collect();
    let expected =
        [("missing-file", "full/one"), ("unknown-file", "full/two"), ("unknown-trash", ".lakeshore/trash/sync-2")];
    assert_eq!((code, found), (1, expected.to_vec()));
    // The next sync also gets the id 2, but its trash item has another key.
    let server = stopped.start().await;
    publish(&server, "three").await;
    let trashed = server.files(".lakeshore/trash");
    let names: Vec<_> = trashed.keys().map(String::as_str).collect();
    assert_eq!(names, ["lost-sync-2/full/one", "sync-2/full/two"]);
    assert_eq!(server.file_names("full"), ["three"]);
}

#[tokio::test]
async fn a_full_sync_open_only_in_an_older_database_does_not_empty_its_dataset() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let id = server.start_sync("/full", "FullSync").await;
    server.upload(id, "one", b"one").await;
    let copy = elsewhere.path().join("copy.db");
    assert!(backup(server.data_dir(), &copy).0);
    server.end_sync(id).await;
    let stopped = restored(&copy, &server.folder(), &server.key);
    let found = check(&stopped, &["--repair"]).1;
    let missing = ("missing-file".to_owned(), format!(".lakeshore/staging/sync-{id}/one"), false);
    assert!(found.contains(&missing), "{found:?}");
    let server = stopped.start().await;
    assert_refused(server.try_end(id, json!({})).await, 40900, "are missing");
    assert_eq!(server.file_names("full"), ["one"]);
    let sync = server.sync(id).await;
    assert_eq!((&sync["sync_status"], server.try_start("/full", "FullSync").await.0), (&json!("Failed"), 200));
}

#[test]
fn a_backup_never_overwrites_a_file_and_needs_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    let (succeeded, said) = backup(folder.path(), &file);
    assert!(!succeeded && said.contains("no database"), "{said}");
    create_key(folder.path(), &[]);
    std::fs::write(&file, b"precious").unwrap();
    let (succeeded, said) = backup(folder.path(), &file);
    assert!(!succeeded && said.contains("never overwritten"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let (succeeded, said) = backup(folder.path(), &folder.path().join("nowhere/copy.db"));
    assert!(!succeeded && said.contains("cannot write the backup"), "{said}");
}
