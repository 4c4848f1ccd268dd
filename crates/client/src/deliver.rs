//! Sends the files of a plan that the sync lacks: asks for missing files in batches, while those of the batch before
//! are sent concurrently.

use super::error::ClientError;
use super::missing::missing;
use super::plan::{Plan, PlannedFile};
use super::scan::Problems;
use super::send::{SendError, Sender};
use futures_util::{StreamExt, stream};
use std::collections::HashSet;
use tokio::sync::mpsc;

/// Files in one call of `missing`. The server accepts ten times as many; smaller batches show progress.
const QUESTION_FILES: usize = 1000;
/// Number of failed files after which the push gives up.
const FAILURES_MAX: u64 = 100;

/// Counts of the files of a plan, by outcome.
#[derive(Debug, Default)]
pub struct Delivered {
    pub sent: Counts,
    /// Files that the dataset or this sync had already.
    pub unchanged: Counts,
    /// Unchanged files that the server has copied into the full sync.
    pub taken_over: u64,
    pub failed: Problems,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub files: u64,
    pub bytes: u64,
}

impl Counts {
    pub fn add(&mut self, file: &PlannedFile) {
        self.files += 1;
        self.bytes += file.size_bytes();
    }
}

/// Delivers the plan. `delivered` holds the outcome, also after an early end.
pub async fn deliver(
    sender: &Sender<'_>,
    plan: &Plan,
    jobs: usize,
    take_over: bool,
    delivered: &mut Delivered,
) -> Result<(), ClientError> {
    let Delivered { sent, unchanged, taken_over, failed } = delivered;
    let (to_send, mut files) = mpsc::channel::<PlannedFile>(jobs * 2);
    // Moves the sender in, so that the channel closes at the end.
    let asking = async move {
        let to_send = to_send;
        let mut reader = plan.read()?;
        loop {
            let batch = reader.take(QUESTION_FILES)?;
            if batch.is_empty() {
                return Ok(());
            }
            let answer = missing(sender.client, sender.sync_id, &batch, take_over).await?;
            *taken_over += answer.taken_over;
            let missing: HashSet<String> = answer.missing.into_iter().collect();
            for file in batch {
                if missing.contains(&file.path) {
                    if to_send.send(file).await.is_err() {
                        return Ok(());
                    }
                } else {
                    unchanged.add(&file);
                    sender.progress.add_files(1);
                    sender.progress.add_bytes(file.size_bytes());
                }
            }
        }
    };
    let sending = async {
        let files = stream::poll_fn(move |context| files.poll_recv(context));
        let sends = files.map(|file| async move { (sender.send(&file).await, file) });
        let mut outcomes = sends.buffer_unordered(jobs);
        while let Some((outcome, file)) = outcomes.next().await {
            match outcome {
                Ok(()) => sent.add(&file),
                Err(SendError::All(error)) => return Err(error),
                Err(SendError::File(why)) => {
                    sender.progress.tell(&format!("failed: {}: {why}", file.path));
                    failed.add(file.path, why);
                    if failed.count >= FAILURES_MAX {
                        sender.progress.tell(&format!("{FAILURES_MAX} files have failed; the rest are not sent"));
                        // The receiver is gone, and reports the reason.
                        return Ok(());
                    }
                }
            }
            sender.progress.add_files(1);
        }
        Ok(())
    };
    tokio::try_join!(asking, sending).map(|_| ())
}
