//! Commit queue: uploads that are ready at the same time are synced, renamed and recorded together.
//!
//! Each step waits for stable storage, which takes nearly the same time for one upload as for fifty. So a completed
//! upload enters a queue, and the uploads that arrive while one group lands form the next group. No upload waits for
//! others: alone, it lands at once. Where the file store writes many at once, the bytes are written before the upload enters the
//! queue, and a group waits a moment for those that are being written. Groups land one at a time, so that the next one is as
//! large as possible, and uploads of one name are replaced and recorded in the order of
//! [`target_order`](crate::service::uploads::target_order). The steps of a group are in
//! [`landing_group`](crate::service::uploads::landing_group).

use crate::model::digest::{Digest, ExpectedDigests};
use crate::model::error::Error;
use crate::model::limits::{ATTEMPT_PAUSES, SETTLING_PAUSES};
use crate::model::memory_pool::{MemoryPool, MemoryShare};
use crate::service::Lake;
use crate::service::uploads::batch_queue::BatchQueue;
use crate::service::uploads::landing_group::NamedGroup;
use crate::service::uploads::landing_step::{Answer, Attempt, Ready};
use crate::service::uploads::retries::busy_pauses;
use crate::service::uploads::target_order::{Place, TargetOrder};
use crate::service::uploads::unsettled::{StillUnsettled, Unsettled, UnsettledGroup};
use futures_util::future::{Either, select};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Maximum uploads in one group.
const GROUP_UPLOADS_MAX: usize = 128;
/// Maximum bytes of small uploads that all requests together hold in memory before they land.
const WHOLE_BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;
/// Longest wait for uploads whose bytes are being written, so that they land in one transaction with those that are written.
const WRITES_WAIT_MAX: Duration = Duration::from_millis(10);
/// Longest wait for uploads whose intent takes the rows of an answered group along.
const ROWS_WAIT_MAX: Duration = Duration::from_millis(5);

pub(in crate::service) struct CommitQueue {
    /// Consumed by [`Lake::run_commit_queue`].
    waiting: BatchQueue<Waiting>,
    /// Held by the caller that takes the next group, if there is no consumer.
    turn: async_lock::Mutex<()>,
    pub(in crate::service) unsettled: Unsettled,
    /// Small uploads, which are collected whole before they land.
    whole_bytes: MemoryPool,
    /// Number of uploads so far.
    come: AtomicU64,
    /// Of uploads whose bytes are written before they enter the queue.
    writes: Writes,
    order: TargetOrder,
}

pub(super) struct Waiting {
    pub(super) ready: Ready,
    pub(super) answer: Answer,
}

impl Default for CommitQueue {
    fn default() -> Self {
        Self {
            waiting: BatchQueue::default(),
            turn: async_lock::Mutex::default(),
            unsettled: Unsettled::default(),
            whole_bytes: MemoryPool::new(WHOLE_BYTES_IN_FLIGHT_MAX),
            come: AtomicU64::default(),
            writes: Writes::default(),
            order: TargetOrder::default(),
        }
    }
}

impl CommitQueue {
    /// Leaves a group to be settled in the background by the consumer.
    pub(in crate::service) fn leave_unsettled(&self, group: UnsettledGroup) {
        self.unsettled.push(group);
    }

    pub(in crate::service) fn is_led(&self) -> bool {
        self.waiting.is_led()
    }

    pub(in crate::service) fn reserve(&self) -> MemoryShare {
        self.whole_bytes.share()
    }

    /// Lands the upload together with others that are ready, if its bytes have the expected digests. The caller holds the
    /// sync lock meanwhile.
    pub(in crate::service) async fn land(
        &self,
        lake: &Lake,
        mut ready: Ready,
        expected: &ExpectedDigests,
        sha512: Option<[u8; 64]>,
    ) -> Result<Digest, Error> {
        expected.verify(ready.content.digest().sha256, sha512)?;
        self.come.fetch_add(1, Ordering::Relaxed);
        let place = self.order.take_place(&ready.target);
        let mut pauses = ATTEMPT_PAUSES.into_iter();
        let mut busy_pauses = busy_pauses();
        let mut failure = None;
        loop {
            let attempt = self.attempt(lake, ready, &place, failure).await;
            let Attempt::Failed(again, error) = attempt else { return self.end(lake, attempt).await };
            place.pass();
            let pause = if error.is_transient() { pauses.next() } else { busy_pauses.next() };
            let Some(pause) = pause else { return Err(error) };
            lake.pause(pause).await;
            if !place.is_last() {
                return Err(error);
            }
            (ready, failure) = (*again, Some(error));
        }
    }

