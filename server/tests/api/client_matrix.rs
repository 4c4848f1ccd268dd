//! Real HTTP clients against the real server, directly and behind an nginx that buffers bodies. Files land under their
//! names with their bytes, and a client reads a refusal while it still sends a large body.
//!
//! `client_matrix/` has a program for each client; all read the same list of jobs. `make clients` installs the clients
//! that are libraries.

use crate::nginx::Nginx;
use crate::server::{TestServer, skipped};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Letters beyond ASCII in both normal forms, spaces, percent signs, quotes, and characters that are special in URLs
/// and headers.
const NAMES: [&str; 13] = [
    "plain.csv",
    "größe 1.csv",
    "two  spaces.csv",
    "100%.csv",
    "50%25.csv",
    "say \"hi\".csv",
    "it's.csv",
    "データ📦.csv",
    "e\u{301}te.csv",
    "a;b=c.csv",
    "a&b+c#d?.csv",
    "[x] (y) {z}.csv",
    "~tilde,comma.csv",
];
/// More than the buffers between a client, a proxy and the server hold.
const REFUSED_FORM_BYTES: u64 = 64 << 20;
const REFUSED_BYTES: u64 = 24 << 20;
const LARGE_BYTES: usize = 8 << 20;

const FORM: &str = "form";
const PUT: &str = "put";
/// Sent without a content length.
const STREAM: &str = "stream";

/// A program that reads jobs and sends them.
struct Client {
    program: PathBuf,
    arguments: Vec<String>,
    /// Kinds of requests that it supports.
    kinds: &'static [&'static str],
}

impl Client {
    /// `None` if the program does not run with `probe`.
    fn of(program: impl Into<PathBuf>, probe: &[&str], kinds: &'static [&'static str]) -> Option<Self> {
        let program = program.into();
        let found = Command::new(&program).args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success()).then_some(Self { program, arguments: Vec::new(), kinds })
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sends all jobs, and returns the status and body of each response, in order.
    fn send(&self, jobs: &[Job], folder: &Path) -> Vec<(String, String)> {
        let list = folder.join("jobs");
        fs::write(&list, jobs.iter().map(Job::line).collect::<String>()).unwrap();
        let mut command = Command::new(&self.program);
        let cache = root().join("target/clients/go");
        let command = command.args(&self.arguments).stdin(File::open(&list).unwrap()).env("GOCACHE", cache);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let answers: Vec<(String, String)> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
            .map(|(status, body)| (status.to_owned(), body.to_owned()))
            .collect();
        assert_eq!(answers.len(), jobs.len(), "{answers:?} {stderr}");
        answers
    }
}

struct Job {
    kind: &'static str,
    url: String,
    key: String,
    file: PathBuf,
    name: String,
}

impl Job {
    fn line(&self) -> String {
        let Self { kind, url, key, file, name } = self;
        format!("{kind}\t{url}\t{key}\t{}\t{name}\n", file.display())
    }
}

/// A server with an open and an ended sync.
struct Scene<'a> {
    server: &'a TestServer,
    base: &'a str,
    folder: &'a Path,
    open: u64,
    ended: u64,
}

