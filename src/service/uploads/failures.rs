//! Failures of uploads, recorded as soon as possible.
//!
//! When the metadata store is full or cannot be written, not even the failure of an upload can be recorded; nor while
//! another server ends or compares its sync. Such failures wait here until they can be written; their syncs do not end
//! before that.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::storage_path::PartialName;
use crate::model::time::Timestamp;
use crate::ports::metadata::upload::RefusedUpload;
use crate::service::Lake;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Maximum waiting failures. Others are left to the next start, which finds those that have a row.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
pub(in crate::service) struct Failures(Mutex<VecDeque<Failure>>);

/// A failed upload, with or without a row.
pub(in crate::service) enum Failure {
    Registered(RegisteredFailure),
    Unregistered(RefusedUpload),
    /// Whether its bytes have a row is not known.
    InDoubt(PartialName, RefusedUpload),
}

impl Failure {
    fn sync_id(&self) -> SyncId {
        match self {
            Self::Registered(failed) => failed.sync_id,
            Self::Unregistered(refused) | Self::InDoubt(_, refused) => refused.sync_id,
        }
    }
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
        Error::DiskFull | Error::SyncBusy(_) => true,
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
            waiting.push_back(failure);
        }
    }

    async fn store_failure(&self, failure: &Failure) -> Result<(), Error> {
        match failure {
            Failure::Registered(failed) => self.store_registered(failed).await,
            Failure::Unregistered(refused) => self.store_refused(refused).await,
            Failure::InDoubt(partial, refused) => {
                // It changes nothing, so it may be asked again whatever became of it.
                let in_flight = self.0.state.upload_in_flight(refused.sync_id, partial).await;
                let in_flight = in_flight.map_err(|error| if error.is_unsettled() { error.retriable() } else { error });
                let Some(upload_id) = in_flight? else { return self.store_refused(refused).await };
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

    /// Records the waiting failures, except those whose sync another server ends or compares: they go on waiting. After
    /// an error, others do too.
    pub async fn remember_failures(&self) -> Result<(), Error> {
        let waiting = self.0.failures.0.lock().len();
        for _ in 0..waiting {
            match self.remember_next(|_| true).await {
                Ok(true) | Err(Error::SyncBusy(_)) => {}
                Ok(false) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Records the waiting failures of a sync that is about to end, whatever becomes of others.
    pub(in crate::service) async fn remember_failures_of(&self, sync_id: SyncId) -> Result<(), Error> {
        while self.remember_next(|failure| failure.sync_id() == sync_id).await? {}
        Ok(())
    }

    /// Records the first of these failures, or puts it behind the others. False if there is none.
    async fn remember_next(&self, is_one: impl Fn(&Failure) -> bool) -> Result<bool, Error> {
        let next = {
            let mut waiting = self.0.failures.0.lock();
            waiting.iter().position(is_one).and_then(|position| waiting.remove(position))
        };
        let Some(failure) = next else { return Ok(false) };
        let told = self.store_failure(&failure).await;
        if told.is_err() {
            self.0.failures.0.lock().push_back(failure);
        }
        told.map(|()| true)
    }
}
