//! Locks of resumable uploads: one request at a time continues an upload. A new request asks the one before to stop,
//! and waits until it has: after a change of network, the old connection is dead, and its request would block for
//! minutes.

use crate::model::upload::resumable::Token;
use crate::ports::metadata::node::Held;
use crate::service::weak_map::WeakMap;
use async_lock::{Mutex as Turns, MutexGuardArc};
use futures_channel::oneshot;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

/// All uploads that a request holds or waits for.
#[derive(Default)]
pub(in crate::service) struct UploadLocks(WeakMap<Token, Holder>);

#[derive(Default)]
struct Holder {
    turns: Arc<Turns<()>>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
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
    _holder: Arc<Holder>,
}

impl UploadLocks {
    fn of(&self, token: &Token) -> Arc<Holder> {
        self.0.get(token.clone(), Holder::default)
    }

    /// Asks the holder to stop, and takes the lock.
    pub(super) async fn take_over(&self, token: &Token) -> UploadLock {
        let holder = self.of(token);
        let came = {
            let mut line = holder.line();
            if let Some(stop) = line.stop.take() {
                // The holder has stopped already.
                let _ = stop.send(());
            }
            line.came += 1;
            line.came
        };
        let turn = holder.turns.lock_arc().await;
        UploadLock::new(holder, turn, came)
    }

    /// Asks the holder to stop, as another node waits for it.
    pub(super) fn ask_to_stop(&self, token: &Token) {
        if let Some(stop) = self.of(token).line().stop.take() {
            // The holder has stopped already.
            let _ = stop.send(());
        }
    }

    /// The lock, unless a request holds it.
    pub(super) fn take_free(&self, token: &Token) -> Option<UploadLock> {
        let holder = self.of(token);
        let turn = holder.turns.try_lock_arc()?;
        let came = holder.line().came;
        Some(UploadLock::new(holder, turn, came))
    }
}

impl Holder {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock()
    }
}

impl UploadLock {
    fn new(holder: Arc<Holder>, turn: MutexGuardArc<()>, came: u64) -> Self {
        let (sender, stop) = oneshot::channel();
        let mut line = holder.line();
        // If others have come since, the sender is dropped here, which asks to stop too.
        if line.came == came {
            line.stop = Some(sender);
        }
        drop(line);
        Self { stop, everywhere: None, _turn: turn, _holder: holder }
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
        let holders = UploadLocks::default();
        block_on(async {
            let mut first = holders.take_over(&token()).await;
            assert!(!first.is_stopped());
            assert!(holders.take_free(&token()).is_none());
            let hand_over = async {
                first.stopped().await;
                drop(first);
            };
            let (_, mut second) = join(hand_over, holders.take_over(&token())).await;
            assert!(!second.is_stopped());
            drop(second);
            assert!(!holders.take_free(&token()).unwrap().is_stopped());
        });
    }

    #[test]
    fn the_last_of_several_waiting_requests_continues() {
        let holders = UploadLocks::default();
        block_on(async {
            let mut first = holders.take_over(&token()).await;
            let hand_over = async {
                first.stopped().await;
                drop(first);
            };
            let passes_it_on = async { holders.take_over(&token()).await.is_stopped() };
            let goes_on = async { holders.take_over(&token()).await.is_stopped() };
            let (_, second, third) = join3(hand_over, passes_it_on, goes_on).await;
            assert_eq!((second, third), (true, false));
        });
    }
}
