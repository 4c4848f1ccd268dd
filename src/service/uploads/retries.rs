//! Steps of a landing that fail for a reason that may pass are tried again, a bounded number of times.
//!
//! Only what [`Error::may_pass`] says of: such a step has changed nothing. A failed sync never is: the kernel tells of it once
//! and drops what it could not write, so the same sync would succeed the next time with nothing on the disk.

use crate::model::error::Error;
use crate::model::limits::{ATTEMPT_PAUSES, SETTLING_PAUSES};
use crate::service::Lake;
use std::time::Duration;

impl Lake {
    /// Runs a step, and again where its fault may pass. What waits for this step waits longer.
    pub(in crate::service) async fn patiently<T, S>(&self, mut step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in ATTEMPT_PAUSES {
            match step().await {
                Err(error) if error.may_pass() => self.pause(pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    /// Runs a step that finds out itself how far it came, and again after any fault, for some seconds. Then it is left to the
    /// background.
    pub(in crate::service) async fn persistently<T, S>(&self, mut step: impl FnMut() -> S) -> Result<T, Error>
    where
        S: Future<Output = Result<T, Error>>,
    {
        for pause in SETTLING_PAUSES {
            match step().await {
                Err(Error::Internal(_)) => self.pause(pause).await,
                ended => return ended,
            }
        }
        step().await
    }

    pub(in crate::service) async fn pause(&self, length: Duration) {
        self.0.clock.pause(length).await;
    }
}
