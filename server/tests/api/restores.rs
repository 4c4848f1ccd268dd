//! Restores of versions: what callers may do meanwhile, what is replaced, and what is refused.

use crate::server::{Stopped, TestServer, answer, assert_refused};
use crate::tus_client::Tus;
use crate::versions::{T, add, publish, restore, versions};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Enough that copying takes longer than a request.
const FILES: usize = 2000;
const CALLS_MAX: usize = 100_000;

async fn publish_many(server: &TestServer) -> u64 {
    let id = server.start_sync(T, "FullSync").await;
    let names: Vec<_> = (0..FILES).map(|number| format!("f{number:04}.csv")).collect();
    for names in names.chunks(500) {
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        assert_eq!(server.try_upload(&format!("sync_id={id}"), &files).await.0, 200);
    }
    server.end_sync(id).await;
    id
}

/// A dataset whose version 1 is in no place as a whole, so that its restore copies files. Returns the id of the last
/// sync.
async fn scattered(server: &TestServer) -> u64 {
    publish_many(server).await;
    add(server, T, &[("f0000.csv", b"other")]).await
}

fn digest_of(versions: &[Value], number: u64) -> &Value {
    &versions.iter().find(|version| version["version"] == json!(number)).unwrap()["list_digest"]
}

/// Sends each call from the moment at which the restore's sync exists, until the restore ends. Returns the codes of the
/// refusals of each call.
async fn while_restoring(server: &TestServer, sync_id: u64, calls: &[&str], key: &str) -> BTreeMap<String, Vec<u64>> {
    let mut refused: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let post = |path: &str, body: Value| answer(server.post(path, &body));
    for _ in 0..CALLS_MAX {
        let status = server.get(&format!("/api/ingestion/file/sync/{sync_id}")).send().await.unwrap();
        if status.status() != 200 {
            continue;
        }
        let sync: Value = status.json().await.unwrap();
        if sync["sync_status"] != json!("Syncing") {
            return refused;
        }
        for &call in calls {
            let body = json!({ "sync_id": sync_id, "api_key": key });
            let with = |more: Value| {
                let mut body = body.clone();
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                body
            };
            let (_, said) = match call {
                "form" => server.try_upload(&format!("sync_id={sync_id}"), &[("intruder.csv", b"mine")]).await,
                "whole" => {
                    let url = format!("{}/api/lake/file/resumable/intruder.csv?sync_id={sync_id}", server.url);
                    answer(server.client.put(url).body("mine")).await
                }
                "tus" => answer(Tus(server).creation(sync_id, "intruder.csv").header("Upload-Length", 4)).await,
                "missing" => {
                    let file = json!({ "path": "intruder.csv", "size_bytes": 4, "sha256": "0".repeat(64) });
                    post("/api/lake/file/missing", with(json!({ "files": [file], "take_over": true }))).await
                }
                "expect" => post("/api/lake/file/sync/expect", with(json!({ "expected": { "count": 1 } }))).await,
                "end" => {
                    let more = json!({ "discard_in_flight": true, "confirm": true });
                    post("/api/ingestion/file/sync/end", with(more)).await
                }
                _ => post("/api/ingestion/file/sync/abort", body).await,
            };
            refused.entry(call.to_owned()).or_default().push(said["code"].as_u64().unwrap_or_default());
        }
    }
    panic!("the restore neither begins nor ends");
}

#[tokio::test]
async fn only_the_server_adds_files_to_a_restore_or_ends_it() {
    let server = TestServer::start().await;
    let last = scattered(&server).await;
    let writer = server.new_key(&["--role", "write"]);
    let calls = ["form", "whole", "tus", "missing", "expect", "end", "abort"];
    let (restored, refused) =
        tokio::join!(restore(&server, T, 1, json!({})), while_restoring(&server, last + 1, &calls, &writer));
    assert_eq!(restored.0, 200, "{}", restored.1);
    for call in calls {
        let codes = &refused[call];
        assert!(codes.contains(&40914), "{call}: {codes:?}");
        // The restore may have ended just before; then the end of its sync is repeated.
        let after = if call == "end" { 0 } else { 40900 };
        assert!(codes.iter().all(|code| [40914, 40900, after].contains(code)), "{call}: {codes:?}");
    }
    let all = versions(&server, T).await;
    assert_eq!(digest_of(&all, restored.1["new_version"].as_u64().unwrap()), digest_of(&all, 1));
    let files = server.files("data/t");
    assert_eq!((files.len(), &files["f0000.csv"][..]), (FILES, &b"f0000.csv"[..]));
}

#[tokio::test]
async fn the_key_that_began_a_restore_may_abort_it_and_the_dataset_stays() {
    let server = TestServer::start().await;
    let last = scattered(&server).await;
    let writer = server.new_key(&["--role", "write"]);
    let body = json!({ "path": T, "version": 1, "api_key": writer });
    let restored = answer(server.post("/api/lake/dataset/restore", &body));
    let (restored, aborts) = tokio::join!(restored, while_restoring(&server, last + 1, &["abort"], &writer));
    assert!(!aborts["abort"].contains(&40914), "{aborts:?}");
    assert_refused(restored, 40900, "restore it again");
    assert_eq!(server.files("data/t")["f0000.csv"], b"other");
    assert_eq!(restore(&server, T, 1, json!({})).await.0, 200);
}

