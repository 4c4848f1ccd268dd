//! Files made to harm their readers. Separate processes read them, and the server outlives these.

use crate::database::Database;
use crate::hostile_parquet as parquet;
use crate::server::{Stopped, TestServer, answer, assert_refused, children, skipped};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// Limit of the server's peak memory, in kB. It uses some 60 MB itself in a build without optimisation.
const MEMORY_KB_MAX: u64 = 150_000;
const SMALL: &[u8] = b"id,name\n1,a\n2,b\n";

async fn preview(server: &TestServer, name: &str) -> Value {
    let query = [("path", format!("/data/t/{name}"))];
    let (status, body) = answer(server.get("/api/lake/file/preview").query(&query)).await;
    assert_eq!(status, 200, "{name}: {body}");
    body
}

/// History of the sync after all its files were read.
async fn inspected(server: &TestServer, sync_id: u64) -> Vec<Value> {
    let is_looked_at = |row: &Value| row.get("row_count").is_some() || row.get("inspection_problem").is_some();
    server
        .eventually(async || {
            let rows = server.history(&format!("sync_id={sync_id}&size=1000")).await;
            rows.iter().all(is_looked_at).then_some(rows)
        })
        .await
}

async fn sync_of(server: &TestServer, files: &[(&str, &[u8])]) -> u64 {
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for (name, bytes) in files {
        server.upload(id, name, bytes).await;
    }
    id
}

fn figure(process: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.trim().to_owned()
}

fn memory_kb_max(server: &TestServer) -> u64 {
    figure(server.process_id(), "VmHWM").trim_end_matches(" kB").parse().unwrap()
}

/// Reader processes of the server.
fn readers(server: &TestServer) -> Vec<u32> {
    children(server.process_id())
}

