//! One reader, as the server holds it: started, asked, ended and waited for.

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

/// For deadlines, which block a thread; no time of it is told to anybody.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// The program that runs now, also when its file was replaced or removed since.
const PROGRAM: &str = "/proc/self/exe";
/// How long a reader may take to start.
const START_MAX: Duration = Duration::from_secs(10);
/// What is looked at of what a reader said before it died.
const LAST_WORDS_BYTES: u64 = 4096;
/// How a Rust program ends after a panic.
const PANICKED: i32 = 101;

/// Why a file got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The file's doing, as a part of a sentence.
    #[error("{0}")]
    Reader(String),
    /// The reader was told to end, as the server may be at this moment.
    #[error("the file reader was told to stop")]
    Told,
    #[error("the file reader could not be started: {0}")]
    NotStarted(String),
    /// It had ended before it was asked: the file has no part in it.
    #[error("the file reader had stopped")]
    Gone,
    #[error("the server is stopping")]
    Closed,
}

pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    /// It ends by itself after its last answer.
    pub(super) is_last: bool,
    pub(super) answers: u32,
}

impl Process {
    pub(super) fn start() -> Result<Self, NoAnswer> {
        let mut process = Self::spawn().map_err(|error| NoAnswer::NotStarted(error.to_string()))?;
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
                Err(NoAnswer::NotStarted(format!("{error}; {ended}")))
            }
        }
    }

    fn spawn() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new(PROGRAM)
            .arg0("lakeshore")
            .arg("inspect-worker")
            // Nothing of the server's, which may hold secrets. What the allocator would set aside counts as memory.
            .env_clear()
            .env("MIMALLOC_DISALLOW_ARENA_ALLOC", "1")
            // Ctrl-C is for the server.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { child, socket, is_last: false, answers: 0 })
    }

    /// Another handle of the socket, by which to interrupt a wait for an answer.
    pub(super) fn socket(&self) -> io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// Has it read the file. After an error this reader is of no use any more.
    pub(super) fn ask(&mut self, request: &Request, file: &File, time_max: Duration) -> Result<Reading, NoAnswer> {
        let until = now() + time_max;
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) || self.send(request, file).is_err() {
            return Err(NoAnswer::Gone);
        }
        match self.receive::<Answer>(ANSWER_BYTES_MAX, until) {
            Ok(Answer { reading, is_last }) if is_plausible(&reading) => {
                self.is_last = is_last;
                self.answers += 1;
                Ok(reading)
            }
            Ok(_) | Err(FrameError::TooLong(_) | FrameError::Malformed(_)) => {
                self.end();
                Err(NoAnswer::Reader("the file reader gave no usable answer".into()))
            }
            Err(FrameError::Io(error)) if is_late(&error) => {
                self.end();
                Err(NoAnswer::Reader(format!("reading it takes longer than {} s", time_max.as_secs_f32())))
            }
            Err(FrameError::Io(_)) => Err(self.end().as_no_answer(request.processor_seconds_max)),
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

    /// Ends it, whatever it is doing, and says how it ended where it had done so already.
    fn end(&mut self) -> Ended {
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        let mut last_words = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            // Whoever holds the other end is not waited for.
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

/// How a reader ended.
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
    /// Only the kind of its end comes from what it said: the words may be a file's.
    fn as_no_answer(&self, processor_seconds_max: u64) -> NoAnswer {
        let signal = self.status.and_then(|status| status.signal());
        let problem = match (signal, self.status.and_then(|status| status.code())) {
            (Some(libc::SIGTERM | libc::SIGINT | libc::SIGHUP), _) => return NoAnswer::Told,
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
        NoAnswer::Reader(problem)
    }
}

/// What comes of the socket until then.
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

/// What a reader says within the bounds that all readings keep.
fn is_plausible(reading: &Reading) -> bool {
    match reading {
        Reading::Preview(preview) => preview.is_within_bounds(),
        Reading::Unreadable { problem, .. } => problem.len() <= lakeshore::model::preview::PROBLEM_BYTES_MAX,
        Reading::Disk { .. } => true,
    }
}
