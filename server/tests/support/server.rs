//! Test server: the real binary on a free port with its own folders, ended with the test.

#![allow(dead_code, reason = "three test targets share this file, and each uses a part of it")]

#[path = "bucket.rs"]
pub mod bucket;
#[path = "cluster.rs"]
pub mod cluster;
#[path = "metadata.rs"]
pub mod metadata;
#[path = "../../../crates/metadata/tests/support/postgres.rs"]
pub mod postgres;
#[path = "round_robin.rs"]
pub mod round_robin;
#[path = "stopped.rs"]
mod stopped;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use round_robin::RoundRobin;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
#[allow(unused_imports, reason = "not all of the test targets name the first")]
pub use stopped::{Ended, Stopped};

/// Binary of this build, or the one in `LAKESHORE_BIN`.
pub static BINARY: LazyLock<String> =
    LazyLock::new(|| std::env::var("LAKESHORE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lakeshore").to_owned()));

/// Makes a server one of several.
pub const CLUSTER: (&str, &str) = ("LAKESHORE_CLUSTER", "true");

pub struct TestServer {
    pub url: String,
    pub client: Client,
    /// An admin key.
    pub key: String,
    rest: Stopped,
    process: Child,
    stderr: Arc<Mutex<String>>,
    /// A second server of the same lake, where that is wanted.
    second: Option<SecondNode>,
}

struct SecondNode {
    process: Child,
    _front: RoundRobin,
}

/// Reports that a test is skipped, directly on standard error, since the harness captures output.
#[expect(clippy::explicit_write, clippy::disallowed_methods, reason = "the harness captures the output of the macros")]
pub fn skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}").unwrap();
}

/// Ends the test. Nothing is dropped then, so its servers, which would outlive it, are killed.
pub fn skip(reason: &str) -> ! {
    skipped(reason);
    let binary = std::fs::canonicalize(&*BINARY).unwrap();
    for child in children(std::process::id()) {
        if std::fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|program| program == binary) {
            let _ = Command::new("kill").args(["-KILL", &child.to_string()]).status();
        }
    }
    std::process::exit(0)
}

/// Child processes of a process.
pub fn children(process: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let of_thread = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        children.extend(of_thread.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
    }
    children
}

/// Runs a command of the binary to its end.
pub fn lakeshore(arguments: &[&str]) -> Output {
    let mut command = Command::new(&*BINARY);
    let data_dir = arguments.iter().position(|argument| *argument == "--data-dir").and_then(|at| arguments.get(at + 1));
    let has_lake = ["serve", "check", "adopt"].contains(&arguments[0]) && !arguments.contains(&"--lake-root");
    if let Some(data_dir) = data_dir.map(Path::new) {
        metadata::point(&mut command, data_dir);
        if let Some(bucket) = bucket::of(data_dir).filter(|_| has_lake) {
            command.envs(bucket::environment(&bucket));
        }
    }
    command.args(arguments).output().unwrap()
}

