//! Ports in memory, for tests: files that keep every promise but that of stable storage, a clock, and numbers for randomness. There is
//! no metadata store among them: tests use SQLite.

pub mod faults;
mod files;
mod formats;
mod inspection;

pub use files::MemoryFiles;
pub use formats::MemoryFormats;

use super::{Clock, Randomness};
use crate::model::error::Error;
use crate::model::time::Timestamp;
use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands until time passes, or it is set.
pub struct ManualClock {
    wall: AtomicI64,
    steady_ms: AtomicU64,
}

impl ManualClock {
    pub fn at(time: Timestamp) -> Self {
        Self { wall: AtomicI64::new(time.0), steady_ms: AtomicU64::new(0) }
    }

    /// Lets time pass until then.
    pub fn set(&self, time: Timestamp) {
        let before = self.wall.swap(time.0, Ordering::SeqCst);
        let passed_ms = time.0.saturating_sub(before).try_into().unwrap_or(0);
        self.steady_ms.fetch_add(passed_ms, Ordering::SeqCst);
    }

    /// Sets the wall clock: no time passes.
    pub fn step_to(&self, time: Timestamp) {
        self.wall.store(time.0, Ordering::SeqCst);
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

    /// Nobody waits: the clock goes on by so much.
    async fn pause(&self, length: Duration) {
        self.set(self.now().plus(length));
    }
}

/// Bytes that differ at every call, and are the same in every run.
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
