//! Extensions of tus 1.0 at `/api/lake/files`: creation, expiration, termination, checksum, concatenation.

use crate::server::{TestServer, answer, assert_refused};
use crate::tus_client::{CHUNK_TYPE, Tus, assert_landed, bytes, header, metadata, offset_of};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha512};
use std::io::Write;
use std::net::TcpStream;

#[tokio::test]
async fn a_creation_may_include_the_first_bytes_or_all_of_them() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "FullSync").await;
    let creation = |name: &str, length: usize| tus.creation(id, name).header("Upload-Length", length);
    let with =
        |name, length, body: &'static [u8]| creation(name, length).header("Content-Type", CHUNK_TYPE).body(body).send();
    let all = with("all", 5, b"hello").await.unwrap();
    assert_eq!((all.status().as_u16(), offset_of(&all)), (201, Some(5)));
    let some = with("some", 5, b"he").await.unwrap();
    assert_eq!((some.status().as_u16(), offset_of(&some)), (201, Some(2)));
    assert_eq!(tus.append(&header(&some, "location").unwrap(), 2, b"llo").await, (204, Some(5)));
    let empty = creation("empty", 0).send().await.unwrap();
    assert_eq!((empty.status().as_u16(), offset_of(&empty)), (201, Some(0)));
    server.end_sync(id).await;
    let files = server.files("data/t");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["all", "empty", "some"]);
    assert_eq!((files["all"].as_slice(), files["some"].as_slice()), (b"hello".as_slice(), b"hello".as_slice()));
    // More bytes than announced: no client has its URL, so it is removed.
    let id = server.start_sync("/data/u", "IncrementalSync").await;
    let too_much = tus.creation(id, "x").header("Upload-Length", 2).header("Content-Type", CHUNK_TYPE).body("hello");
    assert_refused(answer(too_much).await, 40004, "5 bytes");
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    server.end_sync(id).await;
}

#[tokio::test]
async fn a_creation_whose_response_is_lost_in_a_kill_leaves_a_failed_row() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let metadata = metadata(&[("filename", "untold")]);
    write!(
        connection,
        "POST /api/lake/files?sync_id={id} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 1000000\r\n\
         Upload-Metadata: {metadata}\r\nContent-Type: {CHUNK_TYPE}\r\nContent-Length: 1000000\r\n\r\nsome of it"
    )
    .unwrap();
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    let server = server.kill_and_restart().await;
    let row = &server.history("").await[0];
    assert_eq!((&row["sync_status"], &row["file_name"]), (&json!("Failed"), &json!("untold")));
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    server.end_sync(id).await;
}

#[tokio::test]
async fn a_discard_preempts_too_and_leaves_a_failed_row() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = tus.create(id, "unwanted", 1_000_000).await;
    let _dead = tus.begin_chunk(&address, 0, 1_000_000, b"some of it");
    let (status, _) = answer(tus.request("DELETE", &address)).await;
    assert_eq!(status, 204);
    assert!(server.file_names(".lakeshore").is_empty());
    let row = &server.history("").await[0];
    assert_eq!(row["sync_status"], json!("Failed"));
    assert!(row["message"].as_str().unwrap().contains("discarded"), "{row}");
    assert_eq!(tus.head(&address).await.status(), 404);
    assert_eq!(answer(tus.request("DELETE", &address)).await.0, 404);
    server.end_sync(id).await;

    // Discarding a landed upload only removes its URL.
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let landed = tus.create(id, "kept", 1).await;
    assert_eq!(tus.append(&landed, 0, b"x").await.0, 204);
    let post = tus.request("POST", &landed).header("X-HTTP-Method-Override", "DELETE");
    assert_eq!(answer(post).await.0, 204);
    assert_eq!(server.file_names("data/t"), ["kept"]);
}

