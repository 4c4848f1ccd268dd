//! Commit queue: uploads that are ready at the same time are synced, renamed and recorded together.
//!
//! Each step waits for stable storage, which takes nearly the same time for one upload as for fifty. So a completed
//! upload enters a queue, and the uploads that arrive while one group lands form the next group. No upload waits for
//! others: alone, it lands at once. Groups land one at a time, so that the next one is as large as possible, and
//! uploads of one name are replaced and recorded in the same order.
//!
//! An upload whose step failed for a temporary reason, without a change, leaves its group and joins a later one; the
//! others continue. An upload whose progress is unknown is settled by [`crate::service::uploads::unsettled`].
//!
//! The guarantees depend on the order: the bytes and the intent are durable before the rename, the rename before the
//! row, the row before the response. When a group is renamed and another one waits, the rows of the first and the
//! intent of the second are committed in one transaction, so a replaced file always has its row.

use crate::model::digest::{Digest, ExpectedDigests};
use crate::model::error::Error;
use crate::model::id::UploadId;
use crate::model::limits::ATTEMPT_PAUSES;
use crate::model::limits::SETTLING_PAUSES;
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashKind, TrashReason};
use crate::ports::metadata::upload::{CompletedUpload, FinishedLandings, LandedUpload, LandingsId};
use crate::ports::storage::{Landing, LandingOutcome, WholeFile, WrittenGroup};
use crate::service::Lake;
use crate::service::uploads::batch_queue::BatchQueue;
use crate::service::uploads::unsettled::{StillUnsettled, Unsettled, UnsettledGroup};
use crate::service::versions::Move;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, join, select};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Maximum uploads in one group.
const GROUP_UPLOADS_MAX: usize = 128;
/// Maximum bytes of small uploads that all requests together hold in memory before they land.
const WHOLE_BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(in crate::service) struct CommitQueue {
    /// Consumed by [`Lake::run_commit_queue`].
    waiting: BatchQueue<Waiting>,
    /// Held by the caller that takes the next group, if there is no consumer.
    turn: async_lock::Mutex<()>,
    pub(in crate::service) unsettled: Unsettled,
    whole_bytes: Arc<AtomicUsize>,
    /// Number of uploads so far.
    come: AtomicU64,
}

/// An upload that is ready to land.
pub(in crate::service) struct Ready {
    pub(in crate::service) sync: Arc<SyncJob>,
    pub(in crate::service) upload_id: Option<UploadId>,
    pub(in crate::service) file_name: String,
    pub(in crate::service) target: LakePath,
    pub(in crate::service) partial: PartialName,
    pub(in crate::service) content: Content,
    pub(in crate::service) begun_at: Timestamp,
    pub(in crate::service) by: String,
    /// Whether it is a copy of a file of the dataset.
    pub(in crate::service) taken_over: bool,
}

pub(in crate::service) enum Content {
    /// All bytes, in memory.
    Whole(Bytes, Digest),
    /// On stable storage, under the partial name.
    Sealed(Identity, Digest),
}

impl Content {
    fn digest(&self) -> Digest {
        let (Self::Whole(_, digest) | Self::Sealed(_, digest)) = self;
        *digest
    }
}

struct Waiting {
    ready: Ready,
    answer: Answer,
}

/// Result of an attempt to land.
enum Attempt {
    Ended(Result<Digest, Error>),
    /// Failed for a temporary reason, without a change; has the upload in its current state.
    Failed(Box<Ready>, Error),
    /// Unknown result; the receiver will get it.
    Unsettled(oneshot::Receiver<Attempt>),
}

/// Channel to the caller. Results for a dropped caller are ignored.
struct Answer(oneshot::Sender<Attempt>);

impl Answer {
    fn landed(self, digest: Digest) {
        let _ = self.0.send(Attempt::Ended(Ok(digest)));
    }

    /// False when the caller was dropped.
    fn refuse(self, error: Error) -> bool {
        self.0.send(Attempt::Ended(Err(error))).is_ok()
    }

