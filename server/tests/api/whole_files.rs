//! Bodies that are a part of a file, encoded or truncated are refused, and nothing of them lands.

use crate::server::{TestServer, answer, assert_refused};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const WHOLE: &[u8] = b"0123456789";

struct Sender<'a> {
    server: &'a TestServer,
    sync_id: u64,
}

impl<'a> Sender<'a> {
    async fn new(server: &'a TestServer) -> Self {
        Self { server, sync_id: server.start_sync("/data/t", "IncrementalSync").await }
    }

    fn put(&self, name: &str) -> RequestBuilder {
        let address = format!("{}/api/lake/file/resumable/{name}?sync_id={}", self.server.url, self.sync_id);
        self.server.client.put(address).body(WHOLE)
    }

    fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let address = format!("{}/api/lake/file/upload?sync_id={}{query}", self.server.url, self.sync_id);
        self.server.client.post(address).header("content-type", "multipart/form-data; boundary=B").body(body)
    }

    fn form(&self, fields: &[(&str, &str)], line: &str, end: &str) -> RequestBuilder {
        self.post("", form(fields, line, end))
    }
}

fn part(name: &str, file_name: &str, line: &str, content: &str) -> String {
    format!(
        "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n{line}\r\n{content}\r\n"
    )
}

/// A form with fields, and a file whose part head has one more line.
fn form(fields: &[(&str, &str)], line: &str, end: &str) -> String {
    let file = part("file", "a.bin", line, "0123456789");
    let field =
        |(name, value): &(&str, &str)| format!("--B\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n");
    let fields: String = fields.iter().map(field).collect();
    format!("{file}{fields}{end}")
}

const END: &str = "--B--\r\n";

