//! Names that leave the lake, that are misleading, or that other systems confuse.

use crate::server::{TestServer, answer, assert_refused};
use serde_json::json;

/// Refused names: they lead elsewhere, are hidden from readers, or are misleading. (`docs/reference/errors.md`, code
/// 40001.)
fn refused_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        " ",
        "..",
        ".",
        "../x",
        "a/../x",
        "a/./x",
        "/x",
        "//x",
        "a/",
        "..\\x",
        "a\\b",
        "C:\\x",
        "\\\\host\\share\\x",
        "\u{2215}..\u{2215}x/../y",
        ".hidden",
        ".lakeshore",
        ".lakeshore/trash/x",
        "a/.lakeshore/x",
        ".nfs0001",
        "...",
        "a\0b",
        "a\u{1}b",
        "a\u{7}b",
        "a\tb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{9b}31mb",
        "a\u{1b}[31mb",
        // Text direction, and invisible marks.
        "\u{202e}fdp.exe",
        "a\u{202a}b",
        "a\u{2066}b",
        "a\u{2069}b",
        "a\u{200e}b",
        "a\u{200f}b",
        "a\u{61c}b",
        "a\u{2028}b",
        "a\u{2029}b",
        "\u{feff}a",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("x".repeat(256));
    names.push("ü".repeat(128));
    names.push(format!("{}/x", "x".repeat(256)));
    names.push("x/".repeat(600) + "x");
    names
}

/// Accepted names: harmless on Linux, and every reader of the lake can open them.
fn taken_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "CON",
        "con.csv",
        "NUL",
        "COM1",
        "LPT9.txt",
        "AUX",
        "a:b",
        "a*?b",
        "<a>|\"b\"",
        "a.",
        "a ",
        " a",
        "-rf",
        "--help",
        "~root",
        "$(reboot)",
        "`id`",
        "a;b",
        "%2e%2e%2fx",
        "%2e%2e",
        "%00",
        "..%2fx",
        "%c0%ae%c0%ae",
        "..;",
        "a..b",
        "..a",
        "a'b",
        "\u{ff0e}\u{ff0e}",
        "\u{2024}\u{2024}",
        "\u{2025}",
        "Übergröße",
        "日本語.parquet",
        "🏞️.csv",
        "a\u{200d}b",
        "a\u{ad}b",
    ]
    .map(str::to_owned)
    .to_vec();
    names.retain(|name| !name.starts_with('.'));
    // Longest: 255 bytes.
    names.push("x".repeat(255));
    names.push("ü".repeat(127) + "x");
    names
}

#[tokio::test]
async fn a_traversing_or_hidden_name_is_refused_with_the_reason_and_leaves_nothing() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let names = refused_names();
    for name in &names {
        // Encoded by RFC 8187, as a raw control character would break the head of its part.
        let name_encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''{name_encoded}\r\n\r\nx\r\n--b--"
        );
        let request = server.client.post(format!("{}/api/lake/file/upload?sync_id={id}", server.url));
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(body);
        let (status, body) = answer(request).await;
        assert_eq!((status, body["code"].as_u64()), (400, Some(40001)), "{name:?}: {body}");
        assert!(body["msg"].as_str().unwrap().len() < 1000, "{name:?}: {body}");
        let (status, body) = server.try_upload(&format!("sync_id={id}"), &[(name, b"x")]).await;
        let code = if name.contains(char::is_control) { [40001, 40002] } else { [40001, 40001] };
        assert!(status == 400 && code.contains(&body["code"].as_u64().unwrap()), "{name:?}: {body}");
    }
    assert!(server.file_names("").is_empty(), "{:?}", server.file_names(""));
    assert!(server.sync(id).await["num_failed"].as_u64().unwrap() >= names.len() as u64);
    let siblings = std::fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let is_known = |name: &str| ["lake", "reserve"].contains(&name) || name.starts_with("lakeshore.");
    assert!(siblings.into_iter().all(|name| is_known(name.to_str().unwrap())));
}

#[tokio::test]
async fn the_same_names_are_refused_as_the_path_of_a_sync_and_of_an_upload() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for name in refused_names() {
        // In a path, empty components, doubled and trailing slashes name the same path.
        let is_upward = name.split('/').any(|component| component == "." || component == "..");
        if name.trim().is_empty() || !is_upward && (name.starts_with('/') || name.ends_with('/')) {
            continue;
        }
        assert_refused(server.try_start(&format!("/data/{name}"), "FullSync").await, 40001, "");
        let request = server.upload_request(&format!("sync_id={id}"), &[("x", b"x")]).query(&[("path", &name)]);
        assert_refused(answer(request).await, 40001, "");
        let request = server.upload_request(&format!("sync_id={id}"), &[("x", b"x")]);
        let request = request.query(&[("path", format!("/data/t/{name}"))]);
        assert_refused(answer(request).await, 40001, "");
    }
    assert!(server.file_names("").is_empty());
}

#[tokio::test]
async fn a_traversal_in_the_url_is_refused_in_every_encoding() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for path in [
        "..",
        "%2e%2e",
        "%2E%2E%2Fx",
        "..%2f..%2fx",
        "%2e%2e/x",
        "/data/t/../../etc",
        "%2Fdata%2Ft%2F..%2Fother",
        "/data/t%2f%2e%2e%2f%2e%2e",
        "..%5cx",
        "a%00b",
        "%E2%80%AEx",
        "/etc",
        "%2fetc%2fpasswd",
        "/data/t/.lakeshore",
        ".lakeshore%2ftrash",
    ] {
        let refused = server.try_upload(&format!("sync_id={id}&path={path}"), &[("x", b"x")]).await;
        assert_refused(refused, 40001, "");
    }
    // Decoded only once: an ordinary name.
    for (path, name) in [("%252e%252e", "%2e%2e/x"), ("%c0%ae%c0%ae", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}/x")] {
        let (status, body) = server.try_upload(&format!("sync_id={id}&path={path}"), &[("x", b"x")]).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(server.file_names("data/t").contains(&name.to_owned()), "{path}: {:?}", server.file_names("data/t"));
    }
}

#[tokio::test]
async fn a_strange_name_is_kept_to_the_byte() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    let mut names = taken_names();
    for name in &names {
        let (status, body) = server.try_upload(&format!("sync_id={id}"), &[(name, name.as_bytes())]).await;
        assert_eq!(status, 200, "{name:?}: {body}");
    }
    server.end_sync(id).await;
    names.sort();
    assert_eq!(server.file_names("data/t"), names);
    assert!(server.files("data/t").iter().all(|(name, bytes)| name.as_bytes() == bytes));
    let mut remembered: Vec<_> = server.history("size=1000").await.iter().map(|row| row["file_name"].clone()).collect();
    remembered.sort_by_key(|name| name.as_str().unwrap().to_owned());
    assert_eq!(json!(remembered), json!(names));
}

#[tokio::test]
async fn names_that_only_look_equal_stay_different() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let twins =
        ["a.csv", "A.csv", "A.CSV", "caf\u{e9}", "cafe\u{301}", "\u{212b}", "\u{c5}", "A\u{30a}", "ﬁ", "fi", "ß", "ss"];
    for name in twins {
        server.upload(id, name, name.as_bytes()).await;
    }
    let files = server.files("data/t");
    assert_eq!(files.len(), twins.len());
    assert!(twins.iter().all(|&name| files[name] == name.as_bytes()));
    assert!(server.rows("/api/lake/trash").await.is_empty());
    for path in ["/data/T", "/Data/t"] {
        server.start_sync(path, "FullSync").await;
    }
}
