//! `--min-free-space`: uploads are refused early, and everything that brings relief still works.

use crate::disk::SmallDisk;
use crate::server::{Stopped, TestServer, answer, assert_refused};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A server whose lake (`of`: "lake") or database ("data") has a small disk of its own, of which some MiB are kept back.
fn on_small_disk(of: &str, reserve: &str) -> Option<(Stopped, SmallDisk)> {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, lake) = (folder.path().join("data"), folder.path().join("lake"));
    let disk = SmallDisk::mount(&folder.path().join(of), "size=160m")?;
    std::fs::create_dir_all(&data_dir).unwrap();
    let options = ["--min-free-space", reserve, "--lake-root", lake.to_str().unwrap()];
    Some((Stopped::new(folder, data_dir, &options).with_key(), disk))
}

/// Until the server looks at its disks anew: what it has seen of them, it goes by for a moment.
async fn moment() {
    tokio::time::sleep(2 * lakeshore::model::limits::SPACE_KNOWN_MAX).await;
}

/// Takes all the space but for so many bytes.
async fn fill(disk: &SmallDisk, free_bytes: u64) {
    disk.fill(free_bytes);
    moment().await;
}

#[tokio::test]
async fn below_the_reserve_uploads_are_refused_and_all_that_brings_relief_works() {
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
    let pieces = server.rows("/api/lake/trash").await;
    let call = async |call: &str, trash_id: &Value| {
        let body = json!({ "trash_id": trash_id, "api_key": server.key });
        answer(server.post(&format!("/api/lake/trash/{call}"), &body)).await.0
    };
    assert_eq!(call("restore", &pieces[0]["trash_id"]).await, 200);
    assert_eq!(server.files("inc")["a.csv"], b"old");
    assert_eq!(call("empty", &pieces[1]["trash_id"]).await, 200);

    disk.make_space();
    let id = server.start_sync("/inc", "IncrementalSync").await;
    server.upload(id, "b.csv", b"1").await;
    drop(server);
}

#[tokio::test]
async fn an_upload_that_announces_more_than_there_is_room_for_is_refused_before_it_comes() {
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
async fn a_large_upload_is_refused_on_its_way_when_there_is_no_room_for_the_rest() {
    let Some((stopped, disk)) = on_small_disk("lake", "40MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    fill(&disk, 100 * MIB).await;
    // It announces nothing.
    let piece = bytes::Bytes::from(vec![b'x'; MIB as usize]);
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large\"\r\n\r\n";
    let pieces = std::iter::once(bytes::Bytes::from(head)).chain(std::iter::repeat_n(piece, 100));
    let body = futures_util::stream::iter(pieces.map(Ok::<_, std::io::Error>));
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

/// As whoever has the key.
fn create(server: &TestServer, key: Option<&str>, sync_id: u64, name: &str, length: u64) -> RequestBuilder {
    let request = crate::tus::Tus(server).creation(sync_id, name).header("Upload-Length", length);
    key.into_iter().fold(request, |request, key| request.bearer_auth(key))
}

fn small(server: &TestServer, key: Option<&str>, sync_id: u64, bytes: u64) -> RequestBuilder {
    let content = vec![b'x'; bytes as usize];
    let request = server.upload_request(&format!("sync_id={sync_id}"), &[("small", &content)]);
    key.into_iter().fold(request, |request, key| request.bearer_auth(key))
}

#[tokio::test]
async fn a_key_has_no_more_room_than_its_unfinished_uploads_leave_it() {
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
    // It has its room all the same.
    let piece = |offset: u64, bytes: u64| {
        crate::tus::Tus(&server).piece(address, offset, &vec![b'x'; bytes as usize]).bearer_auth(&server.key)
    };
    assert_eq!(answer(piece(0, 20 * MIB)).await.0, 204);
    moment().await;
    assert_refused(answer(small(&server, key, id, 5 * MIB)).await, 50700, "uploads need");
    assert_eq!(answer(piece(20 * MIB, 8 * MIB)).await.0, 204);
    // What was discarded needs none.
    let other = created("other", 3 * MIB).await;
    assert_eq!(other.status(), 201);
    moment().await;
    assert_refused(answer(small(&server, key, id, 2 * MIB)).await, 50700, "uploads need");
    let discard = crate::tus::Tus(&server).request("DELETE", other.headers()["location"].to_str().unwrap());
    assert_eq!(answer(discard.bearer_auth(&server.key)).await.0, 204);
    assert_eq!(answer(small(&server, key, id, 2 * MIB)).await.0, 200);
    drop(server);
}

#[tokio::test]
async fn announced_bytes_keep_nothing_from_others_before_one_comes_and_then_a_share() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let [one, other] = [(); 2].map(|()| server.new_key(&["--role", "write"]));
    fill(&disk, 48 * MIB).await;
    // By a key, by another, and by a visitor: each of them all there is.
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
    // A byte of each: what they keep together is half of what is left, and nobody has it all.
    for (key, address) in &addresses {
        let piece = crate::tus::Tus(&server).piece(address, 0, b"x");
        assert_eq!(answer(key.iter().fold(piece, |piece, key| piece.bearer_auth(key))).await.0, 204);
    }
    moment().await;
    assert_refused(answer(small(&server, admin, id, 14 * MIB)).await, 50700, "uploads need");
    assert_refused(answer(small(&server, None, id, 14 * MIB)).await, 50700, "uploads need");
    assert_eq!(answer(small(&server, admin, id, 4 * MIB)).await.0, 200);
    assert_eq!(answer(small(&server, None, id, 4 * MIB)).await.0, 200);
    // A part has no sync, and keeps no more.
    let part = crate::tus::Tus(&server).request("POST", "/api/lake/files").header("Upload-Concat", "partial");
    moment().await;
    assert_eq!(answer(part.header("Upload-Length", 11 * MIB).bearer_auth(&server.key)).await.0, 507);
    drop(server);
}

#[tokio::test]
async fn an_upload_of_which_no_byte_comes_is_kept_for_minutes_and_one_that_was_begun_for_its_time() {
    let server = TestServer::start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    let address = crate::tus::Tus(&server).create(id, "a", 10).await;
    let minutes = async || {
        let row = server.rows("/api/lake/files").await.remove(0);
        (row["expires"].as_i64().unwrap() - row["start_time"].as_i64().unwrap()) / 60_000
    };
    assert_eq!(minutes().await, 15);
    let empty = crate::tus::Tus(&server).piece(&address, 0, b"");
    assert_eq!(answer(empty).await.0, 204);
    assert_eq!(minutes().await, 15, "a word is no byte");
    assert_eq!(crate::tus::Tus(&server).append(&address, 0, b"x").await.0, 204);
    assert!(minutes().await >= 24 * 60);
}