/// Makes a key by the command line, with or without a running server.
pub fn create_key(data_dir: &Path, options: &[&str]) -> String {
    let data_dir = data_dir.to_str().unwrap();
    let output = lakeshore(&[&["key", "create", "--name", "test", "--data-dir", data_dir], options].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "the key stands alone");
    stdout.trim().to_owned()
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        let mut server = Stopped::new(folder, data_dir, options).start().await;
        server.key = server.new_key(&["--role", "admin"]);
        server.rest.key = server.key.clone();
        server
    }

    /// Output of the server so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        if let Some(second) = &self.second {
            let _ = Command::new("kill").args([&format!("-{name}"), &second.process.id().to_string()]).status();
        }
    }

    /// Ends the server by SIGTERM, and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.exit_code()
    }

    /// Waits for the end of a server that was told to stop.
    pub fn exit_code(&mut self) -> Option<i32> {
        if let Some(second) = &mut self.second {
            second.process.wait().unwrap();
        }
        self.process.wait().unwrap().code()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end of a server that has killed itself.
    pub fn eventually_ended(&mut self) {
        assert_eq!(self.process.wait().unwrap().signal(), Some(9), "{}", self.stderr());
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Stopped {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.kill_second();
        self.rest.clone()
    }

    fn kill_second(&mut self) {
        if let Some(mut second) = self.second.take() {
            let _ = second.process.kill();
            let _ = second.process.wait();
        }
    }

    /// `kill -9`, and a new server on the same folders.
    pub async fn kill_and_restart(self) -> Self {
        self.kill().start().await
    }

    pub fn data_dir(&self) -> &Path {
        self.rest.data_dir()
    }

    pub fn lake(&self) -> PathBuf {
        self.rest.lake()
    }

    pub fn folder(&self) -> PathBuf {
        self.rest.folder()
    }

    /// This server, when it does not run.
    pub fn stopped(&self) -> &Stopped {
        &self.rest
    }

    /// All files below a folder of the lake, with their bytes.
    pub fn files(&self, below: &str) -> BTreeMap<String, Vec<u8>> {
        if let Some(bucket) = &self.rest.bucket {
            return bucket::files(self.data_dir(), bucket, below);
        }
        let root = self.lake().join(below);
        let mut files = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }

    pub fn file_names(&self, below: &str) -> Vec<String> {
        self.files(below).into_keys().collect()
    }

    /// Makes a key by the command line, while the server runs.
    pub fn new_key(&self, options: &[&str]) -> String {
        create_key(self.data_dir(), options)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).json(body)
    }

    pub async fn rows(&self, path: &str) -> Vec<Value> {
        let (status, body) = answer(self.get(path)).await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().clone()
    }

    pub async fn try_start(&self, path: &str, sync_type: &str) -> (u16, Value) {
        let body = json!({ "name": "test", "path": path, "api_key": self.key, "sync_type": sync_type });
        answer(self.post("/api/ingestion/file/sync/start", &body)).await
    }

    pub async fn start_sync(&self, path: &str, sync_type: &str) -> u64 {
        let (status, body) = self.try_start(path, sync_type).await;
        assert_eq!(status, 200, "{body}");
        body["sync_id"].as_u64().unwrap()
    }

    pub async fn try_end(&self, sync_id: u64, more: Value) -> (u16, Value) {
        self.close("end", sync_id, more).await
    }

    pub async fn try_abort(&self, sync_id: u64) -> (u16, Value) {
        self.close("abort", sync_id, json!({})).await
    }

    async fn close(&self, how: &str, sync_id: u64, more: Value) -> (u16, Value) {
        let mut body = json!({ "sync_id": sync_id, "api_key": self.key });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answer(self.post(&format!("/api/ingestion/file/sync/{how}"), &body)).await
    }

    pub async fn end_sync(&self, sync_id: u64) {
        let (status, body) = self.try_end(sync_id, json!({})).await;
        assert_eq!((status, body), (200, json!({ "success": true })));
    }

    /// Upload request for files by name and content.
    pub fn upload_request(&self, query: &str, files: &[(&str, &[u8])]) -> RequestBuilder {
        let mut form = Form::new();
        for (name, bytes) in files {
            form = form.part("file", Part::bytes(bytes.to_vec()).file_name((*name).to_owned()));
        }
        self.client.post(format!("{}/api/lake/file/upload?{query}", self.url)).multipart(form)
    }

    pub async fn try_upload(&self, query: &str, files: &[(&str, &[u8])]) -> (u16, Value) {
        answer(self.upload_request(query, files)).await
    }

    pub async fn upload(&self, sync_id: u64, name: &str, bytes: &[u8]) {
        let (status, body) = self.try_upload(&format!("sync_id={sync_id}"), &[(name, bytes)]).await;
        assert_eq!((status, body), (200, json!({ "code": 0, "msg": null })));
    }

    pub async fn sync(&self, sync_id: u64) -> Value {
        answer(self.get(&format!("/api/ingestion/file/sync/{sync_id}"))).await.1
    }

    pub async fn history(&self, query: &str) -> Vec<Value> {
        self.rows(&format!("/api/ingestion/file/sync/history?{query}")).await
    }

    /// Polls until `wanted` returns a value, for asynchronous work of the server. Fails after ten seconds.
    pub async fn eventually<T>(&self, mut wanted: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..500 {
            if let Some(found) = wanted().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come about; the server said: {}", self.stderr());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.kill_second();
        if std::thread::panicking() {
            eprintln!("the server said: {}", self.stderr());
        }
    }
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// Asserts the status and code of a refusal, and words of its message.
pub fn assert_refused((status, body): (u16, Value), code: u64, words: &str) {
    assert_eq!((u64::from(status), body["code"].as_u64().unwrap()), (code / 100, code), "{body}");
    assert!(body["msg"].as_str().unwrap().contains(words), "{body} lacks {words:?}");
}

/// Path of an absolute URL, which stays the same when the server gets another port.
pub fn path_of(address: &str) -> String {
    reqwest::Url::parse(address).map_or_else(|_| address.to_owned(), |url| url.path().to_owned())
}

pub fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()["location"].to_str().unwrap().to_owned()
}
