//! Failures of uploads, recorded as soon as possible.
//!
//! When the metadata store is full or cannot be written, not even the failure of an upload can be recorded. Such
//! failures wait here until they can be written; no sync ends before that.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::storage_path::PartialName;
use crate::model::time::Timestamp;
use crate::ports::metadata::upload::RefusedUpload;
use crate::service::Lake;
use parking_lot::Mutex;

/// Maximum waiting failures. Others are left to the next start, which finds those that have a row.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub(in crate::service) struct Failures(Mutex<Vec<Failure>>);

/// A failed upload, with or without a row.
pub(in crate::service) enum Failure {
    Registered(RegisteredFailure),
    Unregistered(RefusedUpload),
    /// Whether its bytes have a row is not known.
    InDoubt(PartialName, RefusedUpload),
}

/// A failed upload with a row.
pub(in crate::service) struct RegisteredFailure {
    pub(in crate::service) upload_id: UploadId,
    pub(in crate::service) sync_id: SyncId,
    pub(in crate::service) file_name: String,
    pub(in crate::service) message: String,
    pub(in crate::service) size_bytes: u64,
    pub(in crate::service) at: Timestamp,
}

/// Recording an upload with a row twice changes nothing. One without a row would be counted twice if the first result
/// is unknown.
fn may_be_told_again(failure: &Failure, fault: &Error) -> bool {
    match fault {
        Error::DiskFull => true,
        Error::Internal(_) => matches!(failure, Failure::Registered(_)),
        _ => false,
    }
}

impl Lake {
    /// Records a failure now, or later if the metadata store cannot be written.
    pub(in crate::service) async fn remember_failure(&self, failure: Failure) -> Result<(), Error> {
        match self.store_failure(&failure).await {
            Err(fault) if fault.is_transient() || may_be_told_again(&failure, &fault) => {
                self.remember_failure_later(failure);
                Ok(())
            }
            told => told,
        }
    }

    /// Leaves a failure to [`Self::remember_failures`].
    pub(in crate::service) fn remember_failure_later(&self, failure: Failure) {
        let mut waiting = self.0.failures.0.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push(failure);
        }
    }

    async fn store_failure(&self, failure: &Failure) -> Result<(), Error> {
        match failure {
            Failure::Registered(failed) => self.store_registered(failed).await,
            Failure::Unregistered(refused) => self.store_refused(refused).await,
            Failure::InDoubt(partial, refused) => {
                let Some(upload_id) = self.0.state.upload_in_flight(refused.sync_id, partial).await? else {
                    return self.store_refused(refused).await;
                };
                let RefusedUpload { sync_id, file_name, message, size_bytes, at, .. } = refused.clone();
                self.store_registered(&RegisteredFailure { upload_id, sync_id, file_name, message, size_bytes, at })
                    .await
            }
        }
    }

    async fn store_registered(&self, failed: &RegisteredFailure) -> Result<(), Error> {
        let RegisteredFailure { upload_id, sync_id, file_name, message, size_bytes, at } = failed;
        self.0.state.fail_upload(*upload_id, message, *size_bytes, *at).await?;
        self.0.events.pending_changes().failed(*sync_id, file_name, message);
        Ok(())
    }

    async fn store_refused(&self, refused: &RefusedUpload) -> Result<(), Error> {
        match self.0.state.refuse_upload(refused).await {
            Ok(_) => {
                self.0.events.pending_changes().failed(refused.sync_id, &refused.file_name, &refused.message);
                Ok(())
            }
            // Too late to count.
            Err(Error::SyncEnded { .. } | Error::SyncEnding(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Records the waiting failures. After an error some still wait.
    pub async fn remember_failures(&self) -> Result<(), Error> {
        let take = || self.0.failures.0.lock().pop();
        while let Some(failure) = take() {
            if let Err(error) = self.store_failure(&failure).await {
                self.0.failures.0.lock().push(failure);
                return Err(error);
            }
        }
        Ok(())
    }
}
