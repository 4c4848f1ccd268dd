//! Steps of one group of the commit queue: its bytes are synced, its intent is committed, its files are renamed, and its
//! rows are committed. On object storage the bytes come before the queue ([`Lake::write_at_once`]).
//!
//! The guarantees depend on the order: the bytes and the intent are durable before the rename, and the rename before the
//! row and the response. When a group is renamed and another one waits, the rows of the first and the intent of the
//! second are committed in one transaction, so a replaced file always has its row.
//!
//! An upload whose step failed for a temporary reason, without a change, leaves its group and joins a later one; the
//! others continue. An upload whose progress is unknown is settled by [`crate::service::uploads::unsettled`].
//!
//! A response need not wait for the row where the metadata store defers it ([`defer_landings`](crate::ports::metadata::upload::UploadState::defer_landings)): a durable
//! intent and a durable name are enough for the next start to write the row, and nobody else can tell the difference.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::storage_path::StoragePath;
use crate::ports::metadata::upload::{FinishedLandings, LandingsId};
use crate::ports::storage::{WholeFile, WrittenGroup};
use crate::service::Lake;
use crate::service::uploads::commit_queue::Waiting;
use crate::service::uploads::destination::upload_owner;
use crate::service::uploads::landing_step::{Attempt, Content, Ready, Step};
use crate::service::uploads::unsettled::{UnsettledGroup, UnsettledTarget};
use crate::service::versions::Move;
use bytes::Bytes;
use futures_util::future::join;
use std::sync::Arc;

/// A group whose files are renamed.
pub(super) struct NamedGroup {
    steps: Vec<Step>,
    /// Uploads that were not renamed, by a temporary fault. They are queued again after the intent of this group is
    /// deleted, as an upload has one intent at a time.
    unnamed: Vec<(Step, Error)>,
    /// Uploads for which it is unknown whether they were renamed.
    unsettled: Vec<(Step, Error)>,
    finished: Arc<FinishedLandings>,
    /// Whether the callers were answered before the rows are committed.
    pub(super) is_answered: bool,
    /// Until the rows are committed.
    moving: Move,
}

fn whole_file(ready: &Ready, bytes: &Bytes, digest: Digest) -> WholeFile {
    let owner = upload_owner(&ready.sync, &ready.target);
    WholeFile { name: ready.partial.clone(), owner, bytes: bytes.clone(), digest }
}

impl Lake {
    /// Answers the callers of a group now if the metadata store can defer its rows: its intent and its names are durable,
    /// so the next start would write them. Not a group that has replaced files: a version that has one finds it only by the
    /// rows, which a full disk may refuse.
    pub(super) fn answer_before_rows(&self, group: &mut NamedGroup) {
        let is_whole = group.unnamed.is_empty() && group.unsettled.is_empty();
        let is_new = group.finished.landed.iter().all(|landed| landed.trash.is_none());
        if is_whole && is_new && self.0.state.defer_landings(&group.finished) {
            group.is_answered = true;
            // Before the answers: the end of a sync is told behind the landings before it.
            self.0.events.pending_changes().landed(&group.finished.landed);
            group.steps.iter_mut().for_each(Step::answer_landed);
        }
    }

    /// Renames the files of a group, and commits the rows of the group before. Uploads that fail on the way get their
    /// error.
    pub(super) async fn land_group(&self, before: Option<NamedGroup>, group: Vec<Waiting>) -> Option<NamedGroup> {
        let group = self.settle_before(group).await;
        let (steps, written) = self.write(group).await;
        if self.0.state.lands_together() {
            self.remember(before).await;
            self.land_together(steps, written).await;
            return None;
        }
        let (steps, id) = self.seal_and_intend(before, steps, written).await?;
        Some(self.name(id, steps).await)
    }

    /// Fails the uploads to a path whose last landing stays unsettled: rows are written in the order of the files.
    async fn settle_before(&self, group: Vec<Waiting>) -> Vec<Waiting> {
        let is_unsettled = |waiting: &Waiting| self.0.commit_queue.unsettled.has_target(&waiting.ready.target);
        if !group.iter().any(is_unsettled) {
            return group;
        }
        let fault = self.settle_landings().await.err();
        let (failed, group): (Vec<_>, _) = group.into_iter().partition(is_unsettled);
        for Waiting { ready, answer } in failed {
            answer.fail(UnsettledTarget::error(fault.as_ref()), || ready);
        }
        group
    }