    /// Tells the caller to wait for a second result, whose channel is returned.
    fn unsettled(self) -> Self {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Attempt::Unsettled(answered));
        Self(answer)
    }

    /// Fails the attempt; it may be repeated if the error allows it.
    fn fail(self, error: Error, ready: impl FnOnce() -> Ready) {
        let attempt =
            if error.may_pass() { Attempt::Failed(Box::new(ready()), error) } else { Attempt::Ended(Err(error)) };
        let _ = self.0.send(attempt);
    }
}

/// Memory reserved by small uploads, released on drop.
pub(in crate::service) struct Reserved {
    bytes: usize,
    pool: Arc<AtomicUsize>,
}

impl Reserved {
    /// Reserves `bytes` in total. False if that exceeds the limit of all uploads.
    pub(in crate::service) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if self.pool.fetch_add(more, Ordering::Relaxed) + more > WHOLE_BYTES_IN_FLIGHT_MAX {
            self.pool.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl CommitQueue {
    /// Leaves a group to be settled in the background by the consumer.
    pub(in crate::service) fn leave_unsettled(&self, group: UnsettledGroup) {
        self.unsettled.push(group);
    }

    pub(in crate::service) fn is_led(&self) -> bool {
        self.waiting.is_led()
    }

    pub(in crate::service) fn reserve(&self) -> Reserved {
        Reserved { bytes: 0, pool: self.whole_bytes.clone() }
    }

    /// Lands the upload together with others that are ready, if its bytes have the expected digests. The caller holds
    /// the sync lock meanwhile.
    pub(in crate::service) async fn land(
        &self,
        lake: &Lake,
        mut ready: Ready,
        expected: &ExpectedDigests,
        sha512: Option<[u8; 64]>,
    ) -> Result<Digest, Error> {
        expected.verify(ready.content.digest().sha256, sha512)?;
        self.come.fetch_add(1, Ordering::Relaxed);
        for pause in ATTEMPT_PAUSES {
            match self.attempt(lake, ready).await {
                Attempt::Failed(again, _) => ready = *again,
                ended => return self.end(lake, ended).await,
            }
            lake.pause(pause).await;
        }
        let ended = self.attempt(lake, ready).await;
        self.end(lake, ended).await
    }

    async fn end(&self, lake: &Lake, attempt: Attempt) -> Result<Digest, Error> {
        let mut answered = match attempt {
            Attempt::Ended(result) => return result,
            Attempt::Failed(_, error) => return Err(error),
            Attempt::Unsettled(answered) => answered,
        };
        for pause in SETTLING_PAUSES {
            match select(answered, pin!(lake.wait_for_settling(pause))).await {
                Either::Left((Ok(Attempt::Ended(result)), _)) => return result,
                Either::Left(_) => return Err(StillUnsettled::error()),
                Either::Right((_, unanswered)) => answered = unanswered,
            }
        }
        match answered.try_recv() {
            Ok(Some(Attempt::Ended(result))) => result,
            _ => Err(StillUnsettled::error()),
        }
    }

    async fn attempt(&self, lake: &Lake, ready: Ready) -> Attempt {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.push(Waiting { ready, answer: Answer(answer) });
        let dropped = |dropped| Attempt::Ended(Err(Error::internal(dropped)));
        if self.waiting.is_led() {
            return answered.await.unwrap_or_else(dropped);
        }
        loop {
            // Each waiting caller may take the next turn, so every queued upload is processed.
            match select(answered, pin!(self.turn.lock())).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(dropped),
                Either::Right((_turn, unanswered)) => {
                    answered = unanswered;
                    let named = lake.land_group(None, self.waiting.take(GROUP_UPLOADS_MAX)).await;
                    lake.remember(named).await;
                }
            }
        }
    }
}

/// An upload of a group in progress: its row, its target, and its caller.
pub(in crate::service) struct Step {
    sync: Arc<SyncJob>,
    pub(in crate::service) upload: CompletedUpload,
    pub(in crate::service) landing: Landing,
    answer: Answer,
}

/// A group whose files are renamed.
struct NamedGroup {
    id: LandingsId,
    steps: Vec<Step>,
    /// Uploads that were not renamed, by a temporary fault. They are queued again after the intent of this group is
    /// deleted, as an upload has one intent at a time.
    unnamed: Vec<(Step, Error)>,
    /// Uploads for which it is unknown whether they were renamed.
    unsettled: Vec<(Step, Error)>,
    landed: Vec<LandedUpload>,
    /// Until the rows are committed.
    moving: Move,
}

impl NamedGroup {
    fn finished(&self, at: Timestamp) -> FinishedLandings {
        let left = self.unsettled.iter().map(|(step, _)| step.upload.clone()).collect();
        FinishedLandings { id: self.id, landed: self.landed.clone(), left, at }
    }
}

impl Lake {
    /// Number of landings since the start. Background jobs use it to detect upload activity.
    pub fn landings_so_far(&self) -> u64 {
        self.0.landings.come.load(Ordering::Relaxed)
    }

