//! Threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A connection and its requests stay on one thread, so a request wakes another thread only for the disk. In one
//! runtime of several threads, each upload caused a dozen such wake-ups.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::{Builder, Handle};

/// Blocking threads of one runtime: each holds the next bytes of an upload, or a list.
const BLOCKING_MAX: usize = 16;

pub struct Threads(Vec<Serving>);

struct Serving {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// Counts a connection of a thread until it is dropped.
pub struct ConnectionGuard(Arc<AtomicUsize>);

impl Threads {
    /// Starts `count` threads, which run until the process ends.
    pub fn start(count: usize) -> io::Result<Self> {
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()?;
            let handle = runtime.handle().clone();
            let name = format!("http-{number}");
            thread::Builder::new().name(name).spawn(move || runtime.block_on(pending::<()>()))?;
            Ok(Serving { runtime: handle, connections: Arc::default() })
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Picks the thread with the fewest connections.
    pub fn claim(&self) -> Option<(Handle, ConnectionGuard)> {
        let serving = self.0.iter().min_by_key(|serving| serving.connections.load(Ordering::Relaxed))?;
        serving.connections.fetch_add(1, Ordering::Relaxed);
        Some((serving.runtime.clone(), ConnectionGuard(serving.connections.clone())))
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
