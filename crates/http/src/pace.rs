//! Bounds the time for which a client may keep the server waiting, for every request body and response on all routes.
//!
//! Only time in which the server waits for the client counts, never time in which the client waits for the server's
//! disk. Waiting uses up an allowance, and each transferred byte restores a little of it. So the bound covers a client
//! that sends nothing, and one that sends a byte a minute to hold its connection for ever.

use bytes::Bytes;
use humantime::format_duration;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// Slowest average rate over more than the idle timeout, in bytes a second. At this rate, a phone line of 16 KiB a
/// second carries 64 transfers.
const BYTES_PER_SECOND_MIN: u32 = 256;
/// Delay of a timer from which on the server itself did not run (SIGSTOP, a paused machine). Such a wait does not count
/// against the client.
const LATE: Duration = Duration::from_secs(1);
/// Upper bound of all durations, which can be added to any time without overflow.
const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

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
enum Verdict {
    /// The deadline was moved meanwhile.
    Wait,
    /// The server did not run, so the wait begins again.
    StartAnew,
    /// Bytes may be waiting in the socket: the reader gets one more turn.
    LookAgain,
    TooLong,
}

fn verdict(now: Instant, deadline: Instant, has_looked_again: bool) -> Verdict {
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
struct BodyDeadline {
    allowance: Allowance,
    /// Not reset while it lies ahead: it fires at or before the deadline, so a wait needs no new timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline has passed, and the reader had one more turn.
    has_looked_again: bool,
}

impl BodyDeadline {
    fn new(max: Duration) -> Self {
        Self { allowance: Allowance::new(max), timer: None, has_looked_again: false }
    }

    /// Called when the client has to be waited for. Ready when the allowance is used up. The reader of the socket has
    /// one more turn after the deadline, so bytes that wait in the socket still count.
    fn poll_exhausted(&mut self, context: &mut Context<'_>) -> Poll<()> {
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

    fn moved(&mut self, bytes: usize) {
        self.has_looked_again = false;
        self.allowance.moved(Instant::now, bytes);
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

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    TooSlow(#[from] TooSlow),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// A field of the trailer announces a digest of the body.
    #[error("{0} was sent after the body, where digests are not read; send it in the header of the request")]
    Digest(&'static str),
}

/// Bounds the total time for a body or a part of one. Time in which the server did not run does not count.
pub async fn within_time<T>(time_max: Duration, receiving: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut receiving = pin!(receiving);
    let mut deadline = Instant::now() + time_max.min(MAX);
    loop {
        let elapsed = match timeout_at(deadline, receiving.as_mut()).await {
            Ok(received) => return Ok(received),
            Err(elapsed) => elapsed,
        };
        let late = deadline.elapsed();
        if late < LATE {
            return Err(elapsed);
        }
        deadline += late + LATE;
    }
}

/// Timer for the head of a request. A late timer is extended, and the reader of the socket has one more turn before the
/// connection ends.
pub struct PatientTimer;

struct PatientSleep {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
    has_looked_again: bool,
}

impl PatientSleep {
    fn until(deadline: Instant) -> Pin<Box<Self>> {
        Box::pin(Self { sleep: Box::pin(sleep_until(deadline)), deadline, has_looked_again: false })
    }
}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let now = Instant::now();
            match verdict(now, self.deadline, self.has_looked_again) {
                Verdict::Wait => {}
                Verdict::StartAnew => self.deadline = now + LATE,
                Verdict::LookAgain => {
                    self.has_looked_again = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Verdict::TooLong => return Poll::Ready(()),
            }
            let deadline = self.deadline;
            self.sleep.as_mut().reset(deadline);
        }
    }
}

impl hyper::rt::Sleep for PatientSleep {}

impl hyper::rt::Timer for PatientTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        PatientSleep::until(Instant::now() + duration.min(MAX))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        PatientSleep::until(deadline.into())
    }
}

/// Request body that ends with an error if its client is too slow.
pub struct PacedBody {
    body: Incoming,
    patience: BodyDeadline,
}

impl PacedBody {
    pub fn new(body: Incoming, idle_max: Duration) -> Self {
        Self { body, patience: BodyDeadline::new(idle_max) }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, patience } = &mut *self;
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    patience.moved(frame.data_ref().map_or(0, Bytes::len));
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                ready!(patience.poll_exhausted(context));
                Poll::Ready(Some(Err(patience.allowance.reason().into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connection that breaks if its client does not read the response.
pub struct PacedStream<S> {
    stream: S,
    patience: BodyDeadline,
}

impl<S> PacedStream<S> {
    pub fn new(stream: S, idle_max: Duration) -> Self {
        Self { stream, patience: BodyDeadline::new(idle_max) }
    }

    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => self.patience.moved(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.patience.poll_exhausted(context));
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read the response",
                )));
            }
        }
        written
    }
}

/// Reading is bounded elsewhere: a head by its own timer, a body by [`PacedBody`].
impl<S: Read + Unpin> Read for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
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
