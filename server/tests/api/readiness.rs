//! `/readyz`: a server is ready if writes would succeed; otherwise the response names the store, the cause and the
//! remedy.

use crate::database::{Database, in_folder};
use crate::disk::SmallDisk;
use crate::server::{Stopped, TestServer, answer, assert_refused};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

async fn ready(server: &TestServer) -> (u16, Value) {
    answer(server.get("/readyz")).await
}

async fn eventually_ready(server: &TestServer) {
    server.eventually(async || (ready(server).await.0 == 200).then_some(())).await;
}

async fn eventually_not_ready(server: &TestServer, words: &str) {
    let refused = server.eventually(async || Some(ready(server).await).filter(|(status, _)| *status != 200)).await;
    assert_refused(refused, 50306, words);
}

#[tokio::test]
async fn a_moved_lake_or_database_is_reported() {
    let server = TestServer::start().await;
    assert_eq!(ready(&server).await.0, 200);
    let (lake, database) = (server.folder(), server.data_dir().join("lakeshore.db"));
    let moved = |path: &PathBuf| path.with_extension("moved");
    fs::rename(&lake, moved(&lake)).unwrap();
    eventually_not_ready(&server, "the lake root is missing").await;
    // Another folder at its path is not the lake.
    fs::create_dir(&lake).unwrap();
    eventually_not_ready(&server, "mount its disk").await;
    fs::remove_dir(&lake).unwrap();
    fs::rename(moved(&lake), &lake).unwrap();
    eventually_ready(&server).await;
    fs::rename(&database, moved(&database)).unwrap();
    eventually_not_ready(&server, "the database file is missing").await;
    fs::rename(moved(&database), &database).unwrap();
    eventually_ready(&server).await;
    let is_said = async || {
        let said = server.stderr();
        let counts = (said.matches("not ready: writes").count(), said.matches("ready again").count());
        (counts == (2, 2)).then_some(())
    };
    // The response may precede its line in the log.
    server.eventually(is_said).await;
}

#[tokio::test]
async fn an_unwritable_lake_is_reported() {
    let server = TestServer::start().await;
    let uploads = server.folder().join(".lakeshore/uploads");
    fs::remove_dir(&uploads).unwrap();
    eventually_not_ready(&server, "cannot write to the lake: uploads").await;
    fs::create_dir(&uploads).unwrap();
    eventually_ready(&server).await;
    assert!(server.file_names(".lakeshore/uploads").is_empty(), "a probe leaves nothing");
}

fn on_small_disk(of: &str) -> Option<(Stopped, SmallDisk, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (folder.path().join("data"), folder.path().join("lake"));
    let at = folder.path().join(of);
    let disk = SmallDisk::mount(&at, "size=64m")?;
    fs::create_dir_all(&data_dir).unwrap();
    let options = ["--min-free-space", "8MiB", "--lake-root", lake.to_str().unwrap()];
    Some((Stopped::new(folder, data_dir, &options).with_key(), disk, at))
}

#[tokio::test]
async fn a_read_only_disk_is_reported_and_refused_at_a_start() {
    let Some((stopped, disk, at)) = on_small_disk("lake") else { return };
    let server = stopped.start().await;
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&at).status().unwrap();
        assert!(done.success());
    };
    remount("ro");
    eventually_not_ready(&server, "read-only").await;
    let stopped = server.kill();
    let refused = stopped.try_start(&[]).await.err().unwrap().said;
    assert!(refused.contains("cannot write to the lake root"), "{refused}");
    remount("rw");
    let server = stopped.start().await;
    eventually_ready(&server).await;
    drop(server);
    drop(disk);
}

#[tokio::test]
async fn a_disk_below_its_reserve_is_reported_and_does_not_prevent_a_start() {
    for (of, name) in [("lake", "the disk of the lake"), ("data", "the disk of the database")] {
        let Some((stopped, disk, _)) = on_small_disk(of) else { return };
        let server = stopped.start().await;
        assert_eq!(ready(&server).await.0, 200);
        disk.fill(4 << 20);
        eventually_not_ready(&server, name).await;
        let server = server.kill_and_restart().await;
        assert!(server.stderr().contains("not ready") && server.stderr().contains(name), "{}", server.stderr());
        eventually_not_ready(&server, "are reserved").await;
        assert_eq!(server.rows("/api/ingestion/file/sync/list").await.len(), 0, "reading goes on");
        disk.make_space();
        eventually_ready(&server).await;
        drop(server);
    }
}

#[tokio::test]
async fn a_damaged_database_is_reported_until_it_is_replaced() {
    let server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    for n in 0..50 {
        server.upload(id, &format!("a-{n}"), b"1").await;
    }
    let mut stopping = server;
    assert_eq!(stopping.stop(), Some(0));
    let stopped = stopping.kill();
    // Damages the root page of the history while the server runs.
    let database = Database::of(stopped.data_dir()).await;
    let page: i64 = database.value("SELECT rootpage FROM sqlite_schema WHERE name = 'uploads'").await;
    database.close().await;
    let server = stopped.start().await;
    assert_eq!(ready(&server).await.0, 200);
    let mut file = fs::OpenOptions::new().write(true).open(in_folder(server.data_dir())).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start((page as u64 - 1) * 4096)).unwrap();
    std::io::Write::write_all(&mut file, &[0xa5; 4096]).unwrap();
    server
        .eventually(async || (answer(server.get("/api/ingestion/file/sync/history")).await.0 == 500).then_some(()))
        .await;
    eventually_not_ready(&server, "the database is damaged").await;
}

#[tokio::test]
async fn many_readiness_checks_cost_no_more_than_one() {
    let server = TestServer::start().await;
    let log = server.data_dir().join("lakeshore.db-wal");
    let written = || fs::metadata(&log).unwrap().modified().unwrap();
    assert_eq!(ready(&server).await.0, 200);
    let mut times = std::collections::BTreeSet::from([written()]);
    for _ in 0..200 {
        assert_eq!(ready(&server).await.0, 200);
        times.insert(written());
    }
    assert!(times.len() < 100, "the database was written {} times", times.len());
}
