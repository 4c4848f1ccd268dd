//! Pairing of a lake with its database: an unmounted disk, and an omitted or mistyped path, are refused at the start,
//! before any write.

use crate::check::check;
use crate::database::Database;
use crate::server::{Stopped, TestServer, create_key, lakeshore};
use std::fs;
use std::path::{Path, PathBuf};

/// A lake with content and its database, each in a folder of its own.
async fn served() -> (Stopped, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let lake = base.join("lake");
    let stopped = Stopped::new(folder, base.join("data"), &["--lake-root", lake.to_str().unwrap()]).with_key();
    let server = stopped.start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.end_sync(id).await;
    (stop(server), base)
}

/// Stops the server in an orderly way, so that all data is in the database's main file.
fn stop(mut server: TestServer) -> Stopped {
    assert_eq!(server.stop(), Some(0));
    server.kill()
}

/// Asserts that serving these folders is refused.
fn assert_refused(arguments: &[&str], words: &str) -> String {
    let output = lakeshore(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(words), "{said} lacks {words:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Folder whose name is the identity.
fn identity_folder(lake: &Path) -> PathBuf {
    let entries = fs::read_dir(lake.join(".lakeshore")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = entries.filter(|path| text(path).contains("/identity-"));
    let folder = found.next().unwrap();
    assert_eq!(found.next(), None);
    folder
}

fn identity(lake: &Path) -> String {
    identity_folder(lake).to_str().unwrap().rsplit('-').next().unwrap().to_owned()
}

async fn execute(data_dir: &Path, sql: &str) {
    let database = Database::of(data_dir).await;
    database.execute(sql).await;
    database.close().await;
}

#[tokio::test]
async fn a_lake_on_an_unmounted_disk_is_refused_and_nothing_is_created_in_its_place() {
    let (stopped, base) = served().await;
    let (data, lake, disk) = (base.join("data"), base.join("lake"), base.join("disk"));
    fs::rename(&lake, &disk).unwrap();
    for is_there in [false, true] {
        if is_there {
            fs::create_dir(&lake).unwrap();
        }
        assert_refused(&["--data-dir", text(&data), "--lake-root", text(&lake)], "Mount its disk");
        assert_eq!(lake.exists(), is_there);
        let (code, said) = checked(&data, &disk.join("nowhere"));
        assert!(code == Some(2) && said.contains("no lake at"), "{said}");
    }
    let (code, said) = checked(&data, &lake);
    assert!(code == Some(2) && said.contains("Mount its disk"), "{said}");
    assert_eq!(fs::read_dir(&lake).unwrap().count(), 0);
    fs::remove_dir(&lake).unwrap();
    fs::rename(&disk, &lake).unwrap();
    let server = stopped.start().await;
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
}

#[tokio::test]
async fn a_check_does_not_record_where_it_found_the_lake() {
    let (stopped, base) = served().await;
    let (data, lake, moved) = (base.join("data"), base.join("lake"), base.join("moved"));
    fs::rename(&lake, &moved).unwrap();
    assert_eq!(checked(&data, &moved).0, Some(0));
    let said = assert_refused(&["--data-dir", text(&data), "--lake-root", text(&lake)], "Mount its disk");
    assert!(said.contains(&format!("(last at {})", lake.display())), "{said}");
    fs::rename(&moved, &lake).unwrap();
    assert_eq!(stopped.start().await.file_names("data/t"), ["a.csv"]);
}

fn checked(data: &Path, lake: &Path) -> (Option<i32>, String) {
    let output = lakeshore(&["check", "--data-dir", text(data), "--lake-root", text(lake)]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn an_omitted_or_mistyped_path_uses_no_other_lake_or_database() {
    let (_one, one) = served().await;
    let (_other, other) = served().await;
    // --lake-root omitted: the default folder is not created.
    let said = assert_refused(&["--data-dir", text(&one.join("data"))], "Mount its disk");
    assert!(said.contains(text(&one.join("lake"))), "it says where the lake was: {said}");
    assert!(!one.join("data/lake").exists());
    // --data-dir omitted or mistyped: no database is created.
    assert_refused(
        &["--data-dir", text(&one.join("typo")), "--lake-root", text(&one.join("lake"))],
        "belongs to a database, and ",
    );
    assert!(!one.join("typo").exists());
    // A database with only a key does not belong to the lake either.
    create_key(&one.join("keys"), &[]);
    assert_refused(
        &["--data-dir", text(&one.join("keys")), "--lake-root", text(&one.join("lake"))],
        "belongs to another database",
    );
    // Another lake: both are named.
    let said = assert_refused(
        &["--data-dir", text(&one.join("data")), "--lake-root", text(&other.join("lake"))],
        "is another lake",
    );
    assert!(said.contains(&identity(&one.join("lake"))) && said.contains(&identity(&other.join("lake"))), "{said}");
}

#[tokio::test]
async fn a_lake_is_adopted_by_another_database_on_request() {
    let (stopped, base) = served().await;
    let (data, lake, new) = (base.join("data"), base.join("lake"), base.join("new"));
    let before = identity(&lake);
    let adopt = |data: &Path, lake: &Path| {
        let output = lakeshore(&["adopt", "--data-dir", text(data), "--lake-root", text(lake)]);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(
        adopt(&new, &base.join("nowhere")).1,
        format!("lakeshore: no lake at {}/nowhere; choose its folder with --lake-root\n", base.display())
    );
    assert!(!new.exists());
    // Refused while a server has it.
    let server = stopped.start().await;
    assert!(adopt(&new, &lake).1.contains("another server"));
    let stopped = stop(server);
    let (succeeded, said) = adopt(&new, &lake);
    assert!(succeeded && said.contains("is now the lake of the database"), "{said}");
    assert_ne!(identity(&lake), before);
    assert_refused(&["--data-dir", text(&data), "--lake-root", text(&lake)], "is another lake");
    // In the other direction.
    assert!(adopt(&data, &lake).0);
    assert_refused(&["--data-dir", text(&new), "--lake-root", text(&lake)], "is another lake");
    let server = stopped.start().await;
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
    drop(server);
    // A lake restored without its hidden folder.
    fs::remove_dir_all(lake.join(".lakeshore")).unwrap();
    assert_refused(&["--data-dir", text(&data), "--lake-root", text(&lake)], "it has no identity");
    assert!(adopt(&data, &lake).0);
    assert_eq!(check(&stopped, &[]), (0, vec![]));
}

#[tokio::test]
async fn a_lake_and_a_database_of_an_older_version_are_paired_unless_the_disk_is_not_mounted() {
    let (stopped, base) = served().await;
    let (data, lake) = (base.join("data"), base.join("lake"));
    execute(&data, "DELETE FROM lake_identity").await;
    fs::remove_dir(identity_folder(&lake)).unwrap();
    let arguments = ["--data-dir", text(&data), "--lake-root", text(&lake)];
    // Not mounted: empty, or with the folder of a mistaken start.
    fs::rename(&lake, base.join("disk")).unwrap();
    assert_refused(&arguments, "has none of them");
    assert!(!lake.exists());
    for name in ["uploads", "staging", "trash"] {
        fs::create_dir_all(lake.join(".lakeshore").join(name)).unwrap();
    }
    assert_refused(&arguments, "has none of them");
    fs::remove_dir_all(&lake).unwrap();
    fs::rename(base.join("disk"), &lake).unwrap();
    // A database of another lake, also of an older version.
    create_key(&base.join("new"), &[]);
    assert_refused(&["--data-dir", text(&base.join("new")), "--lake-root", text(&lake)], "belongs to another database");
    let server = stopped.start().await;
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
    let stopped = stop(server);
    assert_eq!(identity(&lake).len(), 32);
    let server = stopped.start().await;
    drop(server);
}

#[tokio::test]
async fn an_interrupted_first_start_is_completed_by_the_next() {
    let (stopped, base) = served().await;
    let before = identity(&base.join("lake"));
    execute(&base.join("data"), "UPDATE lake_identity SET is_paired = 0").await;
    fs::remove_dir(identity_folder(&base.join("lake"))).unwrap();
    let stopped = stop(stopped.start().await);
    assert_eq!(identity(&base.join("lake")), before);
    execute(&base.join("data"), "UPDATE lake_identity SET is_paired = 0").await;
    stop(stopped.start().await);
    let database = Database::of(&base.join("data")).await;
    assert!(database.value::<bool>("SELECT is_paired FROM lake_identity").await);
}

#[tokio::test]
async fn a_damaged_identity_and_one_of_a_newer_version_are_distinguished() {
    let (stopped, base) = served().await;
    let (data, lake) = (base.join("data"), base.join("lake"));
    let right = identity_folder(&lake);
    let as_name = |name: &str| right.with_file_name(name);
    let refused = |words: &str| assert_refused(&["--data-dir", text(&data), "--lake-root", text(&lake)], words);
    let digits = "0123456789abcdef".repeat(2);
    fs::create_dir(as_name(&format!("identity-1-{digits}"))).unwrap();
    refused("or not unique");
    fs::remove_dir(as_name(&format!("identity-1-{digits}"))).unwrap();
    let mut before = right.clone();
    for (name, words) in [
        ("identity-".to_owned(), "is damaged"),
        ("identity-1-".to_owned(), "is damaged"),
        (format!("identity-0-{digits}"), "is damaged"),
        (format!("identity-1-{digits}\u{1b}[2J"), "is damaged"),
        (format!("identity-1-{}", &digits[1..]), "is damaged"),
        ("identity-2-x".to_owned(), "newer version"),
    ] {
        fs::rename(&before, as_name(&name)).unwrap();
        before = as_name(&name);
        refused(words);
    }
    fs::remove_dir(&before).unwrap();
    std::os::unix::fs::symlink("/tmp", &right).unwrap();
    refused("is damaged");
    // Replaced on request, whatever it is.
    let adopted = lakeshore(&["adopt", "--data-dir", text(&data), "--lake-root", text(&lake)]);
    assert!(adopted.status.success(), "{adopted:?}");
    stopped.start().await;
}

#[tokio::test]
async fn a_database_a_backup_or_another_lake_inside_a_lake_is_refused() {
    let (_stopped, base) = served().await;
    let at = |path: &str| base.join(path).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(base.join("lake"), base.join("link")).unwrap();
    for (data, lake, words) in [
        ("x", "x", "is inside the lake root"),
        ("x/data", "x", "is inside the lake root"),
        ("lake/x", "lake", "is inside the lake root"),
        ("link/x", "lake", "is inside the lake root"),
        ("data", "", "is inside the lake root"),
        ("lake/x", "y", "is inside the lake at"),
        ("x", "lake/data/t", "is inside another lake"),
        ("x", "lake/.lakeshore/trash", "is inside another lake"),
        ("x", "link/y", "is inside another lake"),
    ] {
        assert_refused(&["--data-dir", &at(data), "--lake-root", &at(lake)], words);
    }
    for made in ["x", "y", "lake/x", "lake/y"] {
        assert!(!base.join(made).exists(), "{made} was made");
    }
    for arguments in
        [["backup", &at("lake/b.db"), "--data-dir", &at("data")], ["key", "list", "--data-dir", &at("lake/x")]]
    {
        let output = lakeshore(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("is inside the lake at"), "{said}");
    }
    assert!(!base.join("lake/b.db").exists() && !base.join("lake/x").exists());
}
