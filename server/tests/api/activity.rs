//! Audit log: `/api/lake/activity`.

use crate::server::{TestServer, answer, assert_refused, lakeshore, location};
use serde_json::{Value, json};

const ACTIVITY: &str = "/api/lake/activity";

async fn entries(server: &TestServer, query: &str) -> Vec<Value> {
    let (status, body) = answer(server.get(&format!("{ACTIVITY}?{query}")).bearer_auth(&server.key)).await;
    assert_eq!(status, 200, "{body}");
    body.as_array().unwrap().clone()
}

/// Makes a key with this name by the command line.
fn named_key(server: &TestServer, name: &str) -> String {
    let data_dir = server.data_dir().to_str().unwrap();
    let made = lakeshore(&["key", "create", "--name", name, "--data-dir", data_dir]);
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Recorded actions, oldest first.
async fn whats(server: &TestServer, query: &str) -> Vec<String> {
    entries(server, query).await.iter().rev().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
}

async fn publish(server: &TestServer, path: &str, files: &[&str]) -> u64 {
    let id = server.start_sync(path, "FullSync").await;
    for name in files {
        server.upload(id, name, b"1234").await;
    }
    server.end_sync(id).await;
    id
}

#[tokio::test]
async fn a_sync_has_entries_from_start_to_end_with_actor_and_origin_and_none_for_single_files() {
    let server = TestServer::start().await;
    let start = json!({ "name": "nightly", "path": "/data/t", "sync_type": "FullSync", "api_key": server.key });
    let request = server.post("/api/ingestion/file/sync/start", &start);
    let request = request.header("User-Agent", "exporter/7");
    let id = answer(request).await.1["sync_id"].as_u64().unwrap();
    for name in ["a.csv", "b.csv", "c.csv"] {
        server.upload(id, name, b"1234").await;
    }
    server.end_sync(id).await;
    server.end_sync(id).await;

    let told = entries(&server, "path=/data/t").await;
    assert_eq!(whats(&server, "path=/data/t").await, ["sync_started", "sync_ended"], "ended once");
    let by = &told[1]["by"];
    assert_eq!((&by["name"], &by["role"], &by["means"]), (&json!("test"), &json!("admin"), &json!("key")));
    assert_eq!(by["address"], "127.0.0.1");
    assert_eq!((&by["program"], &told[1]["subject"]), (&json!("exporter/7"), &json!("nightly")));
    assert_eq!((&told[0]["outcome"], &told[0]["sync_id"]), (&json!("done"), &json!(id)));
    assert_eq!(told[0]["totals"], json!({ "files": 3, "bytes": 12 }), "the end sums the files up");
}

#[tokio::test]
async fn holds_confirmations_aborts_restores_and_purges_have_entries() {
    let server = TestServer::start_with(&["--shrink-guard", "0.5"]).await;
    publish(&server, "/data/t", &["a", "b", "c", "d"]).await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a", b"1").await;
    assert_eq!(server.try_end(id, json!({})).await.0, 409);
    assert_eq!(server.try_end(id, json!({ "confirm": true })).await.0, 200);
    let aborted = server.start_sync("/data/t", "IncrementalSync").await;
    assert_eq!(server.try_abort(aborted).await.0, 200);
    let trash_id = server.rows("/api/lake/trash").await[0]["trash_id"].clone();
    let restore = json!({ "trash_id": trash_id, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &restore)).await.0, 200);
    let empty = json!({ "all": true, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/empty", &empty)).await.0, 200);

    let told = whats(&server, "path=/data").await;
    let expected = [
        "sync_held",
        "sync_confirmed",
        "sync_ended",
        "sync_started",
        "sync_aborted",
        "trash_restored",
        "trash_emptied",
    ];
    assert_eq!(told[3..], expected);
    let held = &entries(&server, "what=sync_held").await[0];
    assert_eq!((&held["outcome"], &held["sync_id"]), (&json!("refused"), &json!(id)));
    assert_eq!(held["message"], "1 file instead of 4 files");
}

#[tokio::test]
async fn only_administrators_of_the_whole_lake_see_entries_of_keys_sign_ins_and_settings() {
    let server = TestServer::start_with(&["--trash-retention", "7d", "--auth", "required"]).await;
    let narrow = server.new_key(&["--role", "admin", "--path-prefix", "/data/a"]);
    let reader = server.new_key(&["--role", "read"]);
    for key in [&*server.key, "wrong"] {
        let form = [("key", key), ("next", "/")];
        location(&server.client.post(format!("{}/sign-in", server.url)).form(&form).send().await.unwrap());
    }
    for path in ["/data/a/t", "/data/b/t"] {
        let id = server.start_sync(path, "FullSync").await;
        assert_eq!(server.try_abort(id).await.0, 200);
    }

    let made = entries(&server, "what=key_created").await;
    assert_eq!((&made[0]["by"]["means"], &made[0]["subject"]), (&json!("command_line"), &json!("test")));
    let sign_ins = entries(&server, "what=sign_in").await;
    assert_eq!((&sign_ins[0]["outcome"], &sign_ins[0]["by"]["name"]), (&json!("refused"), &json!("")));
    assert_eq!((&sign_ins[1]["outcome"], &sign_ins[1]["by"]["name"]), (&json!("done"), &json!("test")));
    assert_eq!(sign_ins[1]["by"]["means"], "session");
    let settings = entries(&server, "what=settings_changed").await;
    assert!(settings[0]["message"].as_str().unwrap().contains("trash kept for 7 days"), "{settings:?}");

    // Other callers see actions on paths, without their origins.
    for (key, count) in [(&reader, 4), (&narrow, 2)] {
        let (_, told) = answer(server.get(ACTIVITY).bearer_auth(key)).await;
        let told = told.as_array().unwrap();
        assert_eq!(told.len(), count, "{told:?}");
        assert!(told.iter().all(|entry| entry["path"].is_string() && entry["by"].get("address").is_none()), "{told:?}");
    }
    assert_refused(answer(server.get(ACTIVITY)).await, 40100, "a key is required");
    let elsewhere = server.get(&format!("{ACTIVITY}?path=/data/b")).bearer_auth(&narrow);
    assert_eq!(answer(elsewhere).await, (200, json!([])));
}

#[tokio::test]
async fn audit_entries_are_filtered_by_actor_and_time_and_paged_by_id_over_the_api() {
    let server = TestServer::start().await;
    let other = named_key(&server, "other");
    for path in ["/a", "/b", "/c"] {
        server.start_sync(path, "IncrementalSync").await;
    }
    let start = json!({ "name": "n", "path": "/d", "sync_type": "IncrementalSync", "api_key": other });
    assert_eq!(answer(server.post("/api/ingestion/file/sync/start", &start)).await.0, 200);
    let of_other = entries(&server, "who=other&what=sync_started").await;
    assert_eq!((of_other.len(), &of_other[0]["path"]), (1, &json!("/d")));

    let first = entries(&server, "what=sync_started&size=3").await;
    let paths: Vec<_> = first.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/d", "/c", "/b"], "the newest first");
    let older = entries(&server, &format!("what=sync_started&before={}", first[2]["activity_id"])).await;
    assert_eq!((older.len(), &older[0]["path"]), (1, &json!("/a")));
    let newer = entries(&server, &format!("after={}", first[1]["activity_id"])).await;
    assert_eq!((newer.len(), &newer[0]["path"]), (1, &json!("/d")));
    let at = first[0]["at"].as_i64().unwrap();
    assert!(entries(&server, &format!("since={}", at + 1)).await.is_empty());
    assert_eq!(entries(&server, &format!("until={}&who=other", at + 1)).await.len(), 1);

    assert_refused(answer(server.get(&format!("{ACTIVITY}?before=2&after=1"))).await, 40000, "one of them");
    assert_refused(answer(server.get(&format!("{ACTIVITY}?size=1001"))).await, 40000, "1000");
    assert_refused(answer(server.get(&format!("{ACTIVITY}?what=nothing"))).await, 40000, "nothing");
}

#[tokio::test]
async fn schedules_policies_and_revoked_keys_have_entries() {
    let server = TestServer::start().await;
    publish(&server, "/data/t", &["x"]).await;
    let rhythm = json!({ "path": "/data/t", "rhythm": { "every": "day", "by": "07:00" }, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/dataset/rhythm", &rhythm)).await.0, 200);
    let policy = json!({ "path": "/data/t", "policy": "hold", "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/dataset/schema-policy", &policy)).await.0, 200);
    let told = entries(&server, "path=/data/t").await;
    assert_eq!((&told[0]["what"], &told[0]["message"]), (&json!("schema_policy_set"), &json!("hold")));
    assert_eq!(told[1]["what"], "rhythm_set");
    assert!(told[1]["message"].as_str().unwrap().starts_with("every day by 07:00"), "{told:?}");

    named_key(&server, "nightly");
    let data_dir = server.data_dir().to_str().unwrap();
    assert!(lakeshore(&["key", "revoke", "nightly", "--data-dir", data_dir]).status.success());
    let told = entries(&server, "what=key_revoked").await;
    assert_eq!((told.len(), &told[0]["subject"]), (1, &json!("nightly")));
}

#[tokio::test]
async fn a_publish_interrupted_by_a_kill_has_one_entry_with_its_actor() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "x", b"1").await;
    let stopped = server.kill();
    let mut dying = stopped.try_start(&[("LAKESHORE_CRASH_AT", "exchange.done")]).await.unwrap();
    let body = json!({ "sync_id": id, "api_key": dying.key });
    let end = dying.post("/api/ingestion/file/sync/end", &body).send().await;
    assert!(end.is_err(), "it was killed amid the end");
    dying.eventually_ended();
    let server = stopped.start().await;
    let told = entries(&server, &format!("sync_id={id}")).await;
    assert_eq!(
        told.iter().map(|entry| entry["what"].as_str().unwrap()).collect::<Vec<_>>(),
        ["sync_ended", "sync_started"]
    );
    let by = &told[0]["by"];
    assert_eq!((&by["name"], &by["means"], &by["address"]), (&json!("test"), &json!("key"), &json!("127.0.0.1")));
}