impl Scene<'_> {
    fn job(&self, kind: &'static str, name: &str, file: &str, sync_id: u64) -> Job {
        let base = self.base;
        let url = match kind {
            FORM => format!("{base}/api/lake/file/upload?sync_id={sync_id}&path=form"),
            _ => {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                format!("{base}/api/lake/file/resumable/{name}?sync_id={sync_id}&path={kind}")
            }
        };
        let file = self.folder.join(file);
        Job { kind, url, key: self.server.key.clone(), file, name: name.to_owned() }
    }

    fn check_files(&self, client: &Client, path: &str) {
        let mut jobs = Vec::new();
        for (number, name) in NAMES.iter().enumerate() {
            jobs.extend(client.kinds.iter().map(|kind| self.job(kind, name, &format!("small{number}"), self.open)));
        }
        jobs.extend(client.kinds.iter().map(|kind| self.job(kind, "large.bin", "large", self.open)));
        for (job, answer) in jobs.iter().zip(client.send(&jobs, self.folder)) {
            assert_eq!(answer.0, "200", "{} {}: {answer:?}", job.kind, job.name);
        }
        let expected: BTreeMap<String, Vec<u8>> =
            jobs.iter().map(|job| (format!("{}/{}", job.kind, job.name), fs::read(&job.file).unwrap())).collect();
        let landed = self.server.files(path);
        assert_eq!(landed.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &expected {
            assert!(landed[name] == *bytes, "{name}: {} bytes of {}", landed[name].len(), bytes.len());
        }
    }

    async fn check_digests(&self, client: &Client) {
        let history = self.server.history(&format!("sync_id={}&size=1000", self.open)).await;
        let large = hex(&Sha256::digest(fs::read(self.folder.join("large")).unwrap()));
        let of_large = history.iter().filter(|row| row["size_bytes"] == json!(LARGE_BYTES));
        let digests: Vec<&Value> = of_large.map(|row| &row["sha256"]).collect();
        assert_eq!(digests, vec![&json!(large); client.kinds.len()]);
    }

    fn check_refusals(&self, client: &Client) {
        let mut jobs: Vec<(Job, &str)> = Vec::new();
        for &kind in client.kinds {
            let file = if kind == FORM { "refused-form" } else { "refused" };
            jobs.push((self.job(kind, "refused.bin", file, self.ended), "409"));
        }
        jobs.push((self.job(PUT, "refused.bin", "refused", self.open), "413"));
        let (jobs, statuses): (Vec<Job>, Vec<&str>) = jobs.into_iter().unzip();
        for ((job, status), (answered, body)) in jobs.iter().zip(statuses).zip(client.send(&jobs, self.folder)) {
            assert_eq!(answered, status, "{} to {}: {body}", job.kind, job.url);
            let said: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            assert_eq!(said["code"].as_u64().map(|code| code / 100), status.parse().ok(), "{said}");
            assert!(said["msg"].as_str().is_some_and(|message| message.len() > 10), "{said}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_files(folder: &Path) {
    for number in 0..NAMES.len() {
        fs::write(folder.join(format!("small{number}")), format!("file {number}\r\n")).unwrap();
    }
    // Contains near matches of a delimiter.
    let mut large = b"\r\n--\r\n----------------------------\r\n".repeat(100);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while large.len() < LARGE_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        large.extend_from_slice(&state.to_le_bytes());
    }
    large.truncate(LARGE_BYTES);
    fs::write(folder.join("large"), large).unwrap();
    // Sparse files, which occupy no space.
    for (name, bytes) in [("refused-form", REFUSED_FORM_BYTES), ("refused", REFUSED_BYTES)] {
        File::create(folder.join(name)).unwrap().set_len(bytes).unwrap();
    }
}

/// Skips a missing client, and says how to install it.
async fn check(client: Option<Client>, name: &str, remedy: &str) {
    let Some(client) = client else { return skipped(&format!("{name} is not here: {remedy}")) };
    let server = TestServer::start_with(&["--max-upload-size", "16MB"]).await;
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let proxy = Nginx::start(folder.path(), &server.url);
    if proxy.is_none() {
        skipped(&format!("{name} behind a proxy: nginx is not here: apt-get install nginx-light"));
    }
    for (base, path) in [(Some(&server.url), "direct"), (proxy.as_ref().map(|proxy| &proxy.url), "proxied")] {
        let Some(base) = base else { continue };
        let open = server.start_sync(&format!("/data/{path}"), "IncrementalSync").await;
        let ended = server.start_sync(&format!("/data/{path}"), "IncrementalSync").await;
        server.end_sync(ended).await;
        let scene = Scene { server: &server, base, folder: folder.path(), open, ended };
        scene.check_files(&client, &format!("data/{path}"));
        scene.check_digests(&client).await;
        scene.check_refusals(&client);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn script(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/client_matrix");
    folder.join(name).to_str().unwrap().to_owned()
}

fn by_python(library: &str) -> Option<Client> {
    let probe = format!("import {library}");
    [root().join("target/clients/python/bin/python"), "python3".into()]
        .into_iter()
        .find_map(|python| Client::of(python, &["-c", &probe], &[FORM, PUT, STREAM]))
        .map(|python| python.with(&[&script("send.py"), library]))
}

fn by_node(probe: &[&str], library: &str) -> Option<Client> {
    let folder = root().join("end2end");
    let node = Client::of("node", probe, &[FORM, PUT, STREAM])?;
    Some(node.with(&[&script("send.mjs"), library, folder.to_str().unwrap()]))
}

#[tokio::test]
async fn files_sent_by_curl_land_and_it_reads_refusals() {
    let curl = Client::of("curl", &["--version"], &[FORM, PUT, STREAM]).and(Client::of(
        "bash",
        &["--version"],
        &[FORM, PUT, STREAM],
    ));
    check(curl.map(|bash| bash.with(&[&script("send.sh"), "curl"])), "curl", "apt-get install curl").await;
}

#[tokio::test]
async fn files_sent_by_wget_land_and_it_reads_refusals() {
    let wget = Client::of("wget", &["--version"], &[PUT]).and(Client::of("bash", &["--version"], &[PUT]));
    check(wget.map(|bash| bash.with(&[&script("send.sh"), "wget"])), "wget", "apt-get install wget").await;
}

#[tokio::test]
async fn files_sent_by_requests_land_and_it_reads_refusals() {
    check(by_python("requests"), "Python's requests", "make clients").await;
}

#[tokio::test]
async fn files_sent_by_httpx_land_and_it_reads_refusals() {
    check(by_python("httpx"), "Python's httpx", "make clients").await;
}

#[tokio::test]
async fn files_sent_by_aiohttp_land_and_it_reads_refusals() {
    check(by_python("aiohttp"), "Python's aiohttp", "make clients").await;
}

#[tokio::test]
async fn files_sent_by_node_s_fetch_land_and_it_reads_refusals() {
    let has_blobs = "require('fs').openAsBlob || process.exit(1)";
    check(by_node(&["-e", has_blobs], "fetch"), "Node from 20 on", "apt-get install nodejs").await;
}

#[tokio::test]
async fn files_sent_by_axios_land_and_it_reads_refusals() {
    let package = root().join("end2end/node_modules/axios");
    let has_axios = format!("require({:?}); require('fs').openAsBlob || process.exit(1)", package.to_str().unwrap());
    check(by_node(&["-e", &has_axios], "axios"), "axios", "make clients").await;
}

#[tokio::test]
async fn files_sent_by_java_land_and_it_reads_refusals() {
    let java = Client::of("javac", &["-version"], &[FORM, PUT, STREAM]).and(Client::of(
        "java",
        &["-version"],
        &[FORM, PUT, STREAM],
    ));
    check(java.map(|java| java.with(&[&script("Send.java")])), "Java", "apt-get install default-jdk-headless").await;
}

#[tokio::test]
async fn files_sent_by_go_land_and_it_reads_refusals() {
    let go = Client::of("go", &["version"], &[FORM, PUT, STREAM]);
    check(go.map(|go| go.with(&["run", &script("send.go")])), "Go", "apt-get install golang-go").await;
}
