//! Untrusted text in a browser: no name or file content runs as code in a page, a file or a response.

mod pages;
mod responses;

use crate::server::{TestServer, answer};
use axum::http::HeaderMap;
use serde_json::Value;

/// Uploads a file under exactly this name; clients escape quotes.
async fn upload(server: &TestServer, sync_id: u64, name: &str, bytes: &[u8]) -> (u16, Value) {
    let name = name.replace('"', "%22");
    let mut body =
        format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n").into_bytes();
    body.extend(bytes);
    body.extend(b"\r\n--b--\r\n");
    let url = format!("{}/api/lake/file/upload?sync_id={sync_id}", server.url);
    answer(server.client.post(url).header("content-type", "multipart/form-data; boundary=b").body(body)).await
}

fn encoded(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
