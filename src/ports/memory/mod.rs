//! In-memory ports for tests: storage with every promise except durability, a clock, and a counter for randomness.
//! Tests use SQLite as the metadata store.

pub mod faults;
mod files;
mod formats;
mod inspection;
mod tree;

pub use files::MemoryFiles;
pub use formats::MemoryFormats;

use super::{Clock, Randomness};
use crate::model::error::Error;
use crate::model::time::Timestamp;
use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that only moves when it is set or paused on.
pub struct ManualClock {
    wall: AtomicI64,
    steady_ms: AtomicU64,
}

impl ManualClock {
    pub fn at(time: Timestamp) -> Self {
        Self { wall: AtomicI64::new(time.0), steady_ms: AtomicU64::new(0) }
    }

    /// Moves both clocks to this time.
    pub fn set(&self, time: Timestamp) {
        let before = self.wall.swap(time.0, Ordering::SeqCst);
        let passed_ms = time.0.saturating_sub(before).try_into().unwrap_or(0);
        self.steady_ms.fetch_add(passed_ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady_ms.load(Ordering::SeqCst))
    }

    /// Advances both clocks instead of waiting.
    async fn pause(&self, length: Duration) {
        self.set(self.now().plus(length));
    }
}

/// Bytes that differ at every call, and repeat in every run.
#[derive(Default)]
pub struct CountingRandomness(AtomicU64);

impl Randomness for CountingRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        for (byte, count) in bytes.iter_mut().zip(count.iter().cycle()) {
            *byte = *count;
        }
        Ok(())
    }
}
