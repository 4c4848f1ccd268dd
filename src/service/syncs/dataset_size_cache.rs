//! How much a dataset and a staging hold. A walk over a hundred thousand files takes long, and an end waits for it; so what is
//! known already is not counted again.

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
pub(in crate::service) struct DatasetSizeCache(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Full syncs that began since the server did, and have overwritten none of their own files: what they have landed is
    /// what they hold.
    plain: BTreeSet<SyncId>,
    /// What datasets held when they were last counted, and how their folders were then.
    datasets: BTreeMap<LakePath, Arc<(Totals, Vec<FolderState>)>>,
}

impl DatasetSizeCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }

    pub(in crate::service) fn began(&self, id: SyncId) {
        self.known().plain.insert(id);
    }

    /// Call it before the landing is remembered.
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
    /// Counts the files of a dataset by a walk. A file where it should be is none: it is in the way, as publishing will say.
    pub(in crate::service) async fn count_dataset(&self, dataset: &LakePath) -> Result<Totals, Error> {
        let place = StoragePath::Live(dataset.clone());
        if let Some(Some(_)) = self.0.files.sizes(std::slice::from_ref(&place)).await?.first() {
            return Ok(Totals::default());
        }
        let measured = self.0.files.measure_folders(&place, FOLDERS_KNOWN_MAX).await?;
        let mut known = self.0.measures.known();
        known.datasets.remove(dataset);
        if let Some(folders) = measured.folders.filter(|_| measured.totals.files >= MEASURE_WORTH_FILES) {
            if known.datasets.len() >= MEASURES_MAX {
                known.datasets.clear();
            }
            known.datasets.insert(dataset.clone(), Arc::new((measured.totals, folders)));
        }
        Ok(measured.totals)
    }

    /// The same, by the last count where no file has come or gone since, by whomever. What somebody wrote into a file by hand
    /// since then may be missing in the bytes.
    pub(in crate::service) async fn measure_dataset(&self, dataset: &LakePath) -> Result<Totals, Error> {
        let counted = self.0.measures.known().datasets.get(dataset).cloned();
        if let Some(counted) = counted {
            let (totals, folders) = &*counted;
            if self.0.files.are_unchanged(&StoragePath::Live(dataset.clone()), folders).await? {
                return Ok(*totals);
            }
        }
        self.count_dataset(dataset).await
    }

    /// What a full sync has staged. Call it alone in the gate.
    pub(in crate::service) async fn measure_staging(&self, sync: &SyncJob) -> Result<Totals, Error> {
        if self.0.measures.known().plain.contains(&sync.sync_id) {
            return Ok(Totals { files: sync.num_landed(), bytes: sync.size_bytes });
        }
        self.0.files.measure(&StoragePath::Staging(sync.sync_id)).await
    }
}
