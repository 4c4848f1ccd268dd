//! Events of datasets that become late. Nothing else happens at a deadline, so a background job checks for it.

use crate::model::audit::{AuditAction, AuditId, AuditParameters, AuditQuery};
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
    /// Entry of the audit log of the last schedule that was set, by any node.
    schedule_set: Option<AuditId>,
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
        let schedule_set = self.last_schedule_set().await?;
        if looked.as_ref().is_some_and(|looked| looked.slot == slot && looked.schedule_set == schedule_set) {
            return Ok(());
        }
        let late = self.late_datasets(None, now).await?;
        let paths = late.iter().map(|dataset| dataset.path.clone()).collect();
        match looked.replace(Looked { slot, schedule_set, late: paths }) {
            Some(before) => {
                let is_new = |path: &LakePath| !before.late.contains(path);
                self.0.events.pending_changes().late(late.into_iter().filter(|dataset| is_new(&dataset.path)));
            }
            // The node that checked before may have ended before its last events.
            None if self.0.state.has_other_nodes() => self.owe_reset(),
            None => {}
        }
        Ok(())
    }

    async fn last_schedule_set(&self) -> Result<Option<AuditId>, Error> {
        let parameters = AuditParameters { what: Some(AuditAction::ScheduleSet), ..AuditParameters::default() };
        let wanted = AuditQuery { parameters, place: None, places_only: false, size: 1 };
        Ok(self.0.state.activity(&wanted).await?.first().map(|entry| entry.activity_id))
    }
}
