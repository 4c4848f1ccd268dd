//! Reserve (`--min-free-space`): uploads are refused early, and every call that frees space still works.

use crate::disk::SmallDisk;
use crate::server::{Stopped, TestServer, answer, assert_refused};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A server whose lake (`of`: "lake") or database ("data") is on a small disk of its own, with a reserve.
fn on_small_disk(of: &str, reserve: &str) -> Option<(Stopped, SmallDisk)> {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (folder.path().join("data"), folder.path().join("lake"));
    let disk = SmallDisk::mount(&folder.path().join(of), "size=160m")?;
    std::fs::create_dir_all(&data_dir).unwrap();
    let options = ["--min-free-space", reserve, "--lake-root", lake.to_str().unwrap()];
    Some((Stopped::new(folder, data_dir, &options).with_key(), disk))
}

/// Waits until the server reads the free space again, which it caches for a moment.
async fn moment() {
    tokio::time::sleep(2 * lakeshore::model::limits::SPACE_KNOWN_MAX).await;
}

/// Fills the disk except for this many bytes.
async fn fill(disk: &SmallDisk, free_bytes: u64) {
    disk.fill(free_bytes);
    moment().await;
}

#[tokio::test]
async fn below_the_reserve_uploads_are_refused_and_calls_that_free_space_work() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let incremental = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(incremental, "a.csv", b"old").await;
    server.upload(incremental, "a.csv", b"new").await;
    let full = server.start_sync("/full", "FullSync").await;
    server.upload(full, "part", b"first").await;
    let aborted = server.start_sync("/aborted", "FullSync").await;
    server.upload(aborted, "part", b"staged").await;

    fill(&disk, 8 * MIB - 1).await;
    let refused = server.try_upload(&format!("sync_id={incremental}"), &[("b.csv", b"1")]).await;
    assert_refused(refused, 50700, "disk of the lake");
    let row = &server.history(&format!("sync_id={incremental}&order=desc")).await[0];
    assert_eq!((&row["sync_status"], &row["file_name"]), (&json!("Failed"), &json!("b.csv")));
    assert!(row["message"].as_str().unwrap().contains("are reserved"), "{row}");
    assert!(server.file_names(".lakeshore/uploads").is_empty());

    server.end_sync(full).await;
    assert_eq!(server.file_names("full"), ["part"]);
    assert_eq!(server.try_abort(aborted).await.0, 200);
    server.end_sync(incremental).await;
    let items = server.rows("/api/lake/trash").await;
    let call = async |call: &str, trash_id: &Value| {
        let body = json!({ "trash_id": trash_id, "api_key": server.key });
        answer(server.post(&format!("/api/lake/trash/{call}"), &body)).await.0
    };
    assert_eq!(call("restore", &items[0]["trash_id"]).await, 200);
    assert_eq!(server.files("inc")["a.csv"], b"old");
    assert_eq!(call("empty", &items[1]["trash_id"]).await, 200);

    disk.make_space();
    let id = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(id, "b.csv", b"1").await;
    drop(server);
}

#[tokio::test]
async fn an_upload_announced_larger_than_the_free_space_is_refused_at_once() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    fill(&disk, 10 * MIB).await;
    let large = vec![b'x'; 3 * MIB as usize];
    let refused = server.try_upload(&format!("sync_id={id}"), &[("large", &large)]).await;
    assert_refused(refused, 50700, "uploads need");
    let row = &server.history("").await[0];
    assert_eq!(row["size_bytes"], json!(0));
    server.upload(id, "small", &large[..MIB as usize]).await;
    drop(server);
}

