//! Digests that a sender announces with `/api/lake/file/upload`.

use crate::server::{TestServer, answer, assert_refused};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::process::Command;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn sha512(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

/// `sha-256=:…:` of RFC 9530.
fn dictionary(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

fn dictionary_512(bytes: &[u8]) -> String {
    format!("sha-512=:{}:", BASE64_STANDARD.encode(Sha512::digest(bytes)))
}

fn checksum(bytes: &[u8]) -> String {
    format!("sha256 {}", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

fn part(name: &str, bytes: &[u8], fields: &[(&str, String)]) -> Part {
    let field = |(name, value): &(&str, String)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    Part::bytes(bytes.to_vec()).file_name(name.to_owned()).headers(HeaderMap::from_iter(fields.iter().map(field)))
}

fn upload(server: &TestServer, sync_id: u64, parts: Vec<Part>) -> RequestBuilder {
    let form = parts.into_iter().fold(Form::new(), |form, part| form.part("file", part));
    server.client.post(format!("{}/api/lake/file/upload?sync_id={sync_id}", server.url)).multipart(form)
}

/// An empty and a small file, which are collected in memory, and a large one, which is written to disk.
fn contents() -> [Vec<u8>; 3] {
    [Vec::new(), b"small".to_vec(), (0..3_000_000_u32).map(|n| (n % 251) as u8).collect()]
}

#[tokio::test]
async fn a_file_with_the_announced_digest_lands_and_the_response_has_it() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    for (n, bytes) in contents().iter().enumerate() {
        for (how, fields) in [
            ("content", vec![("Content-Digest", dictionary(bytes))]),
            ("repr", vec![("Repr-Digest", format!("{}, md5=:AAAA:, {}", dictionary_512(bytes), dictionary(bytes)))]),
            ("sha512", vec![("repr-digest", dictionary_512(bytes))]),
            ("checksum", vec![("Upload-Checksum", checksum(bytes))]),
            ("both", vec![("Upload-Checksum", checksum(bytes)), ("Content-Digest", dictionary(bytes))]),
        ] {
            let name = format!("{how}/{n}.bin");
            let (status, body) = answer(upload(&server, id, vec![part(&name, bytes, &fields)])).await;
            let file = json!({ "path": format!("/data/t/{name}"), "size_bytes": bytes.len(), "sha256": sha256(bytes) });
            assert_eq!((status, body), (200, json!({ "code": 0, "msg": null, "data": [file] })));
        }
    }
    server.end_sync(id).await;
    assert_eq!(server.files("data/t").len(), 15);
    let history = server.history("size=100").await;
    assert!(history.iter().all(|row| row["sync_status"] == "Finished" && row["sha256"].is_string()));
}

#[tokio::test]
async fn a_file_with_another_digest_does_not_land_and_its_row_has_both_digests() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for (n, bytes) in contents().iter().enumerate() {
        let name = format!("{n}.bin");
        server.upload(id, &name, b"as it was").await;
        for (field, announced, both) in [
            ("Content-Digest", dictionary(b"other"), [sha256(b"other"), sha256(bytes)]),
            ("Upload-Checksum", checksum(b"other"), [sha256(b"other"), sha256(bytes)]),
            ("Repr-Digest", dictionary_512(b"other"), [sha512(b"other"), sha512(bytes)]),
            (
                "Repr-Digest",
                format!("{}, {}", dictionary(bytes), dictionary_512(b"other")),
                [sha512(b"other"), sha512(bytes)],
            ),
        ] {
            let refused = answer(upload(&server, id, vec![part(&name, bytes, &[(field, announced)])])).await;
            let row = server.history("order=desc&size=1").await.remove(0);
            assert_eq!((&row["sync_status"], &row["landed_path"]), (&json!("Failed"), &Value::Null), "{row}");
            assert_eq!(row["size_bytes"], bytes.len(), "{row}");
            for digest in both {
                assert!(row["message"].as_str().unwrap().contains(&digest), "{row} lacks {digest}");
                assert_refused(refused.clone(), 40003, &digest);
            }
        }
    }
    assert!(server.files("data/t").values().all(|bytes| bytes == b"as it was"));
    assert!(server.rows("/api/lake/trash").await.is_empty());
    server.eventually(async || server.file_names(".lakeshore").is_empty().then_some(())).await;
    let sync = server.sync(id).await;
    assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(15), &json!(12)));
    server.end_sync(id).await;
}

