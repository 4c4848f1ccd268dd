//! Checks the framing of requests: line ends, and the end of each request.
//!
//! hyper accepts a bare line feed as a line end, and a request with both `Transfer-Encoding` and `Content-Length` as
//! chunked. A proxy in front may read the same bytes differently, and find another request in them (request smuggling).
//! hyper has no option against this, so the bytes are checked before it reads them: heads line by line, bodies only by
//! length. A fault is recorded before hyper has the end of that head, and the request is refused before it is routed.

use memchr::memchr;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes kept of a line that arrives in several reads. The fields that frame a request are short.
const LINE_KEPT_BYTES_MAX: usize = 256;
/// Hexadecimal digits of a chunk size.
const CHUNK_SIZE_DIGITS_MAX: u32 = 16;

/// Fault after which no request of the connection can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    #[error("a header line ends in LF alone; end each line with CR LF")]
    BareLineFeed,
    #[error("the request has both Transfer-Encoding and Content-Length, or one of them twice; send only one")]
    TwoLengths,
    #[error("the Content-Length of the request is not a number; send the number of bytes")]
    Length,
    #[error("the request has a Transfer-Encoding other than chunked; send the body as it is, or chunked")]
    Encoding,
    #[error("the chunks of a body are malformed; send each as its size in hexadecimal, CR LF, its bytes, and CR LF")]
    Chunks,
}

/// First fault of a connection, if any.
#[derive(Debug, Clone, Default)]
pub struct NotedFault(Arc<OnceLock<Noted>>);

#[derive(Debug)]
struct Noted {
    fault: HeadFault,
    /// Number of the request, from 0. Earlier requests are complete and valid, even if they arrived in the same read.
    request: u64,
}

impl NotedFault {
    /// The fault that makes this request invalid. `number` counts the requests of the connection from 0.
    pub fn of_request(&self, number: u64) -> Option<HeadFault> {
        self.0.get().filter(|noted| noted.request <= number).map(|noted| noted.fault)
    }
}

/// Stream whose incoming bytes are checked.
pub struct CheckedStream<S> {
    stream: S,
    requests: Requests,
    fault: NotedFault,
}

impl<S> CheckedStream<S> {
    pub fn new(stream: S, fault: NotedFault) -> Self {
        Self { stream, requests: Requests::default(), fault }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CheckedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if self.fault.0.get().is_none()
            && let Err(fault) = self.requests.check(&buffer.filled()[filled..])
        {
            // The first fault is kept.
            let _ = self.fault.0.set(Noted { fault, request: self.requests.current() });
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CheckedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// State of the parser over the sequence of requests.
#[derive(Default)]
struct Requests {
    at: At,
    head: Head,
    line: Line,
    /// Number of complete heads.
    heads: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkSize {
        size: u64,
        digits: u32,
    },
    /// After the size: spaces or an extension, which are ignored.
    ChunkExtension {
        size: u64,
    },
    ChunkSizeEnd {
        size: u64,
    },
    Chunk {
        left: u64,
    },
    ChunkCr,
    ChunkLf,
    /// Fields after the last chunk.
    Trailer,
}

/// Fields of a head read so far.
#[derive(Default)]
struct Head {
    has_request_line: bool,
    length: Option<u64>,
    is_chunked: bool,
}

/// Beginning of a line whose end has not arrived yet.
#[derive(Default)]
struct Line {
    kept: Vec<u8>,
    last: Option<u8>,
}

impl Requests {
    /// Number, from 0, of the request that the next byte belongs to.
    fn current(&self) -> u64 {
        if self.at == At::Head { self.heads } else { self.heads.saturating_sub(1) }
    }

    fn check(&mut self, mut bytes: &[u8]) -> Result<(), HeadFault> {
        while !bytes.is_empty() {
            bytes = match self.at {
                At::Head | At::Trailer => self.lines(bytes)?,
                At::Body { left } => {
                    let (left, rest) = skip(left, bytes);
                    self.at = if left == 0 { At::Head } else { At::Body { left } };
                    rest
                }
                At::Chunk { left } => {
                    let (left, rest) = skip(left, bytes);
                    self.at = if left == 0 { At::ChunkCr } else { At::Chunk { left } };
                    rest
                }
                _ => {
                    self.at = self.between_chunks(bytes[0])?;
                    &bytes[1..]
                }
            };
        }
        Ok(())
    }

    /// Reads one line, or a part of it.
    fn lines<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], HeadFault> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return Ok(&[]);
        };
        if self.line.last.is_none() {
            self.whole_line(bytes[..end].strip_suffix(b"\r").ok_or(HeadFault::BareLineFeed)?)?;
        } else {
            self.line.push(&bytes[..end]);
            let Line { mut kept, last } = std::mem::take(&mut self.line);
            if last != Some(b'\r') {
                return Err(HeadFault::BareLineFeed);
            }
            // Digits that hyper has read may have been dropped.
            if kept.len() == LINE_KEPT_BYTES_MAX && Head::frames(&kept) {
                return Err(HeadFault::Length);
            }
            if kept.last() == Some(&b'\r') {
                kept.pop();
            }
            self.whole_line(&kept)?;
        }
        Ok(&bytes[end + 1..])
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        match (self.at, line.is_empty()) {
            (At::Trailer, true) => self.at = At::Head,
            (At::Trailer, false) => {}
            (_, true) if self.head.has_request_line => {
                let head = std::mem::take(&mut self.head);
                self.heads += 1;
                self.at = match (head.is_chunked, head.length.unwrap_or(0)) {
                    (true, _) => At::ChunkSize { size: 0, digits: 0 },
                    (false, 0) => At::Head,
                    (false, left) => At::Body { left },
                };
            }
            // Empty lines before a request are ignored (RFC 9112, section 2.2).
            (_, true) => {}
            (_, false) if self.head.has_request_line => self.head.field(line)?,
            (_, false) => self.head.has_request_line = true,
        }
        Ok(())
    }

