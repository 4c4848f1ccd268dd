//! Events of datasets that become late. Nothing else happens at a deadline, so a background job checks for it.

use crate::model::dataset::schedule::SLOT_MS;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::service::Lake;
use std::collections::BTreeSet;

#[derive(Default)]
pub(in crate::service) struct Lateness(async_lock::Mutex<Option<Looked>>);

/// Result of the last check.
struct Looked {
    /// Slot of 15 minutes of that check.
    slot: i64,
    late: BTreeSet<LakePath>,
}

impl Lake {
    /// Queues an event for each dataset that became late since the last call. To be called every few seconds: it checks
    /// once in each slot of 15 minutes, as deadlines are at the start of one, and after a schedule was set. Datasets
    /// that are late at the first call have no event, since clients read them when they connect.
    pub async fn watch_lateness(&self) -> Result<(), Error> {
        let mut looked = self.0.lateness.0.lock().await;
        let now = self.now();
        let slot = now.0.div_euclid(SLOT_MS);
        if looked.as_ref().is_some_and(|looked| looked.slot == slot) {
            return Ok(());
        }
        let late = self.late_datasets(None, now).await?;
        let paths = late.iter().map(|dataset| dataset.path.clone()).collect();
        if let Some(before) = looked.replace(Looked { slot, late: paths }) {
            let is_new = |path: &LakePath| !before.late.contains(path);
            self.0.events.pending_changes().late(late.into_iter().filter(|dataset| is_new(&dataset.path)));
        }
        Ok(())
    }

    /// Makes the next call of [`Self::watch_lateness`] check again.
    pub(in crate::service) async fn rhythm_was_set(&self) {
        if let Some(looked) = &mut *self.0.lateness.0.lock().await {
            looked.slot = i64::MIN;
        }
    }
}
