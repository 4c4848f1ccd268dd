//! Landing in groups: what is ready at the same time is made durable, named and remembered together.
//!
//! Each step waits for stable storage, and that costs much the same for one upload as for fifty. So an upload that is
//! whole queues up, and all that have come while one group was under way are the next. Nobody waits for others to come:
//! alone, an upload lands at once. One group at a time, so that the next is as large as it can be, and uploads of one name
//! are replaced and remembered in one order.
//!
//! An upload whose step failed for a reason that may pass, with nothing changed, steps out of its group and comes again with a
//! later one; the others go on meanwhile.
//!
//! The order is what the promises rest on: the bytes and the intent are on stable storage before the name, the name
//! before the row, the row before the caller hears of it. Where somebody leads the rows by themselves
//! ([`Lake::lead_rows`]), the next group is written while the rows of the last are.

use super::Lake;
use super::led_queue::LedQueue;
use super::patience::ATTEMPT_PAUSES;
use super::rowless::Rowless;
use crate::error::Error;
use crate::path::LakePath;
use crate::place::Place;
use crate::ports::files::{Landing, Outcome, WholeFile, WrittenGroup};
use crate::ports::state::{LandedUpload, LandingsId, NewTrash, WholeUpload};
use crate::sync::{Sync, SyncType};
use crate::time::Timestamp;
use crate::trash::{TrashKey, TrashKind, TrashReason};
use crate::upload::{Digest, Identity, PartialName, UploadId, must_match};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, join, select};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Uploads in one group.
const GROUP_UPLOADS_MAX: usize = 128;
/// Bytes of small uploads that all requests together may hold in memory before they have landed.
const WHOLE_BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Landings {
    /// Led by [`Lake::lead_landings`].
    waiting: LedQueue<Waiting>,
    /// Held by whoever takes the next group, where nobody leads.
    turn: async_lock::Mutex<()>,
    /// Led by [`Lake::lead_rows`].
    named: LedQueue<Named>,
    /// What is in the groups of `named`, and in the one that is being remembered.
    rowless: Rowless,
    whole_bytes: Arc<AtomicUsize>,
    /// How many came so far.
    come: AtomicU64,
}

/// An upload that is ready to land.
pub(super) struct Ready {
    pub(super) sync: Arc<Sync>,
    pub(super) upload_id: Option<UploadId>,
    pub(super) file_name: String,
    pub(super) target: LakePath,
    pub(super) partial: PartialName,
    pub(super) content: Content,
    pub(super) begun_at: Timestamp,
    pub(super) by: String,
    /// It is a copy of the dataset's own file.
    pub(super) taken_over: bool,
    pub(super) announced_sha256: Option<[u8; 32]>,
}

pub(super) enum Content {
    /// All bytes, in memory.
    Whole(Bytes, Digest),
    /// On stable storage, under the partial name.
    Sealed(Identity, Digest),
}

struct Waiting {
    ready: Ready,
    answer: Answer,
}

/// How an attempt to land ended.
enum Attempt {
    Ended(Result<Digest, Error>),
    /// By an error that may pass, with nothing changed: the upload as it is now.
    Failed(Box<Ready>, Error),
}

/// To the caller. One that is gone has no use for it.
struct Answer(oneshot::Sender<Attempt>);

impl Answer {
    fn landed(self, digest: Digest) {
        let _ = self.0.send(Attempt::Ended(Ok(digest)));
    }

    fn refuse(self, error: Error) {
        let _ = self.0.send(Attempt::Ended(Err(error)));
    }

    /// It may be tried again where the error allows it.
    fn fail(self, error: Error, ready: impl FnOnce() -> Ready) {
        let attempt =
            if error.may_pass() { Attempt::Failed(Box::new(ready()), error) } else { Attempt::Ended(Err(error)) };
        let _ = self.0.send(attempt);
    }
}

/// Memory that small uploads hold; given back when dropped.
pub(super) struct Reserved {
    bytes: usize,
    pool: Arc<AtomicUsize>,
}

impl Reserved {
    /// Holds `bytes` in all. False when that is more than there is for everybody.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
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

impl Landings {
    pub(super) fn reserve(&self) -> Reserved {
        Reserved { bytes: 0, pool: self.whole_bytes.clone() }
    }

