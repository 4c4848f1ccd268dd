//! Declared batches in memory.

use super::state::{Fate, MemoryState};
use crate::error::Error;
use crate::expected::{Comparison, Declaration, LandedFile};
use crate::path::LakePath;
use crate::ports::state::{BatchState, KnownContents, LandedChange, TrashRecord};
use crate::sync::{Status, SyncId, SyncType, may_accept_uploads};
use crate::time::Timestamp;
use crate::trash::TrashReason;
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
            Declaration::Files(files) => files.clone(),
            Declaration::Totals { .. } => Vec::new(),
        };
        let mut landed: Vec<LandedFile> = data.landed_by(id).collect();
        // Stable: the last of a target stays the last.
        landed.sort_by(|one, other| one.target.cmp(&other.target));
        let (named, landed) = (named.into_iter().map(Ok), landed.into_iter().map(Ok));
        Comparison::of(&sync.path, expected.totals(), named, landed).map(Some)
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
        });
        Ok(changes.take(usize::try_from(size).unwrap_or(usize::MAX)).collect())
    }

    async fn known_contents(&self, id: SyncId, targets: &[LakePath]) -> Result<Vec<KnownContents>, Error> {
        let mut data = self.data();
        let mut known = Vec::with_capacity(targets.len());
        for target in targets {
            let rows: Vec<_> =
                data.uploads.iter().filter(|row| row.target == *target && row.digest().is_some()).collect();
            let rows: Vec<_> = rows.iter().map(|row| (row.upload.sync_id, row.upload.end_time, row.digest())).collect();
            let landed = rows.iter().rev().find(|(sync_id, ..)| *sync_id == id).and_then(|(.., digest)| *digest);
            let mut seen_by_readers = None;
            for (sync_id, end_time, digest) in rows.into_iter().filter(|(sync_id, ..)| *sync_id != id) {
                let sync = &data.record(sync_id)?.sync;
                match (sync.sync_type, sync.sync_status) {
                    (SyncType::IncrementalSync, _) => seen_by_readers = Some((end_time, digest)),
                    (SyncType::FullSync, Status::Finished) => seen_by_readers = Some((sync.end_time, digest)),
                    (SyncType::FullSync, _) => {}
                }
            }
            let restored = data.trash.iter().filter_map(|(record, fate)| match fate {
                Fate::Restored(at) if record.entry.origin.contains(target) => Some(*at),
                _ => None,
            });
            let restored = restored.max();
            let seen_by_readers = seen_by_readers.filter(|(since, _)| restored.is_none_or(|at| at < *since));
            known.push(KnownContents { landed, seen_by_readers: seen_by_readers.and_then(|(_, digest)| digest) });
        }
        Ok(known)
    }
}
