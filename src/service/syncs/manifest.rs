//! Sealed batches: declaring what a sync is to hold, and refusing its end until it does.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::IN_FLIGHT_NAMED_MAX;
use crate::model::page::{Order, Page, UploadQuery};
use crate::model::sync::comparison::Comparison;
use crate::model::sync::end::EndSync;
use crate::model::sync::job::may_accept_uploads;
use crate::model::sync::manifest::Expected;
use crate::model::sync::status::Status;
use crate::service::Lake;
use serde::{Deserialize, Serialize};

/// The body of the call that declares, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectFiles {
    pub sync_id: SyncId,
    pub expected: Expected,
}

impl Lake {
    /// Declares what a sync is to hold when it ends, in place of what was declared before. Safe to repeat.
    pub async fn expect_files(&self, caller: &Caller, wanted: ExpectFiles) -> Result<(), Error> {
        let id = wanted.sync_id;
        self.writable(caller, id).await?;
        let gate = self.0.gates.of(id);
        // Not while an ending compares.
        let _alone = gate.alone().await;
        let record = self.record(id).await?;
        may_accept_uploads(&record)?;
        let declaration = wanted.expected.parse(&record.sync.path)?;
        self.0.state.expect(id, &declaration, self.now()).await?;
        self.0.events.marks().sync(id);
        Ok(())
    }

    /// What was declared of a sync beside what it has landed so far; `None` when nothing was declared. Visits each of its
    /// files.
    pub async fn compare_expected(&self, caller: &Caller, id: SyncId) -> Result<Option<Comparison>, Error> {
        self.sync(caller, id).await?;
        self.0.state.compare_expected(id).await
    }

    /// Refuses the end of a sync that is not what was declared. Call it alone in the gate.
    pub(in crate::service) async fn refuse_unexpected(&self, end: &EndSync) -> Result<(), Error> {
        match self.0.state.compare_expected(end.sync_id).await? {
            Some(comparison) if !comparison.agrees() => {
                let refusal = Error::NotAsExpected { sync_id: end.sync_id, comparison: Box::new(comparison) };
                Err(self.after_in_flight(end, refusal).await)
            }
            _ => Ok(()),
        }
    }

    /// The refusal of an end, or that of the uploads in flight where there are any: what is still arriving may be what is
    /// missing.
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
