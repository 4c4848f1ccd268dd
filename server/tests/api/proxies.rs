//! Networks without keys, and forwarding headers of proxies.

use crate::nginx::Nginx;
use crate::server::{TestServer, answer, assert_refused, location, skipped};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const LIST: &str = "/api/ingestion/file/sync/list";

/// A client that connects from this local address.
fn from(address: &str) -> Client {
    let redirects = reqwest::redirect::Policy::none();
    Client::builder().local_address(Some(address.parse().unwrap())).redirect(redirects).build().unwrap()
}

async fn list(server: &TestServer, address: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let request = from(address).get(format!("{}{LIST}", server.url));
    answer(with(request, fields)).await
}

fn with(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

#[tokio::test]
async fn the_documented_calls_work_without_a_key_only_from_an_open_network() {
    let server = TestServer::start_with(&["--open-to", "127.0.0.2,127.0.8.0/24"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let calls = |address: &str| {
        let client = from(address);
        let part = reqwest::multipart::Part::bytes(b"1".to_vec()).file_name("a.csv");
        let upload = format!("{}/api/lake/file/upload?sync_id={id}", server.url);
        [
            client.post(upload).multipart(reqwest::multipart::Form::new().part("file", part)),
            client.get(format!("{}{LIST}?from=0&size=10", server.url)),
            client.get(format!("{}/api/ingestion/file/sync/history?from=0&size=10", server.url)),
            client.get(format!("{}/api/lake/file/download?path=/data/t/a.csv", server.url)),
        ]
    };
    for address in ["127.0.0.2", "127.0.8.200"] {
        for call in calls(address) {
            assert_eq!(call.send().await.unwrap().status(), 200, "{address}");
        }
    }
    for address in ["127.0.0.1", "127.0.0.3", "127.0.9.1"] {
        for call in calls(address) {
            assert_refused(answer(call).await, 40100, "a key is required");
        }
        for call in calls(address) {
            assert_eq!(call.bearer_auth(&server.key).send().await.unwrap().status(), 200, "{address}");
        }
    }
    // From an open network too, a valid key limits the caller, and an unknown one is refused.
    let narrow = server.new_key(&["--role", "write", "--path-prefix", "/other"]);
    let seen = answer(from("127.0.0.2").get(format!("{}{LIST}", server.url)).bearer_auth(&narrow)).await;
    assert_eq!(seen, (200, json!([])));
    assert_refused(list(&server, "127.0.0.2", &[("X-API-Key", "lks_none")]).await, 40101, "unknown or revoked");
    let start = json!({ "name": "n", "path": "/data/u", "api_key": "", "sync_type": "FullSync" });
    let start = from("127.0.0.2").post(format!("{}/api/ingestion/file/sync/start", server.url)).json(&start);
    assert_refused(answer(start).await, 40100, "api_key");
}

#[tokio::test]
async fn a_page_asks_for_a_sign_in_only_where_the_lake_is_not_open() {
    let server = TestServer::start_with(&["--open-to", "127.0.0.2"]).await;
    let session = async |address: &str| {
        let call = from(address).post(format!("{}/fn/session", server.url)).json(&json!({}));
        answer(call).await.1["site"]["is_open"].as_bool()
    };
    assert_eq!((session("127.0.0.2").await, session("127.0.0.1").await), (Some(true), Some(false)));
}

#[tokio::test]
async fn a_request_through_an_untrusted_proxy_never_counts_as_local() {
    let server = TestServer::start().await;
    assert_eq!(list(&server, "127.0.0.1", &[]).await.0, 200);
    for field in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-For", "192.0.2.7"),
        ("x-forwarded-for", ""),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Proto", "https"),
        ("CF-Connecting-IP", "127.0.0.1"),
    ] {
        assert_refused(list(&server, "127.0.0.1", &[field]).await, 40100, "a key is required");
        assert_eq!(list(&server, "127.0.0.1", &[field, ("X-API-Key", &server.key)]).await.0, 200, "{field:?}");
    }
    let told = "came through a proxy that is not a --trusted-proxy";
    server.eventually(async || server.stderr().contains(told).then_some(())).await;
    let old = crate::hosts::exchange(&server, format!("GET {LIST} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes());
    assert!(old.starts_with("HTTP/1.0 401 "), "nginx speaks so to a server behind it: {old}");

    let open = TestServer::start_with(&["--auth", "open"]).await;
    assert_eq!(list(&open, "127.0.0.1", &[("X-Forwarded-For", "192.0.2.7")]).await.0, 200);
    let closed = TestServer::start_with(&["--auth", "required"]).await;
    assert_refused(list(&closed, "127.0.0.1", &[]).await, 40100, "a key is required");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_named_client_counts() {
    let server = TestServer::start_with(&["--trusted-proxy", "127.0.0.3,10.0.0.0/8", "--open-to", "127.0.0.2"]).await;
    for (peer, field, value, status) in [
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2", 200),
        ("127.0.0.3", "X-Forwarded-For", "192.0.2.7, 127.0.0.2", 200),
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2, 10.1.1.1, 10.2.2.2", 200),
        ("127.0.0.3", "X-Forwarded-For", "::ffff:127.0.0.2", 200),
        ("127.0.0.3", "Forwarded", "for=192.0.2.7, for=127.0.0.2;proto=https", 200),
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2, 192.0.2.7", 401),
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2, 192.0.2.7, 10.1.1.1", 401),
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2, unknown", 401),
        ("127.0.0.3", "X-Forwarded-For", "127.0.0.2,", 401),
        ("127.0.0.3", "X-Forwarded-For", "10.1.1.1", 401),
        ("127.0.0.3", "Forwarded", "for=127.0.0.2, for=192.0.2.7", 401),
        ("127.0.0.3", "X-Real-IP", "127.0.0.2", 401),
        ("127.0.0.3", "User-Agent", "says nothing of its client", 401),
        ("127.0.0.2", "User-Agent", "is itself the client", 200),
        ("127.0.0.2", "X-Forwarded-For", "127.0.0.2", 401),
        ("127.0.0.1", "X-Forwarded-For", "127.0.0.2", 401),
    ] {
        let answered = list(&server, peer, &[(field, value)]).await;
        assert_eq!(answered.0, status, "{peer} {field}: {value}: {}", answered.1);
    }
    let twice = [("X-Forwarded-For", "127.0.0.2"), ("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(list(&server, "127.0.0.3", &twice).await.0, 401);
    let contradicting = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=127.0.0.2")];
    assert_eq!(list(&server, "127.0.0.3", &contradicting).await.0, 401);
}

#[tokio::test]
async fn recorded_origins_come_from_a_trusted_proxy_or_from_the_connection() {
    let server = TestServer::start_with(&["--trusted-proxy", "127.0.0.3"]).await;
    let origin = async |peer: &str| {
        let name = format!("by {peer}");
        let body =
            json!({ "name": name, "path": format!("/data/{peer}"), "api_key": server.key, "sync_type": "FullSync" });
        let start = from(peer).post(format!("{}/api/ingestion/file/sync/start", server.url)).json(&body);
        assert_eq!(answer(start.header("X-Forwarded-For", "203.0.113.9, 198.51.100.4")).await.0, 200);
        let entry = answer(server.get("/api/lake/activity?size=1").bearer_auth(&server.key)).await.1[0].clone();
        (entry["by"]["address"].clone(), entry["by"]["forwarded_for"].clone())
    };
    assert_eq!(origin("127.0.0.1").await, (json!("127.0.0.1"), Value::Null));
    assert_eq!(origin("127.0.0.3").await, (json!("198.51.100.4"), json!("203.0.113.9, 198.51.100.4")));
}

#[tokio::test]
async fn the_cookie_and_the_url_of_the_site_follow_only_a_trusted_proxy() {
    let server = TestServer::start_with(&["--trusted-proxy", "127.0.0.3", "--allowed-host", "lake.example.com"]).await;
    let forwarded =
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "lake.example.com"), ("X-Forwarded-For", "::1")];
    for (peer, is_believed) in [("127.0.0.1", false), ("127.0.0.3", true)] {
        let sign_in = from(peer).post(format!("{}/sign-in", server.url)).form(&[("key", &server.key)]);
        let signed_in = with(sign_in, &forwarded).send().await.unwrap();
        assert_eq!(location(&signed_in), "/");
        assert_eq!(signed_in.headers()["set-cookie"].to_str().unwrap().contains("Secure"), is_believed, "{peer}");
        let session = from(peer).post(format!("{}/fn/session", server.url)).json(&json!({}));
        let own = server.url.clone();
        let site = answer(with(session, &forwarded)).await.1["site"]["origin"].clone();
        assert_eq!(site, if is_believed { json!("https://lake.example.com") } else { json!(own) });
        // An old browser sends only `Origin`.
        let sign_out = from(peer).post(format!("{}/sign-out", server.url)).header("Origin", "https://lake.example.com");
        let status = with(sign_out, &forwarded).send().await.unwrap().status().as_u16();
        assert_eq!(status, if is_believed { 303 } else { 403 }, "{peer}");
    }
    let evil = list(&server, "127.0.0.3", &[("X-Forwarded-Host", "evil.example")]).await;
    assert_refused(evil, 42100, "X-Forwarded-Host");
    let evil = list(&server, "127.0.0.3", &[("X-Forwarded-Host", "lake.example.com, evil.example")]).await;
    assert_refused(evil, 42100, "evil.example");
    let hidden = [("X-Forwarded-Host", "lake.example.com"), ("Host", "evil.example")];
    assert_refused(list(&server, "127.0.0.3", &hidden).await, 42100, "(Host)");
}

/// URLs of this server in a page.
fn addresses_in(page: &str) -> Vec<&str> {
    let behind = |attribute: &str| page.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let all: Vec<Vec<&str>> = [" href=\"", " src=\"", " action=\""].into_iter().map(behind).collect();
    all.concat().into_iter().filter(|address| address.starts_with('/')).collect()
}

#[tokio::test]
async fn pages_behind_a_proxy_that_strips_a_prefix_lead_to_pages_below_it() {
    let server = TestServer::start_with(&["--trusted-proxy", "127.0.0.1"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let sent = server.upload_request(&format!("sync_id={id}"), &[("a.csv", b"x,y\n1,2\n")]).bearer_auth(&server.key);
    assert_eq!(answer(sent).await.0, 200);
    let folder = tempfile::tempdir().unwrap();
    let locations = format!(
        "location /lake/ {{ proxy_pass {}/; proxy_set_header Host $http_host; \
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Prefix /lake; }}",
        server.url
    );
    let Some(proxy) = Nginx::start_with(folder.path(), &locations) else { return skipped("nginx is not here") };
    let get = |path: &str| server.client.get(format!("{}{path}", proxy.url)).bearer_auth(&server.key);
    for page in ["/lake/", "/lake/syncs/1", "/lake/lake/data/t", "/lake/keys", "/lake/upload", "/lake/no-such-page"] {
        let text = get(page).send().await.unwrap().text().await.unwrap();
        let addresses = addresses_in(&text);
        assert!(addresses.len() > 5, "{page}: {text}");
        for address in addresses {
            assert!(address.starts_with("/lake/"), "{page} leads to {address}");
            if !address.contains("/fn/") && !address.contains("/sign-") {
                let address = address.split('#').next().unwrap().replace("&amp;", "&");
                let status = get(&address).send().await.unwrap().status();
                // A build without a site lacks its files.
                let itself = server.get(address.strip_prefix("/lake").unwrap()).bearer_auth(&server.key);
                assert_eq!(status, itself.send().await.unwrap().status(), "{page} leads to {address}");
                assert!(status == 200 || !address.contains("sync"), "{page} leads to {address}");
            }
        }
        assert!(!text.contains("<script type=\"module\""), "{page}");
    }
    let moved = get("/lake/?status=Failed").send().await.unwrap();
    assert_eq!(moved.headers()["location"], "/lake/syncs?status=Failed");

    let form = |path: &str| server.client.post(format!("{}{path}", proxy.url)).header("Sec-Fetch-Site", "same-origin");
    let signed_in = form("/lake/sign-in").form(&[("key", &server.key), ("next", &"/trash".to_owned())]);
    let signed_in = signed_in.send().await.unwrap();
    assert_eq!(location(&signed_in), "/lake/trash");
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (page, expected) in [("/lake/datasets/data/t", "/lake/datasets/data/t"), ("/lake/lake", "/lake/lake")] {
        let fields = [("path", "/data/t"), ("policy", "warn")];
        let sent = form("/lake/fn/schema-policy").form(&fields).header("Cookie", &cookie);
        let sent = sent.header("Accept", "text/html").header("Referer", format!("{}{page}", proxy.url));
        let sent = sent.send().await.unwrap();
        let place = sent.headers()["location"].to_str().unwrap();
        assert!(sent.status().is_redirection() && place.starts_with(expected), "{page}: {place}");
    }
    // A direct request gets no prefix.
    let direct = server.get("/").bearer_auth(&server.key).send().await.unwrap().text().await.unwrap();
    assert!(addresses_in(&direct).iter().all(|address| !address.starts_with("/lake/")), "{direct}");
}

#[tokio::test]
async fn pages_below_a_public_url_with_a_path_link_to_that_path() {
    let server = TestServer::start_with(&["--public-url", "https://example.com/data/lake"]).await;
    assert!(server.stderr().contains("/data/lake"), "{}", server.stderr());
    let page = async |fields: &[(&str, &str)]| {
        let request = with(server.get("/").bearer_auth(&server.key), fields);
        request.send().await.unwrap().text().await.unwrap()
    };
    for fields in [[("Host", "example.com")], [("X-Forwarded-For", "192.0.2.7")], [("Via", "1.1 proxy")]] {
        let page = page(&fields).await;
        let addresses = addresses_in(&page);
        assert!(addresses.len() > 5 && addresses.iter().all(|address| address.starts_with("/data/lake/")), "{page}");
    }
    let direct = page(&[]).await;
    assert!(addresses_in(&direct).iter().all(|address| !address.starts_with("/data/lake/")), "{direct}");
}
