//! Commands on the database beside a server, which has it exclusively and performs them; and other programs that open
//! the database.

use crate::database::{Database, in_folder};
use crate::server::{BINARY, Stopped, TestServer, create_key, lakeshore};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

const SOCKET: &str = "lakeshore.sock";

/// Exit code and output of a command, without times.
fn run(arguments: &[&str], data_dir: &Path) -> (Option<i32>, String, String) {
    let output = lakeshore(&[arguments, &["--data-dir", data_dir.to_str().unwrap()]].concat());
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.split_inclusive(' ').filter(|word| !word.contains(':') || word.contains('"')).collect::<String>()
    };
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_command_has_the_same_output_and_exit_code_with_and_without_a_server() {
    let server = TestServer::start().await;
    for name in ["named", "twice", "twice", "\u{1b}[2Jhostile"] {
        let create = ["key", "create", "--name", name, "--path-prefix", "/a/b", "--expires", "90d"];
        assert_eq!(run(&create, server.data_dir()).0, Some(0));
    }
    assert_eq!(run(&["key", "revoke", "named"], server.data_dir()), (Some(0), String::new(), String::new()));
    let commands: [&[&str]; 9] = [
        &["key", "list"],
        &["key", "revoke", "nobody"],
        &["key", "revoke", "twice"],
        &["key", "create", "--name", ""],
        &["session", "list"],
        &["session", "end", "77"],
        &["session", "end", "--key", "nobody"],
        &["session", "end", "--all"],
        &["backup", "/dev/null"],
    ];
    let data_dir = server.data_dir().to_owned();
    let beside: Vec<_> = commands.iter().map(|command| run(command, &data_dir)).collect();
    assert!(beside[0].1.contains("hostile") && !beside[0].1.contains('\u{1b}'), "{}", beside[0].1);
    let stopped = server.kill();
    for (command, beside) in commands.iter().zip(beside) {
        assert_eq!(run(command, stopped.data_dir()), beside, "{command:?}");
    }
}

#[tokio::test]
async fn the_control_socket_is_private_and_removed_with_its_server() {
    let mut server = TestServer::start().await;
    let socket = server.data_dir().join(SOCKET);
    let found = fs::symlink_metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(server.stop(), Some(0));
    assert!(!socket.exists());
    let stopped = server.kill();
    let stopped = stopped.start().await.kill();
    assert!(socket.exists(), "a kill leaves it");
    assert_eq!(run(&["key", "list"], stopped.data_dir()).0, Some(0), "and nobody listens on it");
    let server = stopped.start().await;
    assert_eq!(run(&["key", "list"], server.data_dir()).0, Some(0));
}

#[tokio::test]
async fn only_a_socket_is_replaced_and_the_server_serves_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let stopped = Stopped::new(folder, data_dir.clone(), &[]).with_key();
    fs::write(data_dir.join(SOCKET), "precious").unwrap();
    let mut server = stopped.start().await;
    assert!(server.stderr().contains("cannot create the socket"), "{}", server.stderr());
    assert_eq!(server.stop(), Some(0));
    assert_eq!(fs::read(data_dir.join(SOCKET)).unwrap(), b"precious");
}

#[tokio::test]
async fn a_data_folder_with_a_long_path_has_a_control_socket() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("d".repeat(120)).join("e".repeat(120));
    let server = Stopped::new(folder, data_dir.clone(), &[]).with_key().start().await;
    assert!(fs::symlink_metadata(data_dir.join(SOCKET)).unwrap().file_type().is_socket());
    let (code, listed, said) = run(&["key", "list"], &data_dir);
    assert!(code == Some(0) && listed.contains("test"), "{listed}{said}");
    drop(server);
}

#[tokio::test]
async fn a_server_and_another_program_never_have_the_database_open_together() {
    let server = TestServer::start().await;
    let options = SqliteConnectOptions::new().filename(in_folder(server.data_dir()));
    let mut outside =
        options.disable_statement_logging().busy_timeout(std::time::Duration::ZERO).connect().await.unwrap();
    let refused = outside.execute("SELECT * FROM api_keys").await.unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a", b"1").await;
    let stopped = server.kill();
    outside.execute("SELECT * FROM api_keys").await.unwrap();
    let refused = stopped.try_start(&[]).await.err().unwrap().said;
    assert!(refused.contains("another program has opened the database") && refused.contains("stop it"), "{refused}");
    let (code, _, said) = run(&["key", "list"], stopped.data_dir());
    assert!(code == Some(1) && said.contains("another program has opened the database"), "{said}");
    outside.close().await.unwrap();
    let server = stopped.start().await;
    server.upload(id, "b", b"1").await;
    assert_eq!(server.file_names("d"), ["a", "b"]);
}

#[tokio::test]
async fn the_log_index_of_an_earlier_version_is_ignored() {
    let server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a", b"1").await;
    let stopped = server.kill();
    // Files of the VFS of earlier versions: a killed server leaves a log, and its index beside the database.
    let database = Database::of(stopped.data_dir()).await;
    database.execute("UPDATE api_keys SET name = 'renamed'").await;
    let beside = |suffix: &str| stopped.data_dir().join(format!("lakeshore.db{suffix}"));
    let left = ["-wal", "-shm"].map(|suffix| fs::read(beside(suffix)).unwrap());
    database.close().await;
    for (suffix, bytes) in std::iter::zip(["-wal", "-shm"], left) {
        fs::write(beside(suffix), bytes).unwrap();
    }
    let server = stopped.start().await;
    assert!(!beside("-shm").exists());
    server.upload(id, "b", b"1").await;
    assert!(run(&["key", "list"], server.data_dir()).1.contains("renamed"));
    assert_eq!(server.history("size=10").await.len(), 2);
}

