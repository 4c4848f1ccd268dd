//! Ownership by the id of a key, never by its name. Every key of these tests has the same name.

use crate::server::{TestServer, answer, assert_refused, lakeshore, location};
use crate::tus_client::{CHUNK_TYPE, Tus, header, offset_of};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

const FILES: &str = "/api/lake/files";

async fn start(server: &TestServer, key: &str, path: &str) -> u64 {
    let body = json!({ "name": "n", "path": path, "api_key": key, "sync_type": "IncrementalSync" });
    answer(server.post("/api/ingestion/file/sync/start", &body)).await.1["sync_id"].as_u64().unwrap()
}

/// Sends a creation, and returns its URL.
async fn begun(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    header(&response, "location").unwrap()
}

async fn begin_as(server: &TestServer, key: &str, sync_id: u64, name: &str) -> String {
    let creation = Tus(server).creation(sync_id, name).header("Upload-Length", 10).header("Content-Type", CHUNK_TYPE);
    begun(creation.body("GOOD").bearer_auth(key)).await
}

async fn part_as(server: &TestServer, key: &str, content: &'static str) -> String {
    let creation = Tus(server).request("POST", FILES).header("Upload-Concat", "partial");
    let creation = creation.header("Upload-Length", content.len()).header("Content-Type", CHUNK_TYPE).body(content);
    begun(creation.bearer_auth(key)).await
}

async fn listed(server: &TestServer, key: Option<&str>) -> Vec<Value> {
    let request = server.get(FILES);
    let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
    answer(request).await.1.as_array().unwrap().clone()
}

fn tokens(rows: &[Value]) -> Vec<Option<String>> {
    rows.iter().map(|row| row.get("token").and_then(Value::as_str).map(|token| format!("{FILES}/{token}"))).collect()
}

/// Response of each call at the URL of an upload: HEAD, PATCH, DELETE, in both protocols.
async fn answers(server: &TestServer, address: &str, key: Option<&str>) -> Vec<(u16, String)> {
    let tus = Tus(server);
    let plain = |method: &str| server.client.request(method.parse().unwrap(), format!("{}{address}", server.url));
    let draft = plain("PATCH").header("Upload-Offset", "4").header("Upload-Complete", "?0").body("EVIL");
    let draft = draft.header("Content-Type", "application/partial-upload");
    let override_delete = tus.request("POST", address).header("X-HTTP-Method-Override", "DELETE");
    let calls = [
        tus.head_request(address),
        plain("HEAD"),
        tus.chunk(address, 4, b"EVIL"),
        draft,
        tus.request("DELETE", address),
        plain("DELETE"),
        override_delete,
    ];
    let mut answers = Vec::new();
    for call in calls {
        let call = key.into_iter().fold(call, |call, key| call.bearer_auth(key));
        let response = call.send().await.unwrap();
        answers.push((response.status().as_u16(), response.text().await.unwrap()));
    }
    answers
}

/// Asserts that the upload is reported as missing.
async fn assert_unknown(server: &TestServer, address: &str, key: Option<&str>) {
    let nowhere = format!("{FILES}/{}", "0123456789abcdef".repeat(2));
    let of_nothing: Vec<_> = answers(server, &nowhere, key).await;
    let text = |text: String| text.replace(&nowhere[FILES.len() + 1..], &address[FILES.len() + 1..]);
    let of_nothing: Vec<_> = of_nothing.into_iter().map(|(status, body)| (status, text(body))).collect();
    assert_eq!(answers(server, address, key).await, of_nothing);
    assert!(of_nothing.iter().all(|(status, _)| *status == 404), "{of_nothing:?}");
}

#[tokio::test]
async fn a_key_of_the_same_name_neither_sees_nor_joins_the_parts_of_another() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let of = |prefix: &str| server.new_key(&["--role", "write", "--path-prefix", prefix]);
    let (a, b) = (of("/a"), of("/b"));
    let part = part_as(&server, &a, "the secret of a").await;
    assert_eq!(tokens(&listed(&server, Some(&a)).await), [Some(part.clone())]);
    assert!(listed(&server, Some(&b)).await.is_empty());
    assert_unknown(&server, &part, Some(&b)).await;
    let id = start(&server, &b, "/b/x").await;
    let join = |part: &str, key: &str| {
        let join = Tus(&server).creation(id, "loot").header("Upload-Concat", format!("final;{part}"));
        join.bearer_auth(key)
    };
    assert_refused(answer(join(&part, &b)).await, 40404, "not found");
    assert!(server.file_names("b").is_empty());
    // A key for the whole lake may join its own parts only.
    assert_refused(answer(join(&part, &server.key)).await, 40404, "not found");
    let own = part_as(&server, &server.key, "my own").await;
    assert_eq!(answer(join(&own, &server.key)).await.0, 201);
    assert_eq!(server.files("b")["x/loot"], b"my own");
    assert_eq!(offset_of(&Tus(&server).head_request(&part).bearer_auth(&a).send().await.unwrap()), Some(15));
}

