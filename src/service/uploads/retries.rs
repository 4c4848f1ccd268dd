//! Retries of steps of a landing that fail for a temporary reason, with a bounded number of attempts.
//!
//! Only for errors with [`Error::is_transient`]: such a step has changed nothing. A failed sync never qualifies: the kernel
//! reports it once and drops the unwritten data, so the next sync would succeed without the data on the disk.

use crate::model::error::Error;
use crate::model::limits::{ATTEMPT_PAUSES, SETTLING_PAUSES};
use crate::service::Lake;
use std::time::Duration;

impl Lake {
    /// Runs a step, and again after a temporary fault. Callers that wait for this step wait longer.
    pub(in crate::service) async fn patiently<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(&ATTEMPT_PAUSES, Error::is_transient, step).await
    }

    /// Runs an idempotent step, and again after any fault, for some seconds. After that it is left to the background.
    pub(in crate::service) async fn persistently<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(&SETTLING_PAUSES, |error| matches!(error, Error::Internal(_)), step).await
    }

    /// Runs a step, and again while a publish, a landing or a restore moves files, for some seconds.
    pub(in crate::service) async fn between_moves<T, S>(&self, step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        self.repeatedly(&SETTLING_PAUSES, |error| matches!(error, Error::Moving(_)), step).await
    }

    async fn repeatedly<T, S>(
        &self,
        pauses: &[Duration],
        may_be_repeated: impl Fn(&Error) -> bool,
        mut step: impl FnMut() -> S,
    ) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in pauses {
            match step().await {
                Err(error) if may_be_repeated(&error) => self.pause(*pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    pub(in crate::service) async fn pause(&self, length: Duration) {
        self.0.clock.pause(length).await;
    }
}
