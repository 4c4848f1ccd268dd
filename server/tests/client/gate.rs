//! Proxy to a server that stops after a number of bytes, so that a test interrupts a push at the same point on any
//! machine.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Default)]
struct State {
    target: String,
    passed: u64,
    limit: u64,
    /// Connections that wait for it to open.
    waiting: usize,
}

#[derive(Clone)]
pub struct Gate {
    pub url: String,
    /// Whether bytes from the server are counted and stopped.
    is_back: bool,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Gate {
    /// Proxy to `url` that stops after `limit` bytes from the client.
    pub fn to(url: &str, limit: u64) -> Self {
        Self::new(url, limit, false)
    }

    /// Proxy to `url` that stops after `limit` bytes from the server.
    pub fn back_from(url: &str, limit: u64) -> Self {
        Self::new(url, limit, true)
    }

    fn new(url: &str, limit: u64, is_back: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { url: format!("http://{}", listener.local_addr().unwrap()), is_back, state: Arc::default() };
        gate.lead_to(url);
        gate.state.0.lock().unwrap().limit = limit;
        let shared = gate.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                shared.connect(client);
            }
        });
        gate
    }

    /// Changes the target to another server.
    pub fn lead_to(&self, url: &str) {
        self.state.0.lock().unwrap().target = url.strip_prefix("http://").unwrap().to_owned();
    }

    pub fn open(&self) {
        self.close_after(u64::MAX);
    }

    /// Stops after this many more bytes.
    pub fn close_after(&self, bytes: u64) {
        let mut state = self.state.0.lock().unwrap();
        state.limit = state.passed.saturating_add(bytes);
        self.state.1.notify_all();
    }

    pub fn passed(&self) -> u64 {
        self.state.0.lock().unwrap().passed
    }

    pub fn is_waited_for(&self) -> bool {
        self.state.0.lock().unwrap().waiting > 0
    }

    fn connect(&self, client: TcpStream) {
        let target = self.state.0.lock().unwrap().target.clone();
        // Dropped: the client sees a closed connection.
        let Ok(server) = TcpStream::connect(target) else { return };
        let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (there, back) = (self.clone(), self.clone());
        std::thread::spawn(move || carry(from_client, to_server, |count| there.pass(count, false)));
        std::thread::spawn(move || carry(server, client, |count| back.pass(count, true)));
    }

    fn pass(&self, count: u64, is_back: bool) {
        if is_back != self.is_back {
            return;
        }
        let mut state = self.state.0.lock().unwrap();
        state.waiting += 1;
        while state.passed + count > state.limit {
            state = self.state.1.wait(state).unwrap();
        }
        state.waiting -= 1;
        state.passed += count;
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(u64)) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        pass(count as u64);
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
