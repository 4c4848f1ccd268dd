//! The reserve: uploads are refused while there is still room for what brings relief. Ending, aborting, restoring and
//! emptying never ask for it.

use super::Lake;
use crate::error::{Error, Store};
use crate::limits::SPACE_KNOWN_MAX;
use crate::overview::Disk;
use crate::ports::Space;
use crate::time::Timestamp;
use std::sync::{Mutex, PoisonError};

/// What the last look has seen.
#[derive(Default)]
pub(super) struct Reserve(Mutex<Option<Look>>);

#[derive(Clone, Copy)]
struct Look {
    at: Timestamp,
    lake: Space,
    state: Space,
    /// What resumable uploads have announced and not sent yet.
    promised_bytes: u64,
}

impl Lake {
    /// Refuses what would leave too little room: `more_bytes` are about to come into the lake, beside those that resumable
    /// uploads were promised room for.
    pub(super) fn refuse_below_reserve(&self, more_bytes: u64) -> Result<(), Error> {
        self.look_for_room(|look| look.promised_bytes.saturating_add(more_bytes))
    }

    /// Refuses what was promised room, when that has gone all the same.
    pub(super) fn refuse_promised_below_reserve(&self) -> Result<(), Error> {
        self.look_for_room(|_| 0)
    }

    /// The next question is not answered by what was seen before: more was promised since.
    pub(super) fn forget_space(&self) {
        *self.0.reserve.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The disks, and how much room they have. One that nobody knows a bound of is left out.
    pub(super) fn disks(&self) -> Result<Vec<Disk>, Error> {
        let spaces = [(Store::Lake, self.0.files.space()?), (Store::State, self.0.state.space()?)];
        let bounded = spaces.into_iter().filter(|(_, space)| *space != Space::UNBOUNDED);
        let disk = |(store, space): (Store, Space)| {
            Disk::new(store, space.free_bytes, space.total_bytes, self.reserve_bytes(space))
        };
        Ok(bounded.map(disk).collect())
    }

    fn reserve_bytes(&self, space: Space) -> u64 {
        self.0.limits.free_bytes_min.unwrap_or_else(|| space.reserve())
    }

    fn look_for_room(&self, more_bytes: impl Fn(&Look) -> u64) -> Result<(), Error> {
        let now = self.now();
        let seen = *self.0.reserve.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = seen
            && look.at <= now
            && now < look.at.plus(SPACE_KNOWN_MAX)
            && self.is_enough(&look, more_bytes(&look)).is_ok()
        {
            return Ok(());
        }
        // Nobody is refused for what was seen before: there may be space again.
        let (lake, state) = (self.0.files.space()?, self.0.state.space()?);
        let look = Look { at: now, lake, state, promised_bytes: self.0.state.promised_bytes()? };
        *self.0.reserve.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        self.is_enough(&look, more_bytes(&look))
    }

    fn is_enough(&self, look: &Look, more_bytes: u64) -> Result<(), Error> {
        for (store, space, more_bytes) in [(Store::Lake, look.lake, more_bytes), (Store::State, look.state, 0)] {
            let reserve_bytes = self.reserve_bytes(space);
            let free_bytes = space.free_bytes;
            if free_bytes < reserve_bytes.saturating_add(more_bytes) {
                return Err(Error::BelowReserve { store, free_bytes, reserve_bytes, more_bytes });
            }
        }
        Ok(())
    }
}
