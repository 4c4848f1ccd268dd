//! Shares: a limit per holder on a bounded resource, so that no holder takes all of it.

use crate::model::access::key::Caller;
use crate::model::access::network::Network;
use crate::model::access::principal::Principal;
use crate::model::id::KeyId;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Counts the shares in use by each holder.
#[derive(Debug)]
pub struct Shares<H> {
    share_max: usize,
    held: Arc<Mutex<HashMap<H, usize>>>,
}

/// One unit in use by a holder, released on drop.
#[derive(Debug)]
pub struct Share<H: Eq + Hash> {
    holder: H,
    held: Arc<Mutex<HashMap<H, usize>>>,
}

impl<H: Eq + Hash + Clone> Shares<H> {
    pub fn new(share_max: usize) -> Self {
        Self { share_max, held: Arc::default() }
    }

    /// Takes one unit for `holder`; `None` when its share is used up.
    pub fn take(&self, holder: H) -> Option<Share<H>> {
        let mut held = lock(&self.held);
        let count = held.entry(holder.clone()).or_default();
        if *count >= self.share_max {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Share { holder, held: self.held.clone() })
    }
}

impl<H: Eq + Hash> Drop for Share<H> {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

fn lock<H>(held: &Mutex<HashMap<H, usize>>) -> MutexGuard<'_, HashMap<H, usize>> {
    held.lock()
}

/// Holder of a share: the key, however it was sent; the network for callers without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    Key(KeyId),
    Network(Network),
}

impl Holder {
    /// Whether the holder has no key.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    pub fn new(caller: &Caller, network: Network) -> Self {
        match caller.principal() {
            Principal::Key(id) => Self::Key(id),
            Principal::Guest | Principal::FirstSignIn | Principal::Unknown => Self::Network(network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_limits_one_holder_and_not_the_others() {
        let shares = Shares::new(2);
        let first = shares.take("a").unwrap();
        let second = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        assert!(shares.take("b").is_some());
        drop(first);
        assert!(shares.take("a").is_some());
        drop(second);
        assert!(lock(&shares.held).is_empty(), "nothing is kept of who holds nothing");
    }
}
