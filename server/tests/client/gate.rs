//! A way to the server that can be closed after so many bytes: so a test stops a push amid, whatever the machine's speed.

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
    /// Whether it is the bytes from the server that count, and are held up.
    is_back: bool,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Gate {
    /// A way to the server at `url`, closed after `limit` bytes from the client.
    pub fn to(url: &str, limit: u64) -> Self {
        Self::new(url, limit, false)
    }

    /// The same, closed after `limit` bytes from the server.
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

    /// Leads to another server from now on.
    pub fn lead_to(&self, url: &str) {
        self.state.0.lock().unwrap().target = url.strip_prefix("http://").unwrap().to_owned();
    }

    pub fn open(&self) {
        self.close_after(u64::MAX);
    }

    /// Closes it when so many bytes more have passed.
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
        // Dropped: the client sees that nobody is there.
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
    let mut piece = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        pass(count as u64);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
