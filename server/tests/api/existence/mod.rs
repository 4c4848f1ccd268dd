//! Existence is not leaked: every call on a path outside a key's prefix gets the response of a missing path, for every
//! role and every form of a response.

mod calls;

use crate::server::{TestServer, answer};
use crate::tus_client::{CHUNK_TYPE, Tus, header};
use calls::{CALLS, Call, Names, Needs, PAGES, request};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// An existing path out of reach, a missing one out of reach, and a missing one within reach.
const THERE: &str = "/hr/layoffs";
const NOWHERE: &str = "/hr/nothing";
const NOTHING_OWN: &str = "/pub/nothing";
/// An id that does not exist.
const NO_ID: u64 = 987;

/// The complete response without the requested name and the time.
async fn answered(request: RequestBuilder, names: &[&str]) -> String {
    let response = request.send().await.unwrap();
    let head = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let head =
        [head("location"), head("content-type"), head("content-length").filter(|_| false), head("upload-offset")];
    let mut text = format!("{} {head:?} ", response.status());
    let body = response.text().await.unwrap();
    match serde_json::from_str::<Value>(&body) {
        Ok(mut json) => {
            for of_moment in ["now", "last_event"] {
                if let Some(moment) = json.get_mut(of_moment) {
                    *moment = Value::Null;
                }
            }
            text += &json.to_string();
        }
        Err(_) => text += &body,
    }
    for name in names {
        text = text.replace(name, "NAME").replace(&name.replace('/', "%2F"), "NAME");
    }
    text
}

struct Lake {
    server: TestServer,
    /// Ids out of reach.
    syncs: Vec<u64>,
    rows: Vec<u64>,
    trash: Vec<u64>,
    token: String,
}

impl Lake {
    /// A lake with open and ended syncs, versions, trash and uploads in flight, all outside of `/pub`.
    async fn new() -> Self {
        let server = TestServer::start_with(&["--auth", "required"]).await;
        let upload = async |id: u64, name: &str, bytes: &[u8]| {
            let request = server.upload_request(&format!("sync_id={id}"), &[(name, bytes)]);
            assert_eq!(answer(request.bearer_auth(&server.key)).await.0, 200);
        };
        let mut syncs = Vec::new();
        for bytes in [b"a\n1\n", b"a\n2\n"] {
            let id = server.start_sync(THERE, "FullSync").await;
            upload(id, "list.csv", bytes).await;
            server.end_sync(id).await;
            syncs.push(id);
        }
        // Its columns are read in the background while the file exists.
        let schema = || server.get(&format!("/api/lake/dataset/schema?path={THERE}")).bearer_auth(&server.key);
        server.eventually(async || answer(schema()).await.1["schema"].is_object().then_some(())).await;
        let incremental = server.start_sync(THERE, "IncrementalSync").await;
        upload(incremental, "list.csv", b"a\n3\n").await;
        let full = server.start_sync("/hr/staged", "FullSync").await;
        upload(full, "list.csv", b"a\n4\n").await;
        syncs.extend([incremental, full]);
        let own = server.start_sync("/pub/x", "IncrementalSync").await;
        upload(own, "ok.csv", b"a\n1\n").await;
        let creation = Tus(&server).creation(incremental, "slow").header("Upload-Length", 9);
        let created =
            creation.header("Content-Type", CHUNK_TYPE).body("slow").bearer_auth(&server.key).send().await.unwrap();
        let token = header(&created, "location").unwrap().rsplit('/').next().unwrap().to_owned();
        let rows = answer(server.get("/api/ingestion/file/sync/history?path=/hr").bearer_auth(&server.key)).await.1;
        let rows = rows.as_array().unwrap().iter().map(|row| row["history_id"].as_u64().unwrap()).collect();
        let trash = answer(server.get("/api/lake/trash").bearer_auth(&server.key)).await.1;
        let trash: Vec<_> = trash.as_array().unwrap().iter().map(|item| item["trash_id"].as_u64().unwrap()).collect();
        assert_eq!(trash.len(), 2, "a version, and a file");
        Self { server, syncs, rows, trash, token }
    }

    fn there(&self, names: Names) -> Vec<String> {
        let texts = |ids: &[u64]| ids.iter().map(u64::to_string).collect();
        match names {
            Names::Sync => texts(&self.syncs),
            Names::Row => texts(&self.rows),
            Names::Trash => texts(&self.trash),
            Names::Place => vec![THERE.to_owned()],
            Names::Upload => vec![self.token.clone()],
        }
    }

    /// Names that do not exist.
    fn nowhere(names: Names) -> Vec<String> {
        match names {
            Names::Sync | Names::Row | Names::Trash => vec![NO_ID.to_string()],
            Names::Place => vec![NOWHERE.to_owned(), NOTHING_OWN.to_owned()],
            Names::Upload => vec!["0123456789abcdef".repeat(2)],
        }
    }

