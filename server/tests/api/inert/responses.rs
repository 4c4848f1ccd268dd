//! Files and other responses: a browser gets bytes of a harmless type, and runs nothing of them.

use super::{encoded, header, upload};
use crate::server::{TestServer, answer, assert_refused};
use serde_json::json;

const DOWNLOAD: &str = "/api/lake/file/download";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const GIF: &[u8] = b"GIF89a=1;trap()//";

async fn put(server: &TestServer, name: &str, bytes: &[u8]) -> String {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    assert_eq!(upload(server, id, name, bytes).await.0, 200, "{name}");
    server.end_sync(id).await;
    format!("/data/t/{name}")
}

#[tokio::test]
async fn a_file_is_served_as_bytes_unless_name_and_content_are_text_or_an_image() {
    let server = TestServer::start().await;
    for (name, bytes, expected) in [
        ("a.js", &b"trap()"[..], "application/octet-stream"),
        ("a.mjs", b"trap()", "application/octet-stream"),
        ("a.html", b"<script>trap()</script>", "application/octet-stream"),
        ("a.xhtml", b"<script>trap()</script>", "application/octet-stream"),
        ("a.svg", b"<svg onload='trap()'/>", "application/octet-stream"),
        ("a.xml", b"<?xml-stylesheet href='a.xsl'?>", "application/octet-stream"),
        ("a.css", b"*{}", "application/octet-stream"),
        ("a.pdf", b"%PDF-1.7", "application/octet-stream"),
        ("a.wasm", b"\0asm", "application/octet-stream"),
        ("a.webmanifest", b"{}", "application/octet-stream"),
        ("a", b"<script>trap()</script>", "application/octet-stream"),
        ("script.png", b"trap()", "application/octet-stream"),
        ("page.png", b"<svg onload='trap()'/>", "application/octet-stream"),
        ("other.jpg", PNG, "application/octet-stream"),
        ("image.js", PNG, "application/octet-stream"),
        ("empty.png", b"", "application/octet-stream"),
        ("a.png", PNG, "image/png"),
        ("polyglot.gif", GIF, "image/gif"),
        ("a.txt", b"<script>trap()</script>", "text/plain; charset=utf-8"),
        ("a.CSV", b"a,b\n", "text/plain; charset=utf-8"),
    ] {
        let path = put(&server, name, bytes).await;
        let response = server.get(DOWNLOAD).query(&[("path", &path)]).send().await.unwrap();
        let headers = response.headers();
        assert_eq!(header(headers, "content-type"), expected, "{name}");
        assert_eq!(header(headers, "x-content-type-options"), "nosniff", "{name}");
        assert!(header(headers, "content-disposition").starts_with("attachment"), "{name}");
        let policy = header(headers, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{name}: {policy}");
        assert_eq!(header(headers, "cross-origin-resource-policy"), "same-origin", "{name}");
        // Only images may be embedded in a page.
        let image = server.get(DOWNLOAD).query(&[("path", &path)]).header("sec-fetch-dest", "image");
        let is_image = expected.starts_with("image/");
        assert_eq!(image.send().await.unwrap().status(), if is_image { 200 } else { 403 }, "{name}");
        assert_eq!(response.bytes().await.unwrap(), bytes, "{name}");
    }
}

#[tokio::test]
async fn a_file_or_a_response_is_refused_as_a_subresource_of_a_page() {
    let server = TestServer::start().await;
    let path = put(&server, "a.png", PNG).await;
    let file = format!("{DOWNLOAD}?path={}", encoded(&path));
    let addresses = [&*file, "/api/ingestion/file/sync/list", "/api/lake/search?q=a", "/api/events", "/api/nothing"];
    for destination in [
        "script",
        "style",
        "worker",
        "sharedworker",
        "serviceworker",
        "audioworklet",
        "paintworklet",
        "manifest",
        "xslt",
        "object",
        "embed",
        "frame",
        "iframe",
        "fencedframe",
        "report",
        "track",
        "font",
        "audio",
        "video",
        "json",
        "webidentity",
        "speculationrules",
        "something-new",
    ] {
        for address in addresses {
            let asked =
                server.get(address).header("sec-fetch-dest", destination).header("sec-fetch-site", "same-origin");
            assert_refused(answer(asked).await, 40304, "a browser requested it as");
        }
    }
    for (site, mode, destination, status) in [
        ("same-origin", "cors", "empty", 200),
        ("same-origin", "navigate", "document", 200),
        ("none", "navigate", "document", 200),
        ("cross-site", "navigate", "document", 200),
        ("same-origin", "no-cors", "image", 200),
        ("cross-site", "no-cors", "image", 403),
        ("same-site", "no-cors", "empty", 403),
        ("cross-site", "cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        // Compared exactly as browsers send it; unknown values are refused.
        ("same-origin", "no-cors", "Script", 403),
    ] {
        let asked = server.get(&file).header("sec-fetch-site", site).header("sec-fetch-mode", mode);
        let response = asked.header("sec-fetch-dest", destination).send().await.unwrap();
        assert_eq!(response.status(), status, "{site} {mode} {destination}");
    }
    let page = server.get("/syncs").header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "no-cors");
    assert_eq!(page.header("sec-fetch-dest", "script").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn every_response_has_a_type_and_forbids_scripts() {
    let server = TestServer::start().await;
    let hostile = encoded("/</script><script>MARK()</script>");
    let mut answers = Vec::new();
    for address in [
        "/api/ingestion/file/sync/list".to_owned(),
        format!("/api/ingestion/file/sync/{hostile}"),
        format!("/api/ingestion/file/sync/list?path={hostile}"),
        format!("{DOWNLOAD}?path={hostile}"),
        format!("/api/lake/file/preview?path={hostile}"),
        format!("/api/{hostile}"),
        format!("/fn/{hostile}"),
        format!("/pkg/{hostile}"),
        format!("/api/lake/files/{hostile}"),
        format!("/api/lake/search?q={hostile}"),
        format!("/sign-in/link?token={hostile}"),
        format!("/?q={hostile}"),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
    ] {
        answers.push((server.get(&address).send().await.unwrap(), address));
    }
    let form =
        server.client.post(format!("{}/sign-in", server.url)).form(&[("key", "<b>"), ("next", "//evil.example")]);
    answers.push((form.send().await.unwrap(), "/sign-in".to_owned()));
    for address in ["/fn/syncs", "/fn/nothing%3Cb%3E", "/fn/dataset", "/fn/restore-trash"] {
        let url = format!("{}{address}", server.url);
        answers.push((
            server.client.post(url).json(&json!({ "path": "<script>" })).send().await.unwrap(),
            address.to_owned(),
        ));
    }
    for (response, address) in answers {
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(header(&headers, "x-content-type-options"), "nosniff", "{address}");
        assert!(header(&headers, "content-security-policy").contains("default-src 'none'"), "{address}");
        assert_eq!(header(&headers, "cross-origin-resource-policy"), "same-origin", "{address}");
        let body = response.text().await.unwrap();
        let kind = header(&headers, "content-type").split(';').next().unwrap_or_default();
        assert!(
            body.is_empty() || ["application/json", "text/plain"].contains(&kind),
            "{address}: {status} {kind:?} {body}"
        );
        let place = header(&headers, "location");
        assert!(place.is_empty() || place.starts_with('/') && !place.starts_with("//"), "{address} leads to {place}");
    }
}
