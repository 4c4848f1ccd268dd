//! Sealed batches: storing the declared content of a sync, and refusing its end until it matches.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::IN_FLIGHT_NAMED_MAX;
use crate::model::page::{Order, Page, UploadQuery};
use crate::model::sync::comparison::Comparison;
use crate::model::sync::end::EndSync;
use crate::model::sync::job::{may_accept_uploads, refuse_restoring};
use crate::model::sync::manifest::ExpectFiles;
use crate::model::sync::status::Status;
use crate::service::Lake;

impl Lake {
    /// Declares the content of a sync at its end, and replaces an earlier declaration. Idempotent.
    pub async fn expect_files(&self, caller: &Caller, wanted: ExpectFiles) -> Result<(), Error> {
        let id = wanted.sync_id;
        refuse_restoring(&self.writable(caller, id).await?)?;
        let lock = self.0.sync_locks.of(id);
        // Excludes a concurrent end, which compares.
        let _exclusive = self.lock_exclusive(&lock).await?;
        let record = self.record(id).await?;
        may_accept_uploads(&record)?;
        let declaration = wanted.expected.parse(&record.sync.path)?;
        self.0.state.expect(id, &declaration, self.now()).await?;
        self.0.events.pending_changes().sync(id);
        Ok(())
    }

    /// Declaration of a sync, compared with its landed files so far; `None` without a declaration. Visits each of its
    /// files.
    pub async fn compare_expected(&self, caller: &Caller, id: SyncId) -> Result<Option<Comparison>, Error> {
        self.sync(caller, id).await?;
        self.0.state.compare_expected(id).await
    }

    /// Refuses the end of a sync that differs from its declaration. Requires the exclusive sync lock.
    pub(in crate::service) async fn refuse_unexpected(&self, end: &EndSync) -> Result<(), Error> {
        match self.0.state.compare_expected(end.sync_id).await? {
            Some(comparison) if !comparison.agrees() => {
                let refusal = Error::NotAsExpected { sync_id: end.sync_id, comparison: Box::new(comparison) };
                Err(self.after_in_flight(end, refusal).await)
            }
            _ => Ok(()),
        }
    }

    /// Returns `refusal`, or the error for uploads in flight if there are any, as these may be the missing files.
    pub(in crate::service) async fn after_in_flight(&self, end: &EndSync, refusal: Error) -> Error {
        if end.discard_in_flight {
            return refusal;
        }
        let query = UploadQuery {
            page: Page { from: 0, size: IN_FLIGHT_NAMED_MAX, order: Order::Asc },
            sync_id: Some(end.sync_id),
            status: Some(Status::Syncing),
            path: None,
            text: None,
            scope: None,
        };
        match self.0.state.uploads(&query).await {
            Ok(uploads) if uploads.is_empty() => refusal,
            Ok(uploads) => Error::UploadsInFlight { sync_id: end.sync_id, uploads },
            Err(fault) => fault,
        }
    }
}
