//! Keys, roles, sessions, and cross-site requests.

use crate::server::{Stopped, TestServer, answer, assert_refused, lakeshore, location};
use serde_json::json;

const LIST: &str = "/api/ingestion/file/sync/list";
const START: &str = "/api/ingestion/file/sync/start";

fn start_body(key: &str, path: &str) -> serde_json::Value {
    json!({ "name": "n", "path": path, "api_key": key, "sync_type": "IncrementalSync" })
}

#[tokio::test]
async fn in_the_open_mode_reading_is_free_and_a_start_needs_a_key() {
    let server = TestServer::start().await;
    assert!(server.rows(LIST).await.is_empty());
    assert_refused(answer(server.post(START, &start_body("", "/data/t"))).await, 40100, "api_key");
    let wrong = "cccccccc-14a1-4eb1-8964-000000000000";
    assert_refused(answer(server.post(START, &start_body(wrong, "/data/t"))).await, 40101, "key create");
    assert_refused(answer(server.get(LIST).bearer_auth(wrong)).await, 40101, "unknown or revoked");
}

#[tokio::test]
async fn in_the_required_mode_every_call_needs_a_key_in_either_header() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    assert_refused(answer(server.get(LIST)).await, 40100, "a key is required");
    assert_refused(answer(server.get("/api/ingestion/file/sync/history")).await, 40100, "a key is required");
    assert_refused(answer(server.get("/api/lake/trash")).await, 40100, "a key is required");
    let query = format!("sync_id={id}");
    assert_refused(server.try_upload(&query, &[("a", b"1")]).await, 40100, "a key is required");
    assert_refused(server.try_upload("sync_id=99", &[("a", b"1")]).await, 40100, "a key is required");
    let reader = server.new_key(&["--role", "read"]);
    assert_eq!(answer(server.get(LIST).bearer_auth(&reader)).await.0, 200);
    assert_eq!(answer(server.get(LIST).header("X-API-Key", &reader)).await.0, 200);
    let upload = server.upload_request(&query, &[("a", b"1")]);
    assert_refused(answer(upload.bearer_auth(&reader)).await, 40300, "role write");
    let upload = server.upload_request(&query, &[("a", b"1")]);
    assert_eq!(answer(upload.header("X-API-Key", &server.key)).await.0, 200);
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_key_is_bounded_by_its_role_its_path_and_its_time() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let reader = server.new_key(&["--role", "read"]);
    assert_refused(answer(server.post(START, &start_body(&reader, "/data/t"))).await, 40300, "role write");
    let narrow = server.new_key(&["--role", "write", "--path-prefix", "/data/a"]);
    assert_refused(answer(server.post(START, &start_body(&narrow, "/data/ab"))).await, 40301, "/data/a");
    assert_eq!(answer(server.post(START, &start_body(&narrow, "/data/a/t"))).await.0, 200);
    server.start_sync("/data/b", "IncrementalSync").await;
    let (_, seen) = answer(server.get(LIST).bearer_auth(&narrow)).await;
    assert_eq!(seen.as_array().unwrap().len(), 1, "others' syncs are not shown");
    assert_refused(
        answer(server.get("/api/ingestion/file/sync/2").bearer_auth(&narrow)).await,
        40401,
        "sync 2 not found",
    );
    let end = json!({ "sync_id": 2, "api_key": narrow });
    assert_refused(answer(server.post("/api/ingestion/file/sync/end", &end)).await, 40401, "sync 2 not found");

    let brief = server.new_key(&["--expires", "1ms"]);
    let refused = server
        .eventually(async || {
            Some(answer(server.get(LIST).bearer_auth(&brief)).await).filter(|(status, _)| *status == 401)
        })
        .await;
    assert_refused(refused, 40102, "the key \"test\" expired on 20");
    let sign_in = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", &brief)]);
    assert!(location(&sign_in.send().await.unwrap()).starts_with("/sign-in?error=40102"), "the page says so too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_continuous_use_is_refused_once_its_revocation_returns() {
    let server = TestServer::start().await;
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    // The first key belongs to the server fixture.
    for key_id in 2..7 {
        let key = server.new_key(&[]);
        assert_eq!(answer(server.get(LIST).bearer_auth(&key)).await.0, 200);
        let asking = (0..4).map(|_| {
            let request = server.get(LIST).bearer_auth(&key);
            tokio::spawn(async move { while answer(request.try_clone().unwrap()).await.0 == 200 {} })
        });
        let asking: Vec<_> = asking.collect();
        let revoke = ["key", "revoke", &key_id.to_string(), "--data-dir", &data_dir];
        assert!(tokio::task::block_in_place(|| lakeshore(&revoke)).status.success());
        for _ in 0..3 {
            assert_refused(answer(server.get(LIST).bearer_auth(&key)).await, 40101, "revoked");
        }
        for asked in asking {
            asked.await.unwrap();
        }
    }
}

