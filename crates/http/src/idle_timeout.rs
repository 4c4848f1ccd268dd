//! Idle timeout of a client: how long the server has waited for it, and when that is too long.
//!
//! Only time in which the server waits for the client counts, never time in which the client waits for the server's
//! disk, nor time in which the server itself did not run. Waiting uses up an allowance, and each transferred byte
//! restores a little of it. So the bound covers a client that sends nothing, and one that sends a byte a minute to hold
//! its connection for ever.

use humantime::format_duration;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Slowest average rate over more than the idle timeout, in bytes a second. At this rate, a phone line of 16 KiB a
/// second carries 64 transfers.
const BYTES_PER_SECOND_MIN: u32 = 256;
/// Delay of a timer from which on the server itself did not run (SIGSTOP, a paused machine). Such a wait does not count
/// against the client.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// Upper bound of all durations, which can be added to any time without overflow.
pub(super) const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Remaining waiting time for one direction of a connection.
struct Allowance {
    max: Duration,
    left: Duration,
    waiting_since: Option<Instant>,
}

impl Allowance {
    fn new(max: Duration) -> Self {
        let max = max.min(MAX);
        Self { max, left: max, waiting_since: None }
    }

    /// Starts a wait, and returns its deadline.
    fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Discards the time waited so far.
    fn forgive(&mut self) {
        self.left = self.max;
        self.waiting_since = None;
    }

    /// Ends the wait after a transfer of `bytes`.
    fn moved(&mut self, now: impl FnOnce() -> Instant, bytes: usize) {
        let Some(since) = self.waiting_since.take() else { return };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * bytes / BYTES_PER_SECOND_MIN;
        self.left = (self.left.saturating_sub(now().duration_since(since)) + earned).min(self.max);
    }

    fn reason(&self) -> TooSlow {
        let max = self.max;
        if self.left < max { TooSlow::Dripping { max } } else { TooSlow::Silent { max } }
    }
}

/// Decision when the timer of a wait fires.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The deadline was moved meanwhile.
    Wait,
    /// The server did not run, so the wait begins again.
    StartAnew,
    /// Bytes may be waiting in the socket: the reader gets one more turn.
    LookAgain,
    TooLong,
}

pub(super) fn verdict(now: Instant, deadline: Instant, has_looked_again: bool) -> Verdict {
    if now < deadline {
        Verdict::Wait
    } else if now >= deadline + LATE {
        Verdict::StartAnew
    } else if !has_looked_again {
        Verdict::LookAgain
    } else {
        Verdict::TooLong
    }
}

/// Allowance of one body, with the timer that wakes the waiting task at its end.
pub(super) struct BodyDeadline {
    allowance: Allowance,
    /// Not reset while it lies ahead: it fires at or before the deadline, so a wait needs no new timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline has passed, and the reader had one more turn.
    has_looked_again: bool,
}

impl BodyDeadline {
    pub(super) fn new(max: Duration) -> Self {
        Self { allowance: Allowance::new(max), timer: None, has_looked_again: false }
    }

    /// Called when the client has to be waited for. Ready when the allowance is used up. The reader of the socket has
    /// one more turn after the deadline, so bytes that wait in the socket still count.
    pub(super) fn poll_exhausted(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let mut deadline = self.allowance.wait(now);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(context).is_ready() {
            match verdict(now, deadline, self.has_looked_again) {
                Verdict::Wait => timer.as_mut().reset(deadline),
                Verdict::StartAnew => {
                    self.allowance.forgive();
                    deadline = self.allowance.wait(now);
                    timer.as_mut().reset(deadline);
                }
                Verdict::LookAgain => {
                    self.has_looked_again = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Verdict::TooLong => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    pub(super) fn moved(&mut self, bytes: usize) {
        self.has_looked_again = false;
        self.allowance.moved(Instant::now, bytes);
    }

    pub(super) fn reason(&self) -> TooSlow {
        self.allowance.reason()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TooSlow {
    #[error("no data for {}", format_duration(*max))]
    Silent { max: Duration },
    #[error(
        "less than {BYTES_PER_SECOND_MIN} bytes per second for {}",
        format_duration(*max)
    )]
    Dripping { max: Duration },
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    /// A simulated client.
    struct Client {
        allowance: Allowance,
        now: Instant,
    }

    impl Client {
        fn new() -> Self {
            Self { allowance: Allowance::new(IDLE), now: Instant::now() }
        }

        /// Whether the wait exceeded the allowance before the bytes arrived.
        fn is_too_slow(&mut self, wait: Duration, bytes: usize) -> bool {
            let deadline = self.allowance.wait(self.now);
            self.now += wait;
            if self.now >= deadline {
                return true;
            }
            self.allowance.moved(|| self.now, bytes);
            false
        }
    }

    #[test]
    fn silence_ends_at_the_idle_timeout_and_not_before() {
        let mut client = Client::new();
        assert!(!client.is_too_slow(IDLE - SECOND, 1 << 20));
        assert!(client.is_too_slow(IDLE, 1));
        assert!(matches!(client.allowance.reason(), TooSlow::Silent { .. }));
    }

    #[test]
    fn a_byte_now_and_then_holds_a_connection_no_longer_than_silence() {
        for wait in [1, 7, 59] {
            let mut client = Client::new();
            let start = client.now;
            while !client.is_too_slow(SECOND * wait, 1) {}
            assert!(client.now - start <= IDLE + SECOND * 60, "a byte each {wait} seconds");
            assert!(matches!(client.allowance.reason(), TooSlow::Dripping { .. }));
        }
    }

    #[test]
    fn a_slow_line_a_pause_and_a_burst_a_minute_live() {
        let mut client = Client::new();
        for _ in 0..600 {
            assert!(!client.is_too_slow(SECOND, 300), "a line of 300 bytes a second");
        }
        assert!(!client.is_too_slow(SECOND * 55, 300), "a pause");
        for _ in 0..20 {
            assert!(!client.is_too_slow(SECOND, 16 * 1024), "a line of 16 KiB a second");
            assert!(!client.is_too_slow(SECOND * 55, 16 * 1024), "a burst a minute");
        }
    }

    #[test]
    fn a_client_is_waited_for_anew_when_the_server_itself_did_not_run() {
        let mut client = Client::new();
        assert!(!client.is_too_slow(SECOND * 59, 1));
        client.allowance.forgive();
        assert!(!client.is_too_slow(IDLE - SECOND, 1));
        assert!(client.is_too_slow(IDLE, 1));
    }

    #[test]
    fn a_deadline_is_met_after_another_look_and_put_off_when_the_server_comes_to_it_late() {
        let deadline = Instant::now() + IDLE;
        assert_eq!(verdict(deadline - SECOND, deadline, false), Verdict::Wait);
        assert_eq!(verdict(deadline, deadline, false), Verdict::LookAgain);
        assert_eq!(verdict(deadline, deadline, true), Verdict::TooLong);
        for has_looked_again in [false, true] {
            assert_eq!(verdict(deadline + LATE, deadline, has_looked_again), Verdict::StartAnew);
        }
    }

    #[test]
    fn the_time_in_which_nobody_waits_for_the_client_does_not_count() {
        let mut client = Client::new();
        for _ in 0..10 {
            assert!(!client.is_too_slow(SECOND, 10));
            client.now += IDLE * 10;
        }
        assert!(!client.is_too_slow(SECOND * 45, 1));
    }
}
