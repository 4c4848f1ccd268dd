//! Landings of which it is not known how far they came, because a disk failed amid them: after a failed sync, or a failed
//! commit, the kernel has told of it once, and only what is found afterwards counts.
//!
//! Whoever leads the landings settles them, between groups; nobody else could be sure to come to an end.
//!
//! Nothing is undone on a guess. The intent of such a landing stays in the state. Each attempt to settle it looks where the
//! upload is now, by its identity, makes that durable, and gives it its row, or says that it has not landed. Until then its
//! caller waits, for some seconds; after that the caller hears that the outcome is not known yet, and the attempts go on
//! in the background. A restart does the same. No sync ends while a landing of it is unsettled.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::SETTLING_PAUSES;
use crate::model::storage_path::PartialName;
use crate::ports::metadata::upload::{FinishedLandings, LandedUpload, LandingsId};
use crate::service::Lake;
use crate::service::uploads::commit_queue::Step;
use futures_util::future::{Either, select};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

/// A group, or what is left of it, whose intent is in the state.
pub(in crate::service) struct UnsettledGroup {
    pub(in crate::service) id: LandingsId,
    /// Each with what its caller hears where it has not landed.
    pub(in crate::service) steps: Vec<(Step, Error)>,
}

#[derive(Default)]
pub(in crate::service) struct Unsettled {
    groups: Mutex<VecDeque<UnsettledGroup>>,
    /// Held by whoever settles.
    turn: async_lock::Mutex<()>,
}

impl Unsettled {
    pub(in crate::service) fn push(&self, group: UnsettledGroup) {
        self.groups().push_back(group);
    }

    fn groups(&self) -> MutexGuard<'_, VecDeque<UnsettledGroup>> {
        self.groups.lock()
    }
}

/// A group that is being settled. It stays unsettled where whoever settles it is dropped, or fails.
struct Settling<'a> {
    list: &'a Unsettled,
    group: Option<UnsettledGroup>,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.list.push(group);
        }
    }
}

impl Lake {
    /// Tries to settle what is unsettled, each group once. The error is of the last one that stays.
    pub async fn settle_landings(&self) -> Result<(), Error> {
        let list = &self.0.landings.unsettled;
        if list.groups().is_empty() {
            return Ok(());
        }
        let _turn = list.turn.lock().await;
        let count = list.groups().len();
        let mut ended = Ok(());
        for _ in 0..count {
            let group = list.groups().pop_front();
            let mut settling = Settling { list, group };
            if let Some(group) = &mut settling.group {
                match self.settle_group(group).await {
                    Ok(()) if group.steps.is_empty() => settling.group = None,
                    Ok(()) => {}
                    Err(error) => ended = Err(error),
                }
            }
        }
        ended
    }

    /// The same, for somebody who needs to know how things are with a sync or an upload. An error where that stays unknown.
    pub(in crate::service) async fn settle_landings_of(&self, sync_id: SyncId) -> Result<(), Error> {
        self.settle_those(|step| step.upload.sync_id == sync_id).await
    }

    pub(in crate::service) async fn settle_landing_of(&self, partial: &PartialName) -> Result<(), Error> {
        self.settle_those(|step| step.upload.partial == *partial).await
    }

    async fn settle_those(&self, is_one: impl Fn(&Step) -> bool) -> Result<(), Error> {
        let is_led = self.0.landings.is_led();
        for pause in SETTLING_PAUSES.into_iter().filter(|_| is_led) {
            if !self.is_any_unsettled(&is_one).await {
                return Ok(());
            }
            self.pause(pause).await;
        }
        if !is_led {
            // Why it stays unsettled is told where that is asked next.
            let _ = self.settle_landings().await;
        }
        if self.is_any_unsettled(&is_one).await { Err(StillUnsettled::error()) } else { Ok(()) }
    }

    async fn is_any_unsettled(&self, is_one: impl Fn(&Step) -> bool) -> bool {
        let list = &self.0.landings.unsettled;
        // What is being settled is not on the list.
        let _turn = list.turn.lock().await;
        list.groups().iter().flat_map(|group| &group.steps).any(|(step, _)| is_one(step))
    }

    /// Waits so long, where somebody leads the landings: it is theirs to settle them. Else settles them, and then waits.
    pub(in crate::service) async fn wait_for_settling(&self, length: Duration) {
        if !self.0.landings.is_led() {
            // Why it stays unsettled is told by the next attempt.
            let _ = self.settle_landings().await;
        }
        self.pause(length).await;
    }

    /// For whoever leads the landings: waits for `next`, and settles what is unsettled meanwhile, seldom where that goes on
    /// failing.
    pub(in crate::service) async fn settle_until<T>(&self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        let mut pauses = SETTLING_PAUSES.into_iter();
        loop {
            if self.0.landings.unsettled.groups().is_empty() {
                return next.await;
            }
            let pause = pauses.next().unwrap_or(SETTLING_PAUSES[SETTLING_PAUSES.len() - 1]);
            match select(next, pin!(self.pause(pause))).await {
                Either::Left((next, _)) => return next,
                Either::Right((_, waiting)) => next = waiting,
            }
            if self.settle_landings().await.is_ok() {
                pauses = SETTLING_PAUSES.into_iter();
            }
        }
    }

    /// What of the group can be settled is, and leaves it.
    async fn settle_group(&self, group: &mut UnsettledGroup) -> Result<(), Error> {
        let mut found = Vec::with_capacity(group.steps.len());
        for (step, _) in &group.steps {
            found.push(self.0.files.recover_landing(&step.landing).await);
        }
        let (mut landed, mut left, mut fault) = (Vec::<LandedUpload>::new(), Vec::new(), None);
        for ((step, _), found) in group.steps.iter().zip(&found) {
            match found {
                Ok(Some(outcome)) => landed.push(self.landed(step.upload.clone(), *outcome)),
                Ok(None) => {}
                Err(error) => {
                    fault.get_or_insert_with(|| error.repeated());
                    left.push(step.upload.clone());
                }
            }
        }
        let finished = FinishedLandings { id: group.id, landed, left, at: self.now() };
        self.0.state.finish_landings(&finished).await?;
        self.0.events.marks().landed(&finished.landed);
        let steps = std::mem::take(&mut group.steps);
        let mut unlanded = Vec::new();
        for ((step, cause), found) in steps.into_iter().zip(found) {
            match found {
                Ok(Some(_)) => step.landed(),
                Ok(None) => unlanded.extend(step.refuse(cause)),
                Err(_) => group.steps.push((step, cause)),
            }
        }
        // Nobody waits for these any more.
        for (upload, cause) in unlanded {
            self.give_up_landing(&upload, &cause).await?;
        }
        fault.map_or(Ok(()), Err)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a disk has failed amid a landing, and does not let it be known how that ended")]
pub(in crate::service) struct StillUnsettled;

impl StillUnsettled {
    pub(in crate::service) fn error() -> Error {
        Error::unsettled(Self)
    }
}