    /// Lands the upload, with whatever else is ready, if its bytes are those that were announced. The caller keeps the
    /// sync's gate until it is done.
    pub(super) async fn land(&self, lake: &Lake, mut ready: Ready) -> Result<Digest, Error> {
        self.come.fetch_add(1, Ordering::Relaxed);
        for pause in ATTEMPT_PAUSES {
            match self.attempt(lake, ready).await {
                Attempt::Ended(result) => return result,
                Attempt::Failed(again, _) => ready = *again,
            }
            lake.pause(pause).await;
        }
        match self.attempt(lake, ready).await {
            Attempt::Ended(result) => result,
            Attempt::Failed(_, error) => Err(error),
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
            // Whoever waits is ready to take the next turn: so what was queued is always taken up.
            match select(answered, pin!(self.turn.lock())).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(dropped),
                Either::Right((_turn, unanswered)) => {
                    answered = unanswered;
                    lake.land_group(self.waiting.take(GROUP_UPLOADS_MAX)).await;
                }
            }
        }
    }
}

/// One upload of a group on its way: what it is to be remembered as, where it goes, and who waits for it.
struct Step {
    sync: Arc<Sync>,
    upload: WholeUpload,
    landing: Landing,
    answer: Answer,
}

/// A group that has its names.
struct Named {
    id: LandingsId,
    steps: Vec<Step>,
    /// Those that have none, by a fault that may pass. They come again when the intent of this group is gone: of one upload
    /// there is one intent at a time.
    unnamed: Vec<(Step, Error)>,
    landed: Vec<LandedUpload>,
}

impl Named {
    fn targets(&self) -> impl Iterator<Item = &LakePath> {
        self.steps.iter().map(|step| &step.upload.target)
    }
}

impl Lake {
    /// How many landings there were since the start. What can wait looks at it, to see whether uploads come.
    pub fn landings_so_far(&self) -> u64 {
        self.0.landings.come.load(Ordering::Relaxed)
    }

    /// Lands what is ready, group after group, for as long as it is polled; from the first poll on it must be. Without it,
    /// the callers take turns. Give it a thread of its own: the steps of a landing may block it.
    pub async fn lead_landings(&self) -> Infallible {
        self.0.landings.waiting.lead();
        loop {
            let group = self.0.landings.waiting.next(GROUP_UPLOADS_MAX).await;
            self.land_group(group).await;
        }
    }

    /// Gives the groups that [`Self::lead_landings`] has named their rows, beside it: the same holds for it.
    pub async fn lead_rows(&self) -> Infallible {
        let Landings { named, rowless, .. } = &self.0.landings;
        named.lead();
        loop {
            for group in named.next(1).await {
                let targets: Vec<_> = group.targets().cloned().collect();
                self.remember(group).await;
                rowless.remove(&targets);
            }
        }
    }

    /// Takes a group through all steps. Whoever drops out on the way hears why.
    async fn land_group(&self, group: Vec<Waiting>) {
        let (steps, written) = self.write(group).await;
        let Some((steps, id)) = self.seal_and_intend(steps, written).await else { return };
        let Landings { waiting, named, rowless, .. } = &self.0.landings;
        // What is replaced has its row. Else that could still be refused, and the two would have to be undone together.
        if rowless.holds_any(steps.iter().map(|step| &step.upload.target)) {
            rowless.emptied().await;
        }
        let group = self.name(id, steps).await;
        // Alone, it is done sooner without another thread.
        if named.is_led() && !(rowless.is_empty() && waiting.is_empty()) {
            rowless.add(group.targets().cloned());
            named.push(group);
        } else {
            self.remember(group).await;
        }
    }

    /// Gives what has its name its row, and its caller the answer.
    async fn remember(&self, group: Named) {
        let Named { id, steps, unnamed, landed } = group;
        // Tried again here, where others wait for it: they need the same state, and a name without a row should not last.
        match self.patiently(|| self.0.state.finish_landings(id, &landed, self.now())).await {
            Ok(()) => {
                self.0.events.marks().landed(&landed);
                for step in steps {
                    step.answer.landed(step.upload.digest);
                }
                for (step, error) in unnamed {
                    step.fail(error);
                }
            }
            // What has its name cannot be remembered. It loses it again, the last first, so that the lake holds nothing
            // that nobody knows of.
            Err(cause) => {
                for step in steps.into_iter().rev() {
                    let taken_back = self.patiently(|| self.0.files.take_back(&step.landing)).await;
                    // Not tried again: the intent is still there.
                    step.answer.refuse(taken_back.err().unwrap_or_else(|| cause.repeated()).lasting());
                }
                for (step, error) in unnamed {
                    step.answer.refuse(error.lasting());
                }
            }
        }
    }

