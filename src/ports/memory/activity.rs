//! What was done.

use super::MemoryState;
use super::state::Data;
use crate::model::audit::{Activity, ActivityId, ActivityQuery, Deed};
use crate::model::error::Error;
use crate::ports::metadata::audit::ActivityState;
use async_trait::async_trait;

impl Data {
    pub(super) fn remember(&mut self, deed: Deed) {
        let activity_id = ActivityId(self.activity.len() as u64 + 1);
        self.activity.push(Activity { activity_id, deed });
    }
}

#[async_trait]
impl ActivityState for MemoryState {
    async fn record(&self, deed: &Deed) -> Result<(), Error> {
        self.data().remember(deed.clone());
        Ok(())
    }

    async fn activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        let data = self.data();
        let (before, after) = (query.parameters.before, query.parameters.after);
        let is_wanted = |activity: &&Activity| {
            query.holds(&activity.deed)
                && before.is_none_or(|before| activity.activity_id < before)
                && after.is_none_or(|after| activity.activity_id > after)
        };
        let wanted = data.activity.iter().filter(is_wanted);
        let size = usize::try_from(query.size).unwrap_or(usize::MAX);
        Ok(match after {
            Some(_) => wanted.take(size).cloned().collect(),
            None => wanted.rev().take(size).cloned().collect(),
        })
    }
}
