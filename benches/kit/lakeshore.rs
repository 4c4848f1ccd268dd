//! Starts and calls Lakeshore for the benchmarks.

use super::client::{Request, ask};
use super::free_address;
use super::process::Process;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// End of a form with one file.
const TAIL: &[u8] = b"\r\n--b--\r\n";

/// Binary of this build, or the one that `LAKESHORE_BIN` names.
pub fn binary() -> PathBuf {
    std::env::var_os("LAKESHORE_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lakeshore")), PathBuf::from)
}

/// Command that serves on `address`, with all data below `folder`.
pub fn serve(folder: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(folder.join("data"));
    command.arg("--lake-root").arg(lake(folder));
    command
}

pub fn lake(folder: &Path) -> PathBuf {
    folder.join("lake")
}

pub fn new_key(folder: &Path) -> String {
    key_by(Command::new(binary()), folder)
}

fn key_by(mut command: Command, folder: &Path) -> String {
    command.args(["key", "create", "--name", "bench", "--role", "write", "--data-dir"]).arg(folder.join("data"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn start_sync(address: SocketAddr, key: &str, path: &str, sync_type: &str) -> u64 {
    let call = json!({ "name": "bench", "path": path, "api_key": key, "sync_type": sync_type });
    post(address, "/api/ingestion/file/sync/start", &call)["sync_id"].as_u64().unwrap()
}

pub fn end_sync(address: SocketAddr, key: &str, sync_id: u64, confirm: bool) {
    post(address, "/api/ingestion/file/sync/end", &json!({ "sync_id": sync_id, "api_key": key, "confirm": confirm }));
}

fn post(address: SocketAddr, path: &str, call: &Value) -> Value {
    let body = call.to_string();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let answer = ask(address, &request).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Request that uploads one file.
pub fn upload(request: &mut Request, sync_id: u64, name: &str, file_bytes: usize) {
    let part = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    write!(
        request.head,
        "POST /api/lake/file/upload?sync_id={sync_id} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{part}",
        part.len() + file_bytes + TAIL.len(),
    )
    .unwrap();
    request.body_bytes = file_bytes;
    request.tail = TAIL;
}

/// Request that creates a resumable upload with all of its bytes.
pub fn upload_by_tus(request: &mut Request, sync_id: u64, name: &str, file_bytes: usize) {
    let (name, sync_id) = (BASE64_STANDARD.encode(name), BASE64_STANDARD.encode(sync_id.to_string()));
    write!(
        request.head,
        "POST /api/lake/files HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {file_bytes}\r\n\
         Upload-Metadata: filename {name},sync_id {sync_id}\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {file_bytes}\r\n\r\n"
    )
    .unwrap();
    request.body_bytes = file_bytes;
    request.tail = &[];
}

/// A ready server, with a key.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    pub key: String,
}

impl Server {
    /// Starts a server below `folder`, which exists.
    pub fn start(folder: &Path) -> Self {
        let address = free_address();
        let process = Self::ready(&mut serve(folder, address), address, folder);
        Self { process, address, key: new_key(folder) }
    }

    /// Starts a server whose metadata and lake are where these variables say.
    pub fn start_on(folder: &Path, environment: &[(&str, String)]) -> Self {
        let address = free_address();
        let program = || {
            let mut command = Command::new(binary());
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            command
        };
        let mut command = program();
        command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(folder.join("data"));
        let process = Self::ready(&mut command, address, folder);
        Self { process, address, key: key_by(program(), folder) }
    }

    fn ready(command: &mut Command, address: SocketAddr, folder: &Path) -> Process {
        let mut process = Process::spawn(command, &folder.join("log"));
        while !ask(address, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok_and(|answer| answer.status == 200)
        {
            assert!(!process.has_ended(), "{}", std::fs::read_to_string(folder.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
        process
    }

    pub fn start_sync(&self, path: &str, sync_type: &str) -> u64 {
        start_sync(self.address, &self.key, path, sync_type)
    }

    pub fn end_sync(&self, sync_id: u64) {
        end_sync(self.address, &self.key, sync_id, false);
    }

    /// Ends a sync without the shrink guard.
    pub fn end_sync_confirmed(&self, sync_id: u64) {
        end_sync(self.address, &self.key, sync_id, true);
    }
}
