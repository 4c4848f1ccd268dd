//! Memory for small uploads, which are collected whole before they land.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Maximum bytes of small uploads that all requests together hold in memory before they land.
const WHOLE_BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(in crate::service) struct WholeBytes(Arc<AtomicUsize>);

impl WholeBytes {
    pub(in crate::service) fn reserve(&self) -> Reserved {
        Reserved { bytes: 0, pool: self.0.clone() }
    }
}

/// Memory reserved by small uploads, released on drop.
pub(in crate::service) struct Reserved {
    bytes: usize,
    pool: Arc<AtomicUsize>,
}

impl Reserved {
    /// Reserves `bytes` in total. False if that exceeds the limit of all uploads.
    pub(in crate::service) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if self.pool.fetch_add(more, Ordering::Relaxed) + more > WHOLE_BYTES_IN_FLIGHT_MAX {
            self.pool.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
