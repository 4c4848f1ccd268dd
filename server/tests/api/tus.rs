//! tus 1.0 at `/api/lake/files`: the core protocol, its access rules, and every refusal.

use crate::server::{TestServer, answer, assert_refused};
use crate::tus_client::{CHUNK_TYPE, Tus, assert_landed, bytes, eventually_on_disk, header, metadata, offset_of};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::io::Write;

#[tokio::test]
async fn the_options_response_lists_the_supported_protocol() {
    let server = TestServer::start_with(&["--max-upload-size", "1MB"]).await;
    let options =
        server.client.request(Method::OPTIONS, format!("{}/api/lake/files", server.url)).send().await.unwrap();
    assert_eq!(options.status(), 204);
    let said = |name| header(&options, name).unwrap();
    assert_eq!((said("tus-version"), said("tus-resumable")), ("1.0.0".into(), "1.0.0".into()));
    assert_eq!(
        (said("tus-max-size"), said("tus-checksum-algorithm")),
        ("1000000".into(), "sha1,md5,crc32,sha256,blake3".into())
    );
    for extension in [
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "expiration",
        "checksum",
        "concatenation",
    ] {
        assert!(said("tus-extension").split(',').any(|spoken| spoken == extension), "{extension}");
    }
}

#[tokio::test]
async fn an_upload_in_chunks_lands_with_its_last_byte() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(3_000_000);
    let created = tus.creation(id, "large.csv").header("Upload-Length", content.len()).send().await.unwrap();
    assert_eq!((created.status().as_u16(), offset_of(&created)), (201, Some(0)));
    assert!(header(&created, "upload-expires").unwrap().ends_with(" GMT"));
    let address = header(&created, "location").unwrap();
    let row = &server.history("").await[0];
    assert_eq!((&row["sync_status"], &row["file_name"]), (&json!("Syncing"), &json!("large.csv")));

    assert_eq!(tus.append(&address, 0, &content[..1_000_000]).await, (204, Some(1_000_000)));
    let head = tus.head(&address).await;
    assert_eq!((head.status().as_u16(), offset_of(&head)), (200, Some(1_000_000)));
    assert_eq!(header(&head, "upload-length").unwrap(), "3000000");
    assert_eq!(header(&head, "cache-control").unwrap(), "no-store");
    let known = metadata(&[("filename", "large.csv"), ("sync_id", &id.to_string())]);
    assert_eq!(header(&head, "upload-metadata").unwrap(), known);
    assert!(server.file_names("data").is_empty());
    // An empty PATCH is valid.
    assert_eq!(tus.append(&address, 1_000_000, b"").await, (204, Some(1_000_000)));
    let rest = tus.chunk(&address, 1_000_000, &content[1_000_000..]).send().await.unwrap();
    assert_eq!((rest.status().as_u16(), offset_of(&rest)), (204, Some(3_000_000)));
    assert_eq!(header(&rest, "upload-expires"), None, "what has landed does not expire");
    assert_landed(&server, "large.csv", &content).await;

    // A client that missed the response can ask for the state.
    assert_eq!(tus.offset(&address).await, 3_000_000);
    assert_eq!(tus.append(&address, 3_000_000, b"").await, (204, Some(3_000_000)));
    assert_refused(answer(tus.chunk(&address, 3_000_000, b"x")).await, 40908, "complete");
    server.end_sync(id).await;
    assert_eq!(tus.offset(&address).await, 3_000_000);
}

