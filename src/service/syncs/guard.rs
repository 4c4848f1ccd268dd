//! Shrink guard: holds full syncs that would shrink their datasets too much.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::sync::end::EndSync;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{SyncJob, SyncRecord};
use crate::model::sync::status::SyncType;
use crate::model::totals::Totals;
use crate::service::Lake;

impl Lake {
    /// Refuses a publish that would shrink the dataset beyond the limit of the guard, and records the hold. A sync
    /// without a landed file is left to [`crate::model::sync::job::may_close`]. Requires the exclusive sync lock.
    /// Counts files if their number is not cached; the exchange of the folders does not wait for it.
    pub(in crate::service) async fn refuse_shrinking(
        &self,
        caller: &Caller,
        record: &SyncRecord,
        end: &EndSync,
    ) -> Result<(), Error> {
        let sync = &record.sync;
        let guard = &self.0.limits.shrink_guard;
        let is_watched = sync.sync_type == SyncType::FullSync && sync.num_landed() > 0 && guard.watches(&sync.path);
        if end.confirm || !is_watched {
            return Ok(());
        }
        let (replaced, published) = self.totals_of_end(sync).await?;
        if replaced.files == 0 || !guard.holds(&sync.path, replaced, published) {
            return Ok(());
        }
        if let busy @ Error::UploadsInFlight { .. } =
            self.after_in_flight(end, Error::EmptyFullSync(sync.sync_id)).await
        {
            return Err(busy);
        }
        let hold = Hold { since: self.now(), replaced, published, differing_files: 0 };
        let hold = self.0.state.hold_sync(sync.sync_id, hold, &caller.actor()).await?;
        self.0.events.pending_changes().sync(sync.sync_id).is_held = true;
        Err(Error::Held { sync_id: sync.sync_id, path: sync.path.clone(), hold })
    }

    /// Sizes of the current dataset and of the staging of a full sync.
    pub(in crate::service) async fn totals_of_end(&self, sync: &SyncJob) -> Result<(Totals, Totals), Error> {
        Ok((self.measure_dataset(&sync.path).await?, self.measure_staging(sync).await?))
    }

    /// Holds a sync whose end was refused because nothing has landed, so that it needs attention and the next start
    /// supersedes it.
    pub(in crate::service) async fn hold_empty(&self, caller: &Caller, record: &SyncRecord) -> Result<(), Error> {
        let sync = &record.sync;
        let replaced = self.measure_dataset(&sync.path).await?;
        let hold = Hold { since: self.now(), replaced, published: Totals::default(), differing_files: 0 };
        self.0.state.hold_sync(sync.sync_id, hold, &caller.actor()).await?;
        self.0.events.pending_changes().sync(sync.sync_id).is_held = true;
        Ok(())
    }
}