#[tokio::test]
async fn a_length_may_be_declared_later() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let deferred = async |name: &str| {
        let created = tus.creation(id, name).header("Upload-Defer-Length", "1").send().await.unwrap();
        assert_eq!(created.status(), 201);
        header(&created, "location").unwrap()
    };
    let address = deferred("a").await;
    assert_eq!(tus.append(&address, 0, b"hello").await, (204, Some(5)));
    let head = tus.head(&address).await;
    assert_eq!((header(&head, "upload-defer-length").as_deref(), header(&head, "upload-length")), (Some("1"), None));
    let too_short = tus.chunk(&address, 5, b"").header("Upload-Length", 4);
    assert_refused(answer(too_short).await, 40004, "5 have been received");
    let told = tus.chunk(&address, 5, b", ").header("Upload-Length", 11).send().await.unwrap();
    assert_eq!((told.status().as_u16(), offset_of(&told)), (204, Some(7)));
    let server_side = tus.head(&address).await;
    assert_eq!(
        (header(&server_side, "upload-length").as_deref(), header(&server_side, "upload-defer-length")),
        (Some("11"), None)
    );
    let other = tus.chunk(&address, 7, b"lake").header("Upload-Length", 12);
    assert_refused(answer(other).await, 40004, "11 bytes");
    assert_eq!(tus.append(&address, 7, b"lake").await, (204, Some(11)));
    assert_landed(&server, "a", b"hello, lake").await;

    // The length is sent after all bytes.
    let address = deferred("b").await;
    assert_eq!(tus.append(&address, 0, b"whole").await, (204, Some(5)));
    let told = tus.chunk(&address, 5, b"").header("Upload-Length", 5).send().await.unwrap();
    assert_eq!((told.status().as_u16(), offset_of(&told)), (204, Some(5)));
    assert_eq!(tus.offset(&address).await, 5);
    assert_eq!(server.files("data/t")["b"], b"whole");
    let neither = tus.creation(id, "c");
    assert_refused(answer(neither).await, 40000, "Upload-Length is missing");
    let both = tus.creation(id, "c").header("Upload-Length", 1).header("Upload-Defer-Length", "1");
    assert_refused(answer(both).await, 40000, "are both present");
    let two = tus.creation(id, "c").header("Upload-Defer-Length", "2");
    assert_refused(answer(two).await, 40000, "is not 1");
}

#[tokio::test]
async fn a_chunk_with_a_wrong_checksum_does_not_count() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = tus.create(id, "a", 10).await;
    let sha1 = "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    let chunk =
        |offset, bytes: &[u8], checksum: &str| tus.chunk(&address, offset, bytes).header("Upload-Checksum", checksum);
    assert_refused(answer(chunk(0, b"hallo", sha1)).await, 46000, "sha1");
    assert_eq!(tus.offset(&address).await, 0);
    assert_eq!(answer(chunk(0, b"hello", sha1)).await.0, 204);
    assert_refused(answer(chunk(5, b"hello", "sha1 AAAA")).await, 46000, "sha1");
    assert_refused(answer(chunk(5, b"hello", "sha3 AAAA")).await, 40000, "sha256");
    assert_eq!(tus.offset(&address).await, 5);
    // The checksum covers the whole PATCH: an interrupted one counts nothing.
    let mut broken = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        broken,
        "PATCH {address} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 5\r\nUpload-Checksum: {sha1}\r\n\
         Content-Type: {CHUNK_TYPE}\r\nContent-Length: 5\r\n\r\nhel"
    )
    .unwrap();
    drop(broken);
    assert_eq!(tus.offset(&address).await, 5);
    // The server may process the interrupted PATCH only now, as the newer one; then the client retries.
    let again = async || answer(chunk(5, b"hello", "md5 XUFAKrxLKna5cZ2REBfFkg==")).await.0 == 204;
    server.eventually(async || again().await.then_some(())).await;
    assert_landed(&server, "a", b"hellohello").await;
    let created = tus.creation(id, "b").header("Upload-Length", 5).header("Content-Type", CHUNK_TYPE);
    let created = created.header("Upload-Checksum", "crc32 AAAAAA==").body("hello");
    assert_refused(answer(created).await, 46000, "crc32");
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}

#[tokio::test]
async fn the_digest_of_the_whole_file_is_verified_before_it_lands() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let create = async |name: &str, digest: &str| {
        let created =
            tus.creation(id, name).header("Upload-Length", 5).header("Repr-Digest", digest).send().await.unwrap();
        assert_eq!(created.status(), 201);
        header(&created, "location").unwrap()
    };
    let right = "md5=:AAAA:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let address = create("right", right).await;
    assert_eq!(tus.append(&address, 0, b"hello").await.0, 204);
    let address = create("wrong", right).await;
    assert_refused(
        answer(tus.chunk(&address, 0, b"hallo")).await,
        40003,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    );
    assert_eq!(server.file_names("data/t"), ["right"]);
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    let row = &server.history("status=Failed").await[0];
    assert!(
        row["message"].as_str().unwrap().contains("d3751d33f9cd5049c4af2b462735457e4d3baf130bcbb87f389e349fbaeb20b9"),
        "{row}"
    );
    assert_eq!(tus.head(&address).await.status(), 410);
    let malformed = tus.creation(id, "x").header("Upload-Length", 5).header("Repr-Digest", "sha-256=:AAAA:");
    assert_refused(answer(malformed).await, 40000, "sha-256=:");
}

