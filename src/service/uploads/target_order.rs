//! Order of uploads to one path: they enter the commit queue in the order in which they were stored, or their bytes were
//! complete where these are written before the queue. One that fails on the way is tried again only while no later one has
//! come, which may have been acknowledged, and which it would replace.
//!
//! Of one server: each has an order of its own.

use crate::model::path::LakePath;
use futures_channel::oneshot;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
pub(super) struct TargetOrder(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: u64,
    of_target: HashMap<LakePath, OfTarget>,
}

#[derive(Default)]
struct OfTarget {
    places: usize,
    /// The place that was taken last.
    last: u64,
    /// Places of uploads that have not entered the queue, with the channel of one that waits for its turn.
    before_queue: BTreeMap<u64, Option<oneshot::Sender<()>>>,
}

/// Place of an upload, until it is dropped.
pub(super) struct Place<'a> {
    order: &'a TargetOrder,
    target: LakePath,
    number: u64,
}

impl TargetOrder {
    pub(super) fn take_place(&self, target: &LakePath) -> Place<'_> {
        let mut places = self.0.lock();
        places.taken += 1;
        let number = places.taken;
        let of_target = places.of_target.entry(target.clone()).or_default();
        of_target.places += 1;
        of_target.last = number;
        of_target.before_queue.insert(number, None);
        Place { order: self, target: target.clone(), number }
    }
}

impl OfTarget {
    /// An upload no longer holds up those behind it.
    fn pass(&mut self, number: u64) {
        self.before_queue.remove(&number);
        if let Some(mut first) = self.before_queue.first_entry()
            && let Some(waiting) = first.get_mut().take()
        {
            let _ = waiting.send(());
        }
    }
}

impl Place<'_> {
    /// Waits until each upload before has entered the queue, or failed.
    pub(super) async fn turn(&self) {
        if let Some(turn) = self.later_turn() {
            // Never dropped without a message while the place is there.
            let _ = turn.await;
        }
    }

    fn later_turn(&self) -> Option<oneshot::Receiver<()>> {
        let mut places = self.order.0.lock();
        let before_queue = &mut places.of_target.get_mut(&self.target)?.before_queue;
        if before_queue.keys().next().is_none_or(|first| *first >= self.number) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        before_queue.insert(self.number, Some(tell));
        Some(told)
    }

    /// The upload has entered the queue, or failed: those behind it go on.
    pub(super) fn pass(&self) {
        if let Some(of_target) = self.order.0.lock().of_target.get_mut(&self.target) {
            of_target.pass(self.number);
        }
    }

    /// Whether no later upload of its path has come.
    pub(super) fn is_last(&self) -> bool {
        self.order.0.lock().of_target.get(&self.target).is_none_or(|of_target| of_target.last == self.number)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.order.0.lock();
        let Some(of_target) = places.of_target.get_mut(&self.target) else { return };
        of_target.pass(self.number);
        of_target.places -= 1;
        if of_target.places == 0 {
            places.of_target.remove(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::pin;

    fn path(path: &str) -> LakePath {
        LakePath::parse(path).unwrap()
    }

    #[test]
    fn places_of_a_path_follow_each_other_and_nothing_is_kept_of_those_that_have_passed() {
        let order = TargetOrder::default();
        let [first, second] = [(); 2].map(|()| order.take_place(&path("/a")));
        let other = order.take_place(&path("/b"));
        assert_eq!(first.turn().now_or_never(), Some(()));
        assert_eq!(other.turn().now_or_never(), Some(()));
        {
            let mut waiting = pin!(second.turn());
            assert_eq!(waiting.as_mut().now_or_never(), None);
            first.pass();
            assert_eq!(waiting.now_or_never(), Some(()));
        }
        let third = order.take_place(&path("/a"));
        assert_eq!(third.turn().now_or_never(), None);
        drop(second);
        assert_eq!(third.turn().now_or_never(), Some(()));
        assert!(third.is_last() && other.is_last() && !first.is_last());
        drop(third);
        assert!(!first.is_last(), "the later one has landed, perhaps");
        drop((first, other));
        assert!(order.0.lock().of_target.is_empty());
    }

    #[test]
    fn an_upload_that_gives_up_while_it_waits_lets_nobody_pass_those_before_it() {
        let order = TargetOrder::default();
        let [first, second, third] = [(); 3].map(|()| order.take_place(&path("/a")));
        assert_eq!(second.turn().now_or_never(), None);
        let mut waiting = pin!(third.turn());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(second);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!(waiting.now_or_never(), Some(()));
    }
}
