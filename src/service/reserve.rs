//! Reserve: uploads are refused while the disk still has space for the calls that free some. Ending, aborting,
//! restoring and purging never check it.

use super::Lake;
use super::recovery::Recovered;
use crate::model::access::principal::Principal;
use crate::model::error::{DiskRole, Error};
use crate::model::limits::{ANNOUNCED_SHARE, ANNOUNCED_SHARE_OF_ALL, SPACE_KNOWN_MAX};
use crate::model::overview::Disk;
use crate::model::time::Timestamp;
use crate::ports::Space;
use crate::ports::metadata::resumable::AnnouncedBytes;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Reserve(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// Last reading.
    look: Option<Look>,
    /// Number of invalidations: a concurrent reading may miss a change.
    forgotten: u64,
}

#[derive(Clone)]
struct Look {
    at: Timestamp,
    lake: Space,
    state: Space,
    /// Announced bytes of resumable uploads that have not arrived yet.
    announced: Arc<[AnnouncedBytes]>,
}

impl Look {
    /// Part of `room_bytes` that `owner` may not use, because of uploads begun before. Its own announcements count in
    /// full: it should not begin an upload without space for it. Those of others count only once a byte has arrived,
    /// and up to a share, so that an announcement alone takes no space from others. Guests are not told apart, so none
    /// of them has announcements of its own.
    fn kept_bytes(&self, owner: Principal, room_bytes: u64) -> u64 {
        let share = room_bytes / ANNOUNCED_SHARE;
        let is_own = |one: &&AnnouncedBytes| owner.owns(one.owner);
        let own: u64 = self.announced.iter().filter(is_own).map(|one| one.bytes).sum();
        let of_others = self.announced.iter().filter(|one| !is_own(one));
        let of_others: u64 = of_others.map(|one| one.begun_bytes.min(share)).sum();
        own.saturating_add(of_others.min(room_bytes / ANNOUNCED_SHARE_OF_ALL))
    }
}

impl Reserve {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock()
    }
}

impl Lake {
    /// Checks that more than the reserve is free.
    pub async fn has_room(&self) -> Result<(), Error> {
        self.look_for_room(|_, _| 0).await
    }

    /// Refuses `more_bytes` of `owner` if the lake would have too little free space.
    pub(super) async fn refuse_below_reserve(&self, owner: Principal, more_bytes: u64) -> Result<(), Error> {
        self.look_for_room(|look, room_bytes| look.kept_bytes(owner, room_bytes).saturating_add(more_bytes)).await
    }

    /// Refuses to continue an announced upload if too little space is left.
    pub(super) async fn refuse_announced_below_reserve(&self) -> Result<(), Error> {
        self.look_for_room(|_, _| 0).await
    }

    /// Invalidates the last reading after a new announcement.
    pub(super) fn invalidate_free_space(&self) {
        let mut seen = self.0.reserve.seen();
        seen.look = None;
        seen.forgotten += 1;
    }

    /// Disks with their free space. Disks without a known size are left out.
    pub(super) fn disks(&self) -> Result<Vec<Disk>, Error> {
        let spaces = [(DiskRole::Lake, self.0.files.space()?), (DiskRole::State, self.0.state.space()?)];
        let bounded = spaces.into_iter().filter(|(_, space)| *space != Space::UNBOUNDED);
        let disk = |(store, space): (DiskRole, Space)| {
            Disk::new(store, space.free_bytes, space.total_bytes, self.reserve_bytes(space))
        };
        Ok(bounded.map(disk).collect())
    }

    /// Releases a part of the reserve where a call that frees space has failed on a full disk. True where it may be tried again.
    pub(super) fn release_reserve_if_full<T>(&self, attempt: &Result<T, Error>) -> bool {
        let is_released = matches!(attempt, Err(Error::DiskFull)) && self.0.state.release_reserve();
        if is_released {
            self.invalidate_free_space();
        }
        is_released
    }