#[tokio::test]
async fn the_sha_512_of_the_whole_file_is_verified_across_requests_and_a_restart() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(3_000_000);
    let digest = |bytes: &[u8]| format!("sha-512=:{}:", BASE64_STANDARD.encode(Sha512::digest(bytes)));
    for (name, announced) in [("right", digest(&content)), ("wrong", digest(b"other"))] {
        let tus = Tus(&server);
        let created = tus.creation(id, name).header("Upload-Length", content.len()).header("Repr-Digest", announced);
        let address = header(&created.send().await.unwrap(), "location").unwrap();
        assert_eq!(tus.append(&address, 0, &content[..1_000_000]).await.0, 204);
        server = server.kill_and_restart().await;
        let rest = Tus(&server).chunk(&address, 1_000_000, &content[1_000_000..]);
        match name {
            "right" => assert_eq!(rest.send().await.unwrap().status(), 204),
            _ => assert_refused(answer(rest).await, 40003, "SHA-512"),
        }
    }
    assert_eq!(server.files("data/t"), [("right".to_owned(), content)].into());
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}

#[tokio::test]
async fn parts_are_joined_in_order_and_a_repeated_join_lands_once() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(5_000_000);
    let first = tus.part(&content[..2_000_000]).await;
    let second = tus.part(&content[2_000_000..]).await;
    assert!(server.history("").await.is_empty(), "parts are no files of a sync");
    let head = tus.head(&first).await;
    assert_eq!((offset_of(&head), header(&head, "upload-concat").as_deref()), (Some(2_000_000), Some("partial")));
    let join =
        |parts: &[&str]| tus.creation(id, "joined").header("Upload-Concat", format!("final;{}", parts.join(" ")));
    let whole_address = format!("{}{second}", server.url);
    let joined = join(&[&first, &whole_address]).send().await.unwrap();
    assert_eq!((joined.status().as_u16(), offset_of(&joined)), (201, Some(5_000_000)));
    let address = header(&joined, "location").unwrap();
    assert_landed(&server, "joined", &content).await;
    let head = tus.head(&address).await;
    assert_eq!(header(&head, "upload-concat").unwrap(), format!("final;{first} {second}"));
    assert_eq!(header(&head, "upload-length").unwrap(), "5000000");
    assert_refused(answer(tus.chunk(&address, 5_000_000, b"x")).await, 40303, "joined from parts");

    // After a lost response, joined parts still report as complete.
    let server = server.kill_and_restart().await;
    let tus = Tus(&server);
    assert_eq!((tus.offset(&first).await, tus.offset(&second).await), (2_000_000, 3_000_000));
    let again =
        tus.creation(id, "joined").header("Upload-Concat", format!("final;{first} {second}")).send().await.unwrap();
    assert_eq!((again.status().as_u16(), header(&again, "location").unwrap()), (201, address));
    assert_landed(&server, "joined", &content).await;
    let other = tus.creation(id, "other").header("Upload-Concat", format!("final;{second} {first}"));
    assert_refused(answer(other).await, 40404, "not found");
}

#[tokio::test]
async fn only_complete_parts_are_joined() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let join = |list: &str| answer(tus.creation(id, "joined").header("Upload-Concat", format!("final;{list}")));
    let begun = tus.request("POST", "/api/lake/files").header("Upload-Concat", "partial").header("Upload-Length", 5);
    let begun = header(&begun.send().await.unwrap(), "location").unwrap();
    assert_eq!(tus.append(&begun, 0, b"he").await, (204, Some(2)));
    assert_refused(join(&begun).await, 40909, "is incomplete");
    assert_refused(join("/api/lake/files/nothing").await, 40404, "nothing");
    assert_refused(join("").await, 40000, "Upload-Concat");
    let whole = tus.create(id, "whole", 5).await;
    assert_refused(join(&whole).await, 40000, "not a part");
    assert_eq!(tus.append(&begun, 2, b"llo").await, (204, Some(5)));
    let (status, _) = join(&format!("{begun} {begun}")).await;
    assert_eq!(status, 201);
    assert_eq!(server.files("data/t")["joined"], b"hellohello");
    // A part that is not joined can be discarded.
    let part = tus.part(b"unwanted").await;
    assert_eq!(answer(tus.request("DELETE", &part)).await.0, 204);
    assert_eq!(tus.head(&part).await.status(), 404);
    assert_eq!(server.file_names(".lakeshore/uploads").len(), 1, "that of the one in flight");
}

#[tokio::test]
async fn an_idle_resumable_upload_expires() {
    // Expiry is checked every half minute, and once at the start.
    let server = TestServer::start_with(&["--resumable-expiry", "1s"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = Tus(&server).create(id, "abandoned", 5).await;
    let landed = Tus(&server).create(id, "landed", 1).await;
    assert_eq!(Tus(&server).append(&landed, 0, b"x").await.0, 204);
    let part = Tus(&server).part(b"part").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let server = server.kill_and_restart().await;
    let row = server.eventually(async || server.history("status=Failed").await.first().cloned()).await;
    assert_eq!(row["file_name"], json!("abandoned"));
    assert!(row["message"].as_str().unwrap().contains("expired"), "{row}");
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
    for address in [&address, &landed, &part] {
        assert_eq!(Tus(&server).head(address).await.status(), 404, "{address}");
    }
    assert_eq!(server.file_names("data/t"), ["landed"]);
    server.end_sync(id).await;
}
