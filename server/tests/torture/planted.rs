//! Symlinks, pipes and other entries added to the lake's folder by hand.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

fn make_pipe(at: &Path) {
    assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
}

/// A folder outside the lake, with a file that must not be touched.
fn outside(server: &TestServer) -> PathBuf {
    let folder = server.data_dir().join("outside");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("secret"), b"untouched").unwrap();
    folder
}

fn assert_untouched(folder: &Path) {
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(std::fs::read(folder.join("secret")).unwrap(), b"untouched");
}

#[tokio::test]
async fn a_link_or_pipe_at_the_target_goes_to_the_trash_itself_and_is_not_followed() {
    let server = TestServer::start().await;
    let outside = outside(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let folder = server.lake().join("data/t");
    std::fs::create_dir_all(&folder).unwrap();
    symlink(outside.join("secret"), folder.join("link")).unwrap();
    symlink("/nowhere", folder.join("dangling")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    make_pipe(&folder.join("pipe"));
    let names = ["link", "dangling", "loop", "pipe"];
    for name in names {
        server.upload(id, name, b"new").await;
        assert!(folder.join(name).symlink_metadata().unwrap().is_file(), "{name}");
    }
    assert_untouched(&outside);
    assert_eq!(server.rows("/api/lake/trash").await.len(), names.len(), "they can be had back");
    // Each is counted, though none has bytes of the lake.
    server
        .eventually(async || {
            let trash = server.rows("/api/lake/trash").await;
            trash.iter().all(|entry| entry["totals"] == json!({ "files": 0, "bytes": 0 })).then_some(())
        })
        .await;
    for entry in server.rows("/api/lake/trash").await {
        let body = json!({ "trash_id": entry["trash_id"], "api_key": server.key });
        assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    }
    assert!(folder.join("pipe").symlink_metadata().unwrap().file_type().is_fifo());
    assert_untouched(&outside);
}

#[tokio::test]
async fn a_link_or_pipe_in_place_of_a_folder_is_refused_and_not_followed() {
    let server = TestServer::start().await;
    let outside = outside(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let folder = server.lake().join("data/t");
    std::fs::create_dir_all(&folder).unwrap();
    symlink(&outside, folder.join("link")).unwrap();
    symlink("/proc/self/root", folder.join("root")).unwrap();
    make_pipe(&folder.join("pipe"));
    for name in ["link/x", "root/tmp/x", "pipe/x", "link/secret"] {
        assert_refused(
            server.try_upload(&format!("sync_id={id}"), &[(name, b"x")]).await,
            40905,
            "is a file or a link",
        );
    }
    server.end_sync(id).await;
    symlink(&outside, server.lake().join("linked")).unwrap();
    make_pipe(&server.lake().join("piped"));
    for path in ["/linked", "/piped", "/linked/t", "/piped/t"] {
        let full = server.start_sync(path, "FullSync").await;
        server.upload(full, "x", b"x").await;
        assert_refused(server.try_end(full, json!({})).await, 40905, "");
        assert_eq!(server.try_abort(full).await.0, 200);
    }
    assert_untouched(&outside);
}

#[tokio::test]
async fn entries_planted_in_staging_are_not_followed_and_are_swept() {
    let server = TestServer::start().await;
    let outside = outside(&server);
    let id = server.start_sync("/data/t", "FullSync").await;
    let staging = server.lake().join(".lakeshore/staging");
    symlink(&outside, staging.join(format!("sync-{id}"))).unwrap();
    symlink(&outside, staging.join("sync-77")).unwrap();
    make_pipe(&staging.join("pipe"));
    make_pipe(&server.lake().join(".lakeshore/uploads/pipe"));
    symlink(&outside, server.lake().join(".lakeshore/uploads/link")).unwrap();
    assert_refused(server.try_upload(&format!("sync_id={id}"), &[("x", b"x")]).await, 40905, "");
    assert_eq!(server.try_abort(id).await.0, 200);
    assert_untouched(&outside);
    let server = server.kill_and_restart().await;
    assert_untouched(&outside);
    for folder in ["staging", "uploads"] {
        assert_eq!(std::fs::read_dir(server.lake().join(".lakeshore").join(folder)).unwrap().count(), 0, "{folder}");
    }
}

/// An upload interrupted by a kill: the recovery has to look for it everywhere.
async fn leave_an_upload_half_way(server: &TestServer, path: &str) -> std::net::TcpStream {
    let id = server.start_sync(path, "IncrementalSync").await;
    let connection = crate::bodies::begin(server, id, "half", 1_000);
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    // Removed, as if it had landed.
    for entry in std::fs::read_dir(server.lake().join(".lakeshore/uploads")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    connection
}

#[tokio::test]
async fn entries_planted_in_the_trash_do_not_prevent_a_start() {
    let server = TestServer::start().await;
    let outside = outside(&server);
    let _half_way = leave_an_upload_half_way(&server, "/data/t").await;
    let trash = server.lake().join(".lakeshore/trash");
    symlink(&outside, trash.join("link")).unwrap();
    make_pipe(&trash.join("pipe"));
    std::fs::write(trash.join("file"), b"").unwrap();
    let server = server.kill_and_restart().await;
    assert_eq!(server.history("").await[0]["sync_status"], "Failed");
    assert_untouched(&outside);
}

#[tokio::test]
async fn a_dataset_replaced_by_a_file_does_not_prevent_a_start() {
    let server = TestServer::start().await;
    let _half_way = leave_an_upload_half_way(&server, "/data/t/deep").await;
    std::fs::write(server.lake().join("data"), b"in the way").unwrap();
    let server = server.kill_and_restart().await;
    assert_eq!(server.history("").await[0]["sync_status"], "Failed");
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}