    fn between_chunks(&self, byte: u8) -> Result<At, HeadFault> {
        Ok(match (self.at, byte) {
            (At::ChunkSize { size, digits }, _) if byte.is_ascii_hexdigit() && digits < CHUNK_SIZE_DIGITS_MAX => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                At::ChunkSize { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::ChunkSize { digits: 0, .. }, _) => return Err(HeadFault::Chunks),
            (At::ChunkSize { size, .. } | At::ChunkExtension { size }, b'\r') => At::ChunkSizeEnd { size },
            (At::ChunkSize { size, .. }, b' ' | b'\t' | b';') => At::ChunkExtension { size },
            (At::ChunkExtension { size }, _) if byte != b'\n' => At::ChunkExtension { size },
            (At::ChunkSizeEnd { size: 0 }, b'\n') => At::Trailer,
            (At::ChunkSizeEnd { size }, b'\n') => At::Chunk { left: size },
            (At::ChunkCr, b'\r') => At::ChunkLf,
            (At::ChunkLf, b'\n') => At::ChunkSize { size: 0, digits: 0 },
            _ => return Err(HeadFault::Chunks),
        })
    }
}

/// Skips bytes of a body. Returns the bytes that remain of the body, and the input after it.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    match usize::try_from(left) {
        Ok(all) if all <= bytes.len() => (0, &bytes[all..]),
        _ => (left - bytes.len() as u64, &[]),
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_KEPT_BYTES_MAX.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.last = bytes.last().copied().or(self.last);
    }
}

impl Head {
    /// Whether the line frames the body.
    fn frames(line: &[u8]) -> bool {
        let name = &line[..memchr(b':', line).unwrap_or(line.len())];
        name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
    }

