//! Versions: `/api/lake/dataset/versions`, `/version`, `/restore` and `/pin`; downloads and previews of a version.

mod prefixes;
mod restores;

use crate::database::Database;
use crate::server::{TestServer, answer, assert_refused};
use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const T: &str = "/data/t";

pub async fn publish(server: &TestServer, path: &str, files: &[(&str, &[u8])]) -> u64 {
    let id = server.start_sync(path, "FullSync").await;
    for (name, bytes) in files {
        server.upload(id, name, bytes).await;
    }
    let (status, body) = server.try_end(id, json!({ "allow_empty": true, "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    id
}

/// Lands each file in a group of its own.
pub async fn add(server: &TestServer, path: &str, files: &[(&str, &[u8])]) -> u64 {
    let id = server.start_sync(path, "IncrementalSync").await;
    for (name, bytes) in files {
        server.upload(id, name, bytes).await;
    }
    server.end_sync(id).await;
    id
}

pub async fn versions(server: &TestServer, path: &str) -> Vec<Value> {
    server.rows(&format!("/api/lake/dataset/versions?path={path}&size=1000")).await
}

async fn current(server: &TestServer, path: &str) -> u64 {
    versions(server, path).await.first().map_or(0, |version| version["version"].as_u64().unwrap())
}

async fn version(server: &TestServer, query: &str) -> Value {
    let (status, body) = answer(server.get(&format!("/api/lake/dataset/version?{query}"))).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn download(server: &TestServer, address: &str) -> Response {
    server.client.get(address).send().await.unwrap()
}

/// Names and bytes of the files of a version; checks the bytes against the list.
async fn files(server: &TestServer, path: &str, number: u64) -> Vec<(String, String)> {
    let body = version(server, &format!("path={path}&version={number}")).await;
    let mut files = Vec::new();
    for file in body["list"].as_array().unwrap() {
        let response = download(server, file["address"].as_str().unwrap()).await;
        assert_eq!(response.status(), 200, "{file}");
        assert_eq!(response.headers()["lakeshore-version"], number.to_string());
        let bytes = response.bytes().await.unwrap();
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((file["size_bytes"].as_u64(), &file["sha256"]), (Some(bytes.len() as u64), &json!(sha256)));
        let name = file["path"].as_str().unwrap().strip_prefix(path).unwrap().trim_start_matches('/').to_owned();
        files.push((name, String::from_utf8(bytes.to_vec()).unwrap()));
    }
    assert_eq!(body["files"], json!(files.len()), "as many as the version says: {body}");
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(body["size_bytes"], json!(bytes));
    files
}

fn are(files: &[(String, String)], expected: &[(&str, &str)]) -> bool {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_str())).eq(expected.iter().copied())
}

pub async fn restore(server: &TestServer, path: &str, number: u64, more: Value) -> (u16, Value) {
    let mut body = json!({ "path": path, "version": number, "api_key": server.key });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(server.post("/api/lake/dataset/restore", &body)).await
}

async fn empty(server: &TestServer, what: Value) -> (u16, Value) {
    let mut body = json!({ "api_key": server.key });
    body.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    answer(server.post("/api/lake/trash/empty", &body)).await
}

#[tokio::test]
async fn each_publish_and_each_group_of_landings_makes_a_version_whose_files_stay_readable() {
    let server = TestServer::start().await;
    let first = publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b1")]).await;
    let second = add(&server, T, &[("b.csv", b"b2!"), ("c/d.csv", b"d")]).await;
    publish(&server, T, &[("a.csv", b"a3")]).await;

    let all = versions(&server, T).await;
    let told: Vec<_> = all
        .iter()
        .map(|version| {
            (&version["version"], version["kind"].as_str().unwrap(), &version["files"], &version["size_bytes"])
        })
        .collect();
    let expected = [
        (&json!(4), "publish", &json!(1), &json!(2)),
        (&json!(3), "landing", &json!(3), &json!(6)),
        (&json!(2), "landing", &json!(2), &json!(5)),
        (&json!(1), "publish", &json!(2), &json!(4)),
    ];
    assert_eq!(told, expected);
    assert_eq!((&all[3]["sync_id"], &all[2]["sync_id"]), (&json!(first), &json!(second)));
    assert_eq!((&all[0]["is_current"], &all[1]["is_current"]), (&json!(true), &json!(false)));
    for version in &all {
        assert_eq!((&version["made_by"], version["key_id"].is_u64()), (&json!("test"), true), "{version}");
    }
    assert!(are(&files(&server, T, 1).await, &[("a.csv", "a1"), ("b.csv", "b1")]));
    assert!(are(&files(&server, T, 2).await, &[("a.csv", "a1"), ("b.csv", "b2!")]));
    assert!(are(&files(&server, T, 3).await, &[("a.csv", "a1"), ("b.csv", "b2!"), ("c/d.csv", "d")]));
    assert!(are(&files(&server, T, 4).await, &[("a.csv", "a3")]));
    let page = server.rows(&format!("/api/lake/dataset/versions?path={T}&from=1&size=2")).await;
    assert_eq!(page.iter().map(|version| &version["version"]).collect::<Vec<_>>(), [3, 2]);
    let page = version(&server, &format!("path={T}&version=3&size=2")).await;
    assert_eq!(page["next"], json!("/data/t/b.csv"));
    let page = version(&server, &format!("path={T}&version=3&size=2&after=/data/t/b.csv")).await;
    assert_eq!((page["list"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
    let below = version(&server, &format!("path={T}/c&version=3")).await;
    assert_eq!((&below["path"], &below["list"][0]["path"]), (&json!(T), &json!("/data/t/c/d.csv")));
}

#[tokio::test]
async fn files_removed_by_hand_and_landed_again_at_once_are_in_the_version_once() {
    let server = TestServer::start().await;
    let id = server.start_sync(T, "IncrementalSync").await;
    let names: Vec<_> = (0..40).map(|file| format!("part-{file:02}.csv")).collect();
    for name in &names[..20] {
        server.upload(id, name, b"first").await;
        std::fs::remove_file(server.folder().join("data/t").join(name)).unwrap();
    }
    join_all(names.iter().map(|name| server.upload(id, name, name.as_bytes()))).await;
    server.end_sync(id).await;

    let expected: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    assert!(are(&files(&server, T, current(&server, T).await).await, &expected));
}

#[tokio::test]
async fn a_staged_file_removed_by_hand_and_sent_again_is_in_the_version_once() {
    let server = TestServer::start().await;
    let id = server.start_sync(T, "FullSync").await;
    server.upload(id, "a.csv", b"first").await;
    server.upload(id, "b.csv", b"b1").await;
    let staged = server.file_names(".lakeshore/staging").into_iter().find(|name| name.ends_with("a.csv")).unwrap();
    std::fs::remove_file(server.folder().join(".lakeshore/staging").join(staged)).unwrap();
    server.upload(id, "a.csv", b"again").await;
    server.end_sync(id).await;

    assert!(are(&files(&server, T, 1).await, &[("a.csv", "again"), ("b.csv", "b1")]));
}

#[tokio::test]
async fn a_file_removed_by_hand_and_landed_again_is_in_its_version_once() {
    let server = TestServer::start().await;
    let id = server.start_sync(T, "IncrementalSync").await;
    server.upload(id, "a.csv", b"a1").await;
    server.upload(id, "b.csv", b"b1").await;
    std::fs::remove_file(server.folder().join("data/t/a.csv")).unwrap();
    server.upload(id, "a.csv", b"again").await;
    server.upload(id, "c.csv", b"c1").await;
    server.end_sync(id).await;

    let told: Vec<_> = versions(&server, T).await.iter().map(|version| version["files"].clone()).collect();
    assert_eq!(told, [3, 2, 2, 1], "the newest first");
    assert!(are(&files(&server, T, 3).await, &[("a.csv", "again"), ("b.csv", "b1")]));
    assert!(are(&files(&server, T, 4).await, &[("a.csv", "again"), ("b.csv", "b1"), ("c.csv", "c1")]));
}

#[tokio::test]
async fn staged_aborted_and_held_syncs_make_no_version_and_digests_distinguish_lists() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b1")]).await;
    let aborted = server.start_sync(T, "FullSync").await;
    server.upload(aborted, "x.csv", b"x").await;
    assert_eq!(current(&server, T).await, 1, "staged files are none");
    server.try_abort(aborted).await;
    let held = server.start_sync(T, "FullSync").await;
    assert_eq!(server.try_end(held, json!({})).await.0, 409);
    assert_eq!(current(&server, T).await, 1);
    server.try_abort(held).await;
    publish(&server, T, &[("b.csv", b"b1"), ("a.csv", b"a1")]).await;
    publish(&server, T, &[("b.csv", b"a1"), ("a.csv", b"b1")]).await;
    let digests: Vec<_> = versions(&server, T).await.iter().map(|version| version["list_digest"].clone()).collect();
    assert_eq!(digests.len(), 3);
    assert_eq!(digests[1], digests[2], "the same files in another order");
    assert_ne!(digests[0], digests[1]);
}

#[tokio::test]
async fn a_version_is_found_by_time_and_responses_name_their_version() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1")]).await;
    let first = versions(&server, T).await[0]["at"].as_i64().unwrap();
    server.eventually(async || (server_time(&server).await > first).then_some(())).await;
    publish(&server, T, &[("a.csv", b"a2")]).await;
    let body = version(&server, &format!("path={T}&as_of={first}")).await;
    assert_eq!(body["version"], json!(1));
    let (status, refused) =
        answer(server.get(&format!("/api/lake/dataset/version?path={T}&as_of={}", first - 1))).await;
    assert_refused((status, refused), 40409, "versions?path=/data/t");
    let old = server.get(&format!("/api/lake/file/download?path={T}/a.csv&as_of={first}")).send().await.unwrap();
    assert_eq!((old.status().as_u16(), &old.headers()["lakeshore-version"]), (200, &"1".parse().unwrap()));
    assert_eq!(old.text().await.unwrap(), "a1");
    for path in ["/api/lake/file/list?path=/data/t", "/api/lake/file/download?path=/data/t/a.csv"] {
        let now = server.get(path).send().await.unwrap();
        assert_eq!(now.headers()["lakeshore-version"], "2", "{path}");
        assert_eq!(now.headers()["lakeshore-dataset"], T, "{path}");
    }
    let preview = answer(server.get(&format!("/api/lake/file/preview?path={T}/a.csv&version=1"))).await;
    assert_eq!((preview.0, &preview.1["schema"]["columns"][0]["name"]), (200, &json!("a1")), "{}", preview.1);
    let both = answer(server.get(&format!("/api/lake/dataset/version?path={T}&version=1&as_of=1"))).await;
    assert_refused(both, 40000, "one of them");
    let wrong = answer(server.get(&format!("/api/lake/file/download?path={T}/a.csv&version=one"))).await;
    assert_refused(wrong, 40000, "whole number");
    let none = answer(server.get(&format!("/api/lake/file/download?path={T}/b.csv&version=1"))).await;
    assert_refused(none, 40405, "has no file");
}

/// Server time, from the start of a new sync.
async fn server_time(server: &TestServer) -> i64 {
    let id = server.start_sync("/clock", "IncrementalSync").await;
    let at = server.sync(id).await["start_time"].as_i64().unwrap();
    server.try_abort(id).await;
    at
}

#[tokio::test]
async fn a_load_of_a_nested_dataset_is_a_version_of_both_datasets() {
    let server = TestServer::start().await;
    let body = server.start_sync(T, "IncrementalSync").await;
    for (folder, bytes) in [("dt=1", "one"), ("dt=2", "two")] {
        let uploaded =
            server.try_upload(&format!("sync_id={body}&path={folder}"), &[("f.csv", bytes.as_bytes())]).await;
        assert_eq!(uploaded.0, 200);
    }
    server.end_sync(body).await;
    publish(&server, "/data/t/dt=1", &[("g.csv", b"three")]).await;
    assert!(are(&files(&server, T, 3).await, &[("dt=1/g.csv", "three"), ("dt=2/f.csv", "two")]));
    assert!(are(&files(&server, T, 2).await, &[("dt=1/f.csv", "one"), ("dt=2/f.csv", "two")]));
    assert!(are(&files(&server, "/data/t/dt=1", 1).await, &[("g.csv", "three")]));
    add(&server, "/data/t/dt=1", &[("h.csv", b"h")]).await;
    assert!(are(&files(&server, T, 4).await, &[("dt=1/g.csv", "three"), ("dt=1/h.csv", "h"), ("dt=2/f.csv", "two")]));
    publish(&server, "/data/t/dt=1", &[("g.csv", b"five")]).await;
    assert!(are(&files(&server, T, 5).await, &[("dt=1/g.csv", "five"), ("dt=2/f.csv", "two")]));
    assert!(are(&files(&server, T, 2).await, &[("dt=1/f.csv", "one"), ("dt=2/f.csv", "two")]));
    assert!(are(&files(&server, T, 4).await, &[("dt=1/g.csv", "three"), ("dt=1/h.csv", "h"), ("dt=2/f.csv", "two")]));
    assert_eq!(restore(&server, "/data/t/dt=1", 2, json!({})).await.0, 200);
    assert!(are(&files(&server, T, 6).await, &[("dt=1/g.csv", "three"), ("dt=1/h.csv", "h"), ("dt=2/f.csv", "two")]));
    let all = versions(&server, T).await;
    assert_eq!(all[0]["list_digest"], all[2]["list_digest"]);
    assert_refused(restore(&server, T, 1, json!({ "confirm": true })).await, 40904, "dt=1");
}

#[tokio::test]
async fn rows_of_a_version_include_files_read_late() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"x\n1\n2\n"), ("b.csv", b"x\n1\n")]).await;
    // A file that is replaced before it was read stays unknown.
    server.eventually(async || (versions(&server, T).await[0]["rows"] == json!(3)).then_some(())).await;
    add(&server, T, &[("b.csv", b"x\n1\n2\n3\n"), ("c.bin", b"\x00\x01")]).await;
    let rows = async || {
        let all = versions(&server, T).await;
        let rows: Vec<_> = all.iter().rev().map(|version| version["rows"].as_u64().unwrap()).collect();
        (rows == [3, 5, 5]).then_some(all)
    };
    let all = server.eventually(rows).await;
    assert_eq!((&all[0]["num_rows_unknown"], &all[2]["num_rows_unknown"]), (&json!(1), &json!(0)));
    publish(&server, T, &[("a.csv", b"x\n1\n")]).await;
    server.eventually(async || (versions(&server, T).await[0]["rows"] == json!(1)).then_some(())).await;
    assert_eq!(restore(&server, T, 3, json!({})).await.0, 200);
    let all = versions(&server, T).await;
    assert_eq!(all.iter().map(|version| &version["rows"]).collect::<Vec<_>>(), [5, 1, 5, 5, 3]);
}