    /// Writes what is in memory only.
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
            let is_announced = |(identity, digest): (Identity, Digest)| {
                must_match("SHA-256", ready.announced_sha256, digest.sha256).map(|()| (identity, digest))
            };
            match sealed.map(Ok).or_else(|| results.next()).map(|written| written.and_then(is_announced)) {
                Some(Ok((identity, digest))) => steps.push(Step::new(ready, identity, digest, answer)),
                Some(Err(error)) => answer.fail(error, || ready),
                // Dropped: its caller hears of a fault.
                None => {}
            }
        }
        (steps, written)
    }

    /// Makes the bytes durable, and beside them, at the same time, what is about to happen.
    async fn seal_and_intend(
        &self,
        steps: Vec<Step>,
        written: Option<Box<dyn WrittenGroup>>,
    ) -> Option<(Vec<Step>, LandingsId)> {
        if steps.is_empty() {
            return None;
        }
        let seal = async {
            match written {
                Some(group) => group.seal().await,
                None => Ok(()),
            }
        };
        let uploads: Vec<_> = steps.iter().map(|step| step.upload.clone()).collect();
        let (sealed, intended) = join(seal, self.0.state.intend_landings(&uploads)).await;
        let refuse_all = |steps: Vec<Step>, cause: Error| {
            for step in steps {
                step.answer.refuse(cause.repeated().lasting());
            }
        };
        let (id, permissions) = match (intended, sealed) {
            (Ok(intended), Ok(())) => intended,
            // The bytes are safe: they need not be written again.
            (Err(error), Ok(())) => {
                for step in steps {
                    step.fail(error.repeated());
                }
                return None;
            }
            (Ok((id, _)), Err(error)) => {
                let forgotten = self.patiently(|| self.0.state.finish_landings(id, &[], self.now())).await;
                // Else the intent stays behind; the next start finds that nothing came of it.
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
                Err(error) => step.answer.refuse(error),
            }
        }
        Some((allowed, id))
    }

    async fn name(&self, id: LandingsId, steps: Vec<Step>) -> Named {
        let landings: Vec<_> = steps.iter().map(|step| step.landing.clone()).collect();
        let outcomes = self.0.files.land(&landings).await;
        let mut named = Vec::with_capacity(steps.len());
        let mut unnamed = Vec::new();
        let mut landed = Vec::with_capacity(steps.len());
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => {
                    self.0.measures.landed(step.upload.sync_id, outcome);
                    landed.push(self.landed(step.upload.clone(), outcome));
                    named.push(step);
                }
                Err(error) if error.may_pass() => unnamed.push((step, error)),
                Err(error) => step.answer.refuse(error),
            }
        }
        Named { id, steps: named, unnamed, landed }
    }

    /// What is remembered of an upload that has its name.
    pub(super) fn landed(&self, upload: WholeUpload, outcome: Outcome) -> LandedUpload {
        let trash = (outcome == Outcome::Replaced).then(|| NewTrash {
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
        let upload =
            WholeUpload { upload_id, sync_id, file_name, target, partial, identity, digest, begun_at, by, taken_over };
        Self { landing: landing_of(&sync, &upload), sync, upload, answer }
    }

    /// The bytes are on stable storage, under the partial name.
    fn fail(self, error: Error) {
        let Self { sync, upload, answer, .. } = self;
        answer.fail(error, || {
            let WholeUpload {
                upload_id, file_name, target, partial, identity, digest, begun_at, by, taken_over, ..
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
                // It was compared with what came.
                announced_sha256: None,
            }
        });
    }
}

/// How the landing of an upload reads, at its time and after a restart.
pub(super) fn landing_of(sync: &Sync, upload: &WholeUpload) -> Landing {
    let staging = (sync.sync_type == SyncType::FullSync).then_some(sync.sync_id);
    Landing {
        partial: upload.partial.clone(),
        identity: upload.identity.clone(),
        place: Place::of_upload(staging, &sync.path, &upload.target),
        trash: TrashKey::of_upload(&upload.partial),
        leaf: upload.target.leaf().to_owned(),
    }
}
