//! Names, cells and texts of a URL in pages: shown as text, never as an element, an attribute or a script.

use super::{encoded, header, upload};
use crate::server::{TestServer, answer};
use serde_json::json;

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
    for address in [
        format!("/datasets/{telling}"),
        format!("/lake/{telling}"),
        format!("/syncs?path=%5C{telling}"),
        format!("/history?sync_id={telling}"),
        format!("/activity?from={telling}"),
    ] {
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
