//! Folder listings: `/api/lake/file/list`.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::{Value, json};

const LIST: &str = "/api/lake/file/list";

async fn paths(server: &TestServer, query: &str) -> Vec<String> {
    let rows = server.rows(&format!("{LIST}?{query}")).await;
    rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

/// `/data/t` with two folders and three files.
async fn lake() -> TestServer {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    for name in ["b.csv", "dt=2/x.csv", "a.csv", "dt=1/x.csv", "c d.csv"] {
        server.upload(id, name, name.as_bytes()).await;
    }
    server.end_sync(id).await;
    server
}

#[tokio::test]
async fn a_folder_lists_its_folders_then_its_files_with_their_metadata() {
    let server = lake().await;
    let rows = server.rows(&format!("{LIST}?path=/data/t")).await;
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dt=1", "dt=2", "a.csv", "b.csv", "c d.csv"]);
    let folder = &rows[0];
    assert_eq!(
        (&folder["is_folder"], &folder["size_bytes"], &folder["sha256"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    let file = &rows[2];
    assert_eq!(
        (&file["is_folder"], &file["size_bytes"], &file["path"]),
        (&json!(false), &json!(5), &json!("/data/t/a.csv"))
    );
    let history = server.history("q=a.csv").await;
    assert_eq!(file["sha256"], history[0]["sha256"]);
    let (modified, landed) = (file["modified_time"].as_i64().unwrap(), history[0]["end_time"].as_i64().unwrap());
    assert!((history[0]["start_time"].as_i64().unwrap() - 1000..=landed).contains(&modified), "{file}");
    for root in ["", "path=", "path=/", "path=//data"] {
        let expected = if root == "path=//data" { "/data/t" } else { "/data" };
        assert_eq!(paths(&server, root).await, [expected], "{root:?}: the engine's own folder is not shown");
    }
}

#[tokio::test]
async fn a_folder_is_listed_in_pages() {
    let server = lake().await;
    assert_eq!(paths(&server, "path=/data/t&from=1&size=2").await, ["/data/t/dt=2", "/data/t/a.csv"]);
    assert_eq!(paths(&server, "path=/data/t&from=4").await, ["/data/t/c d.csv"]);
    assert!(paths(&server, "path=/data/t&from=5").await.is_empty());
    assert!(paths(&server, "path=/data/t&size=0").await.is_empty());
    let many = server.folder().join("data/many");
    std::fs::create_dir_all(&many).unwrap();
    for n in 0..30 {
        std::fs::write(many.join(format!("{n:02}")), b"").unwrap();
    }
    assert_eq!(paths(&server, "path=/data/many").await.len(), 10, "as every list, where no size is said");
    assert_eq!(paths(&server, "path=/data/many&size=1000").await.len(), 30);
    assert_refused(answer(server.get(&format!("{LIST}?path=/data/many&size=1001"))).await, 40000, "1000");
}

#[tokio::test]
async fn entries_without_a_lake_path_are_not_listed() {
    let server = lake().await;
    let folder = server.folder().join("data/t/dt=1");
    for hidden in [".hidden", "_is_shown", "back\\slash"] {
        std::fs::write(folder.join(hidden), b"").unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.join("folder-link")).unwrap();
    std::fs::create_dir(folder.join(".hidden-folder")).unwrap();
    assert_eq!(paths(&server, "path=/data/t/dt=1").await, ["/data/t/dt=1/_is_shown", "/data/t/dt=1/x.csv"]);
    for nothing in ["/data/t/a.csv", "/data/t/none", "/data/t/dt=1/folder-link", "/data/t/a.csv/x"] {
        assert_refused(answer(server.get(LIST).query(&[("path", nothing)])).await, 40405, "not found");
    }
    for wrong in ["..", "/data/..", "/.lakeshore", "data"] {
        assert_refused(answer(server.get(LIST).query(&[("path", wrong)])).await, 40001, "");
    }
}

#[tokio::test]
async fn a_digest_is_shown_only_while_the_file_is_unchanged() {
    let server = lake().await;
    let file = server.folder().join("data/t/a.csv");
    server
        .eventually(async || {
            std::fs::write(&file, b"vsc.a").unwrap();
            (server.rows(&format!("{LIST}?path=/data/t")).await[2]["sha256"] == Value::Null).then_some(())
        })
        .await;
}

#[tokio::test]
async fn listing_needs_the_right_to_read() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    std::fs::create_dir_all(server.folder().join("data/t/sub")).unwrap();
    let get = |path: &str, key: &str| answer(server.get(LIST).query(&[("path", path)]).bearer_auth(key));
    assert_refused(answer(server.get(LIST)).await, 40100, "a key is required");
    let narrow = server.new_key(&["--role", "read", "--path-prefix", "/data/t"]);
    assert_eq!(get("/data/t", &narrow).await.1[0]["path"], "/data/t/sub");
    for above in ["/data", "/data/u"] {
        assert_refused(get(above, &narrow).await, 40405, "not found");
    }
    assert_refused(get("/", &narrow).await, 40301, "whole lake");
    assert_eq!(get("/", &server.key).await.1[0]["path"], "/data");
}
