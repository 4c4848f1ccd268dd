//! End of a session: the upload lands, or its received bytes are kept, or it fails.
//!
//! The last byte of an upload is never committed alone: the upload lands with it, so that no client is told "complete"
//! for a file that is not in the lake.

use super::resumable_session::ResumableSession;
use crate::model::error::Error;
use crate::model::sync::status::Status;
use crate::ports::metadata::resumable::ResumableRecord;
use crate::service::uploads::failures::{Failure, RegisteredFailure};
use crate::service::uploads::landing_step::{Content, Ready};
use sha2::{Digest, Sha512};

/// Bytes of a file that are read and hashed at once: about a millisecond's work.
const HASHED_BYTES: usize = 512 * 1024;

impl ResumableSession {
    /// Ends the request. A complete upload lands; otherwise the received bytes are kept.
    pub async fn settle(&mut self) -> Result<(), Error> {
        let settled = self.try_settle().await;
        // The next request opens the file again: no write may be in progress then.
        if let Some(mut partial) = self.partial.take() {
            partial.rest().await;
        }
        settled
    }

    async fn try_settle(&mut self) -> Result<(), Error> {
        if self.record.status != Status::Syncing || self.is_unconfirmed {
            return Ok(());
        }
        if self.is_to_land() {
            return match self.land().await {
                Err(error) if is_final(&error) => {
                    self.fail(&error).await?;
                    Err(error)
                }
                landed => landed,
            };
        }
        if self.received_bytes > self.record.checkpoint.offset || self.has_new_length || !self.record.is_told {
            return self.remember().await;
        }
        Ok(())
    }

    /// Ends the request with an error. Its bytes are kept where possible, unless the error fails the whole upload.
    pub async fn give_up(&mut self, error: &Error) -> Result<(), Error> {
        if is_final(error) {
            let failed = self.fail(error).await;
            if let Some(mut partial) = self.partial.take() {
                partial.rest().await;
            }
            return failed;
        }
        self.settle().await
    }

    async fn land(&mut self) -> Result<(), Error> {
        let Some((sync, lease)) = self.sync.clone() else { return Ok(()) };
        if self.has_new_length {
            // For queries after the landing. The offset is unchanged.
            let ResumableRecord { token, checkpoint, length, expires_at, .. } = &self.record;
            self.lake.0.state.advance_resumable(token, checkpoint, *length, *expires_at).await?;
            self.has_new_length = false;
        }
        let digest = self.open().await?.seal().await?;
        let sha512 = self.sha512().await?;
        let Some(target) = self.record.target.clone() else { return Ok(()) };
        let ready = Ready {
            sync,
            upload_id: self.record.upload_id,
            file_name: self.record.file_name.clone(),
            target,
            partial: self.record.partial.clone(),
            content: Content::Sealed(self.record.identity.clone(), digest),
            begun_at: self.record.begun_at,
            by: self.record.by.clone(),
            taken_over: false,
        };
        // Excludes endings until the landing is committed.
        let landing = lease.enter().await?;
        let landed = self.lake.0.commit_queue.land(&self.lake, ready, &self.record.digests, sha512).await;
        drop(landing);
        if let Err(error) = landed {
            if error.is_unsettled() && !self.record.parts.is_empty() {
                self.lake.drop_parts_later(&self.record.token);
            }
            return Err(error);
        }
        self.record.status = Status::Finished;
        self.untrack();
        // It has landed, so its sender is not told of a failure.
        if self.lake.drop_parts(&self.record.parts).await.is_err() {
            self.lake.drop_parts_later(&self.record.token);
        }
        Ok(())
    }

    /// Only the state of SHA-256 is kept across restarts. For an announced SHA-512 the file is read once more.
    async fn sha512(&self) -> Result<Option<[u8; 64]>, Error> {
        if self.record.digests.sha512.is_none() {
            return Ok(None);
        }
        let (mut hasher, mut offset) = (Sha512::new(), 0);
        loop {
            let bytes = self.lake.0.files.read_partial(&self.record.partial, offset, HASHED_BYTES).await?;
            if bytes.is_empty() {
                return Ok(Some(hasher.finalize().into()));
            }
            offset += bytes.len() as u64;
            hasher.update(&bytes);
        }
    }

    /// Fails the upload: its row gets the reason, and its bytes are removed.
    pub(super) async fn fail(&mut self, error: &Error) -> Result<(), Error> {
        self.record.status = Status::Failed;
        self.untrack();
        let lake = &self.lake;
        // The row is written first, as for every upload.
        match self.record.upload_id.zip(self.record.sync_id) {
            Some((upload_id, sync_id)) => {
                let (message, at) = (error.to_string(), lake.now());
                let size_bytes = self.received_bytes;
                let file_name = self.record.file_name.clone();
                let failed = RegisteredFailure { upload_id, sync_id, file_name, message, size_bytes, at };
                lake.remember_failure(Failure::Registered(failed)).await?;
            }
            None => lake.0.state.delete_resumable(&self.record.token).await?,
        }
        lake.discard(&self.record.partial).await;
        Ok(())
    }
}

/// Whether the error ends the upload; otherwise its sender may continue when the cause is gone.
fn is_final(error: &Error) -> bool {
    !matches!(
        error,
        Error::IncompleteUpload(_)
            | Error::Preempted
            | Error::DiskFull
            | Error::BelowReserve { .. }
            | Error::ShuttingDown
            | Error::SyncBusy(_)
            | Error::Internal(_)
    )
}
