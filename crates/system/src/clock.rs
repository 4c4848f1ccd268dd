//! Clock and random numbers of the machine, for the engine's ports. No other module reads either.

use async_trait::async_trait;
use lakeshore::ports::{Clock, Randomness};
use lakeshore::{Error, Timestamp};
use rand::TryRng;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct SystemClock;

/// Offset by which a test sets the clock: the environment's `LAKESHORE_CLOCK_OFFSET` names a file that holds it, in
/// milliseconds. Without the feature `failpoints` nothing is read.
#[cfg(feature = "failpoints")]
fn offset_ms() -> i64 {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("LAKESHORE_CLOCK_OFFSET"));
    let said = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    said.and_then(|said| said.trim().parse().ok()).unwrap_or(0)
}

#[cfg(not(feature = "failpoints"))]
fn offset_ms() -> i64 {
    0
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock of the system")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(offset_ms()))
    }

    fn steady(&self) -> Duration {
        let time = clock_gettime(ClockId::Monotonic);
        let (seconds, nanoseconds) = (time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0));
        Duration::new(seconds, nanoseconds)
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