#[tokio::test]
async fn concurrent_restores_and_landings_are_each_reported_with_the_version_they_replaced() {
    let server = TestServer::start().await;
    for number in 1..=4 {
        publish(&server, T, &[("a.csv", format!("{number}").as_bytes()), ("b.csv", b"b")]).await;
    }
    for _ in 0..5 {
        let landing = async {
            for number in 0..3 {
                let (status, sync) = server.try_start(T, "IncrementalSync").await;
                if status == 200 {
                    let id = sync["sync_id"].as_u64().unwrap();
                    server.upload(id, &format!("new{number}.csv"), b"precious").await;
                    server.end_sync(id).await;
                }
            }
        };
        let confirmed = json!({ "confirm": true });
        let restores =
            futures_util::future::join_all((1..=4).map(|number| restore(&server, T, number, confirmed.clone())));
        let (restored, ()) = tokio::join!(restores, landing);
        let all = versions(&server, T).await;
        for (number, (status, said)) in (1..=4).zip(restored) {
            assert!(status == 200 || said["code"] == json!(40901), "{said}");
            let Some(made) = said["new_version"].as_u64() else { continue };
            assert_eq!(said["replaced_version"], json!(made - 1), "{said}");
            assert_eq!(digest_of(&all, made), digest_of(&all, number), "{said}");
        }
    }
}

#[tokio::test]
async fn a_restore_killed_at_any_commit_leaves_the_path_free_and_one_of_the_two_versions() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"1"), ("b.csv", b"1")]).await;
    add(&server, T, &[("a.csv", b"2")]).await;
    let mut stopped: Stopped = server.kill();
    for passing in 1..100 {
        let armed = format!("state.committed:{passing}");
        let mut has_ended = true;
        if let Ok(mut dying) = stopped.try_start(&[("LAKESHORE_CRASH_AT", &armed)]).await {
            let body = json!({ "path": T, "version": 1, "api_key": dying.key });
            has_ended = dying.post("/api/lake/dataset/restore", &body).send().await.is_err();
            if has_ended {
                dying.eventually_ended();
            } else {
                drop(dying.kill());
            }
        }
        let server = stopped.start().await;
        assert!([&b"1"[..], b"2"].contains(&&server.files("data/t")["a.csv"][..]));
        // Changes it for the next round, and shows that nothing holds the path.
        add(&server, T, &[("a.csv", b"2")]).await;
        stopped = server.kill();
        if !has_ended {
            return;
        }
    }
    panic!("every restore was killed");
}

#[tokio::test]
async fn a_version_that_equals_the_dataset_is_restored_when_a_file_of_it_was_removed_by_hand() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"1")]).await;
    publish(&server, T, &[("a.csv", b"1")]).await;
    std::fs::remove_file(server.folder().join("data/t/a.csv")).unwrap();
    let (status, said) = restore(&server, T, 1, json!({})).await;
    assert_eq!((status, &said["new_version"]), (200, &json!(3)), "{said}");
    assert_eq!(server.files("data/t")["a.csv"], b"1");
    assert_eq!(restore(&server, T, 3, json!({})).await.1["new_version"], Value::Null, "nothing to do");
}

#[tokio::test]
async fn a_version_with_a_file_that_was_removed_or_changed_by_hand_is_not_restored() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"1"), ("b.csv", b"1"), ("c.csv", b"1")]).await;
    std::fs::remove_file(server.folder().join("data/t/b.csv")).unwrap();
    std::fs::write(server.folder().join("data/t/c.csv"), b"9").unwrap();
    publish(&server, T, &[("a.csv", b"2"), ("b.csv", b"2"), ("c.csv", b"2")]).await;
    let (status, said) = restore(&server, T, 1, json!({ "dry_run": true })).await;
    assert_eq!((status, &said["num_gone"]), (200, &json!(2)), "{said}");
    let refused = restore(&server, T, 1, json!({ "confirm": true })).await;
    assert_refused(refused.clone(), 41001, "/data/t/b.csv: ");
    assert_refused(refused, 41001, "/data/t/c.csv: ");
    assert_eq!(server.files("data/t")["b.csv"], b"2");
    assert_eq!(versions(&server, T).await.len(), 2);
}

#[tokio::test]
async fn a_file_that_was_only_touched_by_hand_is_restored() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"1")]).await;
    let path = server.folder().join("data/t/a.csv");
    std::fs::write(&path, b"1").unwrap();
    publish(&server, T, &[("a.csv", b"2")]).await;
    assert_eq!(restore(&server, T, 1, json!({ "dry_run": true })).await.1["num_gone"], json!(0));
    assert_eq!(restore(&server, T, 1, json!({})).await.0, 200);
    assert_eq!(server.files("data/t")["a.csv"], b"1");
}

#[tokio::test]
async fn a_dry_run_is_refused_as_the_restore_would_be() {
    let server = TestServer::start().await;
    publish(&server, T, &[("a.csv", b"1"), ("n/x.csv", b"1")]).await;
    publish(&server, T, &[("a.csv", b"2")]).await;
    let open = server.start_sync(T, "FullSync").await;
    for body in [json!({ "dry_run": true }), json!({ "confirm": true })] {
        assert_refused(restore(&server, T, 1, body).await, 40901, "end or abort it");
    }
    assert_eq!(server.try_abort(open).await.0, 200);
    publish(&server, "/data/t/n", &[("x.csv", b"2")]).await;
    for body in [json!({ "dry_run": true }), json!({ "confirm": true })] {
        assert_refused(restore(&server, T, 1, body).await, 40904, "/data/t/n");
    }
}