    /// [`Self::recover`] that releases parts of the reserve on a full disk.
    pub async fn recover_on_any_disk(&self) -> Result<Recovered, Error> {
        loop {
            let recovered = self.recover().await;
            if !self.release_reserve_if_full(&recovered) {
                return recovered;
            }
        }
    }

    /// Refills the reserve, where the disk has space for it.
    pub fn refill_reserve(&self) -> Result<(), Error> {
        self.0.state.refill_reserve()
    }

    fn reserve_bytes(&self, space: Space) -> u64 {
        self.0.limits.free_bytes_min.unwrap_or_else(|| space.reserve())
    }

    /// `more_bytes` gets the reading, and the free bytes of the lake above its reserve.
    async fn look_for_room(
        &self,
        more_bytes: impl Fn(&Look, u64) -> u64 + Send + std::marker::Sync,
    ) -> Result<(), Error> {
        let now = self.now();
        let (seen, forgotten) = {
            let seen = self.0.reserve.seen();
            (seen.look.clone(), seen.forgotten)
        };
        if let Some(look) = seen
            && look.at <= now
            && now < look.at.plus(SPACE_KNOWN_MAX)
            && self.is_enough(&look, &more_bytes).is_ok()
        {
            return Ok(());
        }
        // No refusal is based on an old reading: space may have been freed since.
        let (lake, state) = (self.0.files.space()?, self.0.state.space()?);
        if lake == Space::UNBOUNDED && state == Space::UNBOUNDED {
            // Object storage and PostgreSQL: nothing is known that could run out.
            return Ok(());
        }
        let look = Look { at: now, lake, state, announced: self.0.state.announced_bytes().await?.into() };
        {
            let mut seen = self.0.reserve.seen();
            if seen.forgotten == forgotten {
                seen.look = Some(look.clone());
            }
        }
        self.is_enough(&look, &more_bytes)
    }

    fn is_enough(&self, look: &Look, more_bytes: &impl Fn(&Look, u64) -> u64) -> Result<(), Error> {
        let room_bytes = look.lake.free_bytes.saturating_sub(self.reserve_bytes(look.lake));
        let more_bytes = more_bytes(look, room_bytes);
        for (store, space, more_bytes) in [(DiskRole::Lake, look.lake, more_bytes), (DiskRole::State, look.state, 0)] {
            let missing_bytes = match store {
                DiskRole::Lake => 0,
                DiskRole::State => self.0.state.missing_reserve_bytes(),
            };
            let reserve_bytes = self.reserve_bytes(space).saturating_add(missing_bytes);
            let free_bytes = space.free_bytes;
            if free_bytes < reserve_bytes.saturating_add(more_bytes) {
                return Err(Error::BelowReserve { store, free_bytes, reserve_bytes, more_bytes });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::KeyId;

    #[test]
    fn own_announcements_count_in_full_and_those_of_others_up_to_a_share_after_their_first_byte() {
        let key = |id| Principal::Key(KeyId(id));
        let announced = |owner, bytes, begun_bytes| AnnouncedBytes { owner, bytes, begun_bytes };
        let kept = |announced: &[AnnouncedBytes], owner: Principal| {
            let (lake, state) = (Space::UNBOUNDED, Space::UNBOUNDED);
            Look { at: Timestamp(0), lake, state, announced: announced.into() }.kept_bytes(owner, 100)
        };
        let silent = [announced(key(1), 90, 0), announced(Principal::Guest, 90, 0)];
        assert_eq!((kept(&silent, key(1)), kept(&silent, key(2)), kept(&silent, Principal::Guest)), (90, 0, 0));
        let begun = [announced(key(1), 90, 20), announced(Principal::Guest, 90, 90)];
        assert_eq!((kept(&begun, key(1)), kept(&begun, key(2)), kept(&begun, Principal::Guest)), (115, 45, 45));
        let many: Vec<_> = (1..9).map(|id| announced(key(id), u64::MAX / 9, u64::MAX / 9)).collect();
        assert_eq!(kept(&many, key(9)), 50, "half of the room is for everybody, however many have announced");
    }
}