    fn key(&self, role: &str, prefix: &str) -> String {
        self.server.new_key(&["--role", role, "--path-prefix", prefix])
    }
}

/// Removes the requested id where a response repeats it.
fn without(text: &str, name: &str) -> String {
    const BEFORE: [&str; 10] = [
        "sync ",
        "trash ",
        "trash item ",
        "upload ",
        "sync%20",
        "trash%20",
        "sync+",
        "trash+",
        "\"trash_id\":",
        "\"sync_id\":",
    ];
    BEFORE.iter().fold(text.to_owned(), |text, before| {
        let named = format!("{before}{name}");
        let mut kept = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&named) {
            let behind = rest[at + named.len()..].chars().next();
            let is_whole = behind.is_none_or(|next| !next.is_ascii_digit());
            kept += &rest[..at];
            kept += if is_whole { "NAME" } else { &named };
            rest = &rest[at + named.len()..];
        }
        kept + rest
    })
}

async fn asked(lake: &Lake, call: &Call, name: &str, key: &str) -> String {
    let names: &[&str] = if call.names == Names::Place || call.names == Names::Upload { &[name] } else { &[] };
    let text = answered(request(&lake.server, call, name).bearer_auth(key), names).await;
    if names.is_empty() { without(&text, name) } else { text }
}

#[tokio::test]
async fn calls_outside_a_prefix_get_the_response_of_a_missing_path() {
    let lake = Lake::new().await;
    // A prefix of the name without a slash gives no access.
    let keys =
        [lake.key("read", "/pub"), lake.key("write", "/pub"), lake.key("admin", "/pub"), lake.key("admin", "/hr/lay")];
    for call in CALLS {
        for (number, key) in keys.iter().enumerate() {
            let nowhere = Lake::nowhere(call.names);
            let expected = asked(&lake, call, &nowhere[0], key).await;
            // The last name is within reach of the first three keys.
            for name in lake.there(call.names).iter().chain(&nowhere[1..]) {
                if name == NOTHING_OWN && (number == 3 || call.address.starts_with("/api/lake/dataset/rhythm")) {
                    continue;
                }
                let given = asked(&lake, call, name, key).await;
                assert_eq!(given, expected, "{} {} {} by key {number}, {name}", call.method, call.address, call.body);
            }
        }
    }
    // Nothing has changed, and the owner still sees all.
    let seen = answer(lake.server.get("/api/ingestion/file/sync/list").bearer_auth(&lake.server.key)).await.1;
    let open = seen.as_array().unwrap().iter().filter(|sync| sync["sync_status"] == "Syncing").count();
    assert_eq!((seen.as_array().unwrap().len(), open), (5, 3));
    for call in CALLS.iter().filter(|call| call.needs == Needs::Read && call.names == Names::Place) {
        let there = asked(&lake, call, THERE, &lake.server.key).await;
        let nowhere = asked(&lake, call, NOWHERE, &lake.server.key).await;
        let is_about_what_is_there = there != nowhere;
        assert!(
            is_about_what_is_there || call.method == "HEAD" || call.address.contains("download?path=@"),
            "{}",
            call.address
        );
    }
}

#[tokio::test]
async fn without_a_key_or_a_sufficient_role_nothing_is_looked_up() {
    let lake = Lake::new().await;
    let keys = [(Needs::Read, lake.key("read", "/hr")), (Needs::Write, lake.key("write", "/hr"))];
    for call in CALLS {
        let names = lake.there(call.names).into_iter().chain(Lake::nowhere(call.names));
        for name in names.chain(["x y".to_owned()]) {
            if name == "x y" && !call.address.contains('@') {
                continue;
            }
            let context = || format!("{} {} {}, {name}", call.method, call.address, call.body);
            let response = request(&lake.server, call, &name).send().await.unwrap();
            assert_eq!(status_of(response).await, Some(401), "without a key: {}", context());
            for (role, key) in &keys {
                if *role < call.needs && name != "x y" {
                    let response = request(&lake.server, call, &name).bearer_auth(key).send().await.unwrap();
                    assert_eq!(status_of(response).await, Some(403), "{role:?}: {}", context());
                }
            }
        }
    }
}

/// Status of a refusal in any form.
async fn status_of(response: reqwest::Response) -> Option<u64> {
    let status = u64::from(response.status().as_u16());
    let location = header(&response, "location");
    let body = response.text().await.unwrap();
    let code = serde_json::from_str::<Value>(&body).ok().and_then(|body| body["code"].as_u64()).map(|code| code / 100);
    let in_location = location.and_then(|location| {
        [401, 403]
            .into_iter()
            .find(|status| location.contains(&format!("code%22%3A{status}")) || location.contains("key"))
    });
    code.or(in_location).or(Some(status))
}

fn without_nonces(html: &str) -> String {
    let mut segments = html.split("nonce=\"");
    let first = segments.next().unwrap().to_owned();
    segments.fold(first, |html, segment| html + segment.split_once('"').unwrap().1)
}

