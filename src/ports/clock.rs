//! Time and randomness as parameters, and the stored record of the clock.

use crate::model::clock_watch::{ClockReading, ClockRecord};
use crate::model::error::Error;
use crate::model::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall clock, which an operator may set.
    fn now(&self) -> Timestamp;

    /// Time since a fixed moment, by a clock that cannot be set. It may stop while the machine sleeps.
    fn steady(&self) -> Duration;

    fn reading(&self) -> ClockReading {
        let steady_before = self.steady();
        let wall = self.now();
        ClockReading { steady_before, wall, steady_after: self.steady() }
    }

    /// Returns after `length` has passed.
    async fn pause(&self, length: Duration);
}

#[async_trait]
pub trait ClockState: Send + Sync {
    /// Last stored record. Without one, only the time of the last upload is known.
    async fn clock_record(&self) -> Result<Option<ClockRecord>, Error>;

    async fn record_clock(&self, record: &ClockRecord) -> Result<(), Error>;
}

pub trait Randomness: Send + Sync {
    /// Fills `bytes` from a source fit for secrets.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// Random bytes, fit for secrets.
pub fn random_bytes<const N: usize>(source: &dyn Randomness) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    source.fill(&mut bytes)?;
    Ok(bytes)
}
