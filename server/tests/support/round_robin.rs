//! Passes each connection on to the next of several servers. `LAKESHORE_TEST_NODES=2` puts it in front of two servers that
//! have one lake, in place of each single one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether a lake of a test has two servers.
pub fn is_wanted() -> bool {
    std::env::var("LAKESHORE_TEST_NODES").is_ok_and(|nodes| nodes == "2")
}

/// Ends with this.
pub struct RoundRobin {
    pub url: String,
    is_over: Arc<AtomicBool>,
}

impl RoundRobin {
    /// `urls` are those of servers on loopback.
    pub fn start(urls: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let servers: Vec<_> = urls.iter().map(|url| url.strip_prefix("http://").unwrap().to_owned()).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                // One that has ended is passed over.
                let turns = (0..servers.len()).map(|turn| &servers[(number + turn) % servers.len()]);
                if let Some(server) = turns.filter_map(|server| TcpStream::connect(server).ok()).next() {
                    pass_on(&client, &server);
                }
            }
        });
        Self { url, is_over }
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.url.strip_prefix("http://").unwrap());
    }
}

fn pass_on(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let _ = to.set_nodelay(true);
        thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            loop {
                match from.read(&mut bytes) {
                    Ok(count @ 1..) if to.write_all(&bytes[..count]).is_ok() => {}
                    Ok(0) => {
                        let _ = to.shutdown(Shutdown::Write);
                        return;
                    }
                    _ => {
                        let _ = to.shutdown(Shutdown::Both);
                        let _ = from.shutdown(Shutdown::Both);
                        return;
                    }
                }
            }
        });
    }
}
