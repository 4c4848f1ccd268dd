//! Order of uploads to one path: they land in the order in which their bytes were complete, so the last one stays, however long
//! the write of each takes and however often it is tried.
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
    /// Places that are not given up, by their numbers, with the channel of an upload that waits for its turn.
    of_target: HashMap<LakePath, BTreeMap<u64, Option<oneshot::Sender<()>>>>,
}

/// Given up when it is dropped.
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
        places.of_target.entry(target.clone()).or_default().insert(number, None);
        Place { order: self, target: target.clone(), number }
    }
}

impl Place<'_> {
    /// Waits until each place before is given up.
    pub(super) async fn turn(&self) {
        if let Some(turn) = self.later_turn() {
            // Never dropped without a message while the place is there.
            let _ = turn.await;
        }
    }

    fn later_turn(&self) -> Option<oneshot::Receiver<()>> {
        let mut places = self.order.0.lock();
        let of_target = places.of_target.get_mut(&self.target)?;
        if of_target.first_key_value().is_some_and(|(first, _)| *first == self.number) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        of_target.insert(self.number, Some(tell));
        Some(told)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.order.0.lock();
        let Some(of_target) = places.of_target.get_mut(&self.target) else { return };
        of_target.remove(&self.number);
        match of_target.first_entry() {
            Some(mut first) => {
                if let Some(waiting) = first.get_mut().take() {
                    let _ = waiting.send(());
                }
            }
            None => _ = places.of_target.remove(&self.target),
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
        let (first, second, other) =
            (order.take_place(&path("/a")), order.take_place(&path("/a")), order.take_place(&path("/b")));
        assert_eq!(first.turn().now_or_never(), Some(()));
        assert_eq!(other.turn().now_or_never(), Some(()));
        {
            let mut waiting = pin!(second.turn());
            assert_eq!(waiting.as_mut().now_or_never(), None);
            drop(first);
            assert_eq!(waiting.now_or_never(), Some(()));
        }
        let third = order.take_place(&path("/a"));
        drop(second);
        assert_eq!(third.turn().now_or_never(), Some(()));
        drop((third, other));
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
