//! The machine's time and randomness, for the engine's ports. The only place that asks for either.

use async_trait::async_trait;
use lakeshore::ports::{Clock, Randomness};
use lakeshore::{Error, Timestamp};
use rand::TryRng;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn pause(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        rand::rngs::SysRng.try_fill_bytes(bytes).map_err(Error::internal)
    }
}