    /// Records a field that frames the body. Faults that hyper itself refuses, such as a space before the colon, may
    /// pass.
    fn field(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        let Some(colon) = memchr(b':', line) else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|text| text.parse().ok()).ok_or(HeadFault::Length)?;
            if self.is_chunked || self.length.replace(length).is_some() {
                return Err(HeadFault::TwoLengths);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.length.is_some() || std::mem::replace(&mut self.is_chunked, true) {
                return Err(HeadFault::TwoLengths);
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadFault::Encoding);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fault of these bytes, read in chunks of `chunk_bytes` bytes.
    fn fault(bytes: &[u8], chunk_bytes: usize) -> Option<HeadFault> {
        let mut requests = Requests::default();
        bytes.chunks(chunk_bytes).find_map(|bytes| requests.check(bytes).err())
    }

    const UPLOAD: &[u8] = b"POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\n\n\n\n\n";
    const CHUNKED: &[u8] =
        b"POST /u HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: x\r\n\r\n2 ;a=b\r\n\n\n\r\n0a\r\n0123\n56789\r\n0\r\nDigest: x\r\n\r\n";

    proptest! {
        #[test]
        fn bodies_may_hold_anything_and_the_next_head_is_found_however_the_bytes_come(chunk_bytes in 1_usize..200, order in 0..4) {
            let mut bytes = b"\r\n".to_vec();
            for number in 0..4 {
                bytes.extend_from_slice(if order >> number & 1 == 0 { UPLOAD } else { CHUNKED });
            }
            prop_assert_eq!(fault(&bytes, chunk_bytes), None);
            bytes.extend_from_slice(b"GET / HTTP/1.1\nHost: x\r\n\r\n");
            prop_assert_eq!(fault(&bytes, chunk_bytes), Some(HeadFault::BareLineFeed));
        }
    }

    #[test]
    fn ambiguous_heads_are_faults() {
        let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        for (fields, expected) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", HeadFault::TwoLengths),
            ("transfer-encoding: chunked\r\nContent-length: 5", HeadFault::TwoLengths),
            ("Content-Length: 5\r\nContent-Length: 5", HeadFault::TwoLengths),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HeadFault::TwoLengths),
            ("Transfer-Encoding: gzip, chunked", HeadFault::Encoding),
            ("Transfer-Encoding: identity", HeadFault::Encoding),
            ("Transfer-Encoding: xchunked", HeadFault::Encoding),
            ("Content-Length: +5", HeadFault::Length),
            ("Content-Length: 5, 5", HeadFault::Length),
            ("Content-Length: ", HeadFault::Length),
            ("Content-Length: 99999999999999999999", HeadFault::Length),
            ("A: b\nC: d", HeadFault::BareLineFeed),
            ("A: b\n", HeadFault::BareLineFeed),
            ("Transfer-Encoding: chunked\r\n\r\nx", HeadFault::Chunks),
            ("Transfer-Encoding: chunked\r\n\r\n1\n", HeadFault::Chunks),
            ("Transfer-Encoding: chunked\r\n\r\n1;a\nb", HeadFault::Chunks),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\nab", HeadFault::Chunks),
            ("Transfer-Encoding: chunked\r\n\r\n00000000000000001", HeadFault::Chunks),
            ("Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n", HeadFault::BareLineFeed),
        ] {
            for chunk_bytes in [1, 7, 1000] {
                assert_eq!(fault(head(fields).as_bytes(), chunk_bytes), Some(expected), "{fields:?} by {chunk_bytes}");
            }
        }
    }

    #[test]
    fn a_length_of_more_digits_than_are_kept_is_a_fault_where_it_comes_in_several_reads() {
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}55\r\n\r\n", "0".repeat(300));
        for chunk_bytes in [1, 100, 299, 320] {
            assert_eq!(fault(head.as_bytes(), chunk_bytes), Some(HeadFault::Length), "by {chunk_bytes}");
        }
        let body = [head.as_bytes(), &[b'\n'; 55], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(fault(&body, 10_000), None, "whole, it is read as hyper reads it");
    }

    #[test]
    fn a_fault_behind_a_request_is_none_of_its_own() {
        for (bytes, expected) in [
            ([UPLOAD, b"rubbish\n"].concat(), 1),
            ([UPLOAD, CHUNKED, b"\n"].concat(), 2),
            ([CHUNKED, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx"].concat(), 1),
            (b"GET / HTTP/1.1\nHost: x\r\n\r\n".to_vec(), 0),
        ] {
            let mut requests = Requests::default();
            requests.check(&bytes).unwrap_err();
            assert_eq!(requests.current(), expected, "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_long_line_is_not_kept_whole() {
        let mut requests = Requests::default();
        for _ in 0..1000 {
            requests.check(&[b'x'; 1000]).unwrap();
        }
        assert!(requests.line.kept.len() <= LINE_KEPT_BYTES_MAX);
    }
}
