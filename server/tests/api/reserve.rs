//! `--min-free-space`: uploads are refused early, and everything that brings relief still works.

use crate::disk::SmallDisk;
use crate::server::{Stopped, answer, assert_refused};
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

    disk.fill(8 * MIB - 1);
    // What is free is known for a moment.
    tokio::time::sleep(2 * lakeshore::limits::SPACE_KNOWN_MAX).await;
    let refused = server.try_upload(&format!("sync_id={incremental}"), &[("b.csv", b"1")]).await;
    assert_refused(refused, 50700, "disk of the lake");
    let row = &server.history(&format!("sync_id={incremental}&order=desc")).await[0];
    assert_eq!((&row["sync_status"], &row["file_name"]), (&json!("Failed"), &json!("b.csv")));
    assert!(row["message"].as_str().unwrap().contains("--min-free-space"), "{row}");
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
    disk.fill(10 * MIB);
    let large = vec![b'x'; 3 * MIB as usize];
    let refused = server.try_upload(&format!("sync_id={id}"), &[("large", &large)]).await;
    assert_refused(refused, 50700, "are to come");
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
    disk.fill(100 * MIB);
    // It announces nothing.
    let piece = bytes::Bytes::from(vec![b'x'; MIB as usize]);
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large\"\r\n\r\n";
    let pieces = std::iter::once(bytes::Bytes::from(head)).chain(std::iter::repeat_n(piece, 100));
    let body = futures_util::stream::iter(pieces.map(Ok::<_, std::io::Error>));
    let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={id}", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    assert_refused(answer(request.body(reqwest::Body::wrap_stream(body))).await, 50700, "--min-free-space");
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
    disk.fill(7 * MIB);
    let refused = server.try_upload(&format!("sync_id={id}"), &[("a.csv", b"1")]).await;
    assert_refused(refused, 50700, "disk of the database");
    server.end_sync(id).await;
    drop(server);
}

#[tokio::test]
async fn what_an_unfinished_upload_has_announced_is_kept_for_it() {
    let Some((stopped, disk)) = on_small_disk("lake", "8MiB") else { return };
    let server = stopped.start().await;
    let id = server.start_sync("/inc", "IncrementalSync").await;
    disk.fill(40 * MIB);
    let create = async |name: &str, length: u64| {
        let url = format!("{}/api/lake/files?sync_id={id}", server.url);
        let metadata = crate::tus::metadata(&[("filename", name)]);
        let request = server.client.post(url).header("Tus-Resumable", "1.0.0").header("Upload-Metadata", metadata);
        request.header("Upload-Length", length).send().await.unwrap()
    };
    let large = create("large", 28 * MIB).await;
    assert_eq!(large.status(), 201);
    let address = format!("{}{}", server.url, large.headers()["location"].to_str().unwrap());
    assert_eq!(create("second", 8 * MIB).await.status(), 507, "there is room for one of them");
    let small = vec![b'x'; 5 * MIB as usize];
    assert_refused(server.try_upload(&format!("sync_id={id}"), &[("small", &small)]).await, 50700, "are to come");
    // It has its room all the same.
    let piece = |offset: u64, bytes: u64| {
        let request = server.client.patch(&address).header("Tus-Resumable", "1.0.0").header("Upload-Offset", offset);
        request.header("Content-Type", crate::tus::PIECE).body(vec![b'x'; bytes as usize])
    };
    assert_eq!(answer(piece(0, 20 * MIB)).await.0, 204);
    assert_refused(server.try_upload(&format!("sync_id={id}"), &[("small", &small)]).await, 50700, "are to come");
    assert_eq!(answer(piece(20 * MIB, 8 * MIB)).await.0, 204);
    // What was discarded needs none.
    let other = create("other", 3 * MIB).await;
    assert_eq!(other.status(), 201);
    let two = &small[..2 * MIB as usize];
    assert_refused(server.try_upload(&format!("sync_id={id}"), &[("small", two)]).await, 50700, "are to come");
    let other = format!("{}{}", server.url, other.headers()["location"].to_str().unwrap());
    assert_eq!(answer(server.client.delete(other).header("Tus-Resumable", "1.0.0")).await.0, 204);
    server.upload(id, "small", two).await;
    drop(server);
}
