//! One server for one data folder, one database and one lake: a second one refuses to start and says why, and one whose
//! lake was taken over meanwhile writes nothing more.

use crate::server::{BINARY, Stopped, TestServer, bucket, lakeshore, metadata, postgres, skipped};
use sqlx::{Connection, Executor, PgConnection};
use std::process::Command;

fn assert_refuses(arguments: &[&str], words: &str) {
    // With `timeout`, as a second server that starts would never end.
    let arguments = [&[BINARY.as_str(), "serve", "--listen", "127.0.0.1:0"], arguments].concat();
    let output = Command::new("timeout").args(["--signal=KILL", "10"]).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(words), "{said} lacks {words:?}");
}

#[tokio::test]
async fn a_second_server_on_the_same_lake_refuses_to_start_even_with_a_database_of_its_own() {
    let server = TestServer::start().await;
    let (lake, elsewhere) = (server.lake(), tempfile::tempdir().unwrap());
    let (lake, data_dir) = (lake.to_str().unwrap(), elsewhere.path().to_str().unwrap());
    assert_refuses(&["--data-dir", data_dir, "--lake-root", lake], "another server is serving this lake root");
    // By another name too.
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(lake, &link).unwrap();
    assert_refuses(&["--data-dir", data_dir, "--lake-root", link.to_str().unwrap()], "another server");
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
}

#[tokio::test]
async fn a_second_server_on_the_same_database_refuses_to_start_even_with_a_lake_of_its_own() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (server.data_dir().to_str().unwrap(), elsewhere.path().to_str().unwrap());
    assert_refuses(&["--data-dir", data_dir, "--lake-root", lake], "another server");
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    assert_eq!(server.new_key(&[]).len(), server.key.len(), "making a key needs no stop");
}

#[tokio::test]
async fn the_lock_goes_with_the_process_that_held_it() {
    let server = TestServer::start().await;
    let server = server.kill_and_restart().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
}

fn new_server(options: &[&str]) -> Stopped {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    Stopped::new(folder, data_dir, options)
}

/// Uploads a file, and says whether it was acknowledged.
async fn is_acknowledged(server: &TestServer, sync_id: u64, name: &str) -> bool {
    let sent = server.upload_request(&format!("sync_id={sync_id}"), &[(name, b"1")]).send().await;
    sent.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn a_second_server_on_the_same_postgresql_database_is_refused_while_the_first_lives() {
    let Some(database) = postgres::Database::new().await else {
        return skipped("PostgreSQL is not installed; run \"make postgres\"");
    };
    let lake = tempfile::tempdir().unwrap();
    let options = ["--lake-root", lake.path().to_str().unwrap()];
    let (first, second) = (new_server(&options), new_server(&options));
    let elsewhere = new_server(&[]);
    for server in [&first, &second, &elsewhere] {
        metadata::assign(server.data_dir(), &database.address);
    }
    let first = first.with_key().start().await;
    let id = first.start_sync("/data/t", "IncrementalSync").await;
    first.upload(id, "a.csv", b"1").await;
    let refused = second.try_start(&[]).await.err().unwrap().said;
    assert!(refused.contains("another server is serving this lake root"), "{refused}");
    let refused = elsewhere.try_start(&[]).await.err().unwrap().said;
    let holder = format!("process {}", first.process_id());
    assert!(refused.contains("already served by") && refused.contains(&holder), "{refused}");
    assert!(refused.contains("stop that one first"), "{refused}");
    first.kill();
    let second = second.with_key().start().await;
    assert_eq!(second.file_names("data/t"), ["a.csv"]);
    second.upload(id, "b.csv", b"2").await;
}

#[tokio::test]
async fn a_server_whose_session_in_postgresql_broke_goes_on_and_ends_once_another_has_the_lake() {
    let Some(database) = postgres::Database::new().await else {
        return skipped("PostgreSQL is not installed; run \"make postgres\"");
    };
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let (first, second) = (new_server(&[]), new_server(&[]));
    for server in [&first, &second] {
        metadata::assign(server.data_dir(), &database.address);
    }
    let first = first.on_bucket();
    bucket::share(second.data_dir(), first.bucket.as_ref().unwrap());
    let second = second.on_bucket();
    let mut first = first.with_key().start().await;
    let id = first.start_sync("/data/t", "IncrementalSync").await;
    let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut connection = PgConnection::connect(&database.address).await.unwrap();
    // Nobody else wants the lake: the first takes it again.
    connection.execute(end_sessions).await.unwrap();
    first.upload(id, "a.csv", b"1").await;
    let is_locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7000 AND granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    first
        .eventually(async || {
            let locks: i64 = sqlx::query_scalar(is_locked).fetch_one(&mut connection).await.unwrap();
            (locks == 1).then_some(())
        })
        .await;
    let refused = second.try_start(&[]).await.err().unwrap().said;
    assert!(refused.contains("already served by"), "{refused}");
    // It stands still while its sessions end, and another server takes the lake.
    first.signal("STOP");
    connection.execute(end_sessions).await.unwrap();
    let second = second.with_key().start().await;
    first.signal("CONT");
    assert!(!is_acknowledged(&first, id, "zombie.csv").await);
    assert_eq!(first.exit_code(), Some(1), "{}", first.stderr());
    assert!(first.stderr().contains("another server has taken over this lake"), "{}", first.stderr());
    second.upload(id, "b.csv", b"2").await;
    assert_eq!(second.file_names("data/t"), ["a.csv", "b.csv"]);
}

#[tokio::test]
async fn of_two_servers_with_copies_of_a_database_one_has_the_bucket() {
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let (first, second) = (new_server(&[]), new_server(&[]));
    let first = first.on_bucket();
    bucket::share(second.data_dir(), first.bucket.as_ref().unwrap());
    let second = second.on_bucket();
    let mut first = first.with_key().start().await;
    let id = first.start_sync("/data/t", "IncrementalSync").await;
    first.upload(id, "a.csv", b"1").await;
    let copy = second.data_dir().join("lakeshore.db");
    let data_dir = first.data_dir().to_str().unwrap().to_owned();
    let copied = lakeshore(&["backup", copy.to_str().unwrap(), "--data-dir", &data_dir]);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let refused = second.try_start(&[]).await.err().unwrap().said;
    let holder = format!("process {}", first.process_id());
    assert!(refused.contains("already served by") && refused.contains(&holder), "{refused}");
    // On the same data folder there is nothing to wait for.
    first = first.kill_and_restart().await;
    assert!(!first.stderr().contains("waiting for the lease"), "{}", first.stderr());
    // The copy takes the lake once the first is silent for long enough.
    first.signal("STOP");
    let second = second.start().await;
    assert!(second.stderr().contains("waiting for the lease"), "{}", second.stderr());
    first.signal("CONT");
    assert!(!is_acknowledged(&first, id, "zombie.csv").await);
    assert_eq!(first.exit_code(), Some(1), "{}", first.stderr());
    assert!(first.stderr().contains("another server has taken over this lake"), "{}", first.stderr());
    assert_eq!(second.file_names("data/t"), ["a.csv"]);
}
