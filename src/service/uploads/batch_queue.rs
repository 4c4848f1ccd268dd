//! A queue with one leader: whoever has taken it on waits for what comes, and takes it in its order.

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
    /// From now on somebody calls [`Self::next`], again and again.
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

    /// The first `size_max` of what waits, or fewer.
    pub(in crate::service) fn take(&self, size_max: usize) -> Vec<T> {
        let mut items = self.items();
        let count = items.len().min(size_max);
        items.drain(..count).collect()
    }

    /// The same, as soon as there is anything. For the leader only.
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
