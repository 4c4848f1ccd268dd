//! Logs of many commits: their checkpoints, and what leaves them.

use super::{assert_rows, readers, server, server_with, table};
use crate::tables::log::{Log, until_followed};
use crate::tables::parquet::ids;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_has_checkpoints_and_is_read_by_them() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    let id = server.start_sync("/t", "IncrementalSync").await;
    for number in 0..105 {
        server.upload(id, &format!("{number}.parquet"), &ids([number])).await;
    }
    let log = server
        .eventually(async || {
            let log = until_followed(&server, "/t").await;
            (log.last_checkpoint()? >= 100).then_some(log)
        })
        .await;
    assert_eq!(log.live(), 105);
    let rows: Vec<_> = (0..105).map(|number| json!([number])).collect();
    assert_rows(&mut readers, "t", &["id"], None, &json!(rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_loses_what_a_checkpoint_says_once_the_trash_would_not_keep_its_versions() {
    let Some(server) = server_with(&["--trash-retention", "1s"], &[]).await else { return };
    let mut readers = readers(&server);
    let id = server.start_sync("/t", "IncrementalSync").await;
    let csv = server.start_sync("/csv", "IncrementalSync").await;
    let upload = async |numbers: std::ops::Range<i64>| {
        for number in numbers {
            server.upload(id, &format!("{number}.parquet"), &ids([number])).await;
            server.upload(csv, &format!("{number}.csv"), b"a\n1\n").await;
        }
    };
    let checkpoint = async |commit| {
        let last = async || Log::of(&server, "/t")?.last_checkpoint().filter(|&last| last >= commit);
        server.eventually(last).await
    };
    upload(0..102).await;
    let first = checkpoint(100).await;
    // The version of the first checkpoint is older than the trash keeps at the second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    upload(102..205).await;
    let newest = checkpoint(first + 100).await;
    let kept = server
        .eventually(async || {
            let log = Log::of(&server, "/t")?.keys_of("_delta_log");
            let manifests = Log::of(&server, "/csv")?.keys_of("_versions");
            let is_cleaned = !log.iter().any(|key| key.ends_with("00000000000000000000.json"))
                && !manifests.iter().any(|key| key.ends_with("00000000000000000001.json"));
            is_cleaned.then_some(log)
        })
        .await;
    let number = |key: &String| key.rsplit_once('/').and_then(|(_, name)| name.split('.').next()?.parse::<u64>().ok());
    assert_eq!(kept.iter().filter_map(number).min(), Some(first), "{kept:?}");
    let is_checkpoint = |commit: u64| kept.iter().any(|key| key.ends_with(&format!("{commit:020}.checkpoint.parquet")));
    assert!(is_checkpoint(first) && is_checkpoint(newest), "{kept:?}");
    let rows = |count: i64| json!((0..count).map(|number| json!([number])).collect::<Vec<_>>());
    for dataset in ["/t", "/csv"] {
        server.eventually(async || (table(&server, dataset).await["versions_behind"] == 0).then_some(())).await;
    }
    assert_rows(&mut readers, "t", &["id"], None, &rows(205));
    assert_rows(&mut readers, "t", &["id"], Some(first + 20), &rows(i64::try_from(first).unwrap() + 21));
    let current = Log::of(&server, "/csv").unwrap().current();
    assert_eq!(current["version"], json!(205), "{current}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_owed_is_written_after_a_kill_although_nothing_else_happens() {
    let Some(server) = server().await else { return };
    let id = server.start_sync("/csv", "IncrementalSync").await;
    for number in 0..140 {
        server.upload(id, &format!("{number}.csv"), b"a\n1\n").await;
    }
    let server = server.kill_and_restart().await;
    let current = async || {
        let log = Log::of(&server, "/csv").filter(Log::has_current)?;
        Some(log.current()).filter(|current| current["version"] == 140)
    };
    let current = server.eventually(current).await;
    let manifest = Log::of(&server, "/csv").unwrap().manifest(140);
    assert_eq!(manifest["files"].as_array().map(Vec::len), Some(140), "{current}");
}
