//! The threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A connection stays with its thread, and a request with it, so that on its way nothing wakes another thread but what
//! leaves for the disk. In one runtime of several threads each upload cost a dozen such wake-ups.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::{Builder, Handle};

/// Threads of one runtime that may block at the same time: each holds an upload's next bytes, or a list.
const BLOCKING_MAX: usize = 16;

pub struct Threads(Vec<Serving>);

struct Serving {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's claim on its thread.
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

    /// The thread with the fewest connections.
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
