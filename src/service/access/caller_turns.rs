//! Turns for slow calls, such as a search by text or a comparison of whole datasets: one at a time for each caller, so
//! that no caller waits for another.

use crate::model::access::key::Caller;
use crate::model::access::network::Network;
use crate::model::access::shares::{Holder, Share, Shares};
use crate::model::error::Error;
use crate::model::limits::PATH_BYTES_MAX;
use crate::service::Lake;
use crate::service::weak_map::WeakMap;
use async_lock::{Mutex, MutexGuardArc};

pub(in crate::service) struct CallerTurns {
    /// In the plural, for messages.
    what: &'static str,
    share_max: usize,
    /// Running and waiting calls of a caller.
    shares: Shares<Holder>,
    running: WeakMap<Holder, Mutex<()>>,
}

/// Held while the call runs.
pub(in crate::service) struct CallerTurn {
    _turn: MutexGuardArc<()>,
    _share: Share<Holder>,
}

impl CallerTurns {
    pub(in crate::service) fn new(what: &'static str, share_max: usize) -> Self {
        Self { what, share_max, shares: Shares::new(share_max), running: WeakMap::default() }
    }

    /// Waits for the caller's turn; refused if too many of its calls wait already.
    pub(in crate::service) async fn turn(&self, caller: &Caller) -> Result<CallerTurn, Error> {
        let network = if let Caller::Guest(network) = caller { *network } else { Network::Unknown };
        self.turn_of(Holder::new(caller, network)).await
    }

    async fn turn_of(&self, holder: Holder) -> Result<CallerTurn, Error> {
        let over = Error::OverShare { what: self.what, share_max: self.share_max };
        let share = self.shares.take(holder).ok_or(over)?;
        let own = self.running.get(holder, Mutex::default);
        Ok(CallerTurn { _turn: own.lock_arc().await, _share: share })
    }
}

impl Lake {
    /// Turn of a list filtered by `text`; a list without a text needs none.
    pub(in crate::service) async fn search_turn(
        &self,
        caller: &Caller,
        text: Option<&str>,
    ) -> Result<Option<CallerTurn>, Error> {
        let Some(text) = text else { return Ok(None) };
        if text.len() > PATH_BYTES_MAX {
            return Err(Error::Invalid(format!("the search text is longer than {PATH_BYTES_MAX} bytes; shorten it")));
        }
        self.0.searches.turn(caller).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::KeyId;
    use futures_util::FutureExt;

    const SHARE: usize = 8;

    #[test]
    fn guests_of_different_networks_do_not_wait_for_each_other() {
        let lane = CallerTurns::new("searches", SHARE);
        let guest = |last: u8| Caller::Guest(Network::V4([192, 0, 2, last]));
        let (one, other) = (guest(1), guest(2));
        let _first = lane.turn(&one).now_or_never().unwrap().unwrap();
        assert!(lane.turn(&one).now_or_never().is_none());
        assert!(lane.turn(&other).now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_caller_with_many_calls_does_not_delay_other_callers() {
        let lane = CallerTurns::new("searches", SHARE);
        let (one, other) = (Holder::Key(KeyId(1)), Holder::Key(KeyId(2)));
        let first = lane.turn_of(one).now_or_never().unwrap().unwrap();
        let mut waiting: Vec<_> = (1..SHARE).map(|_| Box::pin(lane.turn_of(one))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(lane.turn_of(one).now_or_never().unwrap(), Err(Error::OverShare { .. })));
        assert!(lane.turn_of(other).now_or_never().unwrap().is_ok());
        drop(first);
        assert!(waiting[0].as_mut().now_or_never().unwrap().is_ok(), "they follow each other");
        drop(waiting);
        assert!(lane.turn_of(one).now_or_never().unwrap().is_ok(), "whoever goes away waits no more");
    }
}