    /// Lands queued uploads, group after group, while it is polled; after the first poll it must be polled
    /// continuously. Without it, the callers take turns. It needs a thread of its own, since the steps of a landing may
    /// block.
    pub async fn run_commit_queue(&self) -> Infallible {
        let waiting = &self.0.landings.waiting;
        waiting.lead();
        let mut named = None;
        loop {
            let group = match named {
                Some(_) => waiting.take(GROUP_UPLOADS_MAX),
                None => self.settle_until(waiting.next(GROUP_UPLOADS_MAX)).await,
            };
            named = self.land_group(named, group).await;
        }
    }

    /// Renames the files of a group, and commits the rows of the group before. Uploads that fail on the way get their
    /// error.
    async fn land_group(&self, before: Option<NamedGroup>, group: Vec<Waiting>) -> Option<NamedGroup> {
        let (steps, written) = self.write(group).await;
        let (steps, id) = self.seal_and_intend(before, steps, written).await?;
        Some(self.name(id, steps).await)
    }

    /// Commits rows for renamed files, then replies.
    async fn remember(&self, group: Option<NamedGroup>) {
        let Some(group) = group else { return };
        // Repeated here although others wait: they need the same metadata store, and a file without a row should not
        // last.
        let finished = group.finished(self.now());
        match self.patiently(|| self.0.state.finish_landings(&finished)).await {
            Ok(()) => self.remembered(group),
            Err(Error::DiskFull) => self.rollback_group(group).await,
            // Renamed files keep their names, as the rows may have been written all the same.
            Err(cause) => {
                let NamedGroup { id, steps, unnamed, unsettled, .. } = group;
                let steps = steps.into_iter().map(|step| (step, cause.repeated()));
                self.leave_unsettled(id, steps.chain(unnamed).chain(unsettled).collect());
            }
        }
    }

    /// The disk has no space for the rows, so they are not written: the renames are undone in reverse order, so that
    /// the lake has no file without a row. The intent stays; a restart will find nothing to do for it.
    async fn rollback_group(&self, group: NamedGroup) {
        let NamedGroup { id, steps, unnamed, mut unsettled, .. } = group;
        for step in steps.into_iter().rev() {
            match self.0.files.rollback_landing(&step.landing).await {
                Ok(()) => _ = step.refuse(Error::DiskFull),
                Err(error) => unsettled.push((step, error)),
            }
        }
        for (step, error) in unnamed {
            step.refuse(error);
        }
        self.leave_unsettled(id, unsettled);
    }

    fn remembered(&self, group: NamedGroup) {
        let NamedGroup { id, steps, unnamed, unsettled, landed, moving } = group;
        drop(moving);
        self.0.events.pending_changes().landed(&landed);
        steps.into_iter().for_each(Step::landed);
        for (step, error) in unnamed {
            step.fail(error);
        }
        self.leave_unsettled(id, unsettled);
    }

    fn leave_unsettled(&self, id: LandingsId, steps: Vec<(Step, Error)>) {
        if !steps.is_empty() {
            let steps = steps.into_iter().map(|(step, error)| (step.unsettled(), error)).collect();
            self.0.landings.leave_unsettled(UnsettledGroup { id, steps });
        }
    }

