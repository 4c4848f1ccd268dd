//! Rows of objects that are about to be written. Those that are asked for at the same time, or while a transaction is under way,
//! are recorded by one transaction.

use super::Shared;
use lakeshore::Error;
use lakeshore::ports::namespace::{IntendedObject, NewObject};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Rows of one transaction.
const TOGETHER_MAX: usize = 128;
/// Wait for more rows, while uploads come several at a time.
const MORE_WAIT: Duration = Duration::from_millis(2);

struct Waiting {
    new: NewObject,
    answer: oneshot::Sender<Result<IntendedObject, Error>>,
}

/// The queue is as long as the requests that wait.
type Queue = mpsc::UnboundedSender<Waiting>;

#[derive(Default)]
pub(super) struct Intents {
    /// Of the task that records, which begins with the first row.
    queue: Mutex<Option<Queue>>,
    /// Where that task runs: not where a request does, whose thread may be busy with another one.
    runtime: OnceLock<Handle>,
}

impl Intents {
    /// Rows are recorded by a task of this runtime, once it is called.
    pub(super) fn run_on(&self, runtime: Handle) {
        // Called once, at a start.
        let _ = self.runtime.set(runtime);
    }

    /// Returns once the row is durable.
    pub(super) async fn record(&self, shared: &Arc<Shared>, new: NewObject) -> Result<IntendedObject, Error> {
        let (answer, answered) = oneshot::channel();
        // Refused by a task that has ended a moment ago: then the answer is dropped, which is found below.
        let _ = self.queue(shared).send(Waiting { new, answer });
        answered.await.map_err(Error::internal)?
    }

    /// A task of its own, so that a caller that leaves takes nobody along. Begun again after a panic.
    fn queue(&self, shared: &Arc<Shared>) -> Queue {
        let mut queue = self.queue.lock();
        match &*queue {
            Some(queue) if !queue.is_closed() => queue.clone(),
            _ => {
                let (begun, waiting) = mpsc::unbounded_channel();
                let runtime = self.runtime.get().cloned().unwrap_or_else(Handle::current);
                runtime.spawn(record_all(Arc::downgrade(shared), waiting));
                queue.insert(begun).clone()
            }
        }
    }
}

/// Until the file store is dropped.
async fn record_all(shared: Weak<Shared>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let mut group = Vec::new();
    let mut were_several = false;
    while waiting.recv_many(&mut group, TOGETHER_MAX).await > 0 {
        if were_several && group.len() < TOGETHER_MAX {
            tokio::time::sleep(MORE_WAIT).await;
            while group.len() < TOGETHER_MAX
                && let Ok(more) = waiting.try_recv()
            {
                group.push(more);
            }
        }
        were_several = group.len() > 1;
        let Some(shared) = shared.upgrade() else { return };
        let (new, answers): (Vec<_>, Vec<_>) = group.drain(..).map(|Waiting { new, answer }| (new, answer)).unzip();
        // A caller that has left hears nothing: its row is an unfinished upload, which the next start sweeps.
        match shared.namespace.intend(&new, shared.now()).await {
            Ok(intended) => {
                for (answer, intended) in answers.into_iter().zip(intended) {
                    let _ = answer.send(Ok(intended));
                }
            }
            Err(fault) => {
                for answer in answers {
                    let _ = answer.send(Err(fault.repeated()));
                }
            }
        }
    }
}
