//! One server for one data folder and one lake: a second one refuses to start and says why.

use crate::server::{BINARY, TestServer};
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
