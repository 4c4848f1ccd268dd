//! Timeline of a sync: the begin and end of its uploads, from which its waterfall chart is drawn. The cost does not
//! depend on the number of uploads.

use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{TIMELINE_FAILURES_MAX, TIMELINE_STRETCHES, TIMELINE_UPLOADS_MAX};
use crate::model::sync::timeline::Timeline;
use crate::service::Lake;
use std::collections::BTreeMap;

impl Lake {
    /// At most [`TIMELINE_UPLOADS_MAX`] uploads of the sync. A larger sync is sampled in evenly spaced groups, plus its
    /// first failed uploads, up to [`TIMELINE_FAILURES_MAX`].
    pub async fn timeline(&self, caller: &Caller, sync_id: SyncId) -> Result<Timeline, Error> {
        let num_uploads = self.sync(caller, sync_id).await?.num_listed();
        let scope = caller.may_read()?;
        let failures_max = if num_uploads > TIMELINE_UPLOADS_MAX { TIMELINE_FAILURES_MAX } else { 0 };
        let stretches = stretches(num_uploads);
        let found = self.0.state.timeline_uploads(sync_id, &stretches, failures_max, scope.as_ref()).await?;
        let uploads: BTreeMap<_, _> = found.into_iter().map(|upload| (upload.history_id, upload)).collect();
        Ok(Timeline { num_uploads, uploads: uploads.into_values().collect() })
    }
}

/// Pages of rows to read.
fn stretches(num_uploads: u64) -> Vec<(u64, u64)> {
    if num_uploads <= TIMELINE_UPLOADS_MAX {
        return vec![(0, TIMELINE_UPLOADS_MAX)];
    }
    let size = (TIMELINE_UPLOADS_MAX - TIMELINE_FAILURES_MAX) / TIMELINE_STRETCHES;
    let last = num_uploads - size;
    (0..TIMELINE_STRETCHES).map(|index| (last * index / (TIMELINE_STRETCHES - 1), size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_uploads_are_read_in_full_and_many_are_sampled_from_first_to_last() {
        assert_eq!(stretches(200), [(0, 200)]);
        for num_uploads in [201, 1000, 10_000_000] {
            let read = stretches(num_uploads);
            let (last, size) = *read.last().unwrap();
            assert_eq!((read[0].0, last + size), (0, num_uploads));
            assert!(read.is_sorted());
            let sum: u64 = read.iter().map(|(_, size)| size).sum();
            assert!(sum + TIMELINE_FAILURES_MAX <= TIMELINE_UPLOADS_MAX);
        }
    }
}