#[tokio::test]
async fn a_large_upload_is_refused_midway_when_the_rest_does_not_fit() {
    let Some((stopped, disk)) = on_small_disk("lake", "40MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    fill(&disk, 100 * MIB).await;
    // Without an announced length.
    let chunk = bytes::Bytes::from(vec![b'x'; MIB as usize]);
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large\"\r\n\r\n";
    let chunks = std::iter::once(bytes::Bytes::from(head)).chain(std::iter::repeat_n(chunk, 100));
    let body = futures_util::stream::iter(chunks.map(Ok::<_, std::io::Error>));
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={id}", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    assert_refused(answer(request.body(reqwest::Body::wrap_stream(body))).await, 50700, "are reserved");
    assert_eq!(server.history("").await[0]["sync_status"], json!("Failed"));
    assert!(server.file_names("inc").is_empty() && server.file_names(".lakeshore").is_empty());
    disk.make_space();
    server.upload(id, "small", b"1").await;
    drop(server);
}

#[tokio::test]
async fn the_disk_of_the_database_has_its_reserve_too() {
    let Some((stopped, disk)) = on_small_disk("data", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    fill(&disk, 7 * MIB).await;
    let refused = server.try_upload(&format!("sync_id={id}"), &[("a.csv", b"1")]).await;
    assert_refused(refused, 50700, "disk of the database");
    server.end_sync(id).await;
    drop(server);
}

#[tokio::test]
async fn below_the_reserve_no_snapshot_is_made() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", b"1").await;
    server.end_sync(id).await;
    let body = json!({ "path": "/data/t", "api_key": server.key });
    let take = async || answer(server.post("/api/lake/dataset/snapshot", &body)).await;
    fill(&disk, 8 * MIB - 1).await;
    assert_refused(take().await, 50700, "disk of the lake");
    let listed = server.get("/api/lake/dataset/snapshots").bearer_auth(&server.key);
    assert_eq!(answer(listed).await.1, json!([]));
    disk.make_space();
    assert_eq!(take().await.0, 200);
    drop(server);
}

/// Creates a resumable upload with the given key.
fn create(server: &TestServer, key: Option<&str>, sync_id: u64, name: &str, length: u64) -> RequestBuilder {
    let request = crate::tus_client::Tus(server).creation(sync_id, name).header("Upload-Length", length);
    key.into_iter().fold(request, |request, key| request.bearer_auth(key))
}

fn small(server: &TestServer, key: Option<&str>, sync_id: u64, bytes: u64) -> RequestBuilder {
    let content = vec![b'x'; bytes as usize];
    let request = server.upload_request(&format!("sync_id={sync_id}"), &[("small", &content)]);
    key.into_iter().fold(request, |request, key| request.bearer_auth(key))
}

#[tokio::test]
async fn unfinished_uploads_of_a_key_reserve_its_space() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let key = Some(&*server.key);
    fill(&disk, 40 * MIB).await;
    let created = async |name: &str, length: u64| create(&server, key, id, name, length).send().await.unwrap();
    let large = created("large", 28 * MIB).await;
    assert_eq!(large.status(), 201);
    let address = large.headers()["location"].to_str().unwrap();
    moment().await;
    assert_eq!(created("second", 8 * MIB).await.status(), 507, "there is room for one of them");
    assert_refused(answer(small(&server, key, id, 5 * MIB)).await, 50700, "uploads need");
    // Its announced space is still available.
    let chunk = |offset: u64, bytes: u64| {
        crate::tus_client::Tus(&server).chunk(address, offset, &vec![b'x'; bytes as usize]).bearer_auth(&server.key)
    };
    assert_eq!(answer(chunk(0, 20 * MIB)).await.0, 204);
    moment().await;
    assert_refused(answer(small(&server, key, id, 5 * MIB)).await, 50700, "uploads need");
    assert_eq!(answer(chunk(20 * MIB, 8 * MIB)).await.0, 204);
    // Discarded uploads reserve no space.
    let other = created("other", 3 * MIB).await;
    assert_eq!(other.status(), 201);
    moment().await;
    assert_refused(answer(small(&server, key, id, 2 * MIB)).await, 50700, "uploads need");
    let discard = crate::tus_client::Tus(&server).request("DELETE", other.headers()["location"].to_str().unwrap());
    assert_eq!(answer(discard.bearer_auth(&server.key)).await.0, 204);
    assert_eq!(answer(small(&server, key, id, 2 * MIB)).await.0, 200);
    drop(server);
}

#[tokio::test]
async fn announced_bytes_reserve_a_share_only_after_the_first_byte() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let [one, other] = [(); 2].map(|()| server.new_key(&["--role", "write"]));
    fill(&disk, 48 * MIB).await;
    // One key, another key, and a guest each announce all the free space.
    let mut addresses = Vec::new();
    for (key, name) in [(Some(&*one), "a"), (Some(&*other), "b"), (None, "c")] {
        let created = create(&server, key, id, name, 39 * MIB).send().await.unwrap();
        assert_eq!(created.status(), 201, "{name}");
        addresses.push((key, created.headers()["location"].to_str().unwrap().to_owned()));
    }
    let admin = Some(&*server.key);
    for key in [admin, None] {
        assert_eq!(answer(small(&server, key, id, 9 * MIB)).await.0, 200);
    }
    moment().await;
    assert_refused(answer(small(&server, Some(&one), id, 9 * MIB)).await, 50700, "uploads need");
    // With one byte each, they together reserve half of the free space, and none has all of it.
    for (key, address) in &addresses {
        let chunk = crate::tus_client::Tus(&server).chunk(address, 0, b"x");
        assert_eq!(answer(key.iter().fold(chunk, |chunk, key| chunk.bearer_auth(key))).await.0, 204);
    }
    moment().await;
    assert_refused(answer(small(&server, admin, id, 14 * MIB)).await, 50700, "uploads need");
    assert_refused(answer(small(&server, None, id, 14 * MIB)).await, 50700, "uploads need");
    assert_eq!(answer(small(&server, admin, id, 4 * MIB)).await.0, 200);
    assert_eq!(answer(small(&server, None, id, 4 * MIB)).await.0, 200);
    // A part has no sync, and reserves no more.
    let part = crate::tus_client::Tus(&server).request("POST", "/api/lake/files").header("Upload-Concat", "partial");
    moment().await;
    assert_eq!(answer(part.header("Upload-Length", 11 * MIB).bearer_auth(&server.key)).await.0, 507);
    drop(server);
}

#[tokio::test]
async fn an_upload_without_a_byte_expires_in_minutes_and_a_begun_one_after_its_idle_time() {
    let server = TestServer::start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let address = crate::tus_client::Tus(&server).create(id, "a", 10).await;
    let minutes = async || {
        let row = server.rows("/api/lake/files").await.remove(0);
        (row["expires"].as_i64().unwrap() - row["start_time"].as_i64().unwrap()) / 60_000
    };
    assert_eq!(minutes().await, 15);
    let empty = crate::tus_client::Tus(&server).chunk(&address, 0, b"");
    assert_eq!(answer(empty).await.0, 204);
    assert_eq!(minutes().await, 15, "a word is no byte");
    assert_eq!(crate::tus_client::Tus(&server).append(&address, 0, b"x").await.0, 204);
    assert!(minutes().await >= 24 * 60);
}