#[tokio::test]
async fn two_versions_are_compared_by_their_lists() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b1"), ("c.csv", b"c1")]).await;
    publish(&server, T, &[("a.csv", b"a1"), ("b.csv", b"b2"), ("d.csv", b"d2!")]).await;
    let path = format!("/api/lake/dataset/version/difference?path={T}&old=1&new=2");
    let (status, body) = answer(server.get(&path)).await;
    assert_eq!(status, 200, "{body}");
    let kinds: Vec<_> = body["files"].as_array().unwrap().iter().map(|file| (&file["path"], &file["kind"])).collect();
    let expected = [("a.csv", "unchanged"), ("b.csv", "changed"), ("c.csv", "removed"), ("d.csv", "added")];
    assert_eq!(json!(kinds), json!(expected));
    assert_eq!(body["added"], json!({ "files": 1, "bytes": 3 }));
    let (_, page) = answer(server.get(&format!("{path}&kind=added"))).await;
    assert_eq!(page["files"].as_array().unwrap().len(), 1);
}

/// Removes the versions, as in a database of a program without them.
async fn forget_versions(data_dir: &std::path::Path) {
    let database = Database::of(data_dir).await;
    let sql = "DELETE FROM version_rows; DELETE FROM versions; DELETE FROM version_files; DELETE FROM tree_spans; \
               DELETE FROM trees; UPDATE uploads SET tree_id = NULL, tree_seq = NULL; \
               UPDATE version_state SET last_seq = 0, is_backfilled = 0";
    database.execute(sql).await;
    database.close().await;
}

