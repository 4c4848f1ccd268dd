//! One reader process, as the server controls it: start, request, end.

use super::confinement::MEMORY_BYTES_MAX;
use super::protocol::{self, ANSWER_BYTES_MAX, Answer, FrameError, Hello, REQUEST_BYTES_MAX, Request};
use crate::reading::Reading;
use rustix::io::ioctl_fionbio;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines block a thread, so they use the system's clock; no such time is shown or stored"
)]
fn now() -> Instant {
    Instant::now()
}

/// The running program, even after its file was replaced or removed.
const PROGRAM: &str = "/proc/self/exe";
/// Longest start of a reader.
const START_MAX: Duration = Duration::from_secs(10);
/// Bytes of a reader's standard error that are read after its end.
const LAST_WORDS_BYTES: u64 = 4096;
/// Exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// Reason why a file got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReaderFailure {
    /// Caused by the file; a part of a sentence.
    #[error("{0}")]
    Reader(String),
    /// The bytes came too late from the object storage, or the server stood still. The file may be the cause too.
    #[error("{0}")]
    Late(String),
    /// The reader received a signal to end, as the server may have too.
    #[error("the file reader was told to stop")]
    Told,
    #[error("the file reader could not be started: {0}")]
    NotStarted(String),
    /// The reader ended before the request, so the file is not the cause.
    #[error("the file reader had stopped")]
    Gone,
    /// Before the request was sent.
    #[error("nobody waits for the file any more")]
    Left,
    #[error("the server is stopping")]
    Closed,
}

pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    /// The reader exits after its last answer.
    pub(super) is_last: bool,
    pub(super) answers: u32,
}

impl Process {
    pub(super) fn start() -> Result<Self, ReaderFailure> {
        let mut process = Self::spawn().map_err(|error| ReaderFailure::NotStarted(error.to_string()))?;
        match process.receive::<Hello>(REQUEST_BYTES_MAX, now() + START_MAX) {
            Ok(hello) => {
                static LOGGED: Once = Once::new();
                if let Some(reason) = hello.unfiltered {
                    LOGGED.call_once(|| {
                        tracing::warn!(?reason, "the system calls of the file readers are not filtered by the kernel");
                    });
                }
                Ok(process)
            }
            Err(error) => {
                let ended = process.end();
                Err(ReaderFailure::NotStarted(format!("{error}; {ended}")))
            }
        }
    }

    fn spawn() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new(PROGRAM)
            .arg0("lakeshore")
            .arg("inspect-worker")
            // The server's environment may contain secrets. Memory that the allocator reserves would count towards the
            // limit.
            .env_clear()
            .env("MIMALLOC_DISALLOW_ARENA_ALLOC", "1")
            // Ctrl-C in the terminal must not reach the reader.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { child, socket, is_last: false, answers: 0 })
    }

    /// Second handle of the socket, for interrupting a wait.
    pub(super) fn socket(&self) -> io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// Sends a request and waits for the answer. After an error the reader is unusable.
    pub(super) fn ask(&mut self, request: &Request, file: &File, time_max: Duration) -> Result<Reading, ReaderFailure> {
        let until = now() + time_max;
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) || self.send(request, file).is_err() {
            return Err(ReaderFailure::Gone);
        }
        match self.receive::<Answer>(ANSWER_BYTES_MAX, until) {
            Ok(Answer { reading, is_last }) if is_plausible(&reading) => {
                self.is_last = is_last;
                self.answers += 1;
                Ok(reading)
            }
            Ok(_) | Err(FrameError::TooLong(_) | FrameError::Malformed(_)) => {
                self.end();
                Err(ReaderFailure::Reader("the file reader gave no usable answer".into()))
            }
            Err(FrameError::Io(error)) if is_late(&error) => {
                self.end();
                let problem = format!("reading it takes longer than {} s", time_max.as_secs_f32());
                Err(if request.is_served { ReaderFailure::Late(problem) } else { ReaderFailure::Reader(problem) })
            }
            Err(FrameError::Io(_)) => Err(self.end().as_failure(request.processor_seconds_max)),
        }
    }

    fn send(&mut self, request: &Request, file: &File) -> Result<(), FrameError> {
        let frame = protocol::encode(request, REQUEST_BYTES_MAX)?;
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let sent = sendmsg(&self.socket, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL);
        let sent = sent.map_err(io::Error::from)?;
        self.socket.write_all(&frame[sent..])?;
        Ok(())
    }

    fn receive<T: serde::de::DeserializeOwned>(&self, bytes_max: usize, until: Instant) -> Result<T, FrameError> {
        protocol::decode(&mut Until { socket: &self.socket, until }, bytes_max)
    }

    /// Kills the reader, and returns how it ended, also if it ended earlier by itself.
    fn end(&mut self) -> Ended {
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        let mut last_words = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            // Another process may hold the pipe open; it is not waited for.
            let _ = ioctl_fionbio(&*stderr, true);
            let _ = stderr.take(LAST_WORDS_BYTES).read_to_end(&mut last_words);
        }
        Ended { status, last_words: String::from_utf8_lossy(&last_words).into_owned() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// End of a reader process.
struct Ended {
    status: Option<ExitStatus>,
    last_words: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}, {:?}", self.last_words),
            None => write!(f, "{:?}", self.last_words),
        }
    }
}

impl Ended {
    /// Classifies the end. Standard error decides only the class, since its text may come from the file.
    fn as_failure(&self, processor_seconds_max: u64) -> ReaderFailure {
        let signal = self.status.and_then(|status| status.signal());
        let problem = match (signal, self.status.and_then(|status| status.code())) {
            (Some(libc::SIGTERM | libc::SIGINT | libc::SIGHUP), _) => return ReaderFailure::Told,
            (Some(libc::SIGXCPU), _) => {
                format!("reading it takes more than {processor_seconds_max} s of processor time")
            }
            _ if self.last_words.contains("memory allocation of") => {
                format!("reading it needs more memory than a file may take ({} MiB)", MEMORY_BYTES_MAX >> 20)
            }
            _ if self.last_words.contains("has overflowed its stack") => "it is nested too deeply".into(),
            (_, Some(PANICKED)) => {
                "the file reader failed: the file is damaged, or its format differs from its name".into()
            }
            (Some(signal), _) => format!("the file reader stopped unexpectedly (signal {signal})"),
            (_, Some(code)) => format!("the file reader stopped unexpectedly (exit code {code})"),
            (None, None) => "the file reader stopped unexpectedly".into(),
        };
        ReaderFailure::Reader(problem)
    }
}

/// Reads from the socket until a deadline.
struct Until<'a> {
    socket: &'a UnixStream,
    until: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(buffer)
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether an answer keeps the bounds of all readings.
fn is_plausible(reading: &Reading) -> bool {
    match reading {
        Reading::Preview(preview) => preview.is_within_bounds(),
        Reading::Unreadable { problem, .. } => problem.len() <= lakeshore::model::preview::PROBLEM_BYTES_MAX,
        Reading::Described(described) => described.as_ref().is_none_or(|described| described.is_within_bounds()),
        Reading::Disk { .. } => true,
    }
}
