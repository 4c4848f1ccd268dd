//! HTTP client with little overhead, since it shares the machine with the measured server: one thread for all
//! connections, which are kept alive; bodies made beforehand and written without copies; the status of every answer
//! checked.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of the block; longer bodies repeat it.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Silence after which a server counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Failures after which a load is given up.
const FAILURES_MAX: usize = 100;

/// A request: a head, `body_bytes` of the block (repeated), a tail.
#[derive(Default)]
pub struct Request {
    pub head: Vec<u8>,
    pub body_bytes: usize,
    pub tail: &'static [u8],
}

#[derive(Default)]
pub struct Report {
    /// For each accepted file, the start of its request and the time to its answer.
    pub accepted: Vec<(Instant, Duration)>,
    pub failures: usize,
    pub first_failure: Option<String>,
    pub elapsed: Duration,
}

impl Report {
    fn fail(&mut self, what: impl std::fmt::Display) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| what.to_string());
    }
}

/// Bytes that vary: a file system may not store zeros.
pub fn block() -> Vec<u8> {
    (0..BLOCK_BYTES as u32 / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// Sends the requests that `next` writes, until it returns false, with `in_flight` at a time.
pub fn send(address: SocketAddr, in_flight: usize, block: &[u8], next: impl FnMut(&mut Request) -> bool) -> Report {
    let mut report = Report::default();
    let start = Instant::now();
    if let Err(failure) = send_all(address, in_flight, block, next, &mut report) {
        report.fail(failure);
    }
    report.elapsed = start.elapsed();
    report
}

fn send_all(
    address: SocketAddr,
    in_flight: usize,
    block: &[u8],
    mut next: impl FnMut(&mut Request) -> bool,
    report: &mut Report,
) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(in_flight);
    let mut connections =
        (0..in_flight).map(|at| Connection::open(address, &poll, Token(at))).collect::<Result<Vec<_>, _>>()?;
    let mut busy = 0;
    for connection in &mut connections {
        busy += usize::from(connection.begin(block, &mut next));
    }
    while busy > 0 {
        match poll.poll(&mut events, Some(SILENCE_MAX)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        if events.is_empty() {
            return Err(std::io::Error::other(format!("no answer for {} s", SILENCE_MAX.as_secs())));
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if !connection.busy {
                continue;
            }
            match connection.progress(block, event.is_readable()) {
                Ok(None) => continue,
                Ok(Some(keeps_alive)) => {
                    report.accepted.push((connection.begun_at, connection.begun_at.elapsed()));
                    if !keeps_alive {
                        *connection = Connection::open(address, &poll, event.token())?;
                    }
                }
                Err(failure) => {
                    report.fail(failure);
                    *connection = Connection::open(address, &poll, event.token())?;
                }
            }
            connection.busy = false;
            let more = report.failures < FAILURES_MAX && connection.begin(block, &mut next);
            busy -= usize::from(!more);
        }
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    request: Request,
    /// Bytes sent of head, body and tail together.
    sent: usize,
    answer: Vec<u8>,
    busy: bool,
    begun_at: Instant,
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, token: Token) -> std::io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            request: Request::default(),
            sent: 0,
            answer: Vec::with_capacity(4096),
            busy: false,
            begun_at: Instant::now(),
        })
    }

    /// Begins to send the next request. False when none is left.
    fn begin(&mut self, block: &[u8], next: &mut impl FnMut(&mut Request) -> bool) -> bool {
        self.sent = 0;
        self.answer.clear();
        self.request.head.clear();
        self.busy = next(&mut self.request);
        if self.busy {
            self.begun_at = Instant::now();
            // An error shows again when the connection is ready.
            let _ = self.write(block);
        }
        self.busy
    }

    /// Reads or writes as far as the connection is ready. `Some` when the file was accepted, with whether the
    /// connection stays open.
    fn progress(&mut self, block: &[u8], readable: bool) -> Result<Option<bool>, String> {
        let written = self.write(block);
        if readable {
            self.read()?;
            match parse(&self.answer)? {
                Some(answer) if !(200..300).contains(&answer.status) => {
                    return Err(String::from_utf8_lossy(&self.answer).into_owned());
                }
                Some(_) if self.sent < self.length() => return Err("an answer before the file was sent".to_owned()),
                Some(answer) => return Ok(Some(answer.keeps_alive)),
                None => {}
            }
        }
        written.map(|()| None).map_err(|error| error.to_string())
    }

    fn length(&self) -> usize {
        self.request.head.len() + self.request.body_bytes + self.request.tail.len()
    }

    fn write(&mut self, block: &[u8]) -> std::io::Result<()> {
        let Request { head, body_bytes, tail } = &self.request;
        let length = self.length();
        while self.sent < length {
            let body_sent = self.sent.saturating_sub(head.len()).min(*body_bytes);
            let body = &block[body_sent % block.len()..];
            let body = &body[..body.len().min(body_bytes - body_sent)];
            let is_last = body_sent + body.len() == *body_bytes;
            let tail_sent = self.sent.saturating_sub(head.len() + body_bytes);
            let slices = [
                IoSlice::new(&head[self.sent.min(head.len())..]),
                IoSlice::new(body),
                IoSlice::new(if is_last { &tail[tail_sent..] } else { &[] }),
            ];
            match self.stream.write_vectored(&slices) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(length) => {
                    self.answer.extend_from_slice(&chunk[..length]);
                    // A short read has emptied the socket (epoll(7)).
                    if length < chunk.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// A complete answer.
pub struct Answer {
    pub status: u16,
    keeps_alive: bool,
    pub body: Vec<u8>,
}

/// Parses an answer; `None` while it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (&bytes[..head_end], &bytes[head_end + 4..]);
    let head = std::str::from_utf8(head).map_err(|error| error.to_string())?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("not an answer: {head}"))?;
    if status < 200 {
        return parse(body);
    }
    let field = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let is_whole = match field("content-length") {
        Some(length) => length.parse().is_ok_and(|length: usize| body.len() >= length),
        None if status == 204 => true,
        // Chunked; the chunks need not be joined here. The last one is empty.
        None => body.ends_with(b"0\r\n\r\n"),
    };
    let keeps_alive = field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
    Ok(is_whole.then(|| Answer { status, keeps_alive, body: body.to_vec() }))
}

/// Sends one small request on a new connection.
pub fn ask(address: SocketAddr, request: &str) -> Result<Answer, String> {
    let mut stream = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(SILENCE_MAX)).map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk).map_err(|error| error.to_string())? {
            0 => return Err("the server closed the connection".to_owned()),
            length => answer.extend_from_slice(&chunk[..length]),
        }
        if let Some(answer) = parse(&answer)? {
            return Ok(answer);
        }
    }
}