#[tokio::test]
async fn an_upload_begun_with_a_key_needs_that_key_or_an_admin_to_discard_it() {
    for mode in ["required", "open"] {
        let server = TestServer::start_with(&["--auth", mode]).await;
        let write = |prefix: &str| server.new_key(&["--role", "write", "--path-prefix", prefix]);
        let admin = |prefix: &str| server.new_key(&["--role", "admin", "--path-prefix", prefix]);
        let (own, same, whole) = (write("/d"), write("/d"), server.new_key(&["--role", "write"]));
        let id = start(&server, &own, "/d/x").await;
        let address = begin_as(&server, &own, id, "a.csv").await;
        assert_eq!(tokens(&listed(&server, Some(&own)).await), [Some(address.clone())]);
        for other in [&same, &whole, &write("/d/x"), &admin("/e"), &admin("/d2")] {
            assert_unknown(&server, &address, Some(other)).await;
            assert!(tokens(&listed(&server, Some(other)).await).iter().all(Option::is_none));
        }
        if mode == "open" {
            assert_unknown(&server, &address, None).await;
            assert_eq!(tokens(&listed(&server, None).await), [None], "it is seen, and out of reach");
        }
        let upper = format!("{FILES}/{}", address[FILES.len() + 1..].to_uppercase());
        assert_unknown(&server, &upper, Some(&own)).await;
        // An administrator of the path sees it, may end it, but may not continue it.
        let of_place = admin("/d");
        assert_eq!(tokens(&listed(&server, Some(&of_place)).await), [Some(address.clone())]);
        let as_admin = Tus(&server).chunk(&address, 4, b"EVIL").bearer_auth(&of_place);
        assert_refused(answer(as_admin).await, 40404, "not found");
        let chunk = Tus(&server).chunk(&address, 4, b" bytes").bearer_auth(&own).send().await.unwrap();
        assert_eq!((chunk.status().as_u16(), offset_of(&chunk)), (204, Some(10)));
        assert_eq!(server.files("d")["x/a.csv"], b"GOOD bytes");
        let second = begin_as(&server, &own, id, "b.csv").await;
        assert_eq!(answer(Tus(&server).request("DELETE", &second).bearer_auth(&of_place)).await.0, 204);
        assert_unknown(&server, &second, Some(&own)).await;
    }
}

#[tokio::test]
async fn a_session_has_the_identity_of_its_key_and_continues_its_uploads() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let (own, same) = (server.new_key(&["--role", "write"]), server.new_key(&["--role", "write"]));
    let id = start(&server, &own, "/d/x").await;
    let address = begin_as(&server, &own, id, "a.csv").await;
    let session = async |key: &str| {
        let sign_in = server.client.post(format!("{}/sign-in", server.url)).form(&[("key", key)]).send().await.unwrap();
        location(&sign_in);
        sign_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let chunk = |cookie: &str| Tus(&server).chunk(&address, 4, b" bytes").header("cookie", cookie);
    assert_refused(answer(chunk(&session(&same).await)).await, 40404, "not found");
    assert_eq!(answer(chunk(&session(&own).await)).await.0, 204);
}

#[tokio::test]
async fn an_upload_of_a_guest_is_reached_by_its_token_which_no_other_caller_sees() {
    let server = TestServer::start().await;
    let writer = server.new_key(&["--role", "write"]);
    let id = server.start_sync("/d/x", "IncrementalSync").await;
    let tus = Tus(&server);
    let address = tus.create(id, "a.csv", 4).await;
    let part = tus.part(b"part").await;
    assert_eq!(tokens(&listed(&server, None).await), [None]);
    assert_eq!(tokens(&listed(&server, Some(&writer)).await), [None]);
    let of_admin = tokens(&listed(&server, Some(&server.key)).await);
    assert_eq!(of_admin, [Some(address.clone()), Some(part.clone())]);
    for row in [server.rows("/api/ingestion/file/sync/in-flight").await, server.history("").await].concat() {
        assert!(!row.to_string().contains(&address[FILES.len() + 1..]), "{row}");
    }
    assert_eq!(tus.append(&address, 0, b"mine").await.0, 204);
    let join = tus.creation(id, "joined").header("Upload-Concat", format!("final;{part}")).bearer_auth(&writer);
    assert_eq!(answer(join).await.0, 201, "whoever was given the token");
    assert_eq!(server.files("d/x").into_values().collect::<Vec<_>>(), [b"mine", b"part"]);
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_key_and_a_new_key_of_the_same_name_inherits_nothing() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let [one, other] = [(); 2].map(|()| server.new_key(&["--role", "write"]));
    let start = |key: &str, path: &str| {
        let body = json!({ "name": "n", "path": path, "api_key": key, "sync_type": "IncrementalSync" });
        server.post("/api/ingestion/file/sync/start", &body).header("Idempotency-Key", "\"k1\"")
    };
    assert_eq!(answer(start(&one, "/a")).await, (200, json!({ "sync_id": 1 })));
    // A call repeated by another owner starts another sync, and a different call of a third is no conflict.
    assert_eq!(answer(start(&other, "/a")).await, (200, json!({ "sync_id": 2 })));
    let third = server.new_key(&["--role", "write"]);
    assert_eq!(answer(start(&third, "/b")).await, (200, json!({ "sync_id": 3 })));
    assert_eq!(answer(start(&one, "/a")).await, (200, json!({ "sync_id": 1 })));
    let address = begin_as(&server, &one, 1, "a.csv").await;
    let part = part_as(&server, &one, "part").await;
    let data_dir = server.data_dir().to_str().unwrap();
    // Key 1 belongs to the administrator.
    assert!(lakeshore(&["key", "revoke", "2", "--data-dir", data_dir]).status.success());
    assert_refused(answer(Tus(&server).chunk(&address, 4, b" bytes").bearer_auth(&one)).await, 40101, "revoked");
    let heir = server.new_key(&["--role", "write"]);
    for address in [&address, &part] {
        assert_unknown(&server, address, Some(&heir)).await;
    }
    assert_eq!(answer(start(&heir, "/a")).await, (200, json!({ "sync_id": 4 })));
    assert_eq!(tokens(&listed(&server, Some(&heir)).await), [None]);
    assert_eq!(tokens(&listed(&server, Some(&server.key)).await), [Some(address), Some(part)]);
}
