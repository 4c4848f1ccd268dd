//! Concurrent calls: the guarantees hold in any order.

use crate::clients::digest;
use crate::server::{TestServer, answer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// Uploads all files concurrently, and returns the responses in the order of the list.
async fn upload_at_once(server: &TestServer, sync_id: u64, files: &[(String, Vec<u8>)]) -> Vec<(u16, Value)> {
    let query = format!("sync_id={sync_id}");
    let uploads: Vec<_> = files
        .iter()
        .map(|(name, bytes)| tokio::spawn(answer(server.upload_request(&query, &[(name, bytes)]))))
        .collect();
    let mut answers = Vec::new();
    for upload in uploads {
        answers.push(upload.await.unwrap());
    }
    answers
}

async fn restore(server: &TestServer, trash_id: &Value) -> (u16, Value) {
    let body = json!({ "trash_id": trash_id, "api_key": server.key });
    answer(server.post("/api/lake/trash/restore", &body)).await
}

async fn publish(server: &TestServer, content: &[u8]) -> u64 {
    let id = server.start_sync("/data/t", "FullSync").await;
    server.upload(id, "a.csv", content).await;
    server.end_sync(id).await;
    id
}

fn code(answered: &(u16, Value)) -> u64 {
    answered.1["code"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_concurrent_uploads_to_one_sync_all_land_and_are_counted() {
    let server = TestServer::start().await;
    for sync_type in ["IncrementalSync", "FullSync"] {
        let path = format!("/data/{sync_type}");
        let id = server.start_sync(&path, sync_type).await;
        let files: Vec<_> = (0..200).map(|n| (format!("folder-{}/{n}.csv", n % 7), vec![n as u8; n * 100])).collect();
        assert!(upload_at_once(&server, id, &files).await.iter().all(|(status, _)| *status == 200));
        server.end_sync(id).await;
        assert_eq!(server.files(&path[1..]), files.iter().cloned().collect::<BTreeMap<_, _>>());
        let sync = server.sync(id).await;
        assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(200), &json!(0)));
    }
    assert!(server.file_names(".lakeshore").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ten_uploads_of_one_name_wins_and_the_rest_are_in_the_trash() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for round in 0..5 {
        assert_eq!(race_for_a_name(&server, id, &format!("same-{round}")).await.len(), 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_lists_replaced_files_in_order() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for round in 0..5 {
        let name = format!("same-{round}");
        let replaced = race_for_a_name(&server, id, &name).await;
        let counted = async || {
            let rows = server.rows(&format!("/api/lake/trash?size=100&path=/data/t/{name}")).await;
            let sizes: Vec<_> = rows.iter().filter_map(|entry| entry["totals"]["bytes"].as_u64()).collect();
            (sizes.len() == replaced.len()).then_some(sizes)
        };
        let listed = server.eventually(counted).await;
        assert_eq!(listed, replaced.iter().map(|bytes| bytes.len() as u64).collect::<Vec<_>>());
    }
}

/// Ten concurrent uploads of one name. Returns the replaced contents, in the order of the landings.
async fn race_for_a_name(server: &TestServer, sync_id: u64, name: &str) -> Vec<Vec<u8>> {
    let files: Vec<_> = (0..10).map(|n| (name.to_owned(), vec![n; 100_000 + usize::from(n)])).collect();
    assert!(upload_at_once(server, sync_id, &files).await.iter().all(|(status, _)| *status == 200));
    // The history has the order: the last upload has the name, the others are in the trash.
    let rows = server.history(&format!("q={name}&size=100")).await;
    let sent = |row: &Value| files.iter().map(|(_, bytes)| bytes).find(|bytes| row["sha256"] == digest(bytes)).cloned();
    let mut replaced: Vec<_> = rows.iter().map(|row| sent(row).unwrap()).collect();
    assert_eq!(replaced.pop().as_ref(), server.files("data/t").get(name));
    let mut in_trash: Vec<_> = server
        .files(".lakeshore/trash")
        .into_iter()
        .filter_map(|(path, bytes)| path.ends_with(&format!("/{name}")).then_some(bytes))
        .collect();
    in_trash.sort();
    let mut expected = replaced.clone();
    expected.sort();
    assert!(in_trash == expected, "what was replaced is in the trash whole, once");
    assert_eq!(server.rows(&format!("/api/lake/trash?size=100&path=/data/t/{name}")).await.len(), 9);
    replaced
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_during_uploads_includes_each_of_them_completely_or_not_at_all() {
    let server = TestServer::start().await;
    for round in 0..10 {
        let path = format!("/data/{round}");
        let id = server.start_sync(&path, "FullSync").await;
        server.upload(id, "first", b"1").await;
        let files: Vec<_> = (0..30).map(|n| (format!("{n}.csv"), vec![n as u8; 20_000])).collect();
        let end = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
                let _ = server.sync(id).await;
            }
            server.try_end(id, json!({ "discard_in_flight": true })).await
        };
        let (answers, ended) = tokio::join!(upload_at_once(&server, id, &files), end);
        assert_eq!(ended.0, 200, "{}", ended.1);
        let mut landed: BTreeMap<_, _> = [("first".to_owned(), b"1".to_vec())].into();
        for (file, answered) in files.iter().zip(&answers) {
            match code(answered) {
                0 => drop(landed.insert(file.0.clone(), file.1.clone())),
                40900 | 40906 => {}
                other => panic!("{other}: {}", answered.1),
            }
        }
        assert_eq!(server.files(&path[1..]), landed);
        let sync = server.sync(id).await;
        let rows = server.history(&format!("sync_id={id}&size=100")).await;
        let failed = rows.iter().filter(|row| row["sync_status"] == json!("Failed")).count();
        assert_eq!((&sync["total_files"], &sync["num_failed"]), (&json!(rows.len()), &json!(failed)));
        assert_eq!((rows.len() - failed, &sync["num_in_flight"]), (landed.len(), &json!(0)));
    }
    server.eventually(async || server.file_names(".lakeshore/uploads").is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_concurrent_starts_on_overlapping_paths_wins() {
    let server = TestServer::start().await;
    for round in 0..10 {
        let paths = ["", "", "", "/t", "/t/u", ""].map(|below| format!("/data/{round}{below}"));
        let starts = paths.iter().map(|path| {
            let body = json!({ "name": "race", "path": path, "api_key": server.key, "sync_type": "FullSync" });
            tokio::spawn(answer(server.post("/api/ingestion/file/sync/start", &body)))
        });
        let (mut won, mut refused) = (Vec::new(), Vec::new());
        for start in starts.collect::<Vec<_>>() {
            let answered = start.await.unwrap();
            if answered.0 == 200 { won.push(answered.1["sync_id"].as_u64().unwrap()) } else { refused.push(answered) }
        }
        assert_eq!(won.len(), 1);
        for answered in refused {
            assert_eq!(code(&answered), 40901);
            assert!(answered.1["msg"].as_str().unwrap().contains(&format!("sync {}", won[0])), "{}", answered.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_abort_and_publish_have_one_result() {
    let server = TestServer::start().await;
    publish(&server, b"0").await;
    let mut live = b"0".to_vec();
    for round in 1..=20 {
        let id = server.start_sync("/data/t", "FullSync").await;
        let content = round.to_string().into_bytes();
        server.upload(id, "a.csv", &content).await;
        let (ended, aborted) = tokio::join!(server.try_end(id, json!({})), server.try_abort(id));
        let sync = server.sync(id).await;
        match (ended.0, aborted.0) {
            (200, 409) => {
                live = content;
                assert_eq!(sync["sync_status"], "Finished");
            }
            (409, 200) => assert_eq!(sync["sync_status"], "Failed"),
            _ => panic!("{ended:?}, {aborted:?}"),
        }
        assert_eq!(server.files("data/t")["a.csv"], live);
        assert_eq!(server.rows("/api/lake/trash?size=100").await.len(), round, "the other one is in the trash");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_concurrent_restores_of_one_item_succeeds() {
    let server = TestServer::start().await;
    for round in 0..10 {
        publish(&server, format!("old-{round}").as_bytes()).await;
        publish(&server, format!("new-{round}").as_bytes()).await;
        let kept = server.rows("/api/lake/trash?size=1000").await;
        let item = kept.last().unwrap()["trash_id"].clone();
        let mut restores = JoinSet::new();
        for _ in 0..8 {
            let body = json!({ "trash_id": item, "api_key": server.key });
            restores.spawn(answer(server.post("/api/lake/trash/restore", &body)));
        }
        let answers = restores.join_all().await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1, "{answers:?}");
        let others = answers.iter().filter(|(status, _)| *status != 200);
        assert!(others.into_iter().all(|answered| [40402, 40901].contains(&code(answered))), "{answers:?}");
        assert_eq!(server.files("data/t")["a.csv"], format!("old-{round}").as_bytes());
        assert_eq!(server.rows("/api/lake/trash?size=1000").await.len(), kept.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_restores_of_two_items_of_one_path_lose_neither() {
    let server = TestServer::start().await;
    let versions = ["1", "2", "3"];
    for version in versions {
        publish(&server, version.as_bytes()).await;
    }
    for _ in 0..10 {
        let kept = server.rows("/api/lake/trash").await;
        let (one, other) = tokio::join!(restore(&server, &kept[0]["trash_id"]), restore(&server, &kept[1]["trash_id"]));
        assert!(one.0 == 200 || other.0 == 200, "{one:?}, {other:?}");
        for answered in [one, other] {
            assert!([0, 40901].contains(&code(&answered)), "{answered:?}");
        }
        let mut all: Vec<_> = server.files(".lakeshore/trash").into_values().collect();
        all.push(server.files("data/t")["a.csv"].clone());
        all.sort();
        assert_eq!(all, versions.map(|version| version.as_bytes().to_vec()));
        assert_eq!(server.rows("/api/lake/trash").await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_restore_and_start_never_both_hold_the_path() {
    let server = TestServer::start().await;
    publish(&server, b"1").await;
    publish(&server, b"2").await;
    for round in 0..20 {
        let before = server.files("data/t");
        let kept = server.rows("/api/lake/trash").await;
        let (restored, started) =
            tokio::join!(restore(&server, &kept[0]["trash_id"]), server.try_start("/data/t", "FullSync"));
        assert!([0, 40901].contains(&code(&restored)), "{restored:?}");
        assert!([0, 40901].contains(&code(&started)), "{started:?}");
        assert!(restored.0 == 200 || started.0 == 200);
        let after = server.files("data/t");
        assert_eq!(after != before, restored.0 == 200, "what the answer says is what happened");
        if let Some(id) = started.1["sync_id"].as_u64() {
            server.upload(id, "a.csv", format!("staged {round}").as_bytes()).await;
            assert_eq!(server.files("data/t"), after, "staging is staging");
            assert_eq!(server.try_abort(id).await.0, 200);
            let dropped = server.rows("/api/lake/trash?order=desc&size=1").await;
            assert_eq!(dropped[0]["reason"], "Aborted");
        }
    }
}
