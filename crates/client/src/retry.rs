//! Retries calls while the server is away, until the time of the policy ends.

use super::error::ClientError;
use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// First pause; each next one is twice as long.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Attempts after a fault inside the server, which may be momentary. It is not retried as long as an absent server.
const FAULTS_MAX: u32 = 3;

/// How long to retry, and the signal that ends it.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    pub retry_for: Duration,
    pub stop: CancellationToken,
}

/// Attempts of one call.
#[derive(Debug)]
pub struct Attempts<'a> {
    policy: &'a RetryPolicy,
    failing_since: Option<Instant>,
    failures: u32,
}

impl RetryPolicy {
    pub fn attempts(&self) -> Attempts<'_> {
        Attempts { policy: self, failing_since: None, failures: 0 }
    }
}

impl Attempts<'_> {
    /// Resets the attempts after progress.
    pub fn progressed(&mut self) {
        (self.failing_since, self.failures) = (None, 0);
    }

    /// Waits for the next attempt, or returns the error when none is left.
    pub async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.failures += 1;
        let is_fault = matches!(&error, ClientError::Refused { code, .. } if code / 100 == 500);
        if !(error.is_passing() || is_fault && self.failures <= FAULTS_MAX) {
            return Err(error);
        }
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let left = self.policy.retry_for.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        let longest = WAIT_MIN.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        // Random, so that waiting clients do not all return at the same moment.
        let wait = longest.mul_f64(rand::rng().random_range(0.5..1.0));
        // `Retry-After` sets the earliest attempt; one last attempt is made when the time ends.
        let wait = wait.max(error.retry_after().unwrap_or_default()).min(left);
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.policy.stop.cancelled() => Err(ClientError::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy_of(retry_for: Duration) -> RetryPolicy {
        RetryPolicy { retry_for, stop: CancellationToken::new() }
    }

    fn refused(code: u32) -> ClientError {
        ClientError::refused(code, "")
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_waited_for_until_the_time_ends() {
        let policy = policy_of(Duration::from_millis(20));
        let mut attempts = policy.attempts();
        let mut made = 0;
        while attempts.after(refused(50300)).await.is_ok() {
            made += 1;
        }
        assert!(made > 0);
        attempts.progressed();
        assert!(attempts.after(refused(50300)).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_a_fault_is_tried_a_few_times() {
        let policy = policy_of(Duration::from_secs(600));
        assert!(policy.attempts().after(refused(40900)).await.is_err());
        let mut attempts = policy.attempts();
        for _ in 0..FAULTS_MAX {
            assert!(attempts.after(refused(50000)).await.is_ok());
        }
        assert!(attempts.after(refused(50000)).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_says_when_it_is_back_is_not_asked_before_and_the_time_ends_all_the_same() {
        let busy = |retry_after| {
            let mut refused = refused(42900);
            if let ClientError::Refused { retry_after: asked, .. } = &mut refused {
                *asked = Some(retry_after);
            }
            refused
        };
        let policy = policy_of(Duration::from_millis(600));
        let mut attempts = policy.attempts();
        let begun = Instant::now();
        attempts.after(busy(Duration::from_millis(300))).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(300));
        attempts.after(busy(Duration::MAX)).await.unwrap();
        assert!(attempts.after(busy(Duration::ZERO)).await.is_err());
    }

    #[tokio::test]
    async fn a_cancelled_retry_does_not_wait() {
        let policy = policy_of(Duration::from_secs(600));
        policy.stop.cancel();
        assert!(matches!(policy.attempts().after(refused(50300)).await, Err(ClientError::Interrupted)));
    }
}
