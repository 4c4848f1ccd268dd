//! Time and randomness, handed in.

use crate::error::Error;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Returns when so much time has gone by.
    async fn pause(&self, length: Duration);
}

pub trait Randomness: Send + Sync {
    /// Fills `bytes` from a source that is fit for secrets.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}
