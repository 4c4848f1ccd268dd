//! Versions that come faster than their table follows, so that several are fixed together.

use super::{Column, assert_rows, file, ids, land, large, publish, readers, server, stopped, table};
use crate::database::Database;
use crate::server::bucket;
use crate::slow_storage::{hold, let_go, proxy, until_held};
use crate::tables::log::{Log, until_followed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Enough for a dataset whose manifests rest.
const FILES: i64 = 101;

fn texts() -> Vec<u8> {
    file(&[Column::Texts("id", vec!["of another type"])])
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_fixed_together_are_commits_of_their_own_and_outlive_a_kill() {
    if server().await.is_none() {
        return;
    }
    let stopped = stopped(&[]);
    let proxy = proxy(&stopped);
    let mut server = stopped.try_start(&[("LAKESHORE_CRASH_AT", "object.table_fixed:4")]).await.unwrap();
    let first: Vec<_> = (0..FILES).map(|number| (format!("{number}.parquet"), ids([number]))).collect();
    let first: Vec<_> = first.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    publish(&server, "/t", &first).await;
    until_followed(&server, "/t").await;
    // From now on versions have manifests.
    land(&server, "/t", &[("odd.parquet", texts())]).await;
    until_followed(&server, "/t").await;
    let wider = file(&[Column::Longs("id", vec![1005]), Column::Texts("name", vec!["b"])]);
    // A file of each version, and the value in the table afterwards, if it is there.
    let landings: [(&str, Vec<u8>, Option<i64>); 11] = [
        ("a.parquet", ids([1000]), Some(1000)),
        ("a.parquet", ids([1001]), Some(1001)),
        ("odd2.parquet", texts(), None),
        ("odd2.parquet", ids([1002]), Some(1002)),
        ("b.parquet", ids([1003]), Some(1003)),
        ("b.parquet", texts(), None),
        ("odd.parquet", ids([1004]), Some(1004)),
        ("c.csv", b"id\n1\n".to_vec(), None),
        ("wider.parquet", wider, Some(1005)),
        ("broken.parquet", b"PAR1 but not really".to_vec(), None),
        ("a.parquet", ids([1006]), Some(1006)),
    ];
    hold(&proxy, "00000000000000000002.json");
    for (index, (name, bytes, _)) in landings.iter().enumerate() {
        land(&server, "/t", &[(name, bytes.clone())]).await;
        if index == 0 {
            until_held(&proxy).await;
        }
    }
    let_go(&proxy);
    server.eventually_ended();
    let database = Database::of(stopped.data_dir()).await;
    let fixed: Vec<(i64,)> = database.rows("SELECT count(*) FROM table_entries WHERE kind = 'commit'").await;
    database.close().await;
    assert!(fixed[0].0 >= 9, "they were not fixed together: {fixed:?}");
    let server = stopped.start().await;
    let log = until_followed(&server, "/t").await;
    assert_eq!(log.len(), 2 + landings.len(), "a commit a version");
    let mut readers = readers(&server);
    let mut in_table: BTreeMap<String, i64> = (0..FILES).map(|number| (format!("{number}.parquet"), number)).collect();
    for (index, (name, _, value)) in landings.iter().enumerate() {
        in_table.remove(*name);
        in_table.extend(value.map(|value| ((*name).to_owned(), value)));
        let commit = index + 2;
        assert_eq!(log.live_at(commit), in_table.len(), "commit {commit}");
        let mut rows: Vec<_> = in_table.values().collect();
        rows.sort_unstable();
        let rows: Vec<_> = rows.into_iter().map(|value| json!([value])).collect();
        assert_rows(&mut readers, "t", &["id"], Some(commit as u64), &json!(rows));
    }
    let current = log.current();
    let manifest = log.manifest(current["version"].as_u64().unwrap());
    let listed = manifest["files"].as_array().unwrap().iter().filter(|file| file["is_in_table"] == json!(true));
    let mut listed: Vec<_> = listed.map(|file| file["path"].as_str().unwrap()).collect();
    listed.sort_unstable();
    let wanted: Vec<_> = in_table.keys().map(String::as_str).collect();
    assert_eq!(listed, wanted, "of version {}", current["version"]);
    let outside = table(&server, "/t").await["outside"].clone();
    let outside: Vec<_> = outside.as_array().unwrap().iter().map(|file: &Value| file["path"].clone()).collect();
    assert_eq!(outside, ["/t/b.parquet", "/t/broken.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_holds_up_no_version_before_it() {
    if server().await.is_none() {
        return;
    }
    let stopped = stopped(&[]);
    let proxy = proxy(&stopped);
    let server = stopped.start().await;
    let of = server.stopped().bucket.clone().unwrap();
    land(&server, "/t", &[("1.parquet", ids([1]))]).await;
    until_followed(&server, "/t").await;
    hold(&proxy, "00000000000000000001.json");
    land(&server, "/t", &[("2.parquet", ids([2]))]).await;
    until_held(&proxy).await;
    land(&server, "/t", &[("3.parquet", ids([3]))]).await;
    let before = bucket::keys(&of);
    land(&server, "/t", &[("large.parquet", large())]).await;
    for key in bucket::keys(&of).into_iter().filter(|key| !before.contains(key)) {
        bucket::delete(&of, &key);
    }
    land(&server, "/t", &[("5.parquet", ids([5]))]).await;
    let_go(&proxy);
    let is_told = async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_string());
    let told = server.eventually(is_told).await;
    assert_eq!((&told["version"], &told["versions_behind"]), (&json!(3), &json!(2)), "{told}");
    assert_eq!(Log::of(&server, "/t").unwrap().live(), 3);
    let log = until_followed(&server, "/t").await;
    assert_eq!((log.len(), log.live()), (5, 4));
    let outside = table(&server, "/t").await["outside"].clone();
    assert_eq!(outside[0]["path"], "/t/large.parquet");
}
