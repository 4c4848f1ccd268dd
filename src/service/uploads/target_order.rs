//! Order of uploads to one path that are written before they enter the commit queue: they enter it in the order in which their
//! bytes were complete, so the last one stays, however long each write takes.

use crate::model::path::LakePath;
use futures_channel::oneshot;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;

#[derive(Default)]
pub(super) struct TargetOrder(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: u64,
    /// The place that was taken last, by path.
    last: HashMap<LakePath, Last>,
}

struct Last {
    number: u64,
    /// Ends when that place is given up.
    given_up: oneshot::Receiver<Infallible>,
}

/// Given up when it is dropped.
pub(super) struct Place<'a> {
    order: &'a TargetOrder,
    target: LakePath,
    number: u64,
    before: Option<oneshot::Receiver<Infallible>>,
    _taken: oneshot::Sender<Infallible>,
}

impl TargetOrder {
    pub(super) fn take_place(&self, target: &LakePath) -> Place<'_> {
        let (taken, given_up) = oneshot::channel();
        let mut places = self.0.lock();
        places.taken += 1;
        let number = places.taken;
        let before = places.last.insert(target.clone(), Last { number, given_up });
        let before = before.map(|last| last.given_up);
        Place { order: self, target: target.clone(), number, before, _taken: taken }
    }
}

impl Place<'_> {
    /// Waits until the place before is given up. To be called even by an upload that has failed, since the one behind it
    /// waits for this place alone.
    pub(super) async fn wait(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = before.await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.order.0.lock();
        if places.last.get(&self.target).is_some_and(|last| last.number == self.number) {
            places.last.remove(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::pin;

    #[test]
    fn places_of_a_path_follow_each_other_and_nothing_is_kept_of_those_that_have_passed() {
        let order = TargetOrder::default();
        let path = |path| LakePath::parse(path).unwrap();
        let mut first = order.take_place(&path("/a"));
        let mut second = order.take_place(&path("/a"));
        let mut other = order.take_place(&path("/b"));
        assert_eq!(first.wait().now_or_never(), Some(()));
        assert_eq!(other.wait().now_or_never(), Some(()));
        {
            let mut waiting = pin!(second.wait());
            assert_eq!(waiting.as_mut().now_or_never(), None);
            drop(first);
            assert_eq!(waiting.now_or_never(), Some(()));
        }
        let mut third = order.take_place(&path("/a"));
        drop(second);
        assert_eq!(third.wait().now_or_never(), Some(()));
        drop((third, other));
        assert!(order.0.lock().last.is_empty());
    }
}