    /// Commits rows for renamed files, then replies.
    pub(super) async fn remember(&self, group: Option<NamedGroup>) {
        let Some(group) = group else { return };
        // Repeated here although others wait: they need the same metadata store, and a file without a row should not
        // last.
        match self.patiently(|| self.0.state.finish_landings(&group.finished)).await {
            Ok(()) => self.remembered(group),
            Err(Error::DiskFull) if !group.is_answered => self.rollback_group(group).await,
            // Renamed files keep their names, as the rows may have been written all the same.
            Err(cause) => {
                let NamedGroup { finished, steps, unnamed, unsettled, .. } = group;
                let steps = steps.into_iter().map(|step| (step, cause.repeated()));
                self.leave_unsettled(finished.id, steps.chain(unnamed).chain(unsettled).collect());
                // After it is in the list: an end of its sync finds it in one of the two.
                self.0.state.withdraw_landings(finished.id);
            }
        }
    }

    /// The disk has no space for the rows, so they are not written: the renames are undone in reverse order, so that
    /// the lake has no file without a row. The intent stays; a restart will find nothing to do for it.
    async fn rollback_group(&self, group: NamedGroup) {
        let NamedGroup { finished, steps, unnamed, mut unsettled, .. } = group;
        for step in steps.into_iter().rev() {
            match self.0.files.rollback_landing(&step.landing).await {
                Ok(()) => _ = step.refuse(Error::DiskFull),
                Err(error) => unsettled.push((step, error)),
            }
        }
        for (step, error) in unnamed {
            step.refuse(error);
        }
        self.leave_unsettled(finished.id, unsettled);
    }

    fn remembered(&self, group: NamedGroup) {
        let NamedGroup { finished, steps, unnamed, unsettled, moving, is_answered } = group;
        drop(moving);
        if !is_answered {
            self.0.events.pending_changes().landed(&finished.landed);
            steps.into_iter().for_each(Step::landed);
        }
        for (step, error) in unnamed {
            step.fail(error);
        }
        self.leave_unsettled(finished.id, unsettled);
    }

    fn leave_unsettled(&self, id: LandingsId, steps: Vec<(Step, Error)>) {
        if !steps.is_empty() {
            let steps = steps.into_iter().map(|(step, error)| (step.unsettled(), error)).collect();
            self.0.commit_queue.leave_unsettled(UnsettledGroup { id, steps });
        }
    }

    /// Writes an upload that is only in memory, by itself. `Err` has the attempt that failed.
    pub(super) async fn write_at_once(&self, mut ready: Ready) -> Result<Ready, Attempt> {
        let Content::Whole(bytes, digest) = &ready.content else { return Ok(ready) };
        let file = whole_file(&ready, bytes, *digest);
        let (mut written, group) = self.0.files.write_group(vec![file]).await;
        let written = match (written.pop(), group.seal().await) {
            (Some(written), sealed) => sealed.and(written),
            (None, _) => Err(Error::BytesLost),
        };
        match written {
            Ok((identity, digest)) => ready.content = Content::Sealed(identity, digest),
            // Nothing has landed, so there is nothing to settle.
            Err(error) if error.is_unsettled() => return Err(Attempt::Ended(Err(error.permanent()))),
            Err(error) => return Err(Attempt::failed(error, || ready)),
        }
        Ok(ready)
    }

    /// Writes the uploads that are only in memory.
    async fn write(&self, group: Vec<Waiting>) -> (Vec<Step>, Option<Box<dyn WrittenGroup>>) {
        let mut files = Vec::new();
        let mut jobs = Vec::with_capacity(group.len());
        for Waiting { ready, answer } in group {
            let sealed = match &ready.content {
                Content::Whole(bytes, digest) => {
                    files.push(whole_file(&ready, bytes, *digest));
                    None
                }
                Content::Sealed(identity, digest) => Some((identity.clone(), *digest)),
            };
            jobs.push((ready, sealed, answer));
        }
        let (mut results, written) = if files.is_empty() {
            (Vec::new(), None)
        } else {
            let (results, written) = self.0.files.write_group(files).await;
            (results, Some(written))
        };
        let mut results = results.drain(..);
        let mut steps = Vec::with_capacity(jobs.len());
        for (ready, sealed, answer) in jobs {
            match sealed.map(Ok).or_else(|| results.next()) {
                Some(Ok((identity, digest))) => steps.push(Step::new(ready, identity, digest, answer)),
                Some(Err(error)) => answer.fail(error, || ready),
                // Dropped: its caller gets an error.
                None => {}
            }
        }
        (steps, written)
    }

