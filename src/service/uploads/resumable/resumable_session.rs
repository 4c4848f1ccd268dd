//! Session of one request with a resumable upload: it appends bytes, and ends by [`ResumableSession::settle`] or
//! [`ResumableSession::give_up`].
//!
//! An offset is returned only after its checkpoint commits, and a checkpoint is committed only after its bytes are
//! durable.

use super::upload_locks::UploadLock;
use crate::model::error::Error;
use crate::model::limits::{CHECKPOINT_BYTES, CHECKPOINT_MAX, SPACE_LOOK_BYTES};
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::upload::in_flight::Sender;
use crate::model::upload::resumable::Token;
use crate::ports::Partial;
use crate::ports::metadata::resumable::ResumableRecord;
use crate::service::Lake;
use crate::service::syncs::sync_lock::UploadLease;
use crate::service::uploads::in_flight::{NewEntry, Tracked};
use bytes::Bytes;
use std::sync::Arc;

/// A resumable upload, locked by this request.
pub struct ResumableSession {
    pub(super) lake: Lake,
    pub(super) held: UploadLock,
    pub(super) record: ResumableRecord,
    /// Absent for a part.
    pub(super) sync: Option<(Arc<SyncJob>, UploadLease)>,
    /// Opened with the first byte.
    pub(super) partial: Option<Box<dyn Partial>>,
    /// Entry in the register while it is in flight; absent for a part.
    tracked: Option<Tracked>,
    /// Received bytes, durable or not.
    pub(super) received_bytes: u64,
    /// Time of the last checkpoint.
    durable_at: Timestamp,
    /// Whether the length was announced by this request and is not stored yet.
    pub(super) has_new_length: bool,
    /// Whether received bytes do not count before [`Self::confirm`].
    pub(super) is_unconfirmed: bool,
    /// Whether its sender completes it explicitly.
    is_left_open: bool,
}

impl ResumableSession {
    pub(super) fn new(
        lake: Lake,
        held: UploadLock,
        record: ResumableRecord,
        sync: Option<(Arc<SyncJob>, UploadLease)>,
        partial: Option<Box<dyn Partial>>,
    ) -> Self {
        let received_bytes = match (record.status, record.length) {
            (Status::Finished, Some(length)) => length,
            _ => record.checkpoint.offset,
        };
        let durable_at = lake.now();
        let tracked = track(&lake, &record, sync.as_ref().map(|(sync, _)| &**sync), received_bytes);
        Self {
            lake,
            held,
            record,
            sync,
            partial,
            tracked,
            received_bytes,
            durable_at,
            has_new_length: false,
            is_unconfirmed: false,
            is_left_open: false,
        }
    }

    /// Sets the address and program of the sender, for display.
    pub fn sent_by(&self, sender: &Sender) {
        if let Some(tracked) = &self.tracked {
            tracked.sent_by(sender);
        }
    }

    pub fn token(&self) -> &Token {
        &self.record.token
    }

    /// Offset at which it continues.
    pub fn offset(&self) -> u64 {
        if self.is_unconfirmed { self.record.checkpoint.offset } else { self.received_bytes }
    }

    pub fn length(&self) -> Option<u64> {
        self.record.length
    }

    /// Whether it has landed; for a part, whether all its bytes are kept.
    pub fn is_complete(&self) -> bool {
        self.record.status == Status::Finished || (self.is_part() && self.is_whole())
    }

    pub fn is_part(&self) -> bool {
        self.record.target.is_none()
    }

    /// Parts that are joined into it.
    pub fn parts(&self) -> &[Token] {
        &self.record.parts
    }

    pub fn metadata(&self) -> &str {
        &self.record.metadata
    }

    pub fn expires_at(&self) -> Timestamp {
        self.record.expires_at
    }

    /// Whether it has failed, in this request or before.
    pub fn has_failed(&self) -> bool {
        self.record.status == Status::Failed
    }

    /// Whether all bytes have arrived, landed or not.
    pub fn is_whole(&self) -> bool {
        self.record.length == Some(self.received_bytes)
    }

    /// Checks the offset of the request, and its number of bytes if known.
    pub fn go_on_at(&self, offset: u64, bytes: Option<u64>) -> Result<(), Error> {
        let expected = self.offset();
        if offset != expected {
            return Err(Error::WrongOffset { expected, provided: offset });
        }
        if self.is_complete() && bytes != Some(0) {
            return Err(Error::ResumableComplete { length: expected });
        }
        self.refuse_beyond_length(offset.saturating_add(bytes.unwrap_or(0)))
    }

    /// Sets the length of the whole upload.
    pub async fn announce_length(&mut self, length: u64) -> Result<(), Error> {
        if let Some(known) = self.record.length {
            return if known == length {
                Ok(())
            } else {
                Err(Error::InconsistentLength(format!(
                    "the length was announced as {known} bytes before, not {length}; send the same, or none"
                )))
            };
        }
        let received = self.received_bytes;
        if length < received {
            return Err(Error::InconsistentLength(format!(
                "the length cannot be {length} bytes, because {received} have been received; correct it"
            )));
        }
        self.lake.refuse_length(Some(length))?;
        self.lake.refuse_below_reserve(self.record.owner, length - received).await?;
        self.record.length = Some(length);
        if let Some(tracked) = &self.tracked {
            tracked.expects(Some(length));
        }
        self.has_new_length = true;
        Ok(())
    }