#[tokio::test]
async fn pages_outside_a_prefix_are_those_of_a_missing_path() {
    let lake = Lake::new().await;
    let key = lake.key("admin", "/pub");
    let page = async |names: Names, address: &str, name: &str| {
        let response = lake.server.get(&address.replace('@', name)).bearer_auth(&key).send().await.unwrap();
        let status = response.status();
        let html = without_nonces(&response.text().await.unwrap());
        assert!(!html.contains("layoffs") || name == THERE, "{address}");
        let text = if names == Names::Place { html.replace(name, "NAME").replace(&name[1..], "NAME") } else { html };
        // Removes ids and times.
        let text: String = text.chars().filter(|sign| !sign.is_ascii_digit()).collect();
        (status, text)
    };
    for (names, address) in PAGES {
        let expected = page(*names, address, &Lake::nowhere(*names)[0]).await;
        for name in lake.there(*names) {
            assert_eq!(page(*names, address, &name).await, expected, "{address}, {name}");
        }
    }
}

#[tokio::test]
async fn lists_searches_and_figures_of_a_key_are_limited_to_its_prefix() {
    let lake = Lake::new().await;
    let key = lake.key("admin", "/pub");
    let addresses = [
        "/api/ingestion/file/sync/list",
        "/api/ingestion/file/sync/list?order=desc&status=Syncing",
        "/api/ingestion/file/sync/history?size=1000",
        "/api/ingestion/file/sync/in-flight",
        "/api/lake/files",
        "/api/lake/datasets",
        "/api/lake/trash",
        "/api/lake/trash/groups",
        "/api/lake/trash/summary",
        "/api/lake/activity",
        "/api/lake/search?q=list%20hr%20layoffs%20staged",
        "/api/overview",
        "/api/overview?by=dataset",
    ];
    for address in addresses {
        let (status, body) = answer(lake.server.get(address).bearer_auth(&key)).await;
        assert_eq!(status, 200, "{address}: {body}");
        let text = body.to_string();
        for secret in ["/hr", "layoffs", "list.csv", "slow", &lake.token] {
            assert!(!text.contains(secret), "{address} tells of {secret}: {text}");
        }
    }
    let summary = answer(lake.server.get("/api/lake/trash/summary").bearer_auth(&key)).await.1;
    assert_eq!((&summary["pieces"], &summary["totals"]["files"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_conflict_above_a_prefix_names_nothing_and_one_within_it_does() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let key = server.new_key(&["--role", "write", "--path-prefix", "/team/a"]);
    let start = async |path: &str, sync_type: &str| {
        let body = json!({ "name": "n", "path": path, "api_key": key, "sync_type": sync_type });
        answer(server.post("/api/ingestion/file/sync/start", &body)).await
    };
    let above = server.start_sync("/team", "FullSync").await;
    for sync_type in ["FullSync", "IncrementalSync"] {
        let (status, body) = start("/team/a/x", sync_type).await;
        assert_eq!((status, body["code"].as_u64()), (409, Some(40901)));
        let msg = body["msg"].as_str().unwrap();
        assert!(!msg.contains("/team ") && !msg.contains("/team,") && !msg.contains(&format!("sync {above}")), "{msg}");
        assert!(msg.contains("/team/a/x"), "{msg}");
    }
    assert_eq!(server.try_abort(above).await.0, 200);
    assert_eq!(start("/team/a/x", "FullSync").await.0, 200);
    let (status, body) = start("/team/a/x/y", "IncrementalSync").await;
    assert_eq!(status, 409);
    assert!(body["msg"].as_str().unwrap().contains("sync 2"), "{body}");
    // A path outside is refused by itself, whether it exists or not.
    for outside in ["/team", "/team/a2", "/team/A", "/other"] {
        assert_eq!(start(outside, "FullSync").await.1["code"].as_u64(), Some(40301), "{outside}");
    }
}

#[tokio::test]
async fn a_sync_from_above_a_prefix_is_not_named_by_what_it_replaced_below() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data", "IncrementalSync").await;
    for bytes in [b"a\n1\n", b"a\n2\n"] {
        let request = server.upload_request(&format!("sync_id={id}&path=db"), &[("x.csv", bytes)]);
        assert_eq!(answer(request.bearer_auth(&server.key)).await.0, 200);
    }
    let key = server.new_key(&["--role", "read", "--path-prefix", "/data/db"]);
    let groups = answer(server.get("/api/lake/trash/groups").bearer_auth(&key)).await.1;
    assert_eq!(
        (&groups[0]["pieces"], &groups[0]["sync_name"], &groups[0]["path"]),
        (&1.into(), &"".into(), &Value::Null)
    );
    let groups = answer(server.get("/api/lake/trash/groups").bearer_auth(&server.key)).await.1;
    assert_eq!(groups[0]["path"], "/data");
}
