//! Uploads that have their names and no rows yet.

use crate::path::LakePath;
use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// Where they are. Only whoever leads the landings adds to it and waits.
#[derive(Default)]
pub(super) struct Rowless {
    targets: Mutex<HashSet<LakePath>>,
    emptied: AtomicWaker,
}

impl Rowless {
    pub(super) fn add(&self, targets: impl Iterator<Item = LakePath>) {
        self.targets().extend(targets);
    }

    pub(super) fn remove(&self, targets: &[LakePath]) {
        let mut left = self.targets();
        for target in targets {
            left.remove(target);
        }
        if left.is_empty() {
            self.emptied.wake();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.targets().is_empty()
    }

    pub(super) fn holds_any<'a>(&self, mut targets: impl Iterator<Item = &'a LakePath>) -> bool {
        let held = self.targets();
        !held.is_empty() && targets.any(|target| held.contains(target))
    }

    /// Waits until there is none.
    pub(super) async fn emptied(&self) {
        poll_fn(|context| {
            self.emptied.register(context.waker());
            if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn targets(&self) -> MutexGuard<'_, HashSet<LakePath>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
