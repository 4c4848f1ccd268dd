//! File permissions: only its owner can read the database; the umask decides over the lake.

use crate::server::{Stopped, TestServer, create_key, lakeshore};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Files of the database with any permission for others.
fn open_to_others(data_dir: &Path) -> Vec<String> {
    let files = fs::read_dir(data_dir).unwrap().map(|file| file.unwrap().path()).filter(|path| !path.is_dir());
    let open = files.filter(|path| mode(path) & 0o077 != 0);
    open.map(|path| format!("{path:?} {:o}", mode(&path))).collect()
}

#[tokio::test]
async fn the_database_is_private_and_the_umask_decides_over_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let (data_dir, lake) = (base.join("data"), base.join("lake"));
    let server = Stopped::new(folder, data_dir.clone(), &["--lake-root", lake.to_str().unwrap()]).start().await;
    assert_eq!(mode(&data_dir) & 0o077, 0, "{:o}", mode(&data_dir));
    let key = create_key(&data_dir, &["--role", "admin"]);
    let mut stopped = server.kill();
    stopped.key = key;
    let server = stopped.start().await;
    for sync_type in ["FullSync", "IncrementalSync"] {
        let id = server.start_sync(&format!("/data/{sync_type}"), sync_type).await;
        server.upload(id, "dt=1/small.csv", b"1").await;
        server.upload(id, "dt=1/large.csv", &vec![b'x'; 2 << 20]).await;
        server.end_sync(id).await;
    }
    assert!(data_dir.join("lakeshore.db-wal").exists() && data_dir.join("lakeshore.sock").exists());
    assert!(
        !data_dir.join("lakeshore.db-shm").exists(),
        "a write to a mapped file would end the server on a full disk"
    );
    assert_eq!(open_to_others(&data_dir), [""; 0]);
    let copy = base.join("copy.db");
    assert!(lakeshore(&["backup", copy.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]).status.success());
    assert_eq!(mode(&copy), 0o600);
    for closed in ["", "uploads", "staging", "trash"] {
        let closed = lake.join(".lakeshore").join(closed);
        assert_eq!(mode(&closed) & 0o077, 0, "{closed:?} {:o}", mode(&closed));
    }
    // With the default mode of new files and folders.
    fs::write(base.join("file"), b"").unwrap();
    fs::create_dir(base.join("folder")).unwrap();
    for dataset in ["FullSync", "IncrementalSync"] {
        for folder in ["", "dt=1"] {
            assert_eq!(mode(&lake.join("data").join(dataset).join(folder)), mode(&base.join("folder")));
        }
        for file in ["dt=1/small.csv", "dt=1/large.csv"] {
            assert_eq!(mode(&lake.join("data").join(dataset).join(file)), mode(&base.join("file")), "{file}");
        }
    }
}

#[tokio::test]
async fn a_database_readable_by_others_is_made_private_at_the_start_with_a_message() {
    let server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a", b"1").await;
    let (data_dir, engine) = (server.data_dir().to_owned(), server.folder().join(".lakeshore"));
    let stopped = server.kill();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // As left by a server of an earlier version.
    fs::write(data_dir.join("lakeshore.db-shm"), vec![0; 32 << 10]).unwrap();
    for name in ["lakeshore.db", "lakeshore.db-wal", "lakeshore.db-shm"] {
        open(&data_dir.join(name), 0o666);
    }
    open(&engine, 0o755);
    let server = stopped.start().await;
    assert_eq!(open_to_others(&data_dir), [""; 0]);
    assert_eq!(mode(&engine), 0o700);
    let said = server.stderr();
    assert!(
        said.contains("other users could read the database") && said.contains("other users could read the trash"),
        "{said}"
    );
    server.upload(id, "b", b"1").await;
    let said = server.kill().start().await.stderr();
    assert!(!said.contains("other users could"), "once: {said}");
}

#[test]
fn a_database_made_by_a_key_command_is_private_even_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    create_key(&data_dir, &[]);
    assert_eq!(mode(&data_dir.join("lakeshore.db")), 0o600);
    assert_eq!(mode(&data_dir) & 0o066, 0, "{:o}", mode(&data_dir));
    let elsewhere = folder.path().join("elsewhere.db");
    fs::rename(data_dir.join("lakeshore.db"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, data_dir.join("lakeshore.db")).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).unwrap();
    create_key(&data_dir, &[]);
    assert_eq!(mode(&elsewhere), 0o600);
}
