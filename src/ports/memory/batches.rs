//! Declared batches in memory.

use super::state::MemoryState;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::path::LakePath;
use crate::model::sync::comparison::Comparison;
use crate::model::sync::job::may_accept_uploads;
use crate::model::sync::manifest::{Declaration, LandedFile};
use crate::model::time::Timestamp;
use crate::model::trash::TrashReason;
use crate::ports::metadata::batch::{BatchState, LandedChange};
use crate::ports::metadata::trash::TrashRecord;
use async_trait::async_trait;

#[async_trait]
impl BatchState for MemoryState {
    async fn expect(&self, id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        may_accept_uploads(data.record(id)?)?;
        data.expect(id, expected)?;
        data.touch(id, at);
        Ok(())
    }

    async fn compare_expected(&self, id: SyncId) -> Result<Option<Comparison>, Error> {
        let mut data = self.data();
        let sync = data.record(id)?.sync.clone();
        let Some(expected) = data.expected.get(&id) else { return Ok(None) };
        let named = match expected {
            Declaration::Files(files) => files.to_vec(),
            Declaration::Totals { .. } => Vec::new(),
        };
        let mut landed: Vec<LandedFile> = data.landed_by(id).collect();
        // Stable: the last of a target stays the last.
        landed.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(Some(Comparison::of(&sync.path, expected.totals(), named, landed)))
    }

    async fn landed_changes(&self, id: SyncId, after: u64, size: u64) -> Result<Vec<LandedChange>, Error> {
        let data = self.data();
        let of_sync: Vec<_> = data.uploads.iter().filter(|row| row.upload.sync_id == id).zip(1..).collect();
        let landed = |target: &LakePath| {
            let target = target.clone();
            of_sync.iter().filter(move |(row, _)| row.digest().is_some() && row.target == target)
        };
        let replaced = |target: &LakePath| {
            let of_target = |record: &TrashRecord| {
                let entry = &record.entry;
                entry.sync_id == Some(id) && entry.origin == *target && entry.reason == TrashReason::Overwritten
            };
            data.trash.iter().filter(|(record, _)| of_target(record)).count()
        };
        let last_of_each = of_sync
            .iter()
            .filter(|(row, ordinal)| row.digest().is_some() && landed(&row.target).all(|(_, other)| other <= ordinal));
        let changes = last_of_each.filter(|(_, ordinal)| *ordinal > after).map(|(row, ordinal)| LandedChange {
            ordinal: *ordinal,
            target: row.target.clone(),
            size_bytes: row.upload.size_bytes,
            has_replaced: replaced(&row.target) >= landed(&row.target).count(),
            row_count: row.upload.row_count,
        });
        Ok(changes.take(usize::try_from(size).unwrap_or(usize::MAX)).collect())
    }
}