#[tokio::test]
async fn versions_of_an_older_database_are_derived_from_its_history_and_trash() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"x\n1\n"), ("b.csv", b"b1")]).await;
    add(&server, T, &[("b.csv", b"b2"), ("b.csv", b"b3"), ("c.csv", b"c")]).await;
    publish(&server, T, &[("d.csv", b"d4")]).await;
    let aborted = server.start_sync(T, "FullSync").await;
    server.upload(aborted, "e.csv", b"aborted").await;
    server.try_abort(aborted).await;
    assert_eq!(restore(&server, T, 4, json!({})).await.0, 200);
    let overwritten = server.rows("/api/lake/trash?order=desc&size=1000").await;
    let of_b3 = overwritten.iter().find(|item| item["kind"] == json!("File")).unwrap();
    let body = json!({ "trash_id": of_b3["trash_id"], "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    add(&server, T, &[("f.csv", b"f")]).await;
    add(&server, "/data/t/dt=1", &[("g.csv", b"g")]).await;
    publish(&server, "/data/t/dt=1", &[("h.csv", b"h")]).await;
    let before = versions(&server, T).await;
    let live = files(&server, T, before[0]["version"].as_u64().unwrap()).await;
    let partition = versions(&server, "/data/t/dt=1").await;
    let stopped = server.kill();
    forget_versions(stopped.data_dir()).await;
    let server = stopped.start().await;
    let after = versions(&server, T).await;
    let last = after[0]["version"].as_u64().unwrap();
    assert_eq!(files(&server, T, last).await, live);
    for field in ["list_digest", "files", "size_bytes"] {
        assert_eq!(after[0][field], before[0][field], "{field}");
    }
    let kinds = |versions: &[Value]| {
        let of = |kind: &str| versions.iter().filter(|version| version["kind"] == json!(kind)).count();
        (of("publish"), of("restore"))
    };
    assert_eq!(kinds(&after), kinds(&before));
    // Adjacent landings are merged into one version; all others are unchanged.
    let digests: Vec<_> = before.iter().map(|version| &version["list_digest"]).collect();
    for version in &after {
        assert!(digests.contains(&&version["list_digest"]), "{version}");
        files(&server, T, version["version"].as_u64().unwrap()).await;
    }
    let partition_after = versions(&server, "/data/t/dt=1").await;
    assert_eq!(partition_after[0]["list_digest"], partition[0]["list_digest"]);
    // Later landings work, and make one version.
    add(&server, T, &[("i.csv", b"i")]).await;
    let server = server.kill_and_restart().await;
    assert_eq!(current(&server, T).await, last + 1);
    assert_eq!(restore(&server, T, last, json!({})).await.1["code"], json!(40904), "a dataset lies below it");
}