#[tokio::test]
async fn sync_and_path_are_read_from_metadata_or_url_and_folders_are_kept() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await.to_string();
    let create = async |query: &str, pairs: &[(&str, &str)]| {
        let request = tus.request("POST", &format!("/api/lake/files{query}")).header("Upload-Length", 1);
        let request = request.header("Content-Type", CHUNK_TYPE).body("x").header("Upload-Metadata", metadata(pairs));
        answer(request).await
    };
    let sync = ("sync_id", id.as_str());
    assert_eq!(create("", &[sync, ("filename", "a"), ("path", "dt=1"), ("relativePath", "null")]).await.0, 201);
    assert_eq!(create(&format!("?sync_id={id}&path=/data/t/dt=2"), &[("name", "b")]).await.0, 201);
    assert_eq!(create("", &[sync, ("name", "c"), ("relativePath", "/folder/sub/c")]).await.0, 201);
    assert_eq!(server.file_names("data/t"), ["dt=1/a", "dt=2/b", "folder/sub/c"]);
    for upward in ["../c", "a/../../c", "//etc/passwd"] {
        assert_refused(create("", &[sync, ("relativePath", upward)]).await, 40001, "");
    }
    assert_refused(create("", &[sync, ("name", "a"), ("path", "/data")]).await, 40001, "outside");
    assert_refused(create("", &[sync]).await, 40001, "no name");
    assert_refused(create("", &[("name", "a")]).await, 40000, "the sync_id is missing");
    assert_refused(create("?sync_id=99", &[("name", "a")]).await, 40401, "sync 99 not found");
    let malformed =
        tus.request("POST", "/api/lake/files").header("Upload-Length", 1).header("Upload-Metadata", "name !");
    assert_refused(answer(malformed).await, 40000, "base64");
    let failed = server.history("status=Failed").await;
    assert_eq!(failed.len(), 4, "a name that is refused is remembered, as of every upload: {failed:?}");
    assert!(server.file_names(".lakeshore/uploads").is_empty());
}

#[tokio::test]
async fn an_upload_resumes_after_a_broken_connection_and_after_kills() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(40_000_000);
    let address = Tus(&server).create(id, "large.csv", content.len()).await;
    let connection = Tus(&server).begin_chunk(&address, 0, content.len(), &content[..2_500_000]);
    eventually_on_disk(&server, 2_000_000).await;
    drop(connection);
    // Bytes before the interruption are kept.
    let kept =
        server.eventually(async || Some(Tus(&server).offset(&address).await).filter(|kept| *kept == 2_500_000)).await;
    let _connection =
        Tus(&server).begin_chunk(&address, kept, content.len() - 2_500_000, &content[2_500_000..30_000_000]);
    eventually_on_disk(&server, 20_000_000).await;

    let server = server.kill_and_restart().await.kill_and_restart().await;
    let tus = Tus(&server);
    let kept = tus.offset(&address).await;
    assert!(kept >= 2_500_000 + (16 << 20), "it was made durable on its way: {kept}");
    assert_eq!(server.history("").await[0]["sync_status"], json!("Syncing"));
    assert_eq!(server.sync(id).await["num_in_flight"], 1);
    // Later offsets are refused.
    assert_refused(answer(tus.chunk(&address, kept + 1, b"x")).await, 40907, &format!("expected {kept}"));
    let rest = &content[kept as usize..];
    assert_eq!(tus.append(&address, kept, rest).await, (204, Some(content.len() as u64)));
    assert_landed(&server, "large.csv", &content).await;
}

#[tokio::test]
async fn a_second_request_preempts_one_with_a_dead_connection() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let content = bytes(3_000_000);
    let address = tus.create(id, "large.csv", content.len()).await;
    // Still open, but without further bytes.
    let _dead = tus.begin_chunk(&address, 0, content.len(), &content[..2_000_000]);
    eventually_on_disk(&server, 1_000_000).await;
    let mut kept = tus.offset(&address).await;
    assert!(kept >= 1_000_000, "{kept}");
    // Sent without a HEAD first: the previous offset counts.
    let _dead_too = tus.begin_chunk(&address, kept, content.len() - kept as usize, &content[kept as usize..2_500_000]);
    // The bytes of the first request on disk do not show the progress of the second.
    let received = async || server.rows("/api/ingestion/file/sync/in-flight").await[0]["received_bytes"].as_u64();
    server.eventually(async || received().await.filter(|received| *received > kept)).await;
    let (status, _) = tus.append(&address, kept, &content[kept as usize..]).await;
    assert_eq!(status, 409);
    kept = tus.offset(&address).await;
    assert_eq!(tus.append(&address, kept, &content[kept as usize..]).await, (204, Some(3_000_000)));
    assert_landed(&server, "large.csv", &content).await;
}

