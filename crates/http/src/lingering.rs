//! Drains request bodies after their response, and closes connections in two steps.
//!
//! Many clients send the whole body before they read a response. Closing a connection with data in flight resets it,
//! and the response is lost: the client sees a broken pipe, and a buffering proxy turns a 409 into a 502, which is
//! retried for ever. So the response is sent at once, and the rest of the body is read and dropped, up to a bound in
//! bytes and time. If the client sends more, the server shuts down its own side first, and closes when the client has
//! closed its side or a timeout has passed. The same happens after a head that hyper itself refuses.

use super::pace::{BodyError, PacedBody};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use lakeshore::Error;
use lakeshore_body::content_fields::digest_in_trailer;
use std::error::Error as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bytes of a body that are drained after the response.
const READ_ON_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Longest time of the drain.
const READ_ON_MAX: Duration = Duration::from_secs(30);
/// Bytes read after the server's side is shut down.
const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time of this step.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// The refusal of a complete body because of its trailer.
pub fn refusal_of_trailer(error: &axum::Error) -> Option<Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(digest @ BodyError::Digest(_)) = cause.downcast_ref() {
            return Some(Error::Invalid(digest.to_string()));
        }
        source = cause.source();
    }
    None
}

/// State shared by a connection and its request bodies.
#[derive(Clone)]
pub struct Lingering {
    /// The client may be sending data that nobody reads: a body, or a head that was refused.
    is_unread: Arc<AtomicBool>,
    stopping: CancellationToken,
}

impl Lingering {
    pub fn new(stopping: CancellationToken) -> Self {
        Self { is_unread: Arc::default(), stopping }
    }

    /// Wraps the body of one request.
    pub fn body(&self, body: PacedBody, headers: &HeaderMap) -> LingeringBody {
        // A client that sent `Expect` waits for 100 before it sends the body, and hyper sends 100 at the first read.
        // Draining would request data only to drop it.
        let is_asked_for = !headers.contains_key(header::EXPECT);
        // The head was read completely.
        self.set_unread(false);
        LingeringBody { body: Some(body), is_asked_for, lingering: self.clone() }
    }

    fn set_unread(&self, is_unread: bool) {
        self.is_unread.store(is_unread, Ordering::Relaxed);
    }

    async fn read_on(self, mut body: PacedBody) {
        let read = async {
            let mut read_bytes = 0;
            while read_bytes < READ_ON_BYTES_MAX {
                match std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                    Some(Ok(frame)) => read_bytes += frame.data_ref().map_or(0, Bytes::len),
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            false
        };
        let is_read = tokio::select! {
            is_read = timeout(READ_ON_MAX, read) => is_read.unwrap_or(false),
            () = self.stopping.cancelled() => false,
        };
        // Set before the body is dropped, because the drop tells hyper that the body is not read any more.
        if is_read {
            self.set_unread(false);
        }
    }
}

/// Request body that is drained if it is dropped before its end.
pub struct LingeringBody {
    /// `None` after its end.
    body: Option<PacedBody>,
    is_asked_for: bool,
    lingering: Lingering,
}

impl Body for LingeringBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let next = ready!(Pin::new(body).poll_frame(context));
        self.is_asked_for = true;
        match &next {
            None => {
                self.lingering.set_unread(false);
                self.body = None;
            }
            Some(Err(_)) => {
                self.lingering.set_unread(true);
                self.body = None;
            }
            Some(Ok(frame)) => {
                if let Some(digest) = frame.trailers_ref().and_then(digest_in_trailer) {
                    return Poll::Ready(Some(Err(BodyError::Digest(digest))));
                }
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for LingeringBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        let is_unread = !body.is_end_stream();
        self.lingering.set_unread(is_unread);
        if !is_unread {
            return;
        }
        if self.is_asked_for
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.lingering.clone().read_on(body));
        }
    }
}

/// Connection that is closed in two steps if its client may still be sending.
pub struct LingeringStream {
    state: StreamState,
    lingering: Lingering,
}

enum StreamState {
    Open(TcpStream),
    Closing(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>),
    Closed,
}

impl LingeringStream {
    pub fn new(stream: TcpStream, lingering: Lingering) -> Self {
        Self { state: StreamState::Open(stream), lingering }
    }

    fn open(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.state {
            StreamState::Open(stream) => Ok(Pin::new(stream)),
            StreamState::Closing(_) | StreamState::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

async fn close(mut stream: TcpStream, stopping: CancellationToken) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(LINGER_BYTES_MAX);
    let mut sink = tokio::io::sink();
    tokio::select! {
        _ = timeout(LINGER_MAX, tokio::io::copy(&mut rest, &mut sink)) => {}
        () = stopping.cancelled() => {}
    }
    Ok(())
}

impl AsyncRead for LingeringStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let StreamState::Open(stream) = &mut self.state else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > filled {
            self.lingering.set_unread(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LingeringStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.state, StreamState::Open(stream) if stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes again each time it polls whether the connection is closed.
        let StreamState::Open(stream) = &mut self.state else { return Poll::Ready(Ok(())) };
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match std::mem::replace(&mut self.state, StreamState::Closed) {
                StreamState::Open(stream) if self.lingering.is_unread.load(Ordering::Relaxed) => {
                    let closing = close(stream, self.lingering.stopping.clone());
                    self.state = StreamState::Closing(Box::pin(closing));
                }
                StreamState::Open(mut stream) => {
                    let closed = Pin::new(&mut stream).poll_shutdown(cx);
                    self.state = StreamState::Open(stream);
                    return closed;
                }
                StreamState::Closing(mut closing) => {
                    let closed = closing.as_mut().poll(cx);
                    if closed.is_pending() {
                        self.state = StreamState::Closing(closing);
                    }
                    return closed;
                }
                StreamState::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}
