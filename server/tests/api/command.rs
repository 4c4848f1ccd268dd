//! `lakeshore serve`: start, refused start and stop.

use crate::server::{BINARY, TestServer, answer, lakeshore};
use crate::uploads::begin_upload;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// Asserts a failure with a single clear line.
fn assert_fails(arguments: &[&str], words: &str) {
    let output = lakeshore(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(said.contains(words), "{said} lacks {words:?}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn impossible_commands_fail_with_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    assert_fails(&["serve", "--listen", "nowhere"], "nowhere");
    let contradicting = ["serve", "--data-dir", data_dir, "--auth", "required", "--open-to", "10.0.0.0/8"];
    assert_fails(&contradicting, "omit one of them");
    assert_fails(&["serve", "--open-to", "lan"], "such as 10.0.0.0/8");
    assert_fails(&["serve", "--allowed-host", "https://lake.example.com"], "give \"lake.example.com\"");
    assert_fails(&["serve", "--no-such-flag"], "--no-such-flag");
    assert_fails(&["serve", "--max-upload-size", "much"], "much");
    assert_fails(&["key", "create", "--name", "x", "--role", "king", "--data-dir", data_dir], "admin, write or read");
    assert_fails(&["key", "create", "--name", "x", "--path-prefix", "../x", "--data-dir", data_dir], "begins with");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_fails(&["serve", "--listen", &address, "--data-dir", data_dir], "in use");

    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let below_a_file = file.join("data");
    let unusable = ["serve", "--listen", "127.0.0.1:0", "--data-dir", below_a_file.to_str().unwrap()];
    assert_fails(&unusable, "data folder");
    let unusable = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir, "--lake-root", file.to_str().unwrap()];
    assert_fails(&unusable, "lake root");
}

#[test]
fn no_help_names_two_defaults_for_one_option() {
    for command in ["serve", "key create", "session end", "check", "backup", "push", "status", "ls", "get"] {
        let arguments: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let said = String::from_utf8(lakeshore(&arguments).stdout).unwrap();
        assert!(said.contains("Usage:"), "{command}: {said}");
        let twice = said.lines().find(|line| line.matches("[default:").count() > 1);
        assert_eq!(twice, None, "{command}");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_lake_refuses_to_start() {
    let server = TestServer::start().await;
    let data_dir = server.data_dir().to_str().unwrap();
    assert_fails(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir], "another server");
}

#[tokio::test]
async fn sigterm_lets_a_running_upload_finish_and_exits_with_success() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let mut connection = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n1,2\r\n--b--\r\n";
    let (first, rest) = body.split_at(body.len() - 12);
    let length = body.len();
    write!(
        connection,
        "POST /api/lake/file/upload?sync_id={id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Connection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n{first}"
    )
    .unwrap();
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    server.signal("TERM");
    server.eventually(async || server.stderr().contains("stopping").then_some(())).await;
    connection.write_all(rest.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with(r#"{"code":0,"msg":null}"#), "{response}");
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(server.file_names("data/t"), ["a.csv"]);
}

#[tokio::test]
async fn sighup_stops_gracefully_unless_the_server_was_started_to_outlast_it() {
    let mut server = TestServer::start().await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    server.signal("HUP");
    assert_eq!(server.exit_code(), Some(0), "{}", server.stderr());
    assert!(server.stderr().contains("stopping"), "{}", server.stderr());
    let server = server.kill_and_restart().await;
    assert_eq!(server.sync(id).await["sync_status"], "Syncing");

    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new("nohup")
        .args([BINARY.as_str(), "serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let signal = |name: &str, id: u32| {
        assert!(Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap().success());
    };
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("listening on")));
    signal("HUP", process.id());
    signal("TERM", process.id());
    // If SIGHUP had stopped the server, SIGTERM would have no effect, and the log would name SIGHUP.
    let said: Vec<_> = lines.collect();
    assert!(
        said.iter().any(|line| line.contains("SIGTERM")) && !said.iter().any(|line| line.contains("SIGHUP")),
        "{said:?}"
    );
    assert!(process.wait().unwrap().success());
}

#[tokio::test]
async fn a_stop_ends_requests_that_outlast_the_grace_period() {
    let mut server = TestServer::start_with(&["--shutdown-grace", "100ms"]).await;
    let id = server.start_sync("/data/t", "IncrementalSync").await;
    let _half_way = begin_upload(&server, id, "half");
    server.eventually(async || server.history("status=Syncing").await.first().cloned()).await;
    assert_eq!(server.stop(), Some(0));
    let server = server.kill_and_restart().await;
    let row = &server.history("").await[0];
    assert_eq!(row["sync_status"], "Failed");
    assert!(row["message"].as_str().unwrap().contains("shutting down"), "{row}");
    assert!(server.file_names(".lakeshore").is_empty());
    let (status, _) =
        answer(server.post("/api/ingestion/file/sync/end", &json!({ "sync_id": id, "api_key": server.key }))).await;
    assert_eq!(status, 200);
}
