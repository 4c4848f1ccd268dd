//! Thread of the commit queue. Each step of a landing may block, and moving a step to another thread would cost two
//! wake-ups, more than most steps take.

use lakeshore::Lake;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Longest wait for the step that is running at a stop. A disk that takes longer is broken.
const STOP_MAX: Duration = Duration::from_secs(5);
const STOP_PAUSE: Duration = Duration::from_millis(1);

/// Lands uploads until it is dropped. It has to end before the runtime does, whose timers it uses. The next start
/// completes a landing that this interrupts.
pub struct CommitThread {
    stop: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl CommitThread {
    /// Call it in the runtime of the server.
    pub fn start(lake: Lake) -> std::io::Result<Self> {
        let runtime = Handle::current();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(stopped.run_until_cancelled_owned(lake.run_commit_queue()));
            }));
            if result.is_err() {
                // Without it no upload would ever land. A restart is better, as it completes the work that was begun.
                tracing::error!("the commit queue has ended; stopping the server");
                std::process::abort();
            }
        };
        Ok(Self { stop, thread: thread::Builder::new().name("landings".into()).spawn(run)? })
    }
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        self.stop.cancel();
        let pauses = STOP_MAX.as_micros() / STOP_PAUSE.as_micros();
        for _ in 0..pauses {
            if self.thread.is_finished() {
                return;
            }
            thread::sleep(STOP_PAUSE);
        }
        tracing::warn!("a step of a landing does not end; the next start completes it");
    }
}
