//! Bounds the time for which a client may keep the server waiting, for every request body and response on all routes.
//! [`idle_timeout`](super::idle_timeout) decides how long that is.

use super::idle_timeout::{BodyDeadline, LATE, MAX, TooSlow, Verdict, verdict};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

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
pub struct LenientTimer;

struct LenientSleep {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
    has_looked_again: bool,
}

impl LenientSleep {
    fn until(deadline: Instant) -> Pin<Box<Self>> {
        Box::pin(Self { sleep: Box::pin(sleep_until(deadline)), deadline, has_looked_again: false })
    }
}

impl Future for LenientSleep {
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

impl hyper::rt::Sleep for LenientSleep {}

impl hyper::rt::Timer for LenientTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        LenientSleep::until(Instant::now() + duration.min(MAX))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        LenientSleep::until(deadline.into())
    }
}

/// Request body that ends with an error if its client is too slow.
pub struct PacedBody {
    body: Incoming,
    deadline: BodyDeadline,
}

impl PacedBody {
    pub fn new(body: Incoming, idle_max: Duration) -> Self {
        Self { body, deadline: BodyDeadline::new(idle_max) }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, deadline } = &mut *self;
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    deadline.moved(frame.data_ref().map_or(0, Bytes::len));
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                ready!(deadline.poll_exhausted(context));
                Poll::Ready(Some(Err(deadline.reason().into())))
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
    deadline: BodyDeadline,
}

impl<S> PacedStream<S> {
    pub fn new(stream: S, idle_max: Duration) -> Self {
        Self { stream, deadline: BodyDeadline::new(idle_max) }
    }

    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => self.deadline.moved(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.deadline.poll_exhausted(context));
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
