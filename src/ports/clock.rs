//! Time and randomness, handed in; and what is recorded of time.

use crate::model::clock_watch::{ClockReading, ClockRecord};
use crate::model::error::Error;
use crate::model::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock, which anybody may set.
    fn now(&self) -> Timestamp;

    /// The time since some moment before, by a clock that nobody sets. It may stand while the machine sleeps.
    fn steady(&self) -> Duration;

    fn reading(&self) -> ClockReading {
        let steady_before = self.steady();
        let wall = self.now();
        ClockReading { steady_before, wall, steady_after: self.steady() }
    }

    /// Returns when so much time has gone by.
    async fn pause(&self, length: Duration);
}

#[async_trait]
pub trait ClockState: Send + Sync {
    /// What was recorded last. Without any, the time of the last upload is all that is known of the clock.
    async fn clock_record(&self) -> Result<Option<ClockRecord>, Error>;

    async fn record_clock(&self, record: &ClockRecord) -> Result<(), Error>;
}

pub trait Randomness: Send + Sync {
    /// Fills `bytes` from a source that is fit for secrets.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}