    /// Makes the following bytes count only after confirmation: their checksum is compared when all have arrived.
    pub fn await_confirmation(&mut self) {
        self.is_unconfirmed = true;
    }

    pub fn confirm(&mut self) {
        self.is_unconfirmed = false;
    }

    /// Keeps it from landing in this request, even with all bytes.
    pub fn leave_open(&mut self) {
        self.is_left_open = true;
    }

    /// Ends the upload at the received bytes.
    pub async fn end_here(&mut self) -> Result<(), Error> {
        let received = self.received_bytes;
        match self.record.length {
            Some(length) if length > received => Err(Error::InconsistentLength(format!(
                "the upload is not complete: {received} of {length} bytes were received; send the rest"
            ))),
            _ => self.announce_length(received).await,
        }
    }

    /// Completes when another request wants to continue the upload: then this one must be given up with
    /// [`Error::Preempted`].
    pub async fn stopped(&mut self) {
        self.held.stopped().await;
    }

    /// Appends bytes. Waits while the disk is slower than the sender.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.held.is_stopped() {
            return Err(Error::Preempted);
        }
        if let Some((_, lease)) = &self.sync {
            lease.check()?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let received = self.received_bytes + bytes.len() as u64;
        self.refuse_beyond_length(received)?;
        self.lake.refuse_length(Some(received))?;
        if received / SPACE_LOOK_BYTES > self.received_bytes / SPACE_LOOK_BYTES {
            self.lake.refuse_announced_below_reserve().await?;
        }
        if let Err(fault) = self.open().await?.write(bytes).await {
            self.fall_back().await;
            return Err(fault);
        }
        self.took(received);
        let fresh_bytes = received - self.record.checkpoint.offset;
        let is_due = fresh_bytes >= CHECKPOINT_BYTES || self.lake.now() >= self.durable_at.plus(CHECKPOINT_MAX);
        if is_due && self.record.is_told && !self.is_unconfirmed && !self.is_to_land() {
            self.remember().await?;
        }
        Ok(())
    }

    fn took(&mut self, received_bytes: u64) {
        self.received_bytes = received_bytes;
        if let Some(tracked) = &self.tracked {
            tracked.received(received_bytes);
        }
    }

    /// Removes it from the register of uploads in flight.
    pub(super) fn untrack(&mut self) {
        self.tracked = None;
        if let Some(upload_id) = self.record.upload_id {
            self.lake.0.in_flight.remove(upload_id);
        }
    }

    pub(super) fn is_to_land(&self) -> bool {
        self.is_whole() && !self.is_part() && !self.is_left_open
    }

    fn refuse_beyond_length(&self, bytes: u64) -> Result<(), Error> {
        match self.record.length {
            Some(length) if bytes > length => Err(Error::InconsistentLength(format!(
                "received {bytes} bytes, more than the announced {length}; start a new upload"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) async fn open(&mut self) -> Result<&mut Box<dyn Partial>, Error> {
        let partial = match self.partial.take() {
            Some(partial) => partial,
            None => {
                let ResumableRecord { partial, identity, checkpoint, .. } = &self.record;
                self.lake.0.files.resume_partial(partial, identity, checkpoint).await?
            }
        };
        Ok(self.partial.insert(partial))
    }

    /// Returns to the checkpoint, since the content of the file after it is unknown.
    async fn fall_back(&mut self) {
        if let Some(mut partial) = self.partial.take() {
            partial.rest().await;
        }
        self.took(self.record.checkpoint.offset);
    }

    /// Makes the received bytes durable, then commits the checkpoint.
    pub(super) async fn remember(&mut self) -> Result<(), Error> {
        let checkpoint = match self.open().await?.checkpoint().await {
            Ok(checkpoint) => checkpoint,
            Err(fault) => {
                self.fall_back().await;
                return Err(fault);
            }
        };
        let now = self.lake.now();
        let expires_at = now.plus(self.lake.0.limits.idle_max(checkpoint.offset));
        let state = &self.lake.0.state;
        state.advance_resumable(&self.record.token, &checkpoint, self.record.length, expires_at).await?;
        self.record.checkpoint = checkpoint;
        self.record.expires_at = expires_at;
        self.record.is_told = true;
        self.durable_at = now;
        self.has_new_length = false;
        Ok(())
    }
}

/// Registers an upload in flight.
fn track(lake: &Lake, record: &ResumableRecord, sync: Option<&SyncJob>, received_bytes: u64) -> Option<Tracked> {
    let new = NewEntry {
        upload_id: record.upload_id.filter(|_| record.status == Status::Syncing)?,
        sync_id: record.sync_id?,
        dataset: sync?.path.clone(),
        file_name: record.file_name.clone(),
        target: record.target.clone()?,
        owner: record.owner,
        is_resumable: true,
        begun_at: record.begun_at,
    };
    let tracked = lake.track(new, &record.by, received_bytes);
    tracked.expects(record.length);
    Some(tracked)
}
