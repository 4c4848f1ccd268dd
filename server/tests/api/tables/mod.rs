//! Tables of a lake on object storage, as their readers see them: they follow the versions of their datasets.

#[path = "../../../../crates/storage/tests/support/faulty_proxy.rs"]
pub mod faulty_proxy;
mod holds;
mod hostile;
mod log;
mod long_logs;
mod parquet;
mod readers;
mod together;

use crate::server::{Stopped, TestServer, bucket, skipped};
use faulty_proxy::Faults;
use log::{Log, until_followed};
use parquet::{Column, file, ids};
use readers::Readers;
use serde_json::{Value, json};

/// A server whose lake is on object storage. `None`, and a word of it, where there is none.
async fn server() -> Option<TestServer> {
    server_with(&[], &[]).await
}

async fn server_with(options: &[&str], environment: &[(&str, &str)]) -> Option<TestServer> {
    if bucket::object_storage::object_storage().is_none() {
        skipped(bucket::object_storage::MISSING);
        return None;
    }
    let stopped = stopped(options);
    Some(stopped.try_start(environment).await.unwrap_or_else(|ended| panic!("the server ended: {}", ended.said)))
}

fn stopped(options: &[&str]) -> Stopped {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    Stopped::new(folder, data_dir, options).on_bucket().with_key()
}

fn readers(server: &TestServer) -> Option<Readers> {
    let readers = Readers::start(server.stopped().bucket.as_ref().unwrap());
    if readers.is_none() {
        skipped("the readers are not installed; run \"make reader-libraries\"");
    }
    readers
}

/// A full sync of these files.
async fn publish(server: &TestServer, dataset: &str, files: &[(&str, Vec<u8>)]) {
    let id = server.start_sync(dataset, "FullSync").await;
    for (name, bytes) in files {
        put(server, id, dataset, name, bytes).await;
    }
    let (status, body) = server.try_end(id, json!({ "confirm": true, "allow_empty": files.is_empty() })).await;
    assert_eq!((status, body), (200, json!({ "success": true })));
}

/// Uploads a file below its dataset.
async fn put(server: &TestServer, sync_id: u64, dataset: &str, name: &str, bytes: &[u8]) {
    let (folder, leaf) = name.rsplit_once('/').unwrap_or(("", name));
    let place = if folder.is_empty() { dataset.to_owned() } else { format!("{dataset}/{folder}") };
    let query: String = url::form_urlencoded(&[("sync_id", &sync_id.to_string()), ("path", &place)]);
    let (status, body) = server.try_upload(&query, &[(leaf, bytes)]).await;
    assert_eq!((status, body), (200, json!({ "code": 0, "msg": null })));
}

mod url {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    pub fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        pairs.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

/// Lands files, one after the other, each in a sync of its own.
async fn land(server: &TestServer, dataset: &str, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let id = server.start_sync(dataset, "IncrementalSync").await;
        put(server, id, dataset, name, bytes).await;
        server.end_sync(id).await;
    }
}

