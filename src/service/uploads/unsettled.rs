//! Unsettled landings, whose progress is unknown because a disk failed during them. After a failed sync, or a failed
//! commit, the kernel has reported the error once, and only a later look at the files counts.
//!
//! The consumer of the commit queue settles them between groups, since no other task is sure to run to its end.
//!
//! Nothing is undone on a guess. The intent of such a landing stays in the metadata store. Each attempt to settle it
//! finds the upload by its identity, makes that state durable, and writes its row or its failure. The caller waits for
//! some seconds; then it is told that the outcome is unknown, and the attempts continue in the background. A restart
//! does the same. No sync ends while one of its landings is unsettled.

use crate::model::error::Error;
use crate::model::fault::FaultKind;
use crate::model::id::SyncId;
use crate::model::limits::SETTLING_PAUSES;
use crate::model::path::LakePath;
use crate::model::storage_path::PartialName;
use crate::ports::metadata::upload::{FinishedLandings, LandedUpload, LandingsId};
use crate::service::Lake;
use crate::service::uploads::failures::{Failure, RegisteredFailure};
use crate::service::uploads::landing_step::Step;
use futures_util::future::{Either, select};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

/// A group, or a part of it, whose intent is stored.
pub(in crate::service) struct UnsettledGroup {
    pub(in crate::service) id: LandingsId,
    /// Each with the error for its caller if it has not landed.
    pub(in crate::service) steps: Vec<(Step, Error)>,
}

#[derive(Default)]
pub(in crate::service) struct Unsettled {
    groups: Mutex<VecDeque<UnsettledGroup>>,
    /// Held during a settlement.
    turn: async_lock::Mutex<()>,
}

impl Unsettled {
    pub(in crate::service) fn push(&self, group: UnsettledGroup) {
        self.groups().push_back(group);
    }

    /// Whether one of the landings is at this path. For the consumer of the commit queue, which settles none meanwhile.
    pub(in crate::service) fn has_target(&self, target: &LakePath) -> bool {
        self.groups().iter().flat_map(|group| &group.steps).any(|(step, _)| step.upload.target == *target)
    }

    fn groups(&self) -> MutexGuard<'_, VecDeque<UnsettledGroup>> {
        self.groups.lock()
    }
}

/// A group that is being settled. It stays unsettled if the task is dropped or fails.
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
    /// Tries to settle each unsettled group once. Returns the error of the last one that stays.
    pub async fn settle_landings(&self) -> Result<(), Error> {
        let list = &self.0.commit_queue.unsettled;
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

    /// Settles the landings of a sync or an upload whose state is needed. Fails if it stays unknown.
    pub(in crate::service) async fn settle_landings_of(&self, sync_id: SyncId) -> Result<(), Error> {
        self.settle_those(|step| step.upload.sync_id == sync_id).await
    }

    pub(in crate::service) async fn settle_landing_of(&self, partial: &PartialName) -> Result<(), Error> {
        self.settle_those(|step| step.upload.partial == *partial).await
    }

    async fn settle_those(&self, is_one: impl Fn(&Step) -> bool) -> Result<(), Error> {
        self.0.state.finish_deferred_landings().await?;
        let is_led = self.0.commit_queue.is_led();
        for pause in SETTLING_PAUSES.into_iter().filter(|_| is_led) {
            if !self.is_any_unsettled(&is_one).await {
                return Ok(());
            }
            self.pause(pause).await;
        }
        if !is_led {
            // The reason is reported by the next query.
            let _ = self.settle_landings().await;
        }
        if self.is_any_unsettled(&is_one).await { Err(StillUnsettled::error()) } else { Ok(()) }
    }

    async fn is_any_unsettled(&self, is_one: impl Fn(&Step) -> bool) -> bool {
        let list = &self.0.commit_queue.unsettled;
        // A group that is being settled is not in the list.
        let _turn = list.turn.lock().await;
        list.groups().iter().flat_map(|group| &group.steps).any(|(step, _)| is_one(step))
    }

    /// Waits for `length`. If the commit queue has no consumer, settles the landings first.
    pub(in crate::service) async fn wait_for_settling(&self, length: Duration) {
        if !self.0.commit_queue.is_led() {
            // The reason is reported by the next attempt.
            let _ = self.settle_landings().await;
        }
        self.pause(length).await;
    }

    /// For the consumer of the commit queue: waits for `next`, and settles meanwhile, less often if that keeps failing.
    pub(in crate::service) async fn settle_until<T>(&self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        let mut pauses = SETTLING_PAUSES.into_iter();
        loop {
            if self.0.commit_queue.unsettled.groups().is_empty() {
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

    /// Settles the landings of a group where possible, and removes them from it.
    async fn settle_group(&self, group: &mut UnsettledGroup) -> Result<(), Error> {
        let mut found = Vec::with_capacity(group.steps.len());
        for (step, _) in &group.steps {
            let next = match found.last() {
                // Each step would wait for a storage that did not answer.
                Some(Err(error)) if is_of_storage(error) => Err(error.repeated()),
                _ => self.0.files.recover_landing(&step.landing).await,
            };
            found.push(next);
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
        self.0.events.pending_changes().landed(&finished.landed);
        let steps = std::mem::take(&mut group.steps);
        let mut unlanded = Vec::new();
        for ((step, cause), found) in steps.into_iter().zip(found) {
            match found {
                Ok(Some(_)) => step.landed(),
                Ok(None) => unlanded.extend(step.refuse(cause)),
                Err(_) => group.steps.push((step, cause)),
            }
        }
        // These have no caller any more. Each is given up, whatever happens to the others, since nothing else would.
        for (upload, cause) in unlanded {
            let Err(error) = self.give_up_landing(&upload, &cause).await else { continue };
            if let Some(upload_id) = upload.upload_id {
                let failure = RegisteredFailure {
                    upload_id,
                    sync_id: upload.sync_id,
                    file_name: upload.file_name.clone(),
                    message: cause.to_string(),
                    size_bytes: upload.digest.size_bytes,
                    at: self.now(),
                };
                self.remember_failure_later(Failure::Registered(failure));
            }
            fault.get_or_insert(error);
        }
        fault.map_or(Ok(()), Err)
    }
}

/// Whether the database or the object storage is the cause, so that the next call meets it too.
fn is_of_storage(error: &Error) -> bool {
    matches!(error, Error::Internal(fault) if matches!(fault.kind(), FaultKind::NoDatabase | FaultKind::NoObjectStorage))
}

#[derive(Debug, thiserror::Error)]
#[error("a disk failed during a landing, and its outcome cannot be read yet")]
pub(in crate::service) struct StillUnsettled;

/// The upload was not tried.
#[derive(Debug, thiserror::Error)]
#[error("a disk or the database failed during an earlier landing at this path, whose outcome cannot be read yet")]
pub(in crate::service) struct UnsettledTarget;

impl UnsettledTarget {
    /// `fault` is why the earlier landing stays unsettled.
    pub(in crate::service) fn error(fault: Option<&Error>) -> Error {
        match fault {
            Some(Error::DiskFull) => Error::DiskFull,
            Some(Error::Internal(fault)) if fault.kind() != FaultKind::Unknown => {
                Error::transient(Self).of_kind(fault.kind())
            }
            _ => Error::transient(Self).of_kind(FaultKind::FailingDisk),
        }
    }
}

impl StillUnsettled {
    pub(in crate::service) fn error() -> Error {
        Error::unsettled(Self)
    }
}
