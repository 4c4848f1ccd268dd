//! Locks of resumable uploads: one request at a time continues an upload. A new request asks the one before to stop,
//! and waits until it has: after a change of network, the old connection is dead, and its request would block for
//! minutes.

use crate::model::upload::resumable::Token;
use crate::ports::metadata::node::Held;
use crate::service::weak_map::WeakMap;
use async_lock::{Mutex as AsyncMutex, MutexGuardArc};
use futures_channel::oneshot;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

/// All uploads that a request holds or waits for.
#[derive(Default)]
pub(in crate::service) struct UploadLocks(WeakMap<Token, LockEntry>);

#[derive(Default)]
struct LockEntry {
    mutex: Arc<AsyncMutex<()>>,
    queue: Mutex<WaitQueue>,
}

#[derive(Default)]
struct WaitQueue {
    /// Number of requests so far. The last one continues.
    came: u64,
    /// Asks the holder to stop.
    stop: Option<oneshot::Sender<()>>,
}

/// Lock of an upload, released on drop.
pub(super) struct UploadLock {
    stop: oneshot::Receiver<()>,
    /// Of all nodes; released before the lock of this one.
    everywhere: Option<Box<dyn Held>>,
    _turn: MutexGuardArc<()>,
    _entry: Arc<LockEntry>,
}

impl UploadLocks {
    fn of(&self, token: &Token) -> Arc<LockEntry> {
        self.0.get(token.clone(), LockEntry::default)
    }

    /// Asks the holder to stop, and takes the lock.
    pub(super) async fn preempt(&self, token: &Token) -> UploadLock {
        let entry = self.of(token);
        let came = {
            let mut queue = entry.queue();
            if let Some(stop) = queue.stop.take() {
                // The holder has stopped already.
                let _ = stop.send(());
            }
            queue.came += 1;
            queue.came
        };
        let turn = entry.mutex.lock_arc().await;
        UploadLock::new(entry, turn, came)
    }

    /// Asks the holder to stop, as another node waits for it.
    pub(super) fn ask_to_stop(&self, token: &Token) {
        if let Some(stop) = self.of(token).queue().stop.take() {
            // The holder has stopped already.
            let _ = stop.send(());
        }
    }

    /// The lock, unless a request holds it.
    pub(super) fn take_free(&self, token: &Token) -> Option<UploadLock> {
        let entry = self.of(token);
        let turn = entry.mutex.try_lock_arc()?;
        let came = entry.queue().came;
        Some(UploadLock::new(entry, turn, came))
    }
}

impl LockEntry {
    fn queue(&self) -> MutexGuard<'_, WaitQueue> {
        self.queue.lock()
    }
}

impl UploadLock {
    fn new(entry: Arc<LockEntry>, turn: MutexGuardArc<()>, came: u64) -> Self {
        let (sender, stop) = oneshot::channel();
        let mut queue = entry.queue();
        // If others have come since, the sender is dropped here, which asks to stop too.
        if queue.came == came {
            queue.stop = Some(sender);
        }
        drop(queue);
        Self { stop, everywhere: None, _turn: turn, _entry: entry }
    }

    /// Keeps other nodes from it too.
    pub(super) fn hold_everywhere(&mut self, held: Box<dyn Held>) {
        self.everywhere = Some(held);
    }

    /// Completes when another request wants to continue.
    pub(super) async fn stopped(&mut self) {
        let _ = (&mut self.stop).await;
    }

    pub(super) fn is_stopped(&mut self) -> bool {
        !matches!(self.stop.try_recv(), Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join, join3};
    use pollster::block_on;

    fn token() -> Token {
        Token::from_random([1; 16])
    }

    #[test]
    fn a_new_request_stops_the_one_before_and_gets_the_lock() {
        let locks = UploadLocks::default();
        block_on(async {
            let mut first = locks.preempt(&token()).await;
            assert!(!first.is_stopped());
            assert!(locks.take_free(&token()).is_none());
            let hand_over = async {
                first.stopped().await;
                drop(first);
            };
            let (_, mut second) = join(hand_over, locks.preempt(&token())).await;
            assert!(!second.is_stopped());
            drop(second);
            assert!(!locks.take_free(&token()).unwrap().is_stopped());
        });
    }

    #[test]
    fn the_last_of_several_waiting_requests_continues() {
        let locks = UploadLocks::default();
        block_on(async {
            let mut first = locks.preempt(&token()).await;
            let hand_over = async {
                first.stopped().await;
                drop(first);
            };
            let passes_it_on = async { locks.preempt(&token()).await.is_stopped() };
            let goes_on = async { locks.preempt(&token()).await.is_stopped() };
            let (_, second, third) = join3(hand_over, passes_it_on, goes_on).await;
            assert_eq!((second, third), (true, false));
        });
    }
}
