//! Pool of readers: threads with one reader each, and the queues of files to read.
//!
//! The kernel ends a reader with the thread that started it, so these threads live as long as the server.

use super::process::{Process, ReaderFailure};
use super::protocol::Request;
use crate::reading::Reading;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// Idle time after which a reader ends.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Files after which a reader is replaced.
const ANSWERS_MAX: u32 = 1000;
/// Pause before the next reader after one that gave no answer. It doubles with each failure in a row.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// First descriptor after standard input, output and error.
const FIRST_INHERITED: i32 = 3;

struct Job {
    number: u64,
    request: Request,
    file: File,
    answer: oneshot::Sender<Result<Reading, ReaderFailure>>,
}

/// A queue, and the readers that serve it.
pub(crate) struct Lane {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs so far.
    queued: u64,
    is_closed: bool,
    /// Idle threads with a running reader. They take jobs first, so that no more readers are started than needed.
    ready: usize,
    /// Busy readers, for interrupting them.
    at_work: Vec<Option<Busy>>,
}

/// A reader at work.
struct Busy {
    job: u64,
    socket: UnixStream,
    is_interrupted: bool,
}

impl Busy {
    fn interrupt(&mut self) {
        self.is_interrupted = true;
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

pub(crate) struct Pool {
    pub(crate) previews: Lane,
    pub(crate) inspections: Lane,
    /// Descriptions for tables.
    pub(crate) tables: Lane,
}

impl Pool {
    pub(crate) fn start(previews: usize, inspections: usize, tables: usize, time_max: Duration) -> io::Result<Self> {
        // Descriptors that the server inherited must not reach readers. The server opens its own with CLOEXEC.
        close_fds::set_fds_cloexec_threadsafe(FIRST_INHERITED, &[]);
        let previews = Lane::start("preview", previews, time_max)?;
        let inspections = Lane::start("inspect", inspections, time_max)?;
        Ok(Self { previews, inspections, tables: Lane::start("table", tables, time_max)? })
    }
}

impl Lane {
    fn start(name: &str, readers: usize, time_max: Duration) -> io::Result<Self> {
        let state = State { at_work: (0..readers).map(|_| None).collect(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        for number in 0..readers {
            let thread = Thread { shared: shared.clone(), number, time_max, process: None, failures: 0 };
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || thread.run())?;
        }
        Ok(Self { shared })
    }

    /// Queues a file and waits for its reading. Dropping the future cancels the job, and ends a reader that is at it.
    pub(crate) async fn read(&self, request: Request, file: File) -> Result<Reading, ReaderFailure> {
        let (answer, answered) = oneshot::channel();
        // Dropped behind the receiver, so that the thread sees first that nobody waits.
        let _asking = {
            let mut state = self.shared.state();
            if state.is_closed {
                return Err(ReaderFailure::Closed);
            }
            state.queued += 1;
            let number = state.queued;
            state.jobs.push_back(Job { number, request, file, answer });
            Asking { shared: &self.shared, job: number }
        };
        self.shared.changed.notify_all();
        answered.await.unwrap_or(Err(ReaderFailure::Closed))
    }

    /// Ends all readers, busy ones included, and refuses queued and later jobs.
    pub(crate) fn close(&self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        state.jobs.clear();
        state.at_work.iter_mut().flatten().for_each(Busy::interrupt);
        self.shared.changed.notify_all();
    }
}

/// A caller that waits for a reading.
struct Asking<'a> {
    shared: &'a Shared,
    job: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // Without any where the job has been answered.
        let mut state = self.shared.state();
        state.at_work.iter_mut().flatten().filter(|busy| busy.job == self.job).for_each(Busy::interrupt);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

struct Thread {
    shared: Arc<Shared>,
    number: usize,
    time_max: Duration,
    process: Option<Process>,
    /// Failures in a row.
    failures: u32,
}

enum Next {
    Job(Job),
    Idle,
    Closed,
}

impl Thread {
    fn run(mut self) {
        loop {
            match self.next() {
                Next::Job(job) if job.answer.is_closed() => {}
                Next::Job(job) => {
                    let read = self.read(&job);
                    // The receiver may be gone.
                    let _ = job.answer.send(read);
                }
                Next::Idle => self.process = None,
                Next::Closed => return,
            }
        }
    }

    fn next(&self) -> Next {
        let is_ready = self.process.is_some();
        let mut state = self.shared.state();
        state.ready += usize::from(is_ready);
        let next = loop {
            if state.is_closed {
                break Next::Closed;
            }
            let left_to_others = if is_ready { 0 } else { state.ready };
            if state.jobs.len() > left_to_others
                && let Some(job) = state.jobs.pop_front()
            {
                break Next::Job(job);
            }
            let waited = self.shared.changed.wait_for(&mut state, IDLE_MAX);
            if waited.timed_out() && state.jobs.is_empty() && is_ready {
                break Next::Idle;
            }
        };
        state.ready -= usize::from(is_ready);
        next
    }

    fn read(&mut self, job: &Job) -> Result<Reading, ReaderFailure> {
        let mut read = self.try_read(job);
        if let Err(ReaderFailure::Gone | ReaderFailure::NotStarted(_)) = read
            && !job.answer.is_closed()
        {
            self.process = None;
            self.failures = self.failures.saturating_add(1);
            read = self.try_read(job);
        }
        let (is_closed, is_interrupted) = {
            let mut state = self.shared.state();
            let busy = state.at_work[self.number].take();
            (state.is_closed, busy.is_some_and(|busy| busy.is_interrupted))
        };
        match &read {
            // It may have answered a moment before.
            _ if is_interrupted => self.process = None,
            Ok(_) => self.failures = 0,
            Err(ReaderFailure::Left) => {}
            Err(_) => {
                self.process = None;
                self.failures = self.failures.saturating_add(1);
            }
        }
        let is_worn = |process: &Process| process.is_last || process.answers >= ANSWERS_MAX;
        if self.process.as_ref().is_some_and(is_worn) {
            self.process = None;
        }
        if is_closed { read.map_err(|_| ReaderFailure::Closed) } else { read }
    }

    fn try_read(&mut self, job: &Job) -> Result<Reading, ReaderFailure> {
        let process = match &mut self.process {
            Some(process) => process,
            None => {
                self.pause()?;
                if job.answer.is_closed() {
                    return Err(ReaderFailure::Left);
                }
                self.process.insert(Process::start()?)
            }
        };
        let socket = process.socket().map_err(|error| ReaderFailure::NotStarted(error.to_string()))?;
        {
            let mut state = self.shared.state();
            if state.is_closed {
                return Err(ReaderFailure::Closed);
            }
            // Nobody interrupts a reader for a caller that left before.
            if job.answer.is_closed() {
                return Err(ReaderFailure::Left);
            }
            state.at_work[self.number] = Some(Busy { job: job.number, socket, is_interrupted: false });
        }
        process.ask(&job.request, &job.file, self.time_max)
    }

    /// Waits before a restart, so that a series of files that crash their readers does not keep the machine busy.
    fn pause(&self) -> Result<(), ReaderFailure> {
        if self.failures == 0 {
            return Ok(());
        }
        let pause = PAUSE_MIN.saturating_mul(1 << (self.failures - 1).min(16)).min(PAUSE_MAX);
        let is_open = |state: &mut State| !state.is_closed;
        let mut state = self.shared.state();
        self.shared.changed.wait_while_for(&mut state, is_open, pause);
        if state.is_closed { Err(ReaderFailure::Closed) } else { Ok(()) }
    }
}
