//! Plain uploads, from the first byte to the landing.
//!
//! A small upload is collected in memory and lands at once ([`crate::service::uploads::commit_queue`]); it has no row
//! until then. A large or slow one gets a row and a partial file as soon as that is known.

use crate::model::access::principal::Principal;
use crate::model::digest::{Digest, ExpectedDigests};
use crate::model::error::Error;
use crate::model::id::UploadId;
use crate::model::limits::{FAILED_ROWS_MAX, REFUSED_MESSAGE_CHARACTERS_MAX, SPACE_LOOK_BYTES};
use crate::model::memory_pool::MemoryShare;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::job::SyncJob;
use crate::model::text::truncate;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::Sender;
use crate::model::upload::landed::Landed;
use crate::model::upload::request::UploadRequest;
use crate::ports::Partial;
use crate::ports::metadata::upload::{NewUpload, RefusedUpload};
use crate::service::Lake;
use crate::service::syncs::sync_lock::UploadLease;
use crate::service::uploads::destination::{Destination, bounded, upload_owner};
use crate::service::uploads::failures::{Failure, RegisteredFailure};
use crate::service::uploads::in_flight::{NewEntry, Tracked};
use crate::service::uploads::landing_step::{Content, Ready};
use bytes::Bytes;
use sha2::{Digest as _, Sha512};
use std::sync::Arc;

/// Largest upload that is collected in memory.
const WHOLE_BYTES_MAX: usize = 128 * 1024;

/// An upload in flight. Ended by [`Self::land`] or [`Self::fail`].
pub struct IncomingUpload {
    lake: Lake,
    sync: Arc<SyncJob>,
    file_name: String,
    folder: LakePath,
    target: LakePath,
    name: PartialName,
    body: Body,
    lease: UploadLease,
    received_bytes: u64,
    /// The answer of the metadata store to the row was lost.
    is_row_in_doubt: bool,
    digests: ExpectedDigests,
    /// Only for an announced SHA-512.
    sha512: Option<Box<Sha512>>,
    begun_at: Timestamp,
    owner: Principal,
    by: String,
    sender: Arc<Sender>,
    /// As announced by its sender.
    length: Option<u64>,
}

enum Body {
    /// Only in memory.
    Gathered(Vec<u8>, MemoryShare),
    /// In a partial file, with a row.
    Registered(UploadId, Stored, Tracked),
}

enum Stored {
    /// Incomplete.
    Partial(Box<dyn Partial>),
    /// Complete and on stable storage.
    Sealed(Identity, Digest),
}

impl Stored {
    async fn seal(&mut self) -> Result<(Identity, Digest), Error> {
        if let Self::Partial(partial) = self {
            let digest = partial.seal().await?;
            *self = Self::Sealed(partial.identity().clone(), digest);
        }
        match self {
            Self::Sealed(identity, digest) => Ok((identity.clone(), *digest)),
            Self::Partial(_) => Err(Error::internal(std::io::Error::other("a sealed upload is still open"))),
        }
    }
}

impl IncomingUpload {
    /// Begins the upload, in memory and without a row.
    pub(super) fn new(
        destination: &Destination,
        target: LakePath,
        request: UploadRequest,
        begun_at: Timestamp,
    ) -> Result<Self, Error> {
        let Destination { lake, sync, .. } = destination;
        let UploadRequest { file_name, length, digests, sender } = request;
        Ok(Self {
            lake: lake.clone(),
            sync: sync.clone(),
            file_name: bounded(&file_name),
            folder: destination.folder.clone(),
            target,
            name: PartialName::from_random(lake.random()?),
            body: Body::Gathered(Vec::new(), lake.0.commit_queue.reserve()),
            lease: lake.0.sync_locks.of(sync.sync_id).lease(),
            received_bytes: 0,
            is_row_in_doubt: false,
            sha512: digests.sha512.map(|_| Box::default()),
            digests,
            begun_at,
            owner: destination.owner,
            by: destination.by.clone(),
            sender,
            length,
        })
    }

    /// Whether it has a row, and so is shown as in flight.
    pub fn is_registered(&self) -> bool {
        !matches!(self.body, Body::Gathered(..))
    }

    /// Gives the upload its row, so that it is shown as in flight. To be called when the remaining bytes are slow.
    pub async fn register(&mut self) -> Result<(), Error> {
        let Body::Gathered(gathered, _) = &mut self.body else { return Ok(()) };
        let gathered = std::mem::take(gathered);
        let lake = &self.lake.0;
        let owner = upload_owner(&self.sync, &self.target);
        let create = || lake.files.create_partial(self.name.clone(), Some(&owner));
        let mut partial = self.lake.patiently(create).await?;
        let new = NewUpload {
            sync_id: self.sync.sync_id,
            file_name: self.file_name.clone(),
            target: self.target.clone(),
            partial: self.name.clone(),
            identity: partial.identity().clone(),
            at: self.begun_at,
        };
        let begin = || self.lake.patiently(|| lake.state.begin_upload(&new));
        let begun = self.lake.while_busy(begin).await;
        self.is_row_in_doubt = begun.as_ref().is_err_and(Error::is_unsettled);
        let upload_id = begun?;
        let tracked = self.track(upload_id);
        let written = if gathered.is_empty() { Ok(()) } else { partial.write(gathered.into()).await };
        self.body = Body::Registered(upload_id, Stored::Partial(partial), tracked);
        written
    }

