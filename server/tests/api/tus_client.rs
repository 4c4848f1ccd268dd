//! Client of tus 1.0 for tests, with requests that can be broken off anywhere.

use crate::server::{TestServer, path_of};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::TcpStream;

pub const CHUNK_TYPE: &str = "application/offset+octet-stream";

/// Bytes that differ by position.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8 ^ (at >> 12) as u8).collect()
}

pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} {}", BASE64_STANDARD.encode(value))).collect();
    pairs.join(",")
}

/// A tus client.
pub struct Tus<'a>(pub &'a TestServer);

impl Tus<'_> {
    pub fn request(&self, method: &str, address: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = if address.starts_with('/') { format!("{}{address}", self.0.url) } else { address.to_owned() };
        self.0.client.request(method, url).header("Tus-Resumable", "1.0.0")
    }

    pub fn creation(&self, sync_id: u64, name: &str) -> RequestBuilder {
        let metadata = metadata(&[("filename", name), ("sync_id", &sync_id.to_string())]);
        self.request("POST", "/api/lake/files").header("Upload-Metadata", metadata)
    }

    /// Creates an upload of this length, and returns its URL.
    pub async fn create(&self, sync_id: u64, name: &str, length: usize) -> String {
        let created = self.creation(sync_id, name).header("Upload-Length", length).send().await.unwrap();
        assert_eq!(created.status(), 201);
        header(&created, "location").unwrap()
    }

    pub async fn part(&self, content: &[u8]) -> String {
        let created = self.request("POST", "/api/lake/files").header("Upload-Concat", "partial");
        let created = created.header("Upload-Length", content.len()).send().await.unwrap();
        assert_eq!(created.status(), 201);
        let address = header(&created, "location").unwrap();
        assert_eq!(self.append(&address, 0, content).await, (204, Some(content.len() as u64)));
        address
    }

    pub fn chunk(&self, address: &str, offset: u64, content: &[u8]) -> RequestBuilder {
        let chunk = self.request("PATCH", address).header("Upload-Offset", offset).header("Content-Type", CHUNK_TYPE);
        chunk.body(content.to_vec())
    }

    pub async fn append(&self, address: &str, offset: u64, content: &[u8]) -> (u16, Option<u64>) {
        let appended = self.chunk(address, offset, content).send().await.unwrap();
        assert_eq!(header(&appended, "tus-resumable").as_deref(), Some("1.0.0"));
        (appended.status().as_u16(), offset_of(&appended))
    }

    pub fn head_request(&self, address: &str) -> RequestBuilder {
        self.request("HEAD", address)
    }

    pub async fn head(&self, address: &str) -> Response {
        self.head_request(address).send().await.unwrap()
    }

    pub async fn offset(&self, address: &str) -> u64 {
        let head = self.head(address).await;
        assert_eq!(head.status(), 200);
        offset_of(&head).unwrap()
    }

    /// Sends the head of a PATCH and some of its body, and keeps the connection open.
    pub fn begin_chunk(&self, address: &str, offset: u64, announced: usize, content: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.0.url.strip_prefix("http://").unwrap()).unwrap();
        write!(
            connection,
            "PATCH {address} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n\
             Content-Type: {CHUNK_TYPE}\r\nContent-Length: {announced}\r\n\r\n"
        )
        .unwrap();
        connection.write_all(content).unwrap();
        connection
    }
}

pub fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().unwrap();
    Some(if name == "location" { path_of(value) } else { value.to_owned() })
}

pub fn offset_of(response: &Response) -> Option<u64> {
    header(response, "upload-offset").map(|offset| offset.parse().unwrap())
}

/// Waits until this many bytes of the only upload in flight are on the disk; on object storage, which keeps whole parts, until
/// they are received.
pub async fn eventually_on_disk(server: &TestServer, wanted: usize) {
    let is_there = async || {
        if server.stopped().bucket.is_none() {
            return server.files(".lakeshore/uploads").values().any(|bytes| bytes.len() >= wanted);
        }
        let rows = server.rows("/api/ingestion/file/sync/in-flight").await;
        rows.iter().any(|row| row["received_bytes"].as_u64() >= Some(wanted as u64))
    };
    server.eventually(async || is_there().await.then_some(())).await;
}

pub async fn assert_landed(server: &TestServer, path: &str, content: &[u8]) {
    assert!(server.files("data/t")[path] == content, "{path} has its bytes");
    assert!(server.file_names(".lakeshore/uploads").is_empty());
    let rows = server.history("").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&rows[0]["sync_status"], &rows[0]["sha256"]), (&json!("Finished"), &json!(sha256)));
    assert_eq!((&rows[0]["file_name"], &rows[0]["size_bytes"]), (&json!(path), &json!(content.len())));
}
