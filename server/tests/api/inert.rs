//! Untrusted text in a browser: no name or file content runs as code in a page, a file or a response.

use crate::server::{TestServer, answer, assert_refused};
use axum::http::HeaderMap;
use serde_json::{Value, json};

const DOWNLOAD: &str = "/api/lake/file/download";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const GIF: &[u8] = b"GIF89a=1;trap()//";

/// Ends of every context in which a text may appear. Each would write the marker as an element, an attribute or a
/// script.
const ENDS: [&str; 7] = [
    "</title><script>MARK()</script>",
    "</textarea></script><script>MARK()</script>",
    "--><script>MARK()</script><!--",
    "\"><img src=x onerror=MARK()>",
    "'><svg onload=MARK()>",
    "&lt;/title&gt;&lt;script&gt;MARK()&lt;/script&gt;",
    "`${MARK()}`</style><base href=//evil.example>",
];

/// A name that is valid in a path: without slashes, which would split it.
fn name(end: &str) -> String {
    end.replace('/', "\u{2215}")
}

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

async fn put(server: &TestServer, name: &str, bytes: &[u8]) -> String {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    assert_eq!(upload(server, id, name, bytes).await.0, 200, "{name}");
    server.end_sync(id).await;
    format!("/data/t/{name}")
}

fn encoded(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Asserts that no element of the parsed page comes from a name.
fn assert_inert(page: &str, address: &str) {
    let nonce = page.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a page has a nonce");
    for script in page.split("<script").skip(1) {
        let opening = script.split('>').next().unwrap();
        assert!(opening.contains(&format!("nonce=\"{nonce}\"")), "{address}: <script{opening}>");
    }
    let script_ends = page.matches("</script").count();
    assert_eq!(page.matches("<script").count(), script_ends, "{address}: a script is ended within");
    for element in ["<img src=x", "<svg onload", "<base", "<iframe", "<object", "<style", "</textarea"] {
        assert!(!page.contains(element), "{address} has {element}");
    }
    let head = page.split("</head>").next().unwrap_or_default();
    assert_eq!(head.matches("<title").count(), 1, "{address}");
    let title = page.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    assert!(title.ends_with("Lakeshore"), "{address}: the title ends early: {title}");
}

#[tokio::test]
async fn no_name_is_rendered_as_html_in_any_page() {
    let server = TestServer::start().await;
    let mut pages: Vec<String> =
        ["/", "/?by=type", "/syncs", "/datasets", "/upload", "/lake", "/history", "/trash", "/activity"]
            .into_iter()
            .chain(["/keys", "/search", "/sign-in", "/history?status=Failed"])
            .map(str::to_owned)
            .collect();
    for end in ENDS {
        let new = json!({ "new": { "name": end, "role": "write", "path_prefix": null, "expires_at": null } });
        let created = server.post("/fn/create-key", &new).header("X-API-Key", &server.key);
        assert_eq!(created.send().await.unwrap().status(), 200);
        let path = format!("/team/{}", name(end));
        let start = json!({ "name": end, "path": path, "api_key": server.key, "sync_type": "FullSync" });
        let mut sync_id = 0;
        // The second round replaces the files of the first, which go to the trash.
        for round in 0..2 {
            let call = server.post("/api/ingestion/file/sync/start", &start).header("user-agent", end);
            sync_id = answer(call).await.1["sync_id"].as_u64().unwrap();
            let header = format!("\"{}\",b\n", end.replace('"', "\"\""));
            let cells = format!("{header}\"{}\",{round}\n", end.replace('"', "\"\""));
            assert_eq!(upload(&server, sync_id, &format!("{}.csv", name(end)), cells.as_bytes()).await.0, 200);
            // A refused name stays in the history.
            upload(&server, sync_id, &format!("../{end}"), b"x").await;
            server.end_sync(sync_id).await;
        }
        let file = format!("{path}/{}.csv", name(end));
        for (base, of, tabs) in [
            ("/datasets", &path, &["", "?tab=calendar", "?tab=versions", "?tab=syncs"][..]),
            ("/lake", &path, &[""]),
            ("/lake", &file, &["", "?tab=schema", "?tab=use"]),
        ] {
            let base = format!("{base}{}", encoded(of).replace("%2F", "/"));
            pages.extend(tabs.iter().map(|tab| format!("{base}{tab}")));
        }
        pages.extend([
            format!("/syncs/{sync_id}"),
            format!("/trash/syncs/{sync_id}"),
            format!("/trash/pieces/{}", sync_id / 2),
        ]);
        let query = encoded(end);
        for address in [
            "/search?q=",
            "/syncs?q=",
            "/syncs?path=",
            "/history?sync_id=",
            "/upload?path=",
            "/activity?who=",
            "/sign-in?next=/",
            "/sign-in?error=",
            "/trash?why=",
            "/trash?restored=1&failed=1&why=",
            "/trash?refused=",
            "/trash?__err=",
            "/nowhere/",
            "/datasets/nowhere/",
            "/lake/nowhere/",
            "/trash/pieces/",
            "/syncs/",
        ] {
            pages.push(format!("{address}{query}"));
        }
    }
    for address in pages {
        let request = server.get(&address).header("X-API-Key", &server.key);
        let response = request.send().await.unwrap();
        assert!(response.status().as_u16() < 500, "{address}: {}", response.status());
        assert_inert(&response.text().await.unwrap(), &address);
    }
}

#[tokio::test]
async fn a_page_trusts_only_the_nonce_of_its_own_response() {
    let server = TestServer::start().await;
    let ask = async || server.get("/datasets/no/such").send().await.unwrap();
    let (first, second) = (ask().await, ask().await);
    let policy = header(first.headers(), "content-security-policy").to_owned();
    let scripts = policy.split("; ").find(|directive| directive.starts_with("script-src ")).unwrap();
    assert!(scripts.contains("'nonce-") && scripts.contains("'strict-dynamic'"), "{policy}");
    for trusted in ["'self'", "http", "*", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"] {
        assert!(!scripts.split(' ').any(|source| source == trusted || source.starts_with("http")), "{policy}");
    }
    for directive in [
        "default-src 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|one| one == directive), "{directive}: {policy}");
    }
    assert_ne!(policy, header(second.headers(), "content-security-policy"), "the nonce is that of one answer");
    assert_eq!(header(first.headers(), "cache-control"), "no-store");
    assert_eq!(header(first.headers(), "cross-origin-opener-policy"), "same-origin");
    assert_eq!(header(first.headers(), "x-frame-options"), "DENY");
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

#[tokio::test]
async fn no_text_of_a_url_is_repeated_by_the_server() {
    let server = TestServer::start().await;
    let page = async |address: &str| {
        server.get(address).header("X-API-Key", &server.key).send().await.unwrap().text().await.unwrap()
    };
    let telling = "Call-0800-5551234";
    let fault = "eyJjb2RlIjo0MDAwMCwibXNnIjoiQ2FsbC0wODAwLTU1NTEyMzQifQ==";
    for address in [
        format!("/trash?restored=1&failed=1&why={telling}"),
        format!("/trash?refused={telling}"),
        format!("/trash?__path=/fn/restore-trash&__err={fault}"),
        format!("/datasets/data/t?tab=rhythm&__err={fault}"),
        format!("/sign-in?error={telling}"),
        format!("/trash?emptied={telling}&bytes={telling}"),
    ] {
        assert!(!page(&address).await.contains(telling), "{address}");
    }
    // A missing path appears in the title only, not in the error.
    for address in [format!("/datasets/{telling}"), format!("/lake/{telling}"), format!("/syncs?path=%5C{telling}")] {
        let page = page(&address).await;
        let alert = page.split("role=\"alert\"").nth(1).and_then(|rest| rest.split("</div>").next());
        assert!(!alert.expect("it is refused").contains(telling), "{address}");
    }
    assert!(page("/trash?refused=40901").await.contains("holds the path"), "a number that is known is said in words");
    assert!(!page("/trash?refused=1").await.contains("role=\"alert\""), "one that is not says nothing");
    assert!(!page("/sign-in?error=1").await.contains("role=\"alert\""));
}

#[tokio::test]
async fn a_form_redirects_only_within_this_server() {
    let server = TestServer::start().await;
    let post = async |referer: &str| {
        let request = server.client.post(format!("{}/fn/restore-trash", server.url)).form(&[("x", "y")]);
        let request = request.header("X-API-Key", &server.key).header("Accept", "text/html");
        let response = request.header("Referer", referer).send().await.unwrap();
        header(response.headers(), "location").to_owned()
    };
    assert_eq!(post(&format!("{}/trash/syncs/1?page=1", server.url)).await, "/trash/syncs/1?page=1&refused=40000");
    assert_eq!(post("https://evil.example/trash").await, "/trash?refused=40000");
    assert_eq!(post("https://evil.example//evil.example/x").await, "/");
}

#[tokio::test]
async fn characters_that_hide_or_reorder_a_name_are_shown_as_symbols() {
    let server = TestServer::start().await;
    let name = "report\u{202E}vsc.exe\u{200B}\u{7}";
    let body = json!({ "name": name, "path": "/data/t", "api_key": server.key, "sync_type": "IncrementalSync" });
    let id = answer(server.post("/api/ingestion/file/sync/start", &body)).await.1["sync_id"].as_u64().unwrap();
    server.upload(id, "a.csv", "a\u{2066}b,c\nx\u{202E}y,\u{1b}[31m\n".as_bytes()).await;
    server.end_sync(id).await;
    for (address, shown) in [
        ("/syncs", "report⟨U+202E⟩vsc.exe⟨U+200B⟩␇"),
        (&*format!("/syncs/{id}"), "report⟨U+202E⟩vsc.exe⟨U+200B⟩␇"),
        ("/search?q=report", "</mark>⟨U+202E⟩vsc.exe⟨U+200B⟩␇"),
        ("/lake/data/t/a.csv", "x⟨U+202E⟩y"),
        ("/lake/data/t/a.csv", "␛[31m"),
        ("/lake/data/t/a.csv?tab=schema", "a⟨U+2066⟩b"),
    ] {
        let page = server.get(address).send().await.unwrap().text().await.unwrap();
        assert!(page.contains(shown), "{address} shows {shown}");
        // The serialized data of the page is in a script after the visible part.
        let seen = page.split("<script nonce").next().unwrap_or_default();
        let body = page.split("<body>").nth(1).and_then(|body| body.split("<script").next()).unwrap_or(seen);
        for hidden in ['\u{202E}', '\u{200B}', '\u{2066}', '\u{7}', '\u{1b}'] {
            assert!(!body.contains(hidden), "{address} holds {hidden:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_form_shows_the_servers_reason_once() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"a\n").await;
    server.end_sync(id).await;
    let telling = "Call 0800 5551234</script><script>alert(1)</script>";
    let form = [("path", "/data/t"), ("every", "day"), ("by", "07:00"), ("files_min", telling)];
    let request = server.client.post(format!("{}/fn/rhythm", server.url)).form(&form);
    let request = request.header("X-API-Key", &server.key).header("Accept", "text/html");
    let referer = format!("{}/datasets/data/t?tab=rhythm", server.url);
    let refused = request.header("Referer", referer).send().await.unwrap();
    let address = header(refused.headers(), "location").to_owned();
    assert_eq!(address, "/datasets/data/t?tab=rhythm&refused=40000");
    let cookie = header(refused.headers(), "set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=60"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    let value = cookie.split(';').next().unwrap().to_owned();
    let page = async |address: &str, cookie: &str| {
        let request = server.get(address).header("X-API-Key", &server.key).header("Cookie", cookie);
        let response = request.send().await.unwrap();
        let removed = header(response.headers(), "set-cookie").to_owned();
        (response.text().await.unwrap(), removed)
    };
    let exact = "the minimum of files is not a whole number";
    let (shown, removed) = page(&address, &value).await;
    assert!(shown.to_lowercase().contains(exact) && shown.contains("Call 0800"), "{shown}");
    assert!(!shown.contains("<script>alert"), "as text, in what is seen and in what the script reads");
    assert!(removed.starts_with("lakeshore_refusal=;") && removed.contains("Max-Age=0"), "{removed}");

    // Without the cookie, or with a forged one for this session, only the error number is shown.
    let (name, sealed) = value.split_once('=').unwrap();
    let forged = format!("{name}={}{}", if sealed.starts_with('A') { 'B' } else { 'A' }, &sealed[1..]);
    let of_session = format!("{value}; lakeshore_session=another");
    for cookie in ["", &forged, "lakeshore_refusal=40000 Call 0800 5551234", &of_session] {
        let (shown, _) = page(&address, cookie).await;
        assert!(!shown.to_lowercase().contains(exact) && !shown.contains("0800"), "{cookie}");
    }
    // The cookie has no message for another number, or for a URL without one.
    for address in ["/datasets/data/t?tab=rhythm&refused=40901", "/datasets/data/t?tab=rhythm"] {
        let (shown, removed) = page(address, &value).await;
        let alert = shown.split("role=\"alert\"").nth(1).and_then(|rest| rest.split("</div>").next());
        assert!(!alert.unwrap_or_default().contains("0800"), "{address}");
        assert!(removed.contains("Max-Age=0"), "{address}");
    }
}