#[tokio::test]
async fn an_end_names_unfinished_uploads_and_discards_them_when_told_to() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    for (how, sync_type) in
        [("end", "FullSync"), ("abort", "FullSync"), ("end", "IncrementalSync"), ("abort", "IncrementalSync")]
    {
        let id = server.start_sync("/data/t", sync_type).await;
        server.upload(id, "whole.csv", b"1").await;
        let idle = tus.create(id, "idle.csv", 10).await;
        assert_eq!(tus.append(&idle, 0, b"hello").await.0, 204);
        let busy = tus.create(id, "busy.csv", 1_000_000).await;
        let mut connection = tus.begin_chunk(&busy, 0, 1_000_000, b"some of it");
        if how == "end" {
            assert_refused(server.try_end(id, json!({})).await, 40902, "idle.csv");
            assert_eq!(server.try_end(id, json!({ "discard_in_flight": true })).await.0, 200);
        } else {
            assert_eq!(server.try_abort(id).await.0, 200);
        }
        let _ = connection.write_all(b"more of it");
        assert_refused(answer(tus.chunk(&idle, 5, b"more")).await, 41000, "discarded");
        assert_eq!(tus.head(&busy).await.status(), 410);
        drop(connection);
        server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
        let sync = server.sync(id).await;
        assert_eq!(
            (&sync["total_files"], &sync["num_failed"], &sync["num_in_flight"]),
            (&json!(3), &json!(2), &json!(0))
        );
    }
    assert_eq!(server.rows("/api/lake/files").await, Vec::<Value>::new());
}

#[tokio::test]
async fn unfinished_uploads_are_listed() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let first = server.start_sync("/data/t", "IncrementalSync").await;
    let second = server.start_sync("/data/u", "IncrementalSync").await;
    let address = tus.create(first, "a", 10).await;
    assert_eq!(tus.append(&address, 0, b"hello").await.0, 204);
    tus.create(second, "b", 20).await;
    tus.part(b"part").await;
    let landed = tus.create(first, "landed", 1).await;
    assert_eq!(tus.append(&landed, 0, b"x").await.0, 204);
    // The view of an administrator: others see no token of a guest's upload.
    let rows = async |path: &str| answer(server.get(path).bearer_auth(&server.key)).await.1;
    let all = rows("/api/lake/files").await;
    let all = all.as_array().unwrap();
    let names: Vec<_> = all.iter().map(|row| row["file_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", ""]);
    let row = &all[0];
    assert_eq!(format!("/api/lake/files/{}", row["token"].as_str().unwrap()), address);
    assert_eq!((&row["sync_id"], &row["history_id"]), (&json!(first), &json!(1)));
    assert_eq!((&row["offset"], &row["length"]), (&json!(5), &json!(10)));
    assert!(row["expires"].as_i64().unwrap() > row["start_time"].as_i64().unwrap());
    assert_eq!((&all[2]["sync_id"], &all[2]["offset"]), (&Value::Null, &json!(4)));
    assert_eq!(rows(&format!("/api/lake/files?sync_id={second}")).await, json!([all[1]]));
    assert_eq!(rows("/api/lake/files?from=1&size=1").await, json!([all[1]]));
}

