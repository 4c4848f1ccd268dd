//! Telling of datasets that have become late: nothing happens then, so somebody has to look.

use crate::model::dataset::schedule::SLOT_MS;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::service::Lake;
use std::collections::BTreeSet;

#[derive(Default)]
pub(in crate::service) struct Lateness(async_lock::Mutex<Option<Looked>>);

/// What the last look has found.
struct Looked {
    /// The quarter of an hour in which that was.
    slot: i64,
    late: BTreeSet<LakePath>,
}

impl Lake {
    /// Marks the datasets that have become late since the last call, to be told. Call it every few seconds: it looks at them
    /// once in a quarter of an hour, as every deadline is at the beginning of one, and when a rhythm was set. What was late at
    /// the first call is not told: whoever listens has read it.
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
            self.0.events.marks().late(late.into_iter().filter(|dataset| is_new(&dataset.path)));
        }
        Ok(())
    }

    /// The next call of [`Self::watch_lateness`] looks again.
    pub(in crate::service) async fn rhythm_was_set(&self) {
        if let Some(looked) = &mut *self.0.lateness.0.lock().await {
            looked.slot = i64::MIN;
        }
    }
}
