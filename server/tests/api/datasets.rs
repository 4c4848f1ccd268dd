//! `/api/overview`, `/api/lake/datasets`, `/api/lake/dataset`: every figure after a known history.

use crate::database::{Database, in_folder};
use crate::server::{Stopped, TestServer, answer, assert_refused, lakeshore};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const DAY_MS: i64 = 86_400_000;

async fn overview(server: &TestServer) -> Value {
    let (status, body) = answer(server.get("/api/overview")).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn dataset(server: &TestServer, path: &str) -> Value {
    let (status, body) = answer(server.get(&format!("/api/lake/dataset?path={path}"))).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn set_schedule(server: &TestServer, path: &str, rhythm: Value) -> (u16, Value) {
    let body = json!({ "path": path, "rhythm": rhythm, "api_key": server.key });
    answer(server.post("/api/lake/dataset/rhythm", &body)).await
}

/// Size of the dataset after it was counted since its last change.
async fn holds(server: &TestServer, path: &str) -> (u64, u64) {
    let counted = server
        .eventually(async || {
            let holds = dataset(server, path).await["dataset"]["holds"].clone();
            holds["is_current"].as_bool().filter(|is_current| *is_current).map(|_| holds)
        })
        .await;
    (counted["files"].as_u64().unwrap(), counted["bytes"].as_u64().unwrap())
}

/// History with known counts: an incremental sync with two uploads of one name, and a refused one; a published full
/// sync of two files over it; and an aborted one of one file.
async fn known_history(server: &TestServer) {
    let one = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(one, "a.csv", b"12345").await;
    server.upload(one, "a.csv", b"1234567").await;
    let (status, _) = server.try_upload(&format!("sync_id={one}"), &[("../up.csv", b"no")]).await;
    assert_eq!(status, 400);
    server.end_sync(one).await;
    assert_eq!(holds(server, "/data/t").await, (1, 7));
    let other = server.start_sync("/data/t", "FullSync").await;
    server.upload(other, "b.csv", b"12").await;
    server.upload(other, "c.csv", b"12345678").await;
    server.end_sync(other).await;
    let aborted = server.start_sync("/data/u", "FullSync").await;
    server.upload(aborted, "d.csv", b"123").await;
    assert_eq!(server.try_abort(aborted).await.0, 200);
}

fn sum(numbers: &Value) -> u64 {
    numbers.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).sum()
}

#[tokio::test]
async fn every_figure_follows_the_history() {
    let server = TestServer::start().await;
    let empty = overview(&server).await;
    assert_eq!((&empty["is_empty"], empty["days"].as_array().unwrap().len()), (&json!(true), 30));
    known_history(&server).await;
    let seen = overview(&server).await;
    let today = json!({ "files": 5, "bytes": 25, "failed": 1, "syncs": 3, "failed_syncs": 1 });
    // If midnight has passed meanwhile, only the days have the counts.
    let totals = |name: &str| {
        let series = seen["series"].as_array().unwrap().iter();
        series.map(|series| (series["name"].as_str().unwrap().to_owned(), sum(&series[name]))).collect::<Vec<_>>()
    };
    assert!(seen["today"] == today || seen["before"]["days"] == 1, "{seen}");
    assert_eq!(totals("files"), [("Full syncs".to_owned(), 3), ("Incremental syncs".to_owned(), 2)]);
    assert_eq!(totals("bytes"), [("Full syncs".to_owned(), 13), ("Incremental syncs".to_owned(), 12)]);
    let attention = &seen["attention"];
    assert_eq!(
        (&attention["num_failed"], &attention["num_held"], &attention["num_late"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(attention["failed"][0]["path"], "/data/u");

    let (_, by_dataset) = answer(server.get("/api/overview?by=dataset")).await;
    let series = by_dataset["series"].as_array().unwrap();
    let named: Vec<_> = series.iter().map(|series| (series["name"].as_str().unwrap(), sum(&series["bytes"]))).collect();
    assert_eq!(named, [("/data/t", 22), ("/data/u", 3)]);

    let datasets = server.rows("/api/lake/datasets").await;
    assert_eq!(datasets.len(), 1, "nothing of /data/u was published: {datasets:?}");
    assert_eq!((&datasets[0]["path"], &datasets[0]["last_sync_id"]), (&json!("/data/t"), &json!(2)));
    assert_eq!(
        datasets[0]["days"].as_array().unwrap().iter().map(|day| day["files"].as_u64().unwrap()).sum::<u64>(),
        4
    );
    assert_eq!(holds(&server, "/data/t").await, (2, 10));
    let detail = dataset(&server, "/data/t").await;
    let calendar = detail["calendar"].as_array().unwrap();
    assert_eq!((calendar.len(), calendar.iter().map(|day| day["files"].as_u64().unwrap()).sum::<u64>()), (91, 4));
    assert_eq!(detail["versions"].as_array().unwrap().len(), 1, "the file that was replaced alone is no version");

    let trash_id = detail["versions"][0]["trash_id"].as_u64().unwrap();
    let (status, body) =
        answer(server.post("/api/lake/trash/restore", &json!({ "trash_id": trash_id, "api_key": server.key }))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(holds(&server, "/data/t").await, (1, 7), "what was restored is what it holds");
}

#[tokio::test]
async fn daily_counts_survive_a_kill_and_match_the_rows() {
    let server = TestServer::start().await;
    known_history(&server).await;
    let before = overview(&server).await;
    let stopped = server.kill();
    let data_dir = stopped.data_dir().to_str().unwrap();
    let check = lakeshore(&["check", "--data-dir", data_dir]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let database = Database::of(stopped.data_dir()).await;
    database.execute("UPDATE day_counts SET files = files + 1").await;
    database.close().await;
    let check = lakeshore(&["check", "--data-dir", data_dir]);
    assert!(!check.status.success());
    assert!(String::from_utf8_lossy(&check.stdout).contains("day_counts"), "{check:?}");
    assert!(lakeshore(&["check", "--repair", "--data-dir", data_dir]).status.success());
    let server = stopped.start().await;
    assert_eq!(overview(&server).await["series"], before["series"]);
}

/// Replaces the database by one of an earlier version, with the same rows as far as it had them.
async fn make_older(data_dir: &Path, version: usize) {
    let (newer, older) = (in_folder(data_dir), data_dir.join("older.db"));
    let database = Database::open(&older).await;
    let mut migrations: Vec<_> =
        fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/metadata/migrations/sqlite"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
    migrations.sort();
    for migration in &migrations[..version] {
        database.execute(fs::read_to_string(migration).unwrap()).await;
    }
    database.execute(format!("PRAGMA foreign_keys = OFF; ATTACH '{}' AS newer", newer.display())).await;
    let texts = async |sql: String| {
        let texts = database.rows::<(String,)>(sql).await;
        texts.into_iter().map(|(text,)| text).collect::<Vec<_>>()
    };
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables = texts(tables.to_owned()).await;
    // Twice, since triggers count rows during the first pass.
    for table in tables.iter().chain(&tables) {
        let columns = format!(
            "SELECT name FROM pragma_table_info('{table}', 'main') \
             JOIN pragma_table_info('{table}', 'newer') USING (name)"
        );
        let columns = texts(columns).await.join(", ");
        let copy = format!("INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
        let again = if table.ends_with("_counts") { format!("DELETE FROM main.{table};") } else { String::new() };
        database.execute(format!("{again}{copy}")).await;
    }
    database.execute(format!("PRAGMA user_version = {version}")).await;
    database.close().await;
    for behind in ["-wal", "-shm"] {
        let _ = fs::remove_file(data_dir.join(format!("lakeshore.db{behind}")));
    }
    fs::rename(older, newer).unwrap();
    // Its lake had no identity either.
    for entry in fs::read_dir(data_dir.join("lake/.lakeshore")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("identity-") {
            fs::remove_dir(entry.path()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_database_without_daily_counts_is_counted_when_opened() {
    let server = TestServer::start().await;
    known_history(&server).await;
    let (before, listed) = (overview(&server).await, server.rows("/api/lake/datasets").await);
    let stopped = server.kill();
    make_older(stopped.data_dir(), 6).await;
    let server = stopped.start().await;
    assert_eq!(overview(&server).await["series"], before["series"]);
    let datasets = server.rows("/api/lake/datasets").await;
    for field in ["path", "first_landed", "last_landed", "days"] {
        assert_eq!(datasets[0][field], listed[0][field], "{field}");
    }
    assert_eq!(holds(&server, "/data/t").await, (2, 10));
}

/// Moves the whole history this many days into the past, and recounts it.
async fn age(stopped: &Stopped, days: i64) {
    let database = Database::of(stopped.data_dir()).await;
    let by = days * DAY_MS;
    let changes = format!(
        "UPDATE uploads SET start_time = start_time - {by}, end_time = end_time - {by};
         UPDATE syncs SET start_time = start_time - {by}, end_time = end_time - {by};
         UPDATE datasets SET first_landed = first_landed - {by}, last_landed = last_landed - {by};"
    );
    database.execute(changes).await;
    database.close().await;
    let repaired = lakeshore(&["check", "--repair", "--data-dir", stopped.data_dir().to_str().unwrap()]);
    assert!(repaired.status.success(), "{repaired:?}");
}

#[tokio::test]
async fn a_dataset_that_misses_its_schedule_is_shown_as_late() {
    let server = TestServer::start().await;
    known_history(&server).await;
    let stopped = server.kill();
    age(&stopped, 3).await;
    let server = stopped.start().await;
    let seen = overview(&server).await;
    assert_eq!((&seen["today"]["files"], &seen["before"]["days"]), (&json!(0), &json!(3)), "{seen}");
    assert_eq!(seen["before"]["bytes"].as_f64(), Some(25.0 / 3.0));
    assert_eq!(seen["attention"]["num_failed"], 0, "that is long past");
    assert_eq!(dataset(&server, "/data/t").await["dataset"]["late_since"], Value::Null);

    let rhythm = json!({ "every": "day", "by": "00:15", "files_min": 2, "bytes_min": 0 });
    assert_eq!(set_schedule(&server, "/data/t", rhythm.clone()).await, (200, json!({ "success": true })));
    let detail = dataset(&server, "/data/t").await;
    assert_eq!(detail["dataset"]["rhythm"], rhythm);
    assert!(detail["dataset"]["late_since"].as_i64().is_some(), "{detail}");
    let calendar = detail["calendar"].as_array().unwrap();
    let missing = calendar.iter().filter(|day| day["standing"] == "missing").count();
    assert!((2..=3).contains(&missing), "a day that is over and brought nothing is missing: {calendar:?}");
    let late = &overview(&server).await["attention"]["late"];
    assert_eq!((&late[0]["path"], &late[0]["since"]), (&json!("/data/t"), &detail["dataset"]["late_since"]));

    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "e.csv", b"1").await;
    server.upload(id, "f.csv", b"1").await;
    assert_eq!(dataset(&server, "/data/t").await["dataset"]["late_since"], Value::Null, "it came after all");
    let server = server.kill_and_restart().await;
    assert_eq!(dataset(&server, "/data/t").await["dataset"]["rhythm"], rhythm);
    assert_eq!(set_schedule(&server, "/data/t", Value::Null).await.0, 200);
    assert_eq!(dataset(&server, "/data/t").await["dataset"]["rhythm"], Value::Null);
}

#[tokio::test]
async fn a_schedule_needs_a_key_for_its_path_a_dataset_and_valid_values() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.upload(id, "a.csv", b"1").await;
    let daily = json!({ "every": "day" });
    assert_refused(set_schedule(&server, "/data/none", daily.clone()).await, 40406, "/api/lake/datasets");
    assert_refused(answer(server.get("/api/lake/dataset?path=/data/none")).await, 40406, "/data/none");
    assert_refused(answer(server.get("/api/lake/dataset")).await, 40000, "path");
    for (wrong, word) in [
        (json!({ "every": "fortnight" }), "weekday"),
        (json!({ "every": "day", "by": "07:10" }), "steps of 15 minutes"),
        (json!({ "every": "6h", "by": "07:00" }), "after the end"),
    ] {
        assert_refused(set_schedule(&server, "/data/t", wrong).await, 40000, word);
    }
    let unsigned = json!({ "path": "/data/t", "rhythm": daily });
    assert_refused(answer(server.post("/api/lake/dataset/rhythm", &unsigned)).await, 40100, "key");
    for (options, code) in [(["--role", "read"], 40300), (["--path-prefix", "/other"], 40406)] {
        server.key = server.new_key(&options);
        assert_refused(
            set_schedule(&server, "/data/t", daily.clone()).await,
            code,
            "/data/t".split('/').next().unwrap(),
        );
    }
}

#[tokio::test]
async fn a_key_with_a_prefix_sees_only_the_figures_below_it() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    for (path, bytes) in [("/data/t", &b"12345"[..]), ("/data/t/below", b"12"), ("/other", b"123")] {
        let id = server.start_sync(path, "IncrementalSync").await;
        let request = server.upload_request(&format!("sync_id={id}"), &[("a.csv", bytes)]).bearer_auth(&server.key);
        assert_eq!(answer(request).await.0, 200);
    }
    let key = server.new_key(&["--role", "read", "--path-prefix", "/data"]);
    let get = async |path: &str| answer(server.get(path).bearer_auth(&key)).await;
    let (_, seen) = get("/api/overview?by=dataset").await;
    let series = seen["series"].as_array().unwrap();
    let named: Vec<_> = series.iter().map(|series| (series["name"].as_str().unwrap(), sum(&series["bytes"]))).collect();
    assert_eq!(named, [("/data/t", 5), ("/data/t/below", 2)]);
    assert_eq!((seen["running"].as_array().unwrap().len(), &seen["disks"]), (2, &json!([])));
    let (_, datasets) = get("/api/lake/datasets").await;
    assert_eq!(datasets.as_array().unwrap().len(), 2);
    assert_refused(get("/api/lake/dataset?path=/other").await, 40406, "/other");
    assert_refused(answer(server.get("/api/overview")).await, 40100, "key");
}

#[tokio::test]
async fn a_version_in_the_trash_is_compared_with_its_replacement() {
    let server = TestServer::start().await;
    for files in [
        [("a.csv", "same"), ("b.csv", "old"), ("c.csv", "gone!"), ("sub/d.bin", "x")],
        [("a.csv", "same"), ("b.csv", "newer"), ("e.csv", "1"), ("sub/d.bin", "y")],
    ] {
        let id = server.start_sync("/data/t", "FullSync").await;
        for (name, content) in files {
            server.upload(id, name, content.as_bytes()).await;
        }
        server.end_sync(id).await;
    }
    let version = dataset(&server, "/data/t").await["versions"][0]["trash_id"].as_u64().unwrap();
    let difference = async |path: &str, id: u64, more: &str| {
        answer(server.get(&format!("/api/lake/dataset/difference?path={path}&trash_id={id}{more}"))).await
    };
    let (status, found) = difference("/data/t", version, "").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["trash_id"], version);
    assert_eq!(found["added"], json!({ "files": 1, "bytes": 1 }));
    assert_eq!(found["changed"], json!({ "files": 2, "bytes": 6 }));
    assert_eq!(found["removed"], json!({ "files": 1, "bytes": 5 }));
    assert_eq!(found["unchanged"], json!({ "files": 1, "bytes": 4 }));
    let (_, changed) = difference("/data/t", version, "&kind=changed&from=1").await;
    let file = json!({ "path": "sub/d.bin", "kind": "changed", "size_bytes": 1, "old_size_bytes": 1 });
    assert_eq!(changed["files"], json!([file]));
    assert_refused(difference("/data/t", version + 1, "").await, 40402, "not found");
    assert_refused(difference("/data", version, "").await, 40402, "not found");
    let body = json!({ "trash_id": version, "api_key": server.key });
    assert_eq!(answer(server.post("/api/lake/trash/restore", &body)).await.0, 200);
    assert_refused(difference("/data/t", version, "").await, 40402, "not found");
}