fn is_running(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Whether a reader is confined and busy; not one that has just ended.
fn is_reading(reader: &u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{reader}/status")).unwrap_or_default();
    status.contains("\nSeccomp:\t2\n") && status.contains("\nState:\tR")
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

fn gzip_of(bytes: u64) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![b'0'; 1 << 20];
    (0..bytes >> 20).for_each(|_| packed.write_all(&zeros).unwrap());
    packed.finish().unwrap()
}

#[tokio::test]
async fn files_that_crash_their_reader_cost_one_response_and_are_not_retried() {
    let server = TestServer::start().await;
    let files: [(&str, Vec<u8>); 7] = [
        ("deep.parquet", parquet::deep(100_000)),
        ("children.parquet", parquet::many_children_announced()),
        ("names.parquet", parquet::deep_and_wide(500, 40_000)),
        ("list.parquet", parquet::endless_list(1 << 28)),
        ("bomb.csv.gz", gzip_of(64 << 20)),
        ("nested.jsonl", [vec![b'['; 900_000], b"\n".to_vec()].concat()),
        ("values.jsonl", format!("{{\"a\":[{}0]}}\n", "0,".repeat(100_000)).into_bytes()),
    ];
    let mut all: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    all.push(("small.csv", SMALL));
    let id = sync_of(&server, &all).await;
    let rows = inspected(&server, id).await;
    for (row, words) in rows.iter().zip(["nested too deeply", "footer cannot be read", "needs more memory"]) {
        assert!(row["inspection_problem"].as_str().unwrap().contains(words), "{row}");
    }
    assert_eq!(rows[7]["row_count"], 2, "its neighbour was read");
    assert_eq!(server.sync(id).await["total_files"], 8);
    for (name, _) in [&files[0], &files[1], &files[3]] {
        let body = preview(&server, name).await;
        let words = match *name {
            "deep.parquet" => "nested too deeply",
            "children.parquet" => "footer cannot be read",
            _ => "reading it needs more memory",
        };
        assert!(body["problem"].as_str().unwrap().contains(words), "{body}");
        assert_eq!(preview(&server, "small.csv").await["rows"][1], json!(["2", "b"]), "after {name}");
    }
    for name in ["bomb.csv.gz", "nested.jsonl", "values.jsonl"] {
        preview(&server, name).await;
    }
    assert!(memory_kb_max(&server) < MEMORY_KB_MAX, "{} kB", memory_kb_max(&server));
    let server = server.kill_and_restart().await;
    assert_eq!(inspected(&server, id).await, rows);
    let database = Database::copy_of(server.data_dir()).await;
    let left = "SELECT (SELECT count(*) FROM uninspected) + (SELECT count(*) FROM inspection_attempts)";
    assert_eq!(database.value::<i64>(left).await, 0, "nothing is tried again");
}

#[tokio::test]
async fn a_reader_that_hangs_grows_aborts_or_floods_is_replaced_and_the_response_says_so() {
    let server = TestServer::start_with(&["--preview-timeout", "3s"]).await;
    let files = [
        // The limit of processor time or the timeout, whichever comes first on this machine.
        ("hangs.failpoint", "reading it takes"),
        ("waits.failpoint", "longer than 3 s"),
        ("grows.failpoint", "more memory than a file may take"),
        ("aborts.failpoint", "stopped unexpectedly (signal 6)"),
        ("babbles.failpoint", "no usable answer"),
    ];
    let id = sync_of(&server, &files.map(|(name, _)| (name, SMALL))).await;
    for (row, (name, words)) in inspected(&server, id).await.iter().zip(files) {
        assert!(row["inspection_problem"].as_str().unwrap().contains(words), "{row}");
        let body = preview(&server, name).await;
        assert!(body["problem"].as_str().unwrap().contains(words), "{body}");
    }
    server.upload(id, "small.csv", SMALL).await;
    assert_eq!(inspected(&server, id).await[5]["row_count"], 2);
    assert_eq!(preview(&server, "small.csv").await["rows"][0], json!(["1", "a"]));
}

#[tokio::test]
async fn a_reader_has_no_resource_of_the_server_and_no_access() {
    // The parent of the server has left a descriptor open.
    let folder = tempfile::tempdir().unwrap();
    let (script, data_dir) = (folder.path().join("start"), folder.path().join("data"));
    fs::write(&script, format!("#!/bin/sh\nexec 7< /etc/hosts\nexec {} \"$@\"\n", *crate::server::BINARY)).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let server = Stopped::new(folder, data_dir, &[]).with_key().start_program(&script).await;
    assert!(fs::read_link(format!("/proc/{}/fd/7", server.process_id())).is_ok());
    let id = sync_of(&server, &[("small.csv", SMALL)]).await;
    inspected(&server, id).await;
    preview(&server, "small.csv").await;
    let readers = readers(&server);
    assert_eq!(readers.len(), 2, "one for previews, one for what lands");
    for reader in readers {
        if fs::read_dir(format!("/proc/{reader}/fd")).is_err() {
            return skipped("only root may look into a reader");
        }
        let read = |name: &str| fs::read(format!("/proc/{reader}/{name}")).unwrap();
        assert_eq!(read("environ"), b"MIMALLOC_DISALLOW_ARENA_ALLOC=1\0");
        assert_eq!(read("cmdline"), b"lakeshore\0inspect-worker\0");
        assert_eq!(fs::read_link(format!("/proc/{reader}/cwd")).unwrap(), PathBuf::from("/"));
        let mut open: Vec<_> = fs::read_dir(format!("/proc/{reader}/fd")).unwrap().map(Result::unwrap).collect();
        open.sort_by_key(std::fs::DirEntry::file_name);
        let open: Vec<_> = open
            .iter()
            .map(|entry| fs::read_link(entry.path()).unwrap().display().to_string())
            .map(|target| target.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(open, ["socket", "/dev/null", "pipe", &format!("/proc/{reader}/statm")]);
        let figures = ["NoNewPrivs", "Seccomp", "Threads"].map(|name| figure(reader, name));
        assert_eq!(figures, ["1", "2", "1"]);
        let limits = String::from_utf8(read("limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(["Max core file size", "Max file size", "Max processes"].map(limit), ["0", "0", "0"]);
        assert_eq!(limit("Max open files"), "16");
        assert!(limit("Max address space").parse::<u64>().unwrap() < 2 << 30, "{limits}");
        assert!(limit("Max cpu time").parse::<u64>().unwrap() < 20, "{limits}");
    }
}

#[tokio::test]
async fn a_killed_reader_costs_one_response_and_none_outlives_the_server() {
    let server = TestServer::start().await;
    let id = sync_of(&server, &[("small.csv", SMALL)]).await;
    inspected(&server, id).await;
    let inspecting = readers(&server);
    server.end_sync(id).await;
    fs::write(server.folder().join("data/t/hangs.failpoint"), SMALL).unwrap();
    let at_work = || readers(&server).into_iter().find(|reader| !inspecting.contains(reader) && is_reading(reader));
    let (body, killed) = tokio::join!(preview(&server, "hangs.failpoint"), async {
        let busy = server.eventually(async || at_work()).await;
        kill(busy);
        busy
    });
    assert!(body["problem"].as_str().unwrap().contains("stopped unexpectedly (signal 9)"), "{body}");
    assert_eq!(preview(&server, "small.csv").await["rows"][0], json!(["1", "a"]));
    let readers = readers(&server);
    assert!(readers.len() == 2 && !readers.contains(&killed), "{readers:?}");
    // Idle readers: their end costs no file an attempt.
    readers.iter().for_each(|reader| kill(*reader));
    assert_eq!(preview(&server, "small.csv").await["rows"][0], json!(["1", "a"]));
    let id = sync_of(&server, &[("other.csv", SMALL)]).await;
    assert_eq!(inspected(&server, id).await[0]["row_count"], 2);
    let readers = self::readers(&server);
    assert_eq!(readers.len(), 2);
    let stopped = server.kill();
    let server = stopped.start().await;
    server.eventually(async || readers.iter().all(|reader| !is_running(*reader)).then_some(())).await;
}

#[tokio::test]
async fn a_reader_whose_caller_has_left_is_ended_and_others_are_served() {
    let server = TestServer::start_with(&["--preview-timeout", "10m"]).await;
    let id = sync_of(&server, &[("small.csv", SMALL)]).await;
    inspected(&server, id).await;
    server.end_sync(id).await;
    fs::write(server.folder().join("data/t/hangs.failpoint"), SMALL).unwrap();
    let asking = server.get("/api/lake/file/preview").query(&[("path", "/data/t/hangs.failpoint")]).send();
    let asking = tokio::spawn(asking);
    let at_work = || readers(&server).into_iter().any(|reader| is_reading(&reader));
    server.eventually(async || at_work().then_some(())).await;
    asking.abort();
    server.eventually(async || (!at_work()).then_some(())).await;
    assert_eq!(preview(&server, "small.csv").await["rows"][0], json!(["1", "a"]));
}

#[tokio::test]
async fn the_program_may_be_removed_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("lakeshore");
    fs::copy(&*crate::server::BINARY, &binary).unwrap();
    let data_dir = folder.path().join("data");
    let server = Stopped::new(folder, data_dir, &[]).with_key().start_program(&binary).await;
    fs::remove_file(&binary).unwrap();
    let id = sync_of(&server, &[("small.csv", SMALL)]).await;
    assert_eq!(inspected(&server, id).await[0]["row_count"], 2);
}

#[tokio::test]
async fn a_file_with_many_columns_keeps_a_bounded_number_and_lists_name_a_few() {
    let server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    for letter in ["a", "b", "c"] {
        let file = parquet::wide(10_000, |number| format!("{letter}{number}"));
        server.upload(id, &format!("{letter}.parquet"), &file).await;
    }
    let long = parquet::wide(30, |number| format!("{number}{}", "long".repeat(250_000)));
    server.upload(id, "long.parquet", &long).await;
    let rows = inspected(&server, id).await;
    assert_eq!(server.sync(id).await["num_schema_differences"], 3);
    let difference = &rows[1]["schema_difference"];
    let named = ["added", "removed"].map(|kind| difference[kind].as_array().unwrap().len());
    assert_eq!((named, &difference["num_added"], &difference["num_removed"]), ([8, 8], &json!(4096), &json!(4096)));
    let length = async |path: &str| server.get(path).send().await.unwrap().bytes().await.unwrap().len();
    assert!(length(&format!("/api/ingestion/file/sync/history?sync_id={id}")).await < 40_000);
    assert!(length(&format!("/syncs/{id}")).await < 200_000);
    let in_full = answer(server.get(&format!("/api/ingestion/file/sync/upload/{}", rows[1]["history_id"]))).await.1;
    assert_eq!(in_full["schema_difference"]["added"].as_array().unwrap().len(), 4096);
    assert_eq!(in_full["file_name"], rows[1]["file_name"]);
    server.end_sync(id).await;
    let address = "/api/lake/dataset/schema?path=/data/t";
    let schema = answer(server.get(address)).await.1["schema"].clone();
    assert_eq!((schema["columns"].as_array().unwrap().len(), &schema["num_omitted"]), (4096, &json!(10_000 - 4096)));
    assert!(length(address).await < 500_000);
    assert!(length("/lake/data/t").await < 500_000);
    let shown = preview(&server, "a.parquet").await;
    assert_eq!((&shown["num_columns"], shown["schema"]["columns"].as_array().unwrap().len()), (&json!(10_000), 100));
    let long = preview(&server, "long.parquet").await;
    assert!(long.to_string().len() < 100_000);
    assert!(memory_kb_max(&server) < MEMORY_KB_MAX, "{} kB", memory_kb_max(&server));
}

#[tokio::test]
async fn an_upload_is_visible_to_those_who_may_see_its_sync() {
    let server = TestServer::start_with(&["--auth", "required"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let (status, body) =
        answer(server.upload_request(&format!("sync_id={id}"), &[("a.csv", SMALL)]).bearer_auth(&server.key)).await;
    assert_eq!(status, 200, "{body}");
    let one = |history_id: &str| server.get(&format!("/api/ingestion/file/sync/upload/{history_id}"));
    let (status, body) = answer(one("1").bearer_auth(&server.key)).await;
    assert_eq!((status, &body["file_name"], &body["sync_id"]), (200, &json!("a.csv"), &json!(id)));
    assert_refused(answer(one("2").bearer_auth(&server.key)).await, 40408, "upload 2 not found");
    assert_refused(answer(one("x").bearer_auth(&server.key)).await, 40000, "not a whole number");
    assert_refused(answer(one("1")).await, 40100, "a key is required");
    let elsewhere = server.new_key(&["--role", "write", "--path-prefix", "/other"]);
    assert!([403, 404].contains(&answer(one("1").bearer_auth(&elsewhere)).await.0));
}

#[tokio::test]
async fn a_file_that_crashes_the_server_three_times_is_marked_and_its_neighbours_are_read() {
    let server = TestServer::start_with(&["--preview-timeout", "30s"]).await;
    let id = sync_of(&server, &[("hangs.failpoint", SMALL), ("small.csv", SMALL), ("other.csv", SMALL)]).await;
    let mut server = server;
    for _ in 0..3 {
        server.eventually(async || readers(&server).into_iter().find(is_reading)).await;
        server = server.kill_and_restart().await;
    }
    let rows = inspected(&server, id).await;
    let problem = rows[0]["inspection_problem"].as_str().unwrap();
    assert!(problem.contains("the server stopped 3 times while reading it"), "{problem}");
    assert_eq!((&rows[1]["row_count"], &rows[2]["row_count"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_readers_and_does_not_count_the_attempt() {
    let mut server = TestServer::start_with(&["--preview-timeout", "600s"]).await;
    sync_of(&server, &[("hangs.failpoint", SMALL)]).await;
    server.eventually(async || readers(&server).into_iter().find(is_reading)).await;
    assert_eq!(server.stop(), Some(0));
    let database = Database::of(server.data_dir()).await;
    let attempts = "SELECT history_id, begun, failed FROM inspection_attempts";
    assert_eq!(database.rows::<(i64, i64, i64)>(attempts).await, [(1, 0, 0)]);
}