/// All readers find these rows, of columns of this table.
fn assert_rows(readers: &mut Option<Readers>, table: &str, columns: &[&str], commit: Option<u64>, rows: &Value) {
    if let Some(readers) = readers {
        let found = readers.read(table, columns, commit);
        for reader in ["duckdb", "delta-rs", "polars"] {
            assert_eq!(&found[reader], rows, "{reader}, commit {commit:?}: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_follows_publishes_and_landings_and_older_commits_stay_readable() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    publish(&server, "/data/sales", &[("a.parquet", ids([1, 2])), ("b.parquet", ids([3]))]).await;
    let log = until_followed(&server, "/data/sales").await;
    assert_eq!(log.actions(0), ["add", "add", "commitInfo", "metaData", "protocol", "txn"]);
    assert_rows(&mut readers, "data/sales", &["id"], None, &json!([[1], [2], [3]]));
    publish(&server, "/data/sales", &[("a.parquet", ids([7])), ("c.parquet", ids([8]))]).await;
    let log = until_followed(&server, "/data/sales").await;
    assert_eq!(log.actions(1), ["add", "add", "commitInfo", "remove", "remove", "txn"], "one commit replaces all");
    assert_rows(&mut readers, "data/sales", &["id"], None, &json!([[7], [8]]));
    land(&server, "/data/sales", &[("d.parquet", ids([9])), ("a.parquet", ids([10]))]).await;
    let log = until_followed(&server, "/data/sales").await;
    assert_eq!(log.actions(2), ["add", "commitInfo", "txn"]);
    assert_eq!(log.actions(3), ["add", "commitInfo", "remove", "txn"]);
    assert_rows(&mut readers, "data/sales", &["id"], None, &json!([[8], [9], [10]]));
    for (commit, rows) in [(0, json!([[1], [2], [3]])), (1, json!([[7], [8]])), (2, json!([[7], [8], [9]]))] {
        assert_rows(&mut readers, "data/sales", &["id"], Some(commit), &rows);
    }
    assert_eq!(log.keys_of("_versions"), [""; 0], "a dataset that is a table has no manifests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_taken_over_stays_in_the_table_and_a_restored_version_is_a_commit() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    publish(&server, "/t", &[("a.parquet", ids([1])), ("b.parquet", ids([2]))]).await;
    publish(&server, "/t", &[("a.parquet", ids([1])), ("b.parquet", ids([3]))]).await;
    until_followed(&server, "/t").await;
    assert_rows(&mut readers, "t", &["id"], None, &json!([[1], [3]]));
    let body = json!({ "path": "/t", "version": 1, "api_key": server.key });
    let (status, body) = crate::server::answer(server.post("/api/lake/dataset/restore", &body)).await;
    assert_eq!(status, 200, "{body}");
    let log = server.eventually(async || Log::of(&server, "/t").filter(|log| log.len() == 3)).await;
    until_followed(&server, "/t").await;
    assert_eq!(log.operation(2), "RESTORE");
    assert_rows(&mut readers, "t", &["id"], None, &json!([[1], [2]]));
    // Its files are those of the version itself.
    let added: Vec<_> = log.paths(2, "add");
    assert!(added.iter().all(|path| log.paths(0, "add").contains(path)), "{added:?}");
    publish(&server, "/t", &[]).await;
    let log = until_followed(&server, "/t").await;
    assert_eq!(log.actions(3), ["commitInfo", "remove", "remove", "txn"]);
    assert_rows(&mut readers, "t", &["id"], None, &json!([]));
    publish(&server, "/t", &[("a.parquet", file(&[Column::Texts("id", vec!["x"])]))]).await;
    until_followed(&server, "/t").await;
    assert_rows(&mut readers, "t", &["id"], None, &json!([["x"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_kind_and_partitions_are_read_rightly() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    let dataset = "/data/grüße & 50%/a=b c";
    let files = [
        ("dt=2021-12-06/teil 1 %20 ü.parquet", ids([1])),
        ("dt=2021-12-07/_x=y.parquet", ids([2])),
        ("dt=a b%2Fc/#?.parquet", ids([3])),
        ("dt=__HIVE_DEFAULT_PARTITION__/n.parquet", ids([4])),
    ];
    publish(&server, dataset, &files).await;
    let log = until_followed(&server, dataset).await;
    let rows = json!([["2021-12-06", 1], ["2021-12-07", 2], ["a b/c", 3], [null, 4]]);
    if let Some(readers) = &mut readers {
        for reader in ["duckdb", "delta-rs", "polars"] {
            let found = readers.read_by(reader, &log.table, &["id"]);
            assert_eq!(found, json!([[1], [2], [3], [4]]), "{reader}");
            let found = readers.read_by(reader, &log.table, &["id", "dt"]);
            let wanted: Vec<_> = rows.as_array().unwrap().iter().map(|row| json!([row[1], row[0]])).collect();
            assert_eq!(found, json!(wanted), "{reader}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_added_and_a_file_of_another_type_stays_outside() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    let wider = file(&[Column::Longs("id", vec![2]), Column::Texts("name", vec!["b"])]);
    land(&server, "/t", &[("1.parquet", ids([1])), ("2.parquet", wider)]).await;
    until_followed(&server, "/t").await;
    assert_rows(&mut readers, "t", &["id", "name"], None, &json!([[1, null], [2, "b"]]));
    let other = file(&[Column::Texts("id", vec!["three"])]);
    let unsigned = file(&[Column::Unsigned("id", vec![4])]);
    let broken = b"PAR1 but not really".to_vec();
    land(&server, "/t", &[("3.parquet", other), ("4.parquet", unsigned), ("5.parquet", broken)]).await;
    let log = until_followed(&server, "/t").await;
    assert_rows(&mut readers, "t", &["id", "name"], None, &json!([[1, null], [2, "b"]]));
    assert_eq!(log.len(), 5, "a version is a commit, also without a file of the table");
    let manifest = log.manifest(5);
    let in_table = |name: &str| {
        let files = manifest["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == name).unwrap_or_else(|| panic!("{name} in {manifest}"));
        file["is_in_table"] == json!(true)
    };
    let names = ["1.parquet", "2.parquet", "3.parquet", "4.parquet", "5.parquet"];
    assert_eq!(names.map(in_table), [true, true, false, false, false]);
    assert_eq!(log.current()["version"], 5);
    let table = table(&server, "/t").await;
    let reasons: Vec<_> =
        table["outside"].as_array().unwrap().iter().map(|file| &file["reasons"][0]["reason"]).collect();
    assert_eq!(reasons, ["other_type", "unsupported_type", "unreadable"], "{table}");
    assert_eq!(table["outside"][0]["path"], "/t/3.parquet");
    let message = table["outside"][0]["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("\"id\" is string in this file and long in the table"), "{message}");
    assert_eq!((&table["commit"], &table["version"], &table["versions_behind"]), (&json!(4), &json!(5), &json!(0)));
    assert_eq!((&table["table_files"], &table["dataset_files"]), (&json!(2), &json!(5)));
    let bucket = server.stopped().bucket.clone().unwrap();
    assert_eq!(table["location"], format!("s3://{}/lake/t", bucket.name));
    // Files of one type replace them all.
    let texts = file(&[Column::Texts("id", vec!["five"])]);
    publish(&server, "/t", &[("3.parquet", texts)]).await;
    until_followed(&server, "/t").await;
    assert_rows(&mut readers, "t", &["id"], None, &json!([["five"]]));
    assert_eq!(self::table(&server, "/t").await["outside"], json!([]));
}

/// A table, as the API shows it.
async fn table(server: &TestServer, dataset: &str) -> Value {
    let (status, body) = crate::server::answer(server.get(&format!("/api/lake/dataset/table?path={dataset}"))).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_folder_has_no_tables() {
    if bucket::is_wanted() {
        return;
    }
    let server = TestServer::start().await;
    land(&server, "/t", &[("1.parquet", ids([1]))]).await;
    let refused = crate::server::answer(server.get("/api/lake/dataset/table?path=/t")).await;
    crate::server::assert_refused(refused, 40000, "this lake is in a folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_another_has_written_is_left_alone_and_told() {
    let Some(server) = server().await else { return };
    land(&server, "/t", &[("1.parquet", ids([1]))]).await;
    let log = until_followed(&server, "/t").await;
    let commit = format!("{}/_delta_log/00000000000000000001.json", log.table);
    let bucket = server.stopped().bucket.clone().unwrap();
    bucket::put(&bucket, &commit, b"{\"commitInfo\":{}}\n");
    land(&server, "/t", &[("2.parquet", ids([2]))]).await;
    let table =
        server.eventually(async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_string()));
    let table = table.await;
    assert!(table["problem"].as_str().unwrap().contains("differs from the database"), "{table}");
    assert!(table["versions_behind"].as_u64().unwrap() > 0, "{table}");
    assert_eq!(bucket::object(&bucket, &commit).unwrap(), b"{\"commitInfo\":{}}\n");
    // Other datasets, and uploads, do not wait.
    land(&server, "/other", &[("1.parquet", ids([1]))]).await;
    until_followed(&server, "/other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_storage_that_ignores_conditions_is_found_out_and_told_at_the_start() {
    let Some(server) = server().await else { return };
    let is_told = server.stderr().contains("ignores the conditions of writes");
    let ignores = std::env::var("LAKESHORE_TEST_S3").is_ok_and(|storage| storage == "garage");
    assert_eq!(is_told, ignores, "{}", server.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_and_requests_that_fail_leave_each_version_one_commit() {
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let stopped = stopped(&[]);
    let upstream = bucket::object_storage::object_storage().unwrap().endpoint();
    let faults = Faults { unavailable: 7, cut: 11, lost_answer: 5, late: 13 };
    let proxy = faulty_proxy::start(&upstream, faults);
    bucket::go_by(stopped.data_dir(), Some(proxy.address.clone()));
    let server = stopped.start().await;
    for number in 0..6 {
        publish(&server, "/t", &[("a.parquet", ids([number])), ("b.parquet", ids([number]))]).await;
    }
    land(&server, "/t", &[("c.parquet", ids([7])), ("c.csv", b"x\n".to_vec())]).await;
    let log = until_followed(&server, "/t").await;
    assert_eq!((log.len(), log.live()), (8, 3));
    let failed = proxy.failed.load(std::sync::atomic::Ordering::Relaxed);
    println!("{failed} requests failed");
    assert!(failed > 0);
    let mut readers = readers(&server);
    assert_rows(&mut readers, "t", &["id"], None, &json!([[5], [5], [7]]));
}

/// A file that this server has not just written: larger than those that it keeps in memory.
fn large() -> Vec<u8> {
    let bytes = ids((0..60_000).map(|number: i64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())));
    assert!(bytes.len() > 256 << 10);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_object_storage_was_too_slow_for_is_in_the_table_once_it_answers_in_time() {
    if bucket::object_storage::object_storage().is_none() {
        return skipped(bucket::object_storage::MISSING);
    }
    let stopped = stopped(&["--preview-timeout", "250ms"]);
    let upstream = bucket::object_storage::object_storage().unwrap().endpoint();
    let proxy = faulty_proxy::start(&upstream, Faults { late: 1, ..faulty_proxy::NONE });
    bucket::go_by(stopped.data_dir(), Some(proxy.address.clone()));
    let server = stopped.start().await;
    land(&server, "/t", &[("large.parquet", large())]).await;
    let table =
        server.eventually(async || Some(table(&server, "/t").await).filter(|table| table["problem"].is_string()));
    let table = table.await;
    assert!(table["problem"].as_str().unwrap().contains("object storage of the lake does not answer"), "{table}");
    proxy.is_faulty.store(false, std::sync::atomic::Ordering::Relaxed);
    let log = until_followed(&server, "/t").await;
    assert_eq!(log.live(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_of_another_format_has_a_manifest_for_each_version_and_one_that_is_current() {
    let Some(server) = server().await else { return };
    land(&server, "/csv", &[("a b.csv", b"id\n1\n".to_vec()), ("dt=1/b.csv", b"id\n2\n".to_vec())]).await;
    publish(&server, "/csv", &[("c.csv", b"id\n3\n".to_vec())]).await;
    let log = until_followed(&server, "/csv").await;
    assert_eq!(log.len(), 0, "there is no table");
    assert_eq!(log.current()["version"], 3);
    assert_eq!(log.current()["manifest"], "_versions/00000000000000000003.json");
    for (version, paths) in [(1, vec!["a b.csv"]), (2, vec!["a b.csv", "dt=1/b.csv"]), (3, vec!["c.csv"])] {
        let manifest = log.manifest(version);
        let files = manifest["files"].as_array().unwrap();
        assert_eq!(files.iter().map(|file| file["path"].as_str().unwrap()).collect::<Vec<_>>(), paths);
        for file in files {
            let bytes = log.object(file["object"].as_str().unwrap()).unwrap();
            assert_eq!(bytes.len() as u64, file["size_bytes"].as_u64().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_within_another_is_in_both_tables() {
    let Some(server) = server().await else { return };
    let mut readers = readers(&server);
    land(&server, "/outer", &[("a.parquet", ids([1])), ("inner/b.parquet", ids([2]))]).await;
    land(&server, "/outer/inner", &[("c.parquet", ids([3]))]).await;
    until_followed(&server, "/outer").await;
    let log = until_followed(&server, "/outer/inner").await;
    assert_rows(&mut readers, "outer", &["id"], None, &json!([[1], [2], [3]]));
    // The bytes of the other were uploaded to the dataset around it.
    assert_rows(&mut readers, "outer/inner", &["id"], None, &json!([[3]]));
    let files = log.manifest(1)["files"].as_array().unwrap().clone();
    let outside = files.iter().find(|file| file["path"] == "b.parquet").unwrap();
    assert!(outside["object_in_lake"].as_str().unwrap().starts_with("outer/sync-"), "{outside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_commit_leaves_a_table_that_goes_on() {
    if server().await.is_none() {
        return;
    }
    for point in ["drafted", "fixed", "written", "current"] {
        let stopped = stopped(&[]);
        let at = format!("object.table_{point}:3");
        let mut server = stopped.try_start(&[("LAKESHORE_CRASH_AT", &at)]).await.unwrap();
        let mut number = 0;
        while server.is_alive() && number < 40 {
            number += 1;
            let body = json!({ "name": "t", "path": "/t", "api_key": server.key, "sync_type": "IncrementalSync" });
            let Ok(begun) = server.post("/api/ingestion/file/sync/start", &body).send().await else { break };
            let Ok(begun) = begun.json::<Value>().await else { break };
            let query = format!("sync_id={}", begun["sync_id"]);
            let name = format!("{number}.parquet");
            let _ = server.upload_request(&query, &[(&name, &ids([number])), ("x.csv", b"x\n1\n")]).send().await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        server.eventually_ended();
        let server = stopped.start().await;
        let log = until_followed(&server, "/t").await;
        assert!(log.len() >= 2, "{point}");
        let mut readers = readers(&server);
        let landed = server.file_names("t").iter().filter(|name| name.ends_with(".parquet")).count();
        assert_eq!(log.live(), landed, "{point}");
        if let Some(readers) = &mut readers {
            let found = readers.read("t", &["id"], None);
            for reader in ["duckdb", "delta-rs", "polars"] {
                assert_eq!(found[reader].as_array().map(Vec::len), Some(landed), "{point}, {reader}: {found}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_amid_full_replaces_see_one_version_whole() {
    const FILES: i64 = 5;
    let replaces: i64 = std::env::var("REPLACES").map_or(20, |replaces| replaces.parse().unwrap());
    let Some(server) = server().await else { return };
    let Some(mut of_readers) = readers(&server) else { return };
    let version = async |number: i64| {
        let files: Vec<_> = (0..FILES).map(|file| (format!("{file}.parquet"), ids([number]))).collect();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        publish(&server, "/t", &files).await;
    };
    version(0).await;
    until_followed(&server, "/t").await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reading = std::thread::spawn({
        let done = done.clone();
        move || {
            let (mut readings, mut seen) = (0, std::collections::BTreeSet::new());
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for reader in ["duckdb", "delta-rs", "polars", "sail"] {
                    let found = of_readers.read_by(reader, "t", &["id"]);
                    let rows = found.as_array().unwrap_or_else(|| panic!("{reader}: {found}"));
                    assert_eq!(rows.len() as i64, FILES, "{reader}: {found}");
                    assert!(rows.iter().all(|row| *row == rows[0]), "{reader} has mixed versions: {found}");
                    seen.insert(rows[0][0].as_i64().unwrap());
                    readings += 1;
                }
            }
            (readings, seen)
        }
    });
    for number in 1..=replaces {
        version(number).await;
    }
    until_followed(&server, "/t").await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let (readings, seen) = reading.join().unwrap();
    println!("{readings} readings saw {} of {} versions, none mixed", seen.len(), replaces + 1);
    assert!(readings >= 4);
}