fn md5(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Md5::digest(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn headers_that_declare_a_partial_or_encoded_body_are_refused_on_every_route() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    let tus = || {
        let address = format!("{}/api/lake/files?sync_id={}", server.url, sender.sync_id);
        let request = server.client.post(address).header("Tus-Resumable", "1.0.0").header("Upload-Length", 10);
        request.header("Upload-Metadata", "filename YS5iaW4=")
    };
    let created = tus().send().await.unwrap();
    let address = created.headers()["location"].to_str().unwrap().to_owned();
    let address = reqwest::Url::parse(&server.url).unwrap().join(&address).unwrap();
    let chunk = || {
        let request = server.client.patch(address.clone()).header("Tus-Resumable", "1.0.0").header("Upload-Offset", 0);
        request.header("Content-Type", "application/offset+octet-stream").body(WHOLE)
    };
    for (name, value, code) in [
        ("Content-Range", "bytes 0-9/20", 40005),
        ("Content-Range", "bytes */20", 40005),
        ("Content-Encoding", "gzip", 41502),
        ("Content-Encoding", "aws-chunked", 41502),
        ("Content-Transfer-Encoding", "base64", 41502),
        ("Trailer", "Content-MD5", 40000),
    ] {
        let put = sender.put("a.bin").header(name, value);
        let form = sender.form(&[], "", END).header(name, value);
        for request in [put, form, tus().header(name, value), chunk().header(name, value)] {
            assert_refused(answer(request).await, code, name);
        }
        if name != "Trailer" {
            let line = format!("{name}: {value}\r\n");
            assert_refused(answer(sender.form(&[], &line, END)).await, code, name);
        }
    }
    let wrapped =
        sender.put("a.bin").header("Content-Type", "multipart/form-data; boundary=B").body(form(&[], "", END));
    assert_refused(answer(wrapped).await, 41502, "Content-Type");
    let chunk_as_whole = sender.put("a.bin").header("Content-Type", "application/partial-upload");
    assert_refused(answer(chunk_as_whole).await, 40005, "tus");
    assert_refused(answer(sender.put("a.bin").header("Upload-Offset", "5")).await, 40005, "Upload-Offset");
    assert_refused(answer(sender.form(&[], "", END).header("Upload-Complete", "?0")).await, 40005, "tus");
    let coded = sender.put("a.bin").header("Content-Encoding", "br").send().await.unwrap();
    assert_eq!((coded.status().as_u16(), &coded.headers()["accept-encoding"]), (415, &"identity".parse().unwrap()));
    assert_eq!(server.file_names("data/t"), [""; 0]);
    for plain in ["Content-Encoding: identity", "Content-Transfer-Encoding: binary", "Content-Length: 10"] {
        assert_eq!(answer(sender.form(&[], &format!("{plain}\r\n"), END)).await.0, 200, "{plain}");
    }
    assert_refused(answer(sender.form(&[], "Content-Length: 11\r\n", END)).await, 40004, "11");
    assert_eq!(answer(chunk()).await.0, 204);
    assert_eq!(server.files("data/t")["a.bin"], WHOLE);
}

#[tokio::test]
async fn chunks_of_upload_libraries_are_refused_with_their_fields_in_any_place() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    for (position, total) in [
        ("dzchunkindex", "dztotalchunkcount"),
        ("chunk", "chunks"),
        ("resumableChunkNumber", "resumableTotalChunks"),
        ("flowChunkNumber", "flowTotalChunks"),
        ("qqpartindex", "qqtotalparts"),
    ] {
        let file = form(&[], "", "");
        // After the file, before it, in the URL, and in the URL of a raw body.
        let fields = [(position, "1"), (total, "3")];
        let behind = sender.form(&fields, "", END);
        let before = sender.post("", form(&fields, "", "").replacen(&file, "", 1) + &file + END);
        let query = format!("&{position}=1&{total}=3");
        let address = sender.post(&query, form(&[], "", END));
        let put = server
            .client
            .put(format!("{}/api/lake/file/resumable/a.bin?sync_id={}{query}", server.url, sender.sync_id));
        for request in [behind, before, address, put.body(WHOLE)] {
            assert_refused(answer(request).await, 40005, "tus");
        }
        assert_eq!(server.file_names("data/t"), [""; 0], "{position}");
    }
    let devextreme = [("chunkMetadata", r#"{"FileName":"a.bin","Index":0,"TotalCount":2,"FileSize":20}"#)];
    assert_refused(answer(sender.form(&devextreme, "", END)).await, 40005, "tus");
    // The only chunk is the whole file.
    assert_eq!(answer(sender.form(&[("dzchunkindex", "0"), ("dztotalchunkcount", "1")], "", END)).await.0, 200);
    assert_eq!(server.files("data/t")["a.bin"], WHOLE);
}

#[tokio::test]
async fn nothing_of_a_body_lands_before_its_last_delimiter() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    let file = part("file", "a.csv", "", "first\r\nsecond");
    let large = part("file", "large.csv", "", &"x".repeat(300_000));
    for (body, code) in [
        (file.replace("\r\nsecond", "\r\n--Bsecond\r\nthird") + END, 40002),
        (file.clone(), 40002),
        (format!("{file}--B\r\n"), 40002),
        (format!("{file}--B-"), 40002),
        (format!("{large}{file}--B\r\nno head{END}"), 40002),
        (format!("{large}{file}--Bx\r\n{END}"), 40002),
        (format!("{file}--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.csv\"\r\n\r\ncut"), 40002),
    ] {
        let (status, refusal) = answer(sender.post("", body.clone())).await;
        assert_eq!((status, &refusal["code"]), (400, &json!(code)), "{refusal} for {body:.200}");
        assert_eq!(server.file_names("data/t"), [""; 0], "{refusal}");
    }
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
    let sync = server.sync(sender.sync_id).await;
    assert_eq!(
        (&sync["total_files"], &sync["num_failed"], &sync["num_in_flight"]),
        (&json!(10), &json!(10), &json!(0))
    );
    let rows = server.history("status=Failed").await;
    assert!(rows.iter().all(|row| row["message"].as_str().unwrap().contains("send the file again")), "{rows:?}");
    // Complete, in one form: they land in order.
    assert_eq!(
        answer(sender.post("", format!("{large}{file}{}{END}", part("file", "a.csv", "", "last")))).await.0,
        200
    );
    let files = server.files("data/t");
    assert_eq!((files["a.csv"].as_slice(), files["large.csv"].len()), (&b"last"[..], 300_000));
    server.end_sync(sender.sync_id).await;
}

#[tokio::test]
async fn old_digest_fields_are_checked_on_every_route() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    let body = form(&[], "", END);
    let fields = |bytes: &[u8]| {
        [
            ("Content-MD5", md5(bytes)),
            ("Digest", format!("SHA-256={}", sha256(bytes))),
            ("Digest", format!("unixsum=1,MD5={}", md5(bytes))),
        ]
    };
    for (name, value) in fields(b"other") {
        assert_refused(answer(sender.put("a.bin").header(name, &value)).await, 40003, "");
        assert_refused(answer(sender.form(&[], "", END).header(name, &value)).await, 40003, "");
        assert_refused(answer(sender.form(&[], &format!("{name}: {value}\r\n"), END)).await, 40003, "");
    }
    assert_eq!(server.file_names("data/t"), [""; 0]);
    for (name, value) in fields(WHOLE) {
        assert_eq!(answer(sender.put("a.bin").header(name, &value)).await.0, 200, "{name}");
        assert_eq!(answer(sender.form(&[], &format!("{name}: {value}\r\n"), END)).await.0, 200, "{name}");
        assert_eq!(answer(sender.form(&[], "", END).header(name, &value)).await.0, 200, "{name} of the file");
    }
    for (name, value) in fields(body.as_bytes()) {
        assert_eq!(answer(sender.form(&[], "", END).header(name, &value)).await.0, 200, "{name} of the body");
    }
    let content_digest = |bytes: &[u8]| format!("sha-256=:{}:", sha256(bytes));
    let put = |bytes: &[u8]| sender.put("b.bin").header("Content-Digest", content_digest(bytes));
    assert_refused(answer(put(b"other")).await, 40003, "");
    assert_eq!(answer(put(WHOLE)).await.0, 200);
    assert_refused(answer(sender.put("a.bin").header("Content-MD5", "nonsense")).await, 40000, "MD5");

    // A chunk with a wrong digest is not kept, and may be repeated.
    let create = |complete: &str| {
        let address = format!("{}/api/lake/file/resumable?sync_id={}&file_name=c.bin", server.url, sender.sync_id);
        server.client.post(address).header("Upload-Complete", complete.to_owned())
    };
    let refused = create("?0").header("Content-MD5", md5(b"other")).body(WHOLE);
    assert_eq!(answer(refused).await.1["code"], 46000);
    assert_eq!(server.rows("/api/lake/files").await, Vec::<Value>::new(), "nobody knows its address");
    let created = create("?0").send().await.unwrap();
    let address = reqwest::Url::parse(&server.url).unwrap().join(created.headers()["location"].to_str().unwrap());
    let address = address.unwrap();
    let chunk = |of: &[u8]| {
        let request = server.client.patch(address.clone()).header("Upload-Offset", 0).header("Upload-Complete", "?1");
        let request = request.header("Content-Type", "application/partial-upload").body(WHOLE);
        request.header("Content-Digest", content_digest(of)).header("Content-MD5", md5(of))
    };
    assert_eq!(answer(chunk(b"other")).await.1["code"], 46000);
    assert_eq!(answer(chunk(WHOLE)).await.0, 200);
    assert_eq!(server.files("data/t")["c.bin"], WHOLE);
}

