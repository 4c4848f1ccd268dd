//! Taking over files, and snapshots, where the file system can share their bytes.

use crate::clients::digest;
use crate::mounts::Mount;
use crate::server::{Stopped, TestServer, answer};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_BYTES: usize = 60_000_000;

/// A server on a file system that shares bytes, its mount, and where that is. `None` without the right to mount.
async fn on_xfs() -> Option<(TestServer, Mount, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let mount = Mount::new_xfs(&folder.path().join("image"), &disk)?;
    let data_dir = disk.join("data");
    std::fs::create_dir(&data_dir).unwrap();
    Some((Stopped::new(folder, data_dir, &[]).with_key().start().await, mount, disk))
}

fn free_bytes(at: &Path) -> u64 {
    let output = Command::new("stat").args(["-f", "-c", "%f %S"]).arg(at).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (blocks, size) = text.trim().split_once(' ').unwrap();
    blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_taken_over_file_shares_its_bytes_until_one_copy_is_written() {
    let Some((mut server, mount, disk)) = on_xfs().await else { return };
    let bytes: Vec<u8> = (0..FILE_BYTES).map(|n| (n / 1000 % 251) as u8).collect();
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "large.bin", &bytes).await;
    server.upload(id, "empty.bin", b"").await;
    server.end_sync(id).await;

    let before = free_bytes(&disk);
    let offered =
        |name: &str, bytes: &[u8]| json!({ "path": name, "size_bytes": bytes.len(), "sha256": digest(bytes) });
    // Copies of all would not fit on the disk.
    for taken_over in 1..=5 {
        let id = server.start_sync("/data/t", "FullSync").await;
        let files = json!([offered("large.bin", &bytes), offered("empty.bin", b"")]);
        let body = json!({ "sync_id": id, "files": files, "take_over": true });
        let (_, said) = answer(server.post("/api/lake/file/missing", &body)).await;
        assert_eq!(said["data"]["taken_over"], json!(2), "the {taken_over}. time: {said}");
        server.end_sync(id).await;
    }
    let used = before.saturating_sub(free_bytes(&disk));
    assert!(used < FILE_BYTES as u64 / 2, "{used} bytes more are used");
    assert!(server.files("data/t")["large.bin"] == bytes);
    std::fs::write(server.lake().join("data/t/large.bin"), b"written through").unwrap();
    assert!(server.files(".lakeshore/trash").values().all(|trashed| trashed.is_empty() || *trashed == bytes));
    server.stop();
    // Before its mount point is removed.
    drop(mount);
}

#[tokio::test]
async fn a_snapshot_shares_bytes_and_keeps_them_when_the_dataset_is_written_by_hand() {
    let Some((mut server, mount, disk)) = on_xfs().await else { return };
    let bytes: Vec<u8> = (0..FILE_BYTES).map(|n| (n / 1000 % 251) as u8).collect();
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "large.bin", &bytes).await;
    server.end_sync(id).await;

    let before = free_bytes(&disk);
    let body = json!({ "path": "/data/t", "api_key": server.key });
    let mut taken = Vec::new();
    // Copies of all would not fit on the disk.
    for _ in 0..5 {
        let (status, snapshot) = answer(server.post("/api/lake/dataset/snapshot", &body)).await;
        assert_eq!(status, 200, "{snapshot}");
        taken.push(snapshot["absolute"].as_str().unwrap().to_owned());
    }
    let used = before.saturating_sub(free_bytes(&disk));
    assert!(used < FILE_BYTES as u64 / 2, "{used} bytes more are used");
    let mut live = std::fs::OpenOptions::new().write(true).open(server.lake().join("data/t/large.bin")).unwrap();
    live.write_all(b"written in place").unwrap();
    for snapshot in taken {
        assert!(std::fs::read(Path::new(&snapshot).join("large.bin")).unwrap() == bytes, "{snapshot}");
    }
    server.stop();
    // Before its mount point is removed.
    drop(mount);
}
