//! Memory that many uploads share, with a limit for all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone)]
pub struct MemoryPool {
    bytes_max: usize,
    reserved: Arc<AtomicUsize>,
}

impl MemoryPool {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, reserved: Arc::default() }
    }

    /// Bytes of all shares together.
    pub fn reserved_bytes(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// An empty share of the pool.
    pub fn share(&self) -> MemoryShare {
        MemoryShare { bytes: 0, pool: self.clone() }
    }
}

/// Bytes of a pool, given back on drop.
#[derive(Debug)]
pub struct MemoryShare {
    bytes: usize,
    pool: MemoryPool,
}

impl MemoryShare {
    /// Reserves `bytes` in total. False if that exceeds the limit of the pool.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if self.pool.reserved.fetch_add(more, Ordering::Relaxed) + more > self.pool.bytes_max {
            self.pool.reserved.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }

    pub fn give_back(&mut self) {
        self.pool.reserved.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.give_back();
    }
}
