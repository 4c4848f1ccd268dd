//! An upload on its way through the commit queue: what it lands as ([`Ready`], [`Step`]), and the answer to its caller.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::ports::metadata::upload::CompletedUpload;
use crate::ports::storage::Landing;
use bytes::Bytes;
use futures_channel::oneshot;
use std::sync::Arc;

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
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(..))
    }

    pub(super) fn digest(&self) -> Digest {
        let (Self::Whole(_, digest) | Self::Sealed(_, digest)) = self;
        *digest
    }
}

/// Result of an attempt to land.
pub(super) enum Attempt {
    Ended(Result<Digest, Error>),
    /// Failed for a temporary reason, without a change; has the upload in its current state.
    Failed(Box<Ready>, Error),
    /// Unknown result; the receiver will get it.
    Unsettled(oneshot::Receiver<Attempt>),
}

impl Attempt {
    /// May be repeated if the error allows it, or when a restore, or the end of the sync by another server, is no longer in
    /// the way.
    pub(super) fn failed(error: Error, ready: impl FnOnce() -> Ready) -> Self {
        let may_be_repeated = error.is_transient() || error.is_of_restore() || matches!(error, Error::SyncBusy(_));
        if may_be_repeated { Self::Failed(Box::new(ready()), error) } else { Self::Ended(Err(error)) }
    }
}

/// Channel to the caller; `None` once it was answered, or without one. Results for a dropped caller are ignored.
pub(super) struct Answer(Option<oneshot::Sender<Attempt>>);

impl Answer {
    pub(super) fn channel() -> (Self, oneshot::Receiver<Attempt>) {
        let (answer, answered) = oneshot::channel();
        (Self(Some(answer)), answered)
    }

    /// False where no caller waits.
    fn send(self, attempt: Attempt) -> bool {
        self.0.is_some_and(|answer| answer.send(attempt).is_ok())
    }

    /// False where no caller waits.
    pub(super) fn refuse(self, error: Error) -> bool {
        self.send(Attempt::Ended(Err(error)))
    }

    /// Tells the caller to wait for a second result, whose channel is returned.
    fn unsettled(self) -> Self {
        let (answer, answered) = Self::channel();
        if self.send(Attempt::Unsettled(answered)) { answer } else { Self(None) }
    }

    pub(super) fn fail(self, error: Error, ready: impl FnOnce() -> Ready) {
        self.send(Attempt::failed(error, ready));
    }
}

/// An upload of a group in progress: its row, its target, and its caller.
pub(in crate::service) struct Step {
    pub(super) sync: Arc<SyncJob>,
    pub(in crate::service) upload: CompletedUpload,
    pub(in crate::service) landing: Landing,
    pub(super) answer: Answer,
}

impl Step {
    pub(super) fn new(ready: Ready, identity: Identity, digest: Digest, answer: Answer) -> Self {
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
        Self { landing: landing_of(&sync, &upload), sync: Arc::new(sync), upload, answer: Answer(None) }
    }

    pub(super) fn unsettled(self) -> Self {
        Self { answer: self.answer.unsettled(), ..self }
    }

    pub(super) fn landed(mut self) {
        self.answer_landed();
    }

    /// Answers the caller, if it waits.
    pub(super) fn answer_landed(&mut self) {
        let answer = Answer(self.answer.0.take());
        answer.send(Attempt::Ended(Ok(self.upload.digest)));
    }

    /// Refuses an upload that has not landed and is not tried again. Returns it where no caller waits.
    pub(in crate::service) fn refuse(self, cause: Error) -> Option<(CompletedUpload, Error)> {
        let Self { upload, answer, .. } = self;
        let repeated = cause.repeated();
        if answer.refuse(cause.permanent()) { None } else { Some((upload, repeated)) }
    }

    /// The bytes are durable under the partial name.
    pub(super) fn fail(self, error: Error) {
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