#[tokio::test]
async fn continuing_an_upload_needs_the_right_to_upload() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let (reader, elsewhere) = (server.new_key(&["--role", "read"]), server.new_key(&["--path-prefix", "/other"]));
    let writer = server.new_key(&["--path-prefix", "/data"]);
    let creation = |key: &str| tus.creation(id, "a").header("Upload-Length", 5).bearer_auth(key);
    assert_refused(answer(tus.creation(id, "a").header("Upload-Length", 5)).await, 40100, "a key is required");
    assert_refused(answer(creation(&reader)).await, 40300, "read");
    assert_refused(answer(creation(&elsewhere)).await, 40401, "not found");
    let created = creation(&writer).send().await.unwrap();
    let address = header(&created, "location").unwrap();
    for (key, status) in [("", 401), (&*reader, 403), (&*elsewhere, 404), ("lks_unknown", 401)] {
        let with_key =
            |request: RequestBuilder| if key.is_empty() { request } else { request.header("X-API-Key", key) };
        assert_eq!(answer(with_key(tus.chunk(&address, 0, b"hello"))).await.0, status, "{key}");
        assert_eq!(with_key(tus.request("HEAD", &address)).send().await.unwrap().status(), status, "{key}");
        assert_eq!(answer(with_key(tus.request("DELETE", &address))).await.0, status, "{key}");
    }
    // Without a key no uploads are revealed.
    assert_eq!(answer(tus.request("DELETE", "/api/lake/files/nothing")).await.0, 401);
    let listed =
        async |key: &str| answer(server.get("/api/lake/files").bearer_auth(key)).await.1.as_array().unwrap().len();
    assert_eq!((listed(&elsewhere).await, listed(&reader).await), (0, 1));
    let part = tus.request("POST", "/api/lake/files").header("Upload-Concat", "partial").header("Upload-Length", 5);
    assert_refused(answer(part.try_clone().unwrap().bearer_auth(&reader)).await, 40300, "read");
    assert_eq!(answer(part.bearer_auth(&writer)).await.0, 201);
    let across = tus.chunk(&address, 0, b"hello").bearer_auth(&writer).header("Origin", "https://evil.example");
    assert_refused(answer(across).await, 40302, "evil.example");
    assert_eq!(answer(tus.chunk(&address, 0, b"hello").bearer_auth(&writer)).await.0, 204);
    assert_eq!(server.files("data/t")["a"], b"hello");
}

#[tokio::test]
async fn requests_that_are_not_tus_are_refused_with_the_remedy() {
    let server = TestServer::start_with(&["--max-upload-size", "1MB"]).await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = tus.create(id, "a", 10).await;
    let old = server.client.post(format!("{}/api/lake/files", server.url)).header("Tus-Resumable", "0.2.2");
    let refused = old.send().await.unwrap();
    assert_eq!((refused.status().as_u16(), header(&refused, "tus-version").as_deref()), (412, Some("1.0.0")));
    let chunk = |offset: &str| tus.request("PATCH", &address).header("Upload-Offset", offset).body("x");
    assert_refused(answer(chunk("0")).await, 41501, CHUNK_TYPE);
    assert_refused(answer(chunk("0").header("Content-Type", "text/plain")).await, 41501, CHUNK_TYPE);
    let chunk = |offset: &str| chunk(offset).header("Content-Type", CHUNK_TYPE);
    for malformed in ["-1", "one", "", "+1", "9223372036854775808"] {
        assert_refused(answer(chunk(malformed)).await, 40000, "whole number");
    }
    let without = tus.request("PATCH", &address).header("Content-Type", CHUNK_TYPE).body("x");
    assert_refused(answer(without).await, 40000, "Upload-Offset");
    assert_refused(answer(chunk("7")).await, 40907, "expected 0, got 7");
    assert_refused(answer(tus.chunk(&address, 0, b"eleven bytes")).await, 40004, "12 bytes");
    assert_eq!(tus.offset(&address).await, 0, "it was refused before a byte was taken");
    for unknown in ["/api/lake/files/x", "/api/lake/files/00000000000000000000000000000000"] {
        assert_refused(answer(tus.chunk(unknown, 0, b"x")).await, 40404, "start a new one");
    }
    let large = tus.creation(id, "large").header("Upload-Length", 1_000_001);
    assert_refused(answer(large).await, 41300, "1000000 bytes");
    assert_refused(answer(tus.request("PUT", &address)).await, 40500, "HEAD, PATCH, DELETE");
    assert_refused(answer(tus.request("POST", &address)).await, 40500, "HEAD, PATCH, DELETE");
    assert_refused(answer(tus.request("PUT", "/api/lake/files")).await, 40500, "GET, POST");
    // More than announced, in a body of unknown length: the upload fails for good.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![1u8; 8]), Ok(vec![2; 8])]);
    let endless = tus.request("PATCH", &address).header("Upload-Offset", 0).header("Content-Type", CHUNK_TYPE);
    let endless = endless.body(reqwest::Body::wrap_stream(chunks));
    assert_refused(answer(endless).await, 40004, "16 bytes");
    assert_eq!(tus.head(&address).await.status(), 410);
    assert_eq!(server.sync(id).await["num_in_flight"], 0);
}

