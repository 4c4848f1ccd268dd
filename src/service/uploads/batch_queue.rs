//! Single-consumer batch queue: the consumer waits for items and takes them in order.

use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

pub(in crate::service) struct BatchQueue<T> {
    items: Mutex<Vec<T>>,
    led: AtomicBool,
    leader: AtomicWaker,
}

impl<T> Default for BatchQueue<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), led: AtomicBool::default(), leader: AtomicWaker::new() }
    }
}

impl<T> BatchQueue<T> {
    /// Declares that a consumer calls [`Self::next`] from now on.
    pub(in crate::service) fn lead(&self) {
        self.led.store(true, Ordering::SeqCst);
    }

    pub(in crate::service) fn is_led(&self) -> bool {
        self.led.load(Ordering::SeqCst)
    }

    pub(in crate::service) fn push(&self, item: T) {
        self.items().push(item);
        self.leader.wake();
    }

    /// Removes the first items, at most `size_max`.
    pub(in crate::service) fn take(&self, size_max: usize) -> Vec<T> {
        let mut items = self.items();
        let count = items.len().min(size_max);
        items.drain(..count).collect()
    }

    /// Waits for at least one item, then takes like [`Self::take`]. For the consumer only.
    pub(in crate::service) async fn next(&self, size_max: usize) -> Vec<T> {
        poll_fn(|context| {
            self.leader.register(context.waker());
            let taken = self.take(size_max);
            if taken.is_empty() { Poll::Pending } else { Poll::Ready(taken) }
        })
        .await
    }

    fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock()
    }
}