#[tokio::test]
async fn a_file_field_may_have_brackets_and_other_parts_are_named_in_the_error() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    for (n, name) in ["file", "files", "file[]", "files[]", "files[0]"].into_iter().enumerate() {
        let body = part(name, &format!("{n}.csv"), "", "x") + END;
        assert_eq!(answer(sender.post("", body)).await.0, 200, "{name}");
    }
    assert_eq!(server.file_names("data/t").len(), 5);
    let body = part("upload", "a.csv", "", "x") + &part("data[]", "b.csv", "", "x") + END;
    let refused = answer(sender.post("", body)).await;
    assert_refused(refused.clone(), 40000, r#""upload", "data[]""#);
    assert_refused(refused, 40000, "the part \"file\"");
}

/// All requests that send the bytes of a file.
fn every_way<'a>(server: &'a TestServer, sender: &'a Sender<'a>) -> Vec<RequestBuilder> {
    let tus = server.client.post(format!("{}/api/lake/files?sync_id={}", server.url, sender.sync_id));
    let tus = tus.header("Tus-Resumable", "1.0.0").header("Upload-Length", 10);
    let draft = format!("{}/api/lake/file/resumable?sync_id={}&file_name=a.bin", server.url, sender.sync_id);
    vec![
        sender.put("a.bin"),
        sender.form(&[], "", END),
        tus.header("Upload-Metadata", "filename YS5iaW4="),
        server.client.post(draft).header("Upload-Complete", "?0"),
    ]
}

