//! Rows of objects that are about to be written. Those that are asked for at the same time, or while a transaction is under way,
//! are recorded by one transaction.

use super::Shared;
use lakeshore::Error;
use lakeshore::ports::namespace::{IntendedObject, NewObject};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Rows of one transaction.
const TOGETHER_MAX: usize = 128;
/// Wait for more rows, while uploads come several at a time.
const MORE_WAIT: Duration = Duration::from_millis(2);

struct Waiting {
    new: NewObject,
    answer: oneshot::Sender<Result<IntendedObject, Error>>,
}

#[derive(Default)]
pub(super) struct Intents(OnceLock<mpsc::UnboundedSender<Waiting>>);

impl Intents {
    /// Returns once the row is durable.
    pub(super) async fn record(&self, shared: &Arc<Shared>, new: NewObject) -> Result<IntendedObject, Error> {
        let start = || {
            let (sender, waiting) = mpsc::unbounded_channel();
            // A task of its own, so that a caller that leaves takes nobody along.
            tokio::spawn(record_all(Arc::downgrade(shared), waiting));
            sender
        };
        let (answer, answered) = oneshot::channel();
        // Refused where the task has ended: then the answer is dropped, which is found below.
        let _ = self.0.get_or_init(start).send(Waiting { new, answer });
        answered.await.map_err(Error::internal)?
    }
}

/// Until the file store is dropped. The queue is as long as the requests that wait, which are bounded by their bytes.
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
        // A caller that has left hears nothing, and its row is found by its age.
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