#[tokio::test]
async fn a_check_recognises_unfinished_uploads_and_finds_lost_ones() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let address = Tus(&server).create(id, "a", 10).await;
    assert_eq!(Tus(&server).append(&address, 0, b"hello").await.0, 204);
    let stopped = server.kill();
    let check = |options: &[&str]| {
        let arguments = [&["check", "--data-dir", stopped.data_dir().to_str().unwrap()], options].concat();
        let output = crate::server::lakeshore(&arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(check(&[]), (0, String::new()));
    assert_eq!(check(&["--repair"]), (0, String::new()));
    let partial =
        std::fs::read_dir(stopped.folder().join(".lakeshore/uploads")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&partial).unwrap();
    std::fs::write(&partial, &whole[..3]).unwrap();
    let (code, said) = check(&[]);
    assert!(code == 1 && said.contains("cannot be resumed"), "{said}");
    let (code, said) = check(&["--repair"]);
    assert!(code == 0 && said.contains("[repaired]"), "{said}");
    assert_eq!(check(&[]), (0, String::new()));
    let server = stopped.start().await;
    assert_eq!(Tus(&server).head(&address).await.status(), 410);
    let row = &server.history("").await[0];
    assert!(row["message"].as_str().unwrap().contains("missing"), "{row}");
    server.end_sync(id).await;
}

#[tokio::test]
async fn fields_with_different_values_are_refused() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let creation = || tus.creation(id, "a.csv").header("Upload-Length", 3);
    assert_refused(answer(creation().header("Upload-Length", 4)).await, 40000, "several headers upload-length");
    assert_refused(answer(creation().header("Tus-Resumable", "0.2.2")).await, 40000, "several headers tus-resumable");
    let other = creation().header("Upload-Metadata", "filename Yi5jc3Y=");
    assert_refused(answer(other).await, 40000, "several headers upload-metadata");
    assert_eq!(server.rows("/api/lake/files").await, Vec::<Value>::new());
    let created = creation().header("Upload-Length", 3).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let chunk = tus.chunk(&header(&created, "location").unwrap(), 0, b"abc").header("Upload-Offset", 3);
    assert_refused(answer(chunk).await, 40000, "several headers upload-offset");
}

#[tokio::test]
async fn a_creation_with_a_body_of_another_media_type_is_refused() {
    let server = TestServer::start().await;
    let tus = Tus(&server);
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let creation = || tus.creation(id, "a.csv").header("Upload-Length", 3);
    let chunked = |chunks: &'static [&'static str]| {
        reqwest::Body::wrap_stream(futures_util::stream::iter(
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk)),
        ))
    };
    for request in [
        creation().body("abc"),
        creation().header("Content-Type", "text/csv").body("abc"),
        creation().header("Content-Type", "application/octet-stream").body(chunked(&["a", "bc"])),
    ] {
        assert_refused(answer(request).await, 41501, CHUNK_TYPE);
    }
    assert_eq!(server.rows("/api/lake/files").await, Vec::<Value>::new());
    // Clients that send the bytes later may name any type.
    for request in [creation().header("Content-Type", "application/json"), creation().body(chunked(&[]))] {
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
    assert_eq!(answer(creation().header("Content-Type", CHUNK_TYPE).body("abc")).await.0, 201);
    assert_eq!(server.files("data/t")["a.csv"], b"abc");
}
