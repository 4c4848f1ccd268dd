//! Pending changes since the last publishing of events: recorded after each commit, taken by the publisher.

use crate::model::event::FileLanded;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::limits::{LANDED_NAMED_MAX, SYNCS_TOLD_MAX};
use crate::model::overview::LateDataset;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use crate::ports::metadata::upload::LandedUpload;
use std::collections::{HashMap, VecDeque};

#[derive(Default)]
pub(in super::super) struct PendingChanges {
    syncs: HashMap<SyncId, PendingSyncChanges>,
    /// Keys of `syncs` in the order of their first change, so that each has its turn.
    order: VecDeque<SyncId>,
    unscoped: UnscopedChanges,
}

/// Changes of one sync.
#[derive(Default)]
pub(in super::super) struct PendingSyncChanges {
    /// Set for a requested start, which may have returned an earlier sync.
    pub(in super::super) started_at: Option<Timestamp>,
    pub(in super::super) landed: Vec<FileLanded>,
    pub(in super::super) num_landed: u64,
    pub(in super::super) landed_bytes: u64,
    pub(in super::super) num_replaced: u64,
    pub(in super::super) failed: Vec<FailedUpload>,
    pub(in super::super) is_held: bool,
    pub(in super::super) has_ended: bool,
}

pub(in super::super) struct FailedUpload {
    pub(in super::super) file_name: String,
    pub(in super::super) message: String,
}

/// Changes that belong to no sync.
#[derive(Default)]
pub(in super::super) struct UnscopedChanges {
    pub(in super::super) restored: Vec<(TrashId, LakePath, String)>,
    pub(in super::super) trash_changed: bool,
    pub(in super::super) late: Vec<LateDataset>,
    pub(in super::super) has_activity: bool,
}

impl PendingChanges {
    /// Records a change of the sync; the caller may add details.
    pub(in super::super) fn sync(&mut self, sync_id: SyncId) -> &mut PendingSyncChanges {
        self.syncs.entry(sync_id).or_insert_with(|| {
            self.order.push_back(sync_id);
            PendingSyncChanges::default()
        })
    }

    pub(in super::super) fn landed(&mut self, landed: &[LandedUpload]) {
        for LandedUpload { upload, trash } in landed {
            let changes = self.sync(upload.sync_id);
            changes.num_landed += 1;
            changes.landed_bytes += upload.digest.size_bytes;
            changes.num_replaced += u64::from(trash.is_some());
            if changes.landed.len() < LANDED_NAMED_MAX {
                let (path, size_bytes) = (upload.target.clone(), upload.digest.size_bytes);
                changes.landed.push(FileLanded { path, size_bytes });
            }
        }
    }

    pub(in super::super) fn failed(&mut self, sync_id: SyncId, file_name: &str, message: &str) {
        let changes = self.sync(sync_id);
        if changes.failed.len() < LANDED_NAMED_MAX {
            changes.failed.push(FailedUpload { file_name: file_name.to_owned(), message: message.to_owned() });
        }
    }

    pub(in super::super) fn restored(&mut self, trash_id: TrashId, path: &LakePath, by: &str) {
        self.unscoped.restored.push((trash_id, path.clone(), by.to_owned()));
    }

    pub(in super::super) fn trash_changed(&mut self) {
        self.unscoped.trash_changed = true;
    }

    pub(in super::super) fn late(&mut self, datasets: impl Iterator<Item = LateDataset>) {
        self.unscoped.late.extend(datasets);
    }

    /// Records an action without an event of its own.
    pub(in super::super) fn activity(&mut self) {
        self.unscoped.has_activity = true;
    }

    pub(in super::super) fn take_syncs(&mut self) -> Vec<(SyncId, PendingSyncChanges)> {
        let count = self.order.len().min(SYNCS_TOLD_MAX);
        self.order.drain(..count).filter_map(|id| Some((id, self.syncs.remove(&id)?))).collect()
    }

    pub(in super::super) fn take_unscoped(&mut self) -> UnscopedChanges {
        std::mem::take(&mut self.unscoped)
    }
}
