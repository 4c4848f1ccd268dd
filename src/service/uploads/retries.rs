//! Retries of steps of a landing that fail for a temporary reason, with a bounded number of attempts.
//!
//! Only for errors with [`Error::is_transient`]: such a step has changed nothing. A failed sync never qualifies: the kernel
//! reports it once and drops the unwritten data, so the next sync would succeed without the data on the disk.
//!
//! An upload also waits, longer, while another server ends or compares its sync.

use crate::model::error::Error;
use crate::model::limits::{ATTEMPT_PAUSES, SETTLING_PAUSES};
use crate::service::Lake;
use std::iter;
use std::time::Duration;

/// First pause of an upload while another server ends or compares its sync. Each later one is twice as long, up to the
/// longest: most ends take a moment.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(50);
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Longest wait for that server: one that stands still is fenced after half of it.
const BUSY_MAX: Duration = Duration::from_secs(60);

/// Pauses of an upload while another server ends or compares its sync.
pub(super) fn busy_pauses() -> impl Iterator<Item = Duration> {
    let pauses = iter::successors(Some(BUSY_PAUSE_MIN), |pause| Some((*pause * 2).min(BUSY_PAUSE_MAX)));
    pauses.scan(Duration::ZERO, |waited, pause| {
        *waited += pause;
        (*waited <= BUSY_MAX).then_some(pause)
    })
}

impl Lake {
    /// Runs a step of an upload, and again while another server ends or compares its sync.
    pub(in crate::service) async fn while_busy<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(busy_pauses(), |error| matches!(error, Error::SyncBusy(_)), step).await
    }

    /// Runs a step, and again after a temporary fault. Callers that wait for this step wait longer.
    pub(in crate::service) async fn patiently<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(ATTEMPT_PAUSES, Error::is_transient, step).await
    }

    /// Runs an idempotent step, and again after any fault, for some seconds. After that it is left to the background.
    pub(in crate::service) async fn persistently<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(SETTLING_PAUSES, |error| matches!(error, Error::Internal(_)), step).await
    }

    /// Runs a step, and again while a publish, a landing or a restore moves files, for some seconds.
    pub(in crate::service) async fn between_moves<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(SETTLING_PAUSES, |error| matches!(error, Error::Moving(_)), step).await
    }

    async fn repeatedly<T, S>(
        &self,
        pauses: impl IntoIterator<Item = Duration>,
        may_be_repeated: impl Fn(&Error) -> bool,
        mut step: impl FnMut() -> S,
    ) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in pauses {
            match step().await {
                Err(error) if may_be_repeated(&error) => self.pause(pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    pub(in crate::service) async fn pause(&self, length: Duration) {
        self.0.clock.pause(length).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_waits_a_minute_for_another_server_in_short_pauses() {
        let pauses: Vec<_> = busy_pauses().collect();
        let waited: Duration = pauses.iter().sum();
        assert!(waited <= BUSY_MAX && waited + BUSY_PAUSE_MAX > BUSY_MAX, "{waited:?}");
        assert_eq!((pauses[0], pauses.iter().max()), (BUSY_PAUSE_MIN, Some(&BUSY_PAUSE_MAX)));
    }
}