    async fn end(&self, lake: &Lake, attempt: Attempt) -> Result<Digest, Error> {
        let mut answered = match attempt {
            Attempt::Ended(result) => return result,
            Attempt::Failed(_, error) => return Err(error),
            Attempt::Unsettled(answered) => answered,
        };
        for pause in SETTLING_PAUSES {
            match select(answered, pin!(lake.wait_for_settling(pause))).await {
                Either::Left((Ok(Attempt::Ended(result)), _)) => return result,
                Either::Left(_) => return Err(StillUnsettled::error()),
                Either::Right((_, unanswered)) => answered = unanswered,
            }
        }
        match answered.try_recv() {
            Ok(Some(Attempt::Ended(result))) => result,
            _ => Err(StillUnsettled::error()),
        }
    }

    /// `failure` is that of the attempt before.
    async fn attempt(&self, lake: &Lake, mut ready: Ready, place: &Place<'_>, failure: Option<Error>) -> Attempt {
        let (answer, mut answered) = Answer::channel();
        if lake.0.files.writes_at_once() && ready.content.is_whole() {
            let _write = self.writes.begin();
            ready = match lake.write_at_once(ready).await {
                Ok(ready) => ready,
                Err(failed) => return failed,
            };
        }
        place.turn().await;
        // One that has come during the write.
        if let Some(failure) = failure
            && !place.is_last()
        {
            return Attempt::Ended(Err(failure));
        }
        self.waiting.push(Waiting { ready, answer });
        place.pass();
        let dropped = |dropped| Attempt::Ended(Err(Error::internal(dropped)));
        if self.waiting.is_led() {
            return answered.await.unwrap_or_else(dropped);
        }
        loop {
            // Each waiting caller may take the next turn, so every queued upload is processed.
            match select(answered, pin!(self.turn.lock())).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(dropped),
                Either::Right((_turn, unanswered)) => {
                    answered = unanswered;
                    let named = lake.land_group(None, self.waiting.take(GROUP_UPLOADS_MAX)).await;
                    lake.remember(named).await;
                }
            }
        }
    }
}

/// Writes under way, by their numbers.
#[derive(Default)]
struct Writes(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    begun: u64,
    numbers: BTreeSet<u64>,
}

/// A write under way, until it is dropped.
struct Write<'a> {
    writes: &'a Writes,
    number: u64,
}

impl Writes {
    fn begin(&self) -> Write<'_> {
        let mut under_way = self.0.lock();
        under_way.begun += 1;
        let number = under_way.begun;
        under_way.numbers.insert(number);
        Write { writes: self, number }
    }

    /// The one that began last; 0 without any.
    fn newest(&self) -> u64 {
        self.0.lock().numbers.last().copied().unwrap_or_default()
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.writes.0.lock().numbers.remove(&self.number);
    }
}

impl Lake {
    /// Number of landings since the start. Background jobs use it to detect upload activity.
    pub fn landings_so_far(&self) -> u64 {
        self.0.commit_queue.come.load(Ordering::Relaxed)
    }

    /// Lands queued uploads, group after group, while it is polled; after the first poll it must be polled
    /// continuously. Without it, the callers take turns. It needs a thread of its own, since the steps of a landing may
    /// block.
    pub async fn run_commit_queue(&self) -> Infallible {
        let waiting = &self.0.commit_queue.waiting;
        waiting.lead();
        let mut named: Option<NamedGroup> = None;
        let mut late = 0;
        loop {
            let group = match &named {
                None => {
                    let first = self.settle_until(waiting.next(GROUP_UPLOADS_MAX)).await;
                    self.with_written(first, &mut late).await
                }
                Some(before) if before.is_answered => self.with_written(self.next_soon().await, &mut late).await,
                Some(_) => waiting.take(GROUP_UPLOADS_MAX),
            };
            named = self.land_group(named, group).await;
            if let Some(group) = &mut named {
                self.answer_before_rows(group);
            }
        }
    }

    /// The group, if there is any, and uploads that are written within [`WRITES_WAIT_MAX`]. A write that takes longer is
    /// waited for once: `late` is the newest that was.
    async fn with_written(&self, mut group: Vec<Waiting>, late: &mut u64) -> Vec<Waiting> {
        let CommitQueue { waiting, writes, .. } = &self.0.commit_queue;
        let mut pause = pin!(self.pause(WRITES_WAIT_MAX));
        while (1..GROUP_UPLOADS_MAX).contains(&group.len()) && writes.newest() > *late {
            let more = pin!(waiting.next(GROUP_UPLOADS_MAX - group.len()));
            match select(more, &mut pause).await {
                Either::Left((more, _)) => group.extend(more),
                Either::Right(_) => {
                    *late = writes.newest();
                    break;
                }
            }
        }
        group
    }

    /// The next group, or an empty one after [`ROWS_WAIT_MAX`].
    async fn next_soon(&self) -> Vec<Waiting> {
        let next = pin!(self.0.commit_queue.waiting.next(GROUP_UPLOADS_MAX));
        match select(next, pin!(self.pause(ROWS_WAIT_MAX))).await {
            Either::Left((group, _)) => group,
            Either::Right(_) => Vec::new(),
        }
    }
}