#[tokio::test]
async fn keys_are_listed_without_their_secret_and_revoked_while_the_server_runs() {
    let server = TestServer::start().await;
    let data_dir = server.data_dir().to_str().unwrap();
    let output = lakeshore(&["key", "create", "--name", "nightly", "--data-dir", data_dir]);
    let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(answer(server.post(START, &start_body(&key, "/data/t"))).await.0, 200);
    let list = String::from_utf8(lakeshore(&["key", "list", "--data-dir", data_dir]).stdout).unwrap();
    assert!(list.contains("nightly") && list.contains("active") && !list.contains(&key), "{list}");
    assert!(lakeshore(&["key", "revoke", "nightly", "--data-dir", data_dir]).status.success());
    assert_refused(answer(server.post(START, &start_body(&key, "/data/t"))).await, 40101, "revoked");
    let again = lakeshore(&["key", "revoke", "nightly", "--data-dir", data_dir]);
    assert!(!again.status.success() && again.stderr.len() < 300, "one clear line");
    let database: Vec<u8> = ["lakeshore.db", "lakeshore.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(server.data_dir().join(name)).unwrap_or_default())
        .collect();
    assert!(!database.windows(key.len()).any(|window| window == key.as_bytes()), "only a hash is kept");
}

#[tokio::test]
async fn the_first_start_prints_a_sign_in_link_that_works_once() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let server = Stopped::new(folder, data_dir, &[]).start().await;
    let said = server.eventually(async || Some(server.stderr()).filter(|said| said.contains("/sign-in/link"))).await;
    let link = said.split_whitespace().find(|word| word.contains("/sign-in/link?token=")).unwrap().to_owned();
    // Neither a HEAD request nor a browser's prefetch uses up the link.
    assert_eq!(server.client.head(&link).send().await.unwrap().status(), 503);
    for (field, value) in [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch")] {
        assert_refused(answer(server.client.get(&link).header(field, value)).await, 50303, "open it");
    }
    let response = server.client.get(&link).send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(location(&response), "/keys");
    let session = cookie.split(';').next().unwrap();
    let (status, keys) = answer(server.post("/fn/keys", &json!({})).header("cookie", session)).await;
    assert_eq!((status, keys["value"].as_array().map(Vec::len)), (200, Some(0)), "{keys}");
    let again = server.client.get(&link).send().await.unwrap();
    assert!(location(&again).starts_with("/sign-in?error=40101") && !again.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn a_session_begins_with_a_key_ends_at_sign_out_and_is_useless_across_sites() {
    let server = TestServer::start().await;
    let sign_in =
        |key: &str| server.client.post(format!("{}/sign-in", server.url)).form(&[("key", key), ("next", "/trash")]);
    let refused = sign_in("wrong").send().await.unwrap();
    assert!(location(&refused).starts_with("/sign-in?error=40101&next=%2Ftrash"));
    let response = sign_in(&server.key).send().await.unwrap();
    assert_eq!(location(&response), "/trash");
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();

    let start = || server.post(START, &start_body("", "/data/t")).header("cookie", &cookie);
    assert_eq!(answer(start()).await.0, 200);
    assert_refused(answer(start().header("Origin", "http://evil.example")).await, 40302, "another site");
    assert_refused(answer(start().header("Sec-Fetch-Site", "cross-site")).await, 40302, "another site");
    assert_eq!(answer(start().header("Sec-Fetch-Site", "same-origin")).await.0, 200);

    let sign_out = server.client.post(format!("{}/sign-out", server.url)).header("cookie", &cookie);
    assert_eq!(location(&sign_out.send().await.unwrap()), "/");
    assert_refused(answer(start()).await, 40100, "a key is required");
}

#[tokio::test]
async fn an_address_that_is_not_utf8_is_refused_as_json_after_the_key() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let call = |method: &str, path: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = server.client.request(method, format!("{}{path}", server.url));
        request.header("content-type", "application/json").body("{}")
    };
    for (method, path, code) in [
        ("GET", "/api/ingestion/file/sync/%FF", 40000),
        ("GET", "/api/ingestion/file/sync/upload/%FF", 40000),
        ("PATCH", "/api/lake/dataset/snapshot/%FF", 40410),
        ("DELETE", "/api/lake/dataset/snapshot/%FF", 40410),
        ("DELETE", "/api/lake/files/%FF", 40404),
        ("PUT", "/api/lake/file/resumable/gr%F6.csv?sync_id=99", 40401),
    ] {
        assert_refused(answer(call(method, path)).await, 40100, "a key is required");
        assert_refused(answer(call(method, path).bearer_auth(&server.key)).await, code, "");
    }
    for method in ["HEAD", "PATCH"] {
        assert_eq!(call(method, "/api/lake/files/%FF").send().await.unwrap().status(), 401, "{method}");
    }
}
