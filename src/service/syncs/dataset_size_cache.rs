//! Sizes of datasets and stagings. A scan of a hundred thousand files is slow, and the end of a sync waits for it, so
//! known sizes are reused.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{FOLDERS_KNOWN_MAX, MEASURE_WORTH_FILES, MEASURES_MAX};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::sync::job::SyncJob;
use crate::model::totals::Totals;
use crate::ports::storage::{FolderState, LandingOutcome};
use crate::service::Lake;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Default)]
pub(in crate::service) struct DatasetSizeCache(Mutex<CacheState>);

#[derive(Default)]
struct CacheState {
    /// Full syncs that began after the server and have overwritten none of their own files: their counters equal their
    /// staging. None where other nodes land files in them too.
    plain: BTreeSet<SyncId>,
    /// Sizes of datasets at the last count, with the folder states at that time.
    datasets: BTreeMap<LakePath, Arc<(Totals, Vec<FolderState>)>>,
}

impl DatasetSizeCache {
    fn known(&self) -> MutexGuard<'_, CacheState> {
        self.0.lock()
    }

    pub(in crate::service) fn began(&self, id: SyncId) {
        self.known().plain.insert(id);
    }

    /// Must be called before the landing is committed.
    pub(in crate::service) fn landed(&self, id: SyncId, outcome: LandingOutcome) {
        if outcome == LandingOutcome::Replaced {
            self.known().plain.remove(&id);
        }
    }

    pub(in crate::service) fn ended(&self, id: SyncId) {
        self.known().plain.remove(&id);
    }
}

impl Lake {
    /// Counts the files of a dataset by a scan. A file at the path of the dataset is not counted: publishing will
    /// refuse it.
    pub(in crate::service) async fn count_dataset(&self, dataset: &LakePath) -> Result<Totals, Error> {
        let place = StoragePath::Live(dataset.clone());
        if let Some(Some(_)) = self.0.files.sizes(std::slice::from_ref(&place)).await?.first() {
            return Ok(Totals::default());
        }
        let measured = self.0.files.measure_folders(&place, FOLDERS_KNOWN_MAX).await?;
        let mut known = self.0.size_cache.known();
        known.datasets.remove(dataset);
        if let Some(folders) = measured.folders.filter(|_| measured.totals.files >= MEASURE_WORTH_FILES) {
            if known.datasets.len() >= MEASURES_MAX {
                known.datasets.clear();
            }
            known.datasets.insert(dataset.clone(), Arc::new((measured.totals, folders)));
        }
        Ok(measured.totals)
    }

    /// Cached size, if no folder changed since; otherwise a count. Bytes written into a file by hand since then may be
    /// missing.
    pub(in crate::service) async fn measure_dataset(&self, dataset: &LakePath) -> Result<Totals, Error> {
        let counted = self.0.size_cache.known().datasets.get(dataset).cloned();
        if let Some(counted) = counted {
            let (totals, folders) = &*counted;
            if self.0.files.are_unchanged(&StoragePath::Live(dataset.clone()), folders).await? {
                return Ok(*totals);
            }
        }
        self.count_dataset(dataset).await
    }

    /// Size of the staged files of a full sync. Requires the exclusive sync lock.
    pub(in crate::service) async fn measure_staging(&self, sync: &SyncJob) -> Result<Totals, Error> {
        if self.0.size_cache.known().plain.contains(&sync.sync_id) {
            return Ok(Totals { files: sync.num_landed(), bytes: sync.size_bytes });
        }
        self.0.files.measure(&StoragePath::Staging(sync.sync_id)).await
    }
}