    /// Writes the uploads that are only in memory.
    async fn write(&self, group: Vec<Waiting>) -> (Vec<Step>, Option<Box<dyn WrittenGroup>>) {
        let mut files = Vec::new();
        let mut jobs = Vec::with_capacity(group.len());
        for Waiting { ready, answer } in group {
            let sealed = match &ready.content {
                Content::Whole(bytes, digest) => {
                    files.push(WholeFile { name: ready.partial.clone(), bytes: bytes.clone(), digest: *digest });
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
            let finished = before.as_ref().map(|named| named.finished(self.now()));
            let intended = self.0.state.write_intents(finished.as_ref(), &uploads).await;
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
                step.answer.refuse(cause.repeated().lasting());
            }
        };
        let (id, permissions) = match (intended, sealed) {
            (Ok(intended), Ok(())) => intended,
            // The bytes are durable and need not be written again. Without a rename it does not matter whether the
            // intent was stored.
            (Err(error), Ok(())) => {
                for step in steps {
                    step.fail(if error.is_unsettled() { error.repeated().lasting() } else { error.repeated() });
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
                Err(error) => _ = step.answer.refuse(error),
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
                    self.0.measures.landed(step.upload.sync_id, outcome);
                    landed.push(self.landed(step.upload.clone(), outcome));
                    named.push(step);
                }
                Err(error) if error.may_pass() => unnamed.push((step, error)),
                Err(error) if error.is_unsettled() => unsettled.push((step, error)),
                Err(error) => _ = step.answer.refuse(error),
            }
        }
        NamedGroup { id, steps: named, unnamed, unsettled, landed, moving }
    }

    /// Record of an upload whose file is renamed.
    pub(in crate::service) fn landed(&self, upload: CompletedUpload, outcome: LandingOutcome) -> LandedUpload {
        let trash = (outcome == LandingOutcome::Replaced).then(|| NewTrash {
            key: TrashKey::of_upload(&upload.partial),
            origin: upload.target.clone(),
            kind: TrashKind::File,
            reason: TrashReason::Overwritten,
            sync_id: Some(upload.sync_id),
            by: upload.by.clone(),
            at: self.now(),
        });
        LandedUpload { upload, trash }
    }
}

impl Step {
    fn new(ready: Ready, identity: Identity, digest: Digest, answer: Answer) -> Self {
        let Ready { sync, upload_id, file_name, target, partial, begun_at, by, taken_over, .. } = ready;
        let sync_id = sync.sync_id;
        let upload = CompletedUpload {
            upload_id,
            sync_id,
            file_name,
            target,
            partial,
            identity,
            digest,
            begun_at,
            by,
            taken_over,
        };
        Self { landing: landing_of(&sync, &upload), sync, upload, answer }
    }

    /// A step of an earlier server, without a caller.
    pub(in crate::service) fn unheard(sync: SyncJob, upload: CompletedUpload) -> Self {
        let (answer, _) = oneshot::channel();
        Self { landing: landing_of(&sync, &upload), sync: Arc::new(sync), upload, answer: Answer(answer) }
    }

    fn unsettled(self) -> Self {
        Self { answer: self.answer.unsettled(), ..self }
    }

    pub(in crate::service) fn landed(self) {
        self.answer.landed(self.upload.digest);
    }

    /// Refuses an upload that has not landed and is not tried again. Returns it if its caller was dropped.
    pub(in crate::service) fn refuse(self, cause: Error) -> Option<(CompletedUpload, Error)> {
        let Self { upload, answer, .. } = self;
        let repeated = cause.repeated();
        if answer.refuse(cause.lasting()) { None } else { Some((upload, repeated)) }
    }

    /// The bytes are durable under the partial name.
    fn fail(self, error: Error) {
        let Self { sync, upload, answer, .. } = self;
        answer.fail(error, || {
            let CompletedUpload {
                upload_id,
                file_name,
                target,
                partial,
                identity,
                digest,
                begun_at,
                by,
                taken_over,
                ..
            } = upload;
            Ready {
                sync,
                upload_id,
                file_name,
                target,
                partial,
                content: Content::Sealed(identity, digest),
                begun_at,
                by,
                taken_over,
            }
        });
    }
}

/// Landing of an upload; equal at its time and after a restart.
pub(in crate::service) fn landing_of(sync: &SyncJob, upload: &CompletedUpload) -> Landing {
    let staging = (sync.sync_type == SyncType::FullSync).then_some(sync.sync_id);
    Landing {
        partial: upload.partial.clone(),
        identity: upload.identity.clone(),
        place: StoragePath::of_upload(staging, &sync.path, &upload.target),
        trash: TrashKey::of_upload(&upload.partial),
        leaf: upload.target.leaf().to_owned(),
    }
}
