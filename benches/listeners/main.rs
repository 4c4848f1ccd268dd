//! Cost of open dashboards for uploads: one server takes small files with many event streams open and without any, in
//! turn. Results are ratios: of the uploads per second, and of the server's processor time per upload. The listeners
//! read all events, by one thread that shares the machine.
//!
//! `BENCH_LISTENERS` sets the number of listeners (default: 200), `BENCH_FILES` the files per turn (10,000),
//! `BENCH_ROUNDS` the rounds (7); `BENCH_DIR` and `LAKESHORE_BIN` are those of the uploads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "../kit/mod.rs"]
mod kit;

use kit::lakeshore::{self, Server};
use kit::{client, median, number};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const FILE_BYTES: usize = 16 * 1024;
const IN_FLIGHT: usize = 32;
/// Interval at which the listeners check for the end.
const LOOK: Duration = Duration::from_millis(50);

/// Results of a turn.
#[derive(Default)]
struct Turns {
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
}

fn main() {
    let listeners = usize::try_from(number("BENCH_LISTENERS", 200)).unwrap();
    let files = usize::try_from(number("BENCH_FILES", 10_000)).unwrap();
    let rounds = number("BENCH_ROUNDS", 7);
    let folder = kit::folder_on_disk("bench-listeners");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let server = Server::start(&folder);
    let block = client::block();
    let (mut without, mut with) = (Turns::default(), Turns::default());
    let (mut heard, mut turn) = (0, 0);
    // Warm-up.
    take(&server, files, &block, 0, &mut Turns::default());
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for half in 0..2 {
            turn += 1;
            // The order changes, since each half leaves work behind for the next.
            if (round + half) % 2 == 0 {
                take(&server, files, &block, turn, &mut without);
            } else {
                let crowd = Crowd::open(server.address, listeners);
                take(&server, files, &block, turn, &mut with);
                heard += crowd.close();
            }
        }
    }
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
    assert!(heard > 0, "nobody heard anything");
    println!(
        "\n| median of {rounds} turns of {files} files | nobody listens | {listeners} listen | ratio |\n|---|--:|--:|--:|"
    );
    for (name, without, with) in [
        ("uploads a second", without.per_second, with.per_second),
        ("processor time of the server for an upload, us", without.cpu_us, with.cpu_us),
    ] {
        let (without, with) = (median(without), median(with));
        println!("| {name} | {without:.0} | {with:.0} | {:.3} |", with / without);
    }
    println!("\n{} kB were heard by each listener in a turn", heard / 1000 / rounds / listeners as u64);
}

fn take(server: &Server, files: usize, block: &[u8], turn: u64, turns: &mut Turns) {
    let sync_id = server.start_sync(&format!("/bench/turn-{turn}"), "IncrementalSync");
    let before = server.process.cpu_seconds();
    let mut taken = 0;
    let report = client::send(server.address, IN_FLIGHT, block, |request| {
        taken += 1;
        lakeshore::upload(request, sync_id, &format!("file-{taken}"), FILE_BYTES);
        taken <= files
    });
    assert_eq!(report.accepted.len(), files, "{:?}", report.first_failure);
    let cpu = server.process.cpu_seconds() - before;
    turns.per_second.push(files as f64 / report.elapsed.as_secs_f64());
    turns.cpu_us.push(cpu * 1e6 / files as f64);
    server.end_sync(sync_id);
}

/// Open event streams.
struct Crowd {
    reader: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    heard_bytes: Arc<AtomicU64>,
}

impl Crowd {
    fn open(address: SocketAddr, listeners: usize) -> Self {
        let mut poll = Poll::new().unwrap();
        let open = |at| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            // The head, and the first event.
            let mut chunk = [0; 4096];
            let length = stream.read(&mut chunk).unwrap();
            assert!(chunk[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&chunk[..length]));
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), Interest::READABLE).unwrap();
            stream
        };
        let mut streams: Vec<_> = (0..listeners).map(open).collect();
        let (stop, heard_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = std::thread::spawn({
            let (stop, heard_bytes) = (stop.clone(), heard_bytes.clone());
            move || {
                let mut events = Events::with_capacity(listeners);
                let mut chunk = vec![0; 64 * 1024];
                while !stop.load(Ordering::Relaxed) {
                    poll.poll(&mut events, Some(LOOK)).unwrap();
                    for event in &events {
                        loop {
                            match streams[event.token().0].read(&mut chunk) {
                                Ok(0) => panic!("the server ended a stream"),
                                Ok(length) => drop(heard_bytes.fetch_add(length as u64, Ordering::Relaxed)),
                                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                }
            }
        });
        Self { reader, stop, heard_bytes }
    }

    /// Closes the streams; returns the bytes that they have received together.
    fn close(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().unwrap();
        self.heard_bytes.load(Ordering::Relaxed)
    }
}