    fn track(&self, upload_id: UploadId) -> Tracked {
        let new = NewEntry {
            upload_id,
            sync_id: self.sync.sync_id,
            dataset: self.sync.path.clone(),
            file_name: self.file_name.clone(),
            target: self.target.clone(),
            owner: self.owner,
            is_resumable: false,
            begun_at: self.begun_at,
        };
        let tracked = self.lake.track(new, &self.by, self.received_bytes);
        tracked.expects(self.length);
        tracked.sent_by(&self.sender);
        self.lake.0.events.pending_changes().sync(self.sync.sync_id);
        tracked
    }

    /// Appends bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.lease.check()?;
        let looks = self.received_bytes / SPACE_LOOK_BYTES;
        self.received_bytes += bytes.len() as u64;
        if self.received_bytes / SPACE_LOOK_BYTES > looks {
            self.lake.refuse_below_reserve(self.owner, 0).await?;
        }
        let limit_bytes = self.lake.0.limits.upload_bytes_max;
        if self.received_bytes > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        if let Some(hasher) = &mut self.sha512 {
            hasher.update(&bytes);
        }
        if let Body::Gathered(gathered, reserved) = &mut self.body {
            let whole = gathered.len() + bytes.len();
            if whole <= WHOLE_BYTES_MAX && reserved.grow_to(whole) {
                gathered.extend_from_slice(&bytes);
                return Ok(());
            }
            self.register().await?;
        }
        match &mut self.body {
            Body::Registered(_, Stored::Partial(partial), tracked) => {
                tracked.received(self.received_bytes);
                partial.write(bytes).await
            }
            Body::Gathered(..) | Body::Registered(..) => Ok(()),
        }
    }

    /// Completes the bytes of an upload that may not land yet. A large one becomes durable and keeps no file open.
    pub async fn seal(&mut self) -> Result<(), Error> {
        match &mut self.body {
            Body::Registered(_, stored, _) => stored.seal().await.map(|_| ()),
            Body::Gathered(..) => Ok(()),
        }
    }

    /// Lands a completed upload: syncs it, renames it and records it. Bytes that differ from the announced digest do
    /// not land.
    pub async fn land(mut self) -> Result<Landed, Error> {
        match self.try_land().await {
            Ok(digest) => Ok(Landed { path: self.target, digest }),
            // It may have landed: its bytes and row are left for the settlement.
            Err(error) if error.is_unsettled() => Err(error),
            Err(error) => {
                self.fail(&error).await?;
                Err(error)
            }
        }
    }

    async fn try_land(&mut self) -> Result<Digest, Error> {
        let sha512 = self.sha512.take().map(|hasher| hasher.finalize().into());
        let (upload_id, content) = match &mut self.body {
            Body::Gathered(gathered, _) => {
                let bytes = std::mem::take(gathered);
                // Hashed on the thread of its connection, since the thread of the commit queue is busy enough.
                let digest = Digest::of(&bytes);
                (None, Content::Whole(bytes.into(), digest))
            }
            Body::Registered(upload_id, stored, _) => {
                let (identity, digest) = stored.seal().await?;
                (Some(*upload_id), Content::Sealed(identity, digest))
            }
        };
        // Excludes endings until the landing is committed.
        let _landing = self.lease.enter().await?;
        let ready = Ready {
            sync: self.sync.clone(),
            upload_id,
            file_name: self.file_name.clone(),
            target: self.target.clone(),
            partial: self.name.clone(),
            content,
            begun_at: self.begun_at,
            by: self.by.clone(),
            taken_over: false,
        };
        self.lake.0.commit_queue.land(&self.lake, ready, &self.digests, sha512).await
    }

    /// Fails the upload: its row gets the reason, and its bytes are removed.
    pub async fn fail(self, error: &Error) -> Result<(), Error> {
        let lake = &self.lake;
        let failure = match &self.body {
            Body::Registered(upload_id, ..) => Failure::Registered(RegisteredFailure {
                upload_id: *upload_id,
                sync_id: self.sync.sync_id,
                file_name: self.file_name.clone(),
                message: error.to_string(),
                size_bytes: self.received_bytes,
                at: lake.now(),
            }),
            Body::Gathered(..) => {
                let refused = RefusedUpload {
                    sync_id: self.sync.sync_id,
                    file_name: self.file_name.clone(),
                    folder: self.folder.clone(),
                    target: Some(self.target.clone()),
                    message: truncate(&error.to_string(), REFUSED_MESSAGE_CHARACTERS_MAX),
                    size_bytes: self.received_bytes,
                    rows_max: FAILED_ROWS_MAX,
                    begun_at: self.begun_at,
                    at: lake.now(),
                };
                match self.is_row_in_doubt {
                    true => Failure::InDoubt(self.name.clone(), refused),
                    false => Failure::Unregistered(refused),
                }
            }
        };
        // The row is written first: a partial file without a row is swept, but a row must never refer to bytes that
        // another upload could have been given since.
        let remembered = lake.remember_failure(failure).await;
        lake.discard(&self.name).await;
        remembered
    }
}