#[tokio::test]
async fn a_conditional_or_overridden_upload_is_refused_and_replaces_nothing() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    server.upload(sender.sync_id, "a.bin", b"before").await;
    for (name, value, code) in [
        ("If-None-Match", "*", 40000),
        ("If-None-Match", "\"v1\"", 40000),
        ("If-Match", "*", 40000),
        ("If-Match", "\"v1\"", 40000),
        ("If-Unmodified-Since", "Wed, 21 Oct 2037 07:28:00 GMT", 40000),
        ("X-HTTP-Method-Override", "PATCH", 40000),
        ("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 41502),
    ] {
        for request in every_way(&server, &sender) {
            let (status, refusal) = answer(request.header(name, value)).await;
            let said = refusal["msg"].as_str().unwrap_or_default().to_lowercase();
            assert!(said.contains(&name.to_lowercase()), "{name}: {refusal}");
            assert_refused((status, refusal), code, "");
        }
    }
    assert_eq!(server.files("data/t")["a.bin"], b"before");
    assert_eq!(server.rows("/api/lake/files").await, Vec::<Value>::new());
    // Meaningless for a request with a body (RFC 9110, section 13.1.3).
    let since = sender.put("a.bin").header("If-Modified-Since", "Wed, 21 Oct 2037 07:28:00 GMT");
    assert_eq!(answer(since).await.0, 200);
    assert_eq!(server.files("data/t")["a.bin"], WHOLE);
}

/// Sends a chunked body with trailer fields.
fn in_chunks(server: &TestServer, head: &str, body: &str, trailer: &str) -> String {
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("{head}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: close");
    write!(connection, "{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n", body.len()).unwrap();
    // The trailer arrives later than the rest.
    std::thread::sleep(Duration::from_millis(50));
    write!(connection, "{trailer}\r\n").unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    said
}

#[tokio::test]
async fn a_digest_in_a_trailer_is_refused_announced_or_not() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let put = format!("PUT /api/lake/file/resumable/a.bin?sync_id={id} HTTP/1.1");
    let post =
        format!("POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B");
    let form = form(&[], "", END);
    for field in ["Content-MD5", "Digest", "Content-Digest", "repr-digest", "Upload-Checksum"] {
        let trailer = format!("X-Time: 1\r\n{field}: x\r\n");
        for said in [in_chunks(&server, &put, "0123456789", &trailer), in_chunks(&server, &post, &form, &trailer)] {
            assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("40000"), "{field}: {said}");
            assert!(said.contains(&field.to_lowercase()) && said.contains("header of the request"), "{said}");
        }
    }
    assert_eq!(server.file_names("data/t"), [""; 0]);
    // Other fields are ignored.
    for said in [in_chunks(&server, &put, "0123456789", "X-Time: 1\r\n"), in_chunks(&server, &post, &form, "")] {
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
    assert_eq!(server.files("data/t")["a.bin"], WHOLE);
}

#[tokio::test]
async fn a_chunked_form_lands_after_its_last_chunk() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let head =
        format!("POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B");
    let form = form(&[], "", END);
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(connection, "{head}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{form}\r\n", form.len())
        .unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    assert!(!said.contains("\"code\":0"), "{said}");
    assert_eq!(server.file_names("data/t"), [""; 0]);
}

#[tokio::test]
async fn a_file_name_in_another_encoding_lands_decoded_or_is_refused() {
    let server = TestServer::start().await;
    let sender = Sender::new(&server).await;
    let named = |disposition: &str| {
        let head = format!("--B\r\nContent-Disposition: form-data; name=\"file\"; {disposition}\r\n\r\n");
        sender.post("", format!("{head}0123456789\r\n{END}"))
    };
    for (disposition, name) in [
        ("filename*=ISO-8859-1'de'gr%F6%DFe.bin", "größe.bin"),
        ("filename=\"x\"; filename*=utf-8''%E6%95%B0.bin", "数.bin"),
    ] {
        assert_eq!(answer(named(disposition)).await.0, 200);
        assert_eq!(server.files("data/t")[name], WHOLE);
    }
    let landed = server.file_names("data/t");
    for disposition in [
        "filename*=windows-1252''gr%F6%DFe.bin",
        "filename*=UTF-8''gr%F6%DFe.bin",
        "filename*=x.bin",
        "filename*0=\"a\"; filename*1=\".bin\"",
        "filename=\"a.bin\"; filename=\"b.bin\"",
        "filename=\"=?utf-8?Q?gr=C3=B6=C3=9Fe.bin?=\"",
    ] {
        assert_refused(answer(named(disposition)).await, 40000, "cannot be read");
        let address = format!("{}/api/lake/file/resumable?sync_id={}", server.url, sender.sync_id);
        let put = server.client.put(address).header("Content-Disposition", format!("attachment; {disposition}"));
        assert_refused(answer(put.body(WHOLE)).await, 40000, "cannot be read");
    }
    assert_eq!(server.file_names("data/t"), landed);
}