#[tokio::test]
async fn a_wrong_digest_stops_only_its_own_file_of_a_form() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let parts = vec![
        part("a", b"one", &[("Repr-Digest", dictionary(b"one"))]),
        part("b", b"two", &[("Repr-Digest", dictionary(b"one"))]),
        part("c", b"three", &[]),
        part("d", b"four", &[("Repr-Digest", "sha-256=nonsense".into())]),
    ];
    let (status, body) = answer(upload(&server, id, parts)).await;
    assert_refused((status, body.clone()), 40003, "2 of 4 files failed");
    assert_eq!((&body["failed"][0]["code"], &body["failed"][1]["code"]), (&json!(40003), &json!(40000)));
    assert_eq!(server.file_names("data/t"), ["a", "c"]);
    let failed = server.history("status=Failed").await;
    assert!(failed[1]["message"].as_str().unwrap().contains("send it as sha-256=:"), "{failed:?}");
}

#[tokio::test]
async fn without_a_digest_the_response_is_the_documented_one_unless_more_is_requested() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let parts = || vec![part("a", b"one", &[]), part("b", b"two", &[])];
    let response = upload(&server, id, parts()).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), r#"{"code":0,"msg":null}"#);
    let (_, body) = answer(upload(&server, id, parts()).header("Want-Repr-Digest", "sha-256=1")).await;
    let digests: Vec<_> = body["data"].as_array().unwrap().iter().map(|file| file["sha256"].clone()).collect();
    assert_eq!(digests, [sha256(b"one"), sha256(b"two")]);
    let (_, body) = answer(upload(
        &server,
        id,
        vec![part("a", b"one", &[]), part("b", b"two", &[("Repr-Digest", dictionary(b"two"))])],
    ))
    .await;
    assert_eq!(body["data"].as_array().unwrap().len(), 1, "{body}");
}

#[tokio::test]
async fn a_request_of_one_file_may_carry_its_checksum_and_no_digest_of_the_whole_body() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let one = || upload(&server, id, vec![part("a", b"one", &[])]);
    let (status, body) = answer(one().header("Upload-Checksum", checksum(b"one"))).await;
    assert_eq!((status, &body["data"][0]["sha256"]), (200, &json!(sha256(b"one"))));
    assert_refused(answer(one().header("Upload-Checksum", checksum(b"two"))).await, 40003, &sha256(b"two"));
    assert_refused(answer(one().header("Upload-Checksum", "crc32 AAAA")).await, 40000, "sha256 uU0n");
    let contradicting = upload(&server, id, vec![part("a", b"one", &[("Repr-Digest", dictionary(b"two"))])]);
    let contradicting = contradicting.header("Upload-Checksum", checksum(b"one"));
    assert_refused(answer(contradicting).await, 40000, "two different");
    let two = upload(&server, id, vec![part("a", b"one", &[]), part("b", b"one", &[])]);
    let refused = answer(two.header("Upload-Checksum", checksum(b"one"))).await;
    assert_refused(refused, 40000, "1 of 2 files failed; the other 1 landed");
    assert_eq!(server.file_names("data/t"), ["a"]);
    for name in ["Content-Digest", "Repr-Digest"] {
        assert_refused(answer(one().header(name, dictionary(b"one"))).await, 40000, "part of the file");
    }
}

#[tokio::test]
async fn curl_sends_a_digest_as_the_readme_shows() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    std::fs::write(server.data_dir().join("sales.parquet"), b"PAR1").unwrap();
    let curl = format!(
        r#"curl --silent '{}/api/lake/file/upload?sync_id={id}' --form "file=@sales.parquet;headers=\"Repr-Digest: sha-256=:$(openssl dgst -sha256 -binary sales.parquet | base64):\"""#,
        server.url
    );
    let output = Command::new("bash").args(["-c", &curl]).current_dir(server.data_dir()).output().unwrap();
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&body["code"], &body["data"][0]["sha256"]), (&json!(0), &json!(sha256(b"PAR1"))), "{body}");
}
