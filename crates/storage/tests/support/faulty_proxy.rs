//! A way to the object storage that fails a share of the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Faults, each of one request in so many.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// It is answered by 503, and does not get to the object storage.
    pub unavailable: u64,
    /// Its connection is cut before it gets to the object storage.
    pub cut: u64,
    /// It gets to the object storage, and its connection is cut before the answer.
    pub lost_answer: u64,
    /// It is answered late.
    pub late: u64,
}

pub struct FaultyProxy {
    pub address: String,
    pub failed: Arc<AtomicU64>,
    /// Whether requests fail; from the start on.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub is_faulty: Arc<AtomicBool>,
    /// The first request to a path with this text waits until it is `None`.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub held: Arc<Mutex<Option<String>>>,
    /// Whether a request has waited.
    #[allow(dead_code, reason = "not all tests that include this file use it")]
    pub has_held: Arc<AtomicBool>,
}

pub const NONE: Faults = Faults { unavailable: 0, cut: 0, lost_answer: 0, late: 0 };

/// Never ends: it is gone with the test's process.
pub fn start(upstream: &str, faults: Faults) -> FaultyProxy {
    let upstream = upstream.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let failed = Arc::new(AtomicU64::new(0));
    let counted = failed.clone();
    let is_faulty = Arc::new(AtomicBool::new(true));
    let fails = is_faulty.clone();
    let held = Arc::new(Mutex::new(None));
    let has_held = Arc::new(AtomicBool::new(false));
    let holds = (held.clone(), has_held.clone());
    std::thread::spawn(move || {
        let count = Arc::new(AtomicU64::new(0));
        for connection in listener.incoming().map_while(Result::ok) {
            let (upstream, count, failed, fails) = (upstream.clone(), count.clone(), counted.clone(), fails.clone());
            let holds = holds.clone();
            std::thread::spawn(move || {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let faults = if fails.load(Ordering::Relaxed) { faults } else { NONE };
                if serve(connection, &upstream, number, faults, &holds).is_none() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    FaultyProxy { address, failed, is_faulty, held, has_held }
}

/// Whether request `number` meets a fault of one in `share`; the shares of several faults do not fall together.
fn hits(number: u64, share: u64, salt: u64) -> bool {
    share > 0 && (number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ salt).is_multiple_of(share)
}

/// One request by each connection. `None` where it has failed.
fn serve(
    connection: TcpStream,
    upstream: &str,
    number: u64,
    faults: Faults,
    (held, has_held): &(Arc<Mutex<Option<String>>>, Arc<AtomicBool>),
) -> Option<()> {
    let mut incoming = BufReader::new(connection.try_clone().ok()?);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if incoming.read_line(&mut line).ok()? == 0 {
            return Some(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    incoming.read_exact(&mut body).ok()?;
    let request = head.lines().next().unwrap_or_default();
    let is_held = held.lock().unwrap().as_ref().is_some_and(|held| request.contains(held.as_str()));
    if is_held && !has_held.swap(true, Ordering::Relaxed) {
        while held.lock().unwrap().is_some() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let mut connection = connection;
    if hits(number, faults.unavailable, 1) {
        let answer = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = connection.write_all(answer.as_bytes());
        return None;
    }
    if hits(number, faults.cut, 2) {
        return None;
    }
    let mut to = TcpStream::connect(upstream).ok()?;
    to.write_all(head.as_bytes()).ok()?;
    to.write_all(b"Connection: close\r\n\r\n").ok()?;
    to.write_all(&body).ok()?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).ok()?;
    if hits(number, faults.lost_answer, 3) {
        return None;
    }
    if hits(number, faults.late, 4) {
        std::thread::sleep(Duration::from_millis(300));
    }
    connection.write_all(&answer).ok()?;
    Some(())
}
