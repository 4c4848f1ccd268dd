//! Uploads to the real server against a bare loop that keeps the same promises: write, sync, rename, sync the folder.
//!
//! Both are timed in turn, round by round, and the ratio counts: above 1.00, Lakeshore is the faster. Lakeshore also hashes and
//! commits a row; client and server share the machine. `BENCH_DIR` names the folder to measure in.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const BINARY: &str = env!("CARGO_BIN_EXE_lakeshore");
const ROUNDS: usize = 5;
/// What one write call of the bare loop, and one of the client, takes.
const PIECE_BYTES: usize = 1024 * 1024;

struct Load {
    name: &'static str,
    file_bytes: usize,
    files: usize,
    in_flight: usize,
}

const LOADS: [Load; 4] = [
    Load { name: "one file of 512 MiB", file_bytes: 512 << 20, files: 1, in_flight: 1 },
    Load { name: "32 of 16 MiB, all at once", file_bytes: 16 << 20, files: 32, in_flight: 32 },
    Load { name: "16 KiB, one at a time", file_bytes: 16 << 10, files: 500, in_flight: 1 },
    Load { name: "16 KiB, 32 in flight", file_bytes: 16 << 10, files: 6400, in_flight: 32 },
];

fn main() {
    let base = std::env::var_os("BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let folder = base.join("bench-uploads");
    println!("{:28} {:>14} {:>14} {:>8} {:>8} {:>8}", "uploads", "lakeshore", "bare loop", "ratio", "least", "most");
    for load in LOADS {
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            let server = Server::start(&folder);
            let lakeshore = timed(&load, || server.connect());
            drop(server);
            let bare_folder = folder.join("bare");
            fs::create_dir(&bare_folder).unwrap();
            let bare = timed(&load, || Bare { folder: bare_folder.clone() });
            // The first round warms up.
            if round > 0 {
                rounds.push((bare / lakeshore, lakeshore, bare));
            }
        }
        let _ = fs::remove_dir_all(&folder);
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, lakeshore, bare) = rounds[ROUNDS / 2];
        println!(
            "{:28} {:>14} {:>14} {ratio:>8.2} {:>8.2} {:>8.2}",
            load.name,
            rate(&load, lakeshore),
            rate(&load, bare),
            rounds[0].0,
            rounds[ROUNDS - 1].0,
        );
    }
}

fn rate(load: &Load, seconds: f64) -> String {
    if load.file_bytes < PIECE_BYTES {
        format!("{:.0} files/s", load.files as f64 / seconds)
    } else {
        format!("{:.0} MiB/s", (load.files * load.file_bytes) as f64 / f64::from(1 << 20) / seconds)
    }
}

trait Sink {
    fn send(&mut self, name: &str, bytes: &[u8], file_bytes: usize);
}

/// Sends every file of the load, `in_flight` threads side by side; seconds.
fn timed<S: Sink>(load: &Load, sink: impl Fn() -> S + Sync) -> f64 {
    // Not zeros, which a file system may not store.
    let bytes: Vec<u8> =
        (0..PIECE_BYTES as u32 / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..load.in_flight {
            let (next, sink, bytes) = (&next, &sink, &bytes);
            scope.spawn(move || {
                let mut sink = sink();
                loop {
                    let file = next.fetch_add(1, Ordering::Relaxed);
                    if file >= load.files {
                        return;
                    }
                    sink.send(&format!("file-{file}"), &bytes[..PIECE_BYTES.min(load.file_bytes)], load.file_bytes);
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

struct Bare {
    folder: PathBuf,
}

impl Sink for Bare {
    fn send(&mut self, name: &str, bytes: &[u8], file_bytes: usize) {
        let partial = self.folder.join(format!(".{name}"));
        let mut file = File::create(&partial).unwrap();
        for _ in 0..file_bytes / bytes.len() {
            file.write_all(bytes).unwrap();
        }
        file.sync_data().unwrap();
        fs::rename(&partial, self.folder.join(name)).unwrap();
        File::open(&self.folder).unwrap().sync_all().unwrap();
    }
}

struct Server {
    process: Child,
    address: String,
    sync_id: u64,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let mut process = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
            .arg(&data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready =
            lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
        let address = ready.unwrap();
        let key = Command::new(BINARY).args(["key", "create", "--name", "bench", "--data-dir"]).arg(&data).output();
        let key = String::from_utf8(key.unwrap().stdout).unwrap();
        let start = serde_json::json!({
            "name": "bench", "path": "/bench", "api_key": key.trim(), "sync_type": "IncrementalSync"
        });
        let mut connection = Connection::open(&address, 0);
        let body = start.to_string();
        let head = format!(
            "POST /api/ingestion/file/sync/start HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        connection.stream.write_all((head + &body).as_bytes()).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&connection.answer()).unwrap();
        Self { process, address, sync_id: answer["sync_id"].as_u64().unwrap() }
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.address, self.sync_id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A kept-alive connection.
struct Connection {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    sync_id: u64,
}

impl Connection {
    fn open(address: &str, sync_id: u64) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { answers: BufReader::new(stream.try_clone().unwrap()), stream, sync_id }
    }

    fn answer(&mut self) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

impl Sink for Connection {
    fn send(&mut self, name: &str, bytes: &[u8], file_bytes: usize) {
        let open = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let close = "\r\n--b--\r\n";
        let head = format!(
            "POST /api/lake/file/upload?sync_id={} HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{open}",
            self.sync_id,
            open.len() + file_bytes + close.len(),
        );
        if file_bytes == bytes.len() {
            self.stream.write_all(&[head.as_bytes(), bytes, close.as_bytes()].concat()).unwrap();
        } else {
            self.stream.write_all(head.as_bytes()).unwrap();
            for _ in 0..file_bytes / bytes.len() {
                self.stream.write_all(bytes).unwrap();
            }
            self.stream.write_all(close.as_bytes()).unwrap();
        }
        let answer = self.answer();
        assert!(answer.contains("\"code\":0"), "{answer}");
    }
}