/// Fake owner of the database: sends these lines to each client, and reads nothing.
fn holder(data_dir: &Path, hello: &'static [u8], comers: usize) -> std::thread::JoinHandle<()> {
    let opening = fs::File::open(data_dir.join("lakeshore.db-opening")).unwrap();
    opening.lock().unwrap();
    let listener = UnixListener::bind(data_dir.join(SOCKET)).unwrap();
    std::thread::spawn(move || {
        for _ in 0..comers {
            let (mut comer, _) = listener.accept().unwrap();
            comer.write_all(hello).unwrap();
        }
        drop(opening);
    })
}

#[test]
fn a_server_of_another_version_is_named_and_one_that_ends_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    create_key(folder.path(), &[]);
    let other = holder(folder.path(), b"{\"protocol\":99,\"version\":\"9.8.7\"}\n", 1);
    let (code, _, said) = run(&["key", "list"], folder.path());
    assert!(code == Some(1) && said.contains("lakeshore 9.8.7") && said.contains("restart the server"), "{said}");
    other.join().unwrap();
    fs::remove_file(folder.path().join(SOCKET)).unwrap();
    // The owner ends without a reply: the command retries, and gets the database in the end.
    let ending = holder(folder.path(), b"", 3);
    let (code, listed, said) = run(&["key", "list"], folder.path());
    assert!(code == Some(0) && listed.contains("test"), "{listed}{said}");
    ending.join().unwrap();
    fs::remove_file(folder.path().join(SOCKET)).unwrap();
    // It is unknown whether the owner received the command.
    let torn = holder(folder.path(), b"{\"protocol\":1,\"version\":\"0\"}\n", 1);
    let (code, _, said) = run(&["key", "create", "--name", "k"], folder.path());
    assert!(code == Some(1) && said.contains("may have completed the command"), "{said}");
    torn.join().unwrap();
}

#[tokio::test]
async fn an_unknown_or_missing_control_request_disturbs_no_other() {
    let server = TestServer::start().await;
    let ask = |line: &[u8]| {
        let mut stream = std::os::unix::net::UnixStream::connect(server.data_dir().join(SOCKET)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let hello = lines.next().unwrap().unwrap();
        assert!(hello.contains("\"protocol\""), "{hello}");
        stream.write_all(line).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        lines.next().transpose().unwrap()
    };
    for line in [&b"{\"destroy\":1}\n"[..], b"\0\xff\n", b"[]\n", b"{\"create_key\":{\"name\":1}}\n"] {
        assert!(ask(line).unwrap().contains("does not support this command"));
    }
    for line in [&b""[..], b"\"list_keys\"", &vec![b'x'; 1 << 20]] {
        assert_eq!(ask(line), None);
    }
    let silent: Vec<_> =
        (0..8).map(|_| std::os::unix::net::UnixStream::connect(server.data_dir().join(SOCKET)).unwrap()).collect();
    assert_eq!(run(&["key", "list"], server.data_dir()).0, Some(0));
    drop(silent);
}

#[tokio::test]
async fn the_command_writes_a_backup_beside_a_server_and_leaves_no_copy() {
    let server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    server.upload(id, "a", b"1").await;
    let names = || {
        let entries = fs::read_dir(server.data_dir()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let elsewhere = tempfile::tempdir().unwrap();
    // A relative name refers to the command's folder, not to the server's.
    let mut backup = Command::new(&*BINARY);
    backup.args(["backup", "copy.db", "--data-dir"]).arg(server.data_dir()).current_dir(elsewhere.path());
    let copied = backup.output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    assert_eq!(names(), before);
    let copy = Database::open(&elsewhere.path().join("copy.db")).await;
    assert_eq!(copy.value::<i64>("SELECT count(*) FROM uploads").await, 1);
    assert_eq!(copy.value::<String>("PRAGMA integrity_check").await, "ok");
}

#[tokio::test]
async fn a_copy_interrupted_by_a_kill_is_removed_at_the_next_start() {
    let server = TestServer::start().await;
    let stopped = server.kill();
    let left = stopped.data_dir().join(".lakeshore.db-copy-0.unfinished-77");
    fs::write(&left, "half").unwrap();
    let server = stopped.start().await;
    assert!(!left.exists());
    drop(server);
}

#[tokio::test]
async fn a_key_can_be_revoked_during_a_check() {
    let server = TestServer::start().await;
    let id = server.start_sync("/d", "IncrementalSync").await;
    for n in 0..8 {
        server.upload(id, &format!("{n}"), &vec![b'x'; 32 << 20]).await;
    }
    let stopped = server.kill();
    let mut check = Command::new(&*BINARY);
    check.args(["check", "--digests", "--data-dir"]).arg(stopped.data_dir());
    let mut check = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(run(&["key", "revoke", "1"], stopped.data_dir()).0, Some(0));
    assert!(check.wait().unwrap().code().is_some());
    assert!(run(&["key", "list"], stopped.data_dir()).1.contains("revoked"));
    let server = stopped.start().await;
    let body = json!({ "name": "test", "path": "/e", "api_key": server.key, "sync_type": "IncrementalSync" });
    let refused = server.post("/api/ingestion/file/sync/start", &body).send().await.unwrap();
    assert_eq!(refused.status(), 401);
}