    /// Syncs the bytes and, at the same time, commits the intent and the rows of the group before.
    async fn seal_and_intend(
        &self,
        before: Option<NamedGroup>,
        steps: Vec<Step>,
        written: Option<Box<dyn WrittenGroup>>,
    ) -> Option<(Vec<Step>, LandingsId)> {
        if steps.is_empty() {
            self.remember(before).await;
            return None;
        }
        let seal = async {
            match written {
                Some(group) => group.seal().await,
                None => Ok(()),
            }
        };
        let intend = async {
            let uploads: Vec<_> = steps.iter().map(|step| step.upload.clone()).collect();
            let finished = before.as_ref().map(|named| &*named.finished);
            let intended = self.0.state.write_intents(finished, &uploads).await;
            match (before, &intended) {
                (Some(named), Ok(_)) => self.remembered(named),
                // The rows of the group before may have caused the error.
                (before, _) => self.remember(before).await,
            }
            intended
        };
        let (sealed, intended) = join(seal, intend).await;
        let refuse_all = |steps: Vec<Step>, cause: Error| {
            for step in steps {
                step.answer.refuse(cause.repeated().permanent());
            }
        };
        let (id, permissions) = match (intended, sealed) {
            (Ok(intended), Ok(())) => intended,
            // The bytes are durable and need not be written again. Without a rename it does not matter whether the
            // intent was stored.
            (Err(error), Ok(())) => {
                for step in steps {
                    step.fail(if error.is_unsettled() { error.repeated().permanent() } else { error.repeated() });
                }
                return None;
            }
            (Ok((id, _)), Err(error)) => {
                let given_up = FinishedLandings { id, landed: Vec::new(), left: Vec::new(), at: self.now() };
                let forgotten = self.patiently(|| self.0.state.finish_landings(&given_up)).await;
                // On failure the intent stays; the next start finds that nothing was done for it.
                refuse_all(steps, forgotten.err().unwrap_or(error));
                return None;
            }
            (Err(error), Err(_)) => {
                refuse_all(steps, error);
                return None;
            }
        };
        let mut allowed = Vec::with_capacity(steps.len());
        for (step, permission) in steps.into_iter().zip(permissions) {
            match permission {
                Ok(()) => allowed.push(step),
                Err(error) => step.fail(error),
            }
        }
        Some((allowed, id))
    }

    async fn name(&self, id: LandingsId, steps: Vec<Step>) -> NamedGroup {
        let landings: Vec<_> = steps.iter().map(|step| step.landing.clone()).collect();
        let live = steps.iter().filter(|step| matches!(step.landing.place, StoragePath::Live(_)));
        let moving = self.0.moves.begin(live.map(|step| step.upload.target.clone()).collect());
        let outcomes = self.0.files.land(&landings).await;
        let mut named = Vec::with_capacity(steps.len());
        let (mut unnamed, mut unsettled) = (Vec::new(), Vec::new());
        let mut landed = Vec::with_capacity(steps.len());
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => {
                    self.0.size_cache.landed(step.upload.sync_id, outcome);
                    landed.push(self.landed(step.upload.clone(), outcome));
                    named.push(step);
                }
                Err(error) if error.is_transient() => unnamed.push((step, error)),
                Err(error) if error.is_unsettled() => unsettled.push((step, error)),
                Err(error) => _ = step.answer.refuse(error),
            }
        }
        let left = unsettled.iter().map(|(step, _)| step.upload.clone()).collect();
        let finished = Arc::new(FinishedLandings { id, landed, left, at: self.now() });
        NamedGroup { steps: named, unnamed, unsettled, finished, is_answered: false, moving }
    }
}
