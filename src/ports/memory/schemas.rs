//! What is remembered of the columns of files.

use super::MemoryState;
use super::state::Data;
use crate::model::access::actor::Actor;
use crate::model::audit::Deed;
use crate::model::dataset::schema::{Schema, SchemaDifference, SchemaPolicy};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::storage_path::Identity;
use crate::model::sync::job::Phase;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use crate::ports::metadata::schema::{
    Attempts, GoodSchema, InspectedUpload, LandedRows, SchemaId, SchemaState, Uninspected,
};
use async_trait::async_trait;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Schemas {
    pub(super) uninspected: BTreeSet<UploadId>,
    attempts: BTreeMap<UploadId, (Attempts, Timestamp)>,
    /// Each once; its id is its place, from 1.
    known: Vec<Schema>,
    differences: BTreeMap<UploadId, SchemaDifference>,
    /// How many files have which columns, in the order in which they came.
    of_syncs: BTreeMap<SyncId, Vec<(Schema, u64)>>,
    good: BTreeMap<LakePath, Good>,
    policies: BTreeMap<LakePath, SchemaPolicy>,
}

struct Good {
    sync_id: SyncId,
    schema: Schema,
    before: Option<Schema>,
}

impl Schemas {
    fn id_of(&mut self, schema: &Schema) -> SchemaId {
        let at = self.known.iter().position(|known| known == schema).unwrap_or_else(|| {
            self.known.push(schema.clone());
            self.known.len() - 1
        });
        SchemaId(at as u64 + 1)
    }
}

impl Data {
    /// The sync has finished, or more of it was looked at since.
    pub(super) fn remember_good(&mut self, id: SyncId) {
        let Ok(record) = self.record(id) else { return };
        let (path, status) = (record.sync.path.clone(), record.sync.sync_status);
        let schemas = self.schemas.of_syncs.get(&id).map(Vec::as_slice).unwrap_or_default();
        // Of two that as many files have, the first.
        let most = schemas.iter().rev().max_by_key(|(_, files)| *files);
        let Some((schema, _)) = most.filter(|_| status == Status::Finished) else { return };
        let schema = schema.clone();
        let before = match self.schemas.good.remove(&path) {
            Some(later) if later.sync_id > id => {
                self.schemas.good.insert(path, later);
                return;
            }
            Some(same) if same.sync_id == id => same.before,
            Some(earlier) => Some(earlier.schema),
            None => None,
        };
        self.schemas.good.insert(path, Good { sync_id: id, schema, before });
    }

    fn baseline(&mut self, id: SyncId) -> Option<Schema> {
        let record = self.record(id).ok()?;
        let (path, has_ended) = (record.sync.path.clone(), record.phase == Phase::Ended);
        let before = match self.schemas.good.get(&path).map(|good| (good.sync_id.cmp(&id), good)) {
            Some((Ordering::Greater, _)) if has_ended => return None,
            Some((Ordering::Equal, good)) => good.before.clone(),
            Some((_, good)) => Some(good.schema.clone()),
            None => None,
        };
        before.or_else(|| Some(self.schemas.of_syncs.get(&id)?.first()?.0.clone()))
    }
}

#[async_trait]
impl SchemaState for MemoryState {
    async fn uninspected(&self, of: Option<SyncId>, now: Timestamp, size: u64) -> Result<Vec<Uninspected>, Error> {
        let data = self.data();
        let row = |id: &UploadId, attempts| {
            let row = data.uploads.iter().find(|row| row.upload.history_id == *id)?;
            of.is_none_or(|id| row.upload.sync_id == id).then(|| Uninspected {
                upload_id: row.upload.history_id,
                sync_id: row.upload.sync_id,
                target: Some(row.target.clone()),
                identity: row.identity().cloned(),
                attempts,
            })
        };
        let fresh = data.schemas.uninspected.iter().filter_map(|id| row(id, Attempts::default()));
        let due = data.schemas.attempts.iter().filter(|(_, (_, due))| *due <= now);
        let tried = due.filter_map(|(id, (attempts, _))| row(id, *attempts)).take(1);
        Ok(fresh.take(usize::try_from(size).unwrap_or(usize::MAX)).chain(tried).collect())
    }

    async fn count_uninspected(&self, of: SyncId) -> Result<u64, Error> {
        let data = self.data();
        let is_of = |id: &&UploadId| data.upload_row(**id).is_some_and(|upload| upload.sync_id == of);
        let count = data.schemas.uninspected.iter().chain(data.schemas.attempts.keys()).filter(is_of).count();
        Ok(count as u64)
    }

    async fn begin_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let schemas = &mut self.data().schemas;
        for id in ids {
            schemas.uninspected.remove(id);
            schemas.attempts.entry(*id).or_default().0.begun += 1;
        }
        Ok(())
    }

    async fn release_inspections(&self, ids: &[UploadId]) -> Result<(), Error> {
        let schemas = &mut self.data().schemas;
        for id in ids {
            if let Some((attempts, _)) = schemas.attempts.get_mut(id) {
                attempts.begun = attempts.begun.saturating_sub(1);
            }
        }
        Ok(())
    }

    async fn fail_inspection(&self, id: UploadId, due: Timestamp) -> Result<(), Error> {
        if let Some((attempts, due_time)) = self.data().schemas.attempts.get_mut(&id) {
            attempts.begun = attempts.begun.saturating_sub(1);
            attempts.failed += 1;
            *due_time = due;
        }
        Ok(())
    }

    async fn schema_difference(&self, id: UploadId) -> Result<Option<SchemaDifference>, Error> {
        Ok(self.data().schemas.differences.get(&id).cloned())
    }

    async fn schema(&self, id: SchemaId) -> Result<Option<Schema>, Error> {
        let at = usize::try_from(id.0).unwrap_or(usize::MAX).wrapping_sub(1);
        Ok(self.data().schemas.known.get(at).cloned())
    }

    async fn remember_inspected(&self, files: &[InspectedUpload]) -> Result<(), Error> {
        let mut data = self.data();
        for InspectedUpload { upload_id, inspected } in files {
            let was_tried = data.schemas.attempts.remove(upload_id).is_some();
            if !data.schemas.uninspected.remove(upload_id) && !was_tried {
                continue;
            }
            let Some(id) = data.upload_row(*upload_id).map(|upload| upload.sync_id) else { continue };
            let mut difference = None;
            if let Some(schema) = &inspected.schema {
                let path = data.record(id)?.sync.path.clone();
                let is_ignored = data.schemas.policies.get(&path) == Some(&SchemaPolicy::Ignore);
                let baseline = data.baseline(id).filter(|_| !is_ignored);
                difference = baseline.and_then(|baseline| schema.differs_from(&baseline));
                let of_sync = data.schemas.of_syncs.entry(id).or_default();
                match of_sync.iter_mut().find(|(known, _)| known == schema) {
                    Some((_, files)) => *files += 1,
                    None => of_sync.push((schema.clone(), 1)),
                }
            }
            data.record(id)?.sync.num_schema_differences += u64::from(difference.is_some());
            let schema_id = inspected.schema.as_ref().map(|schema| data.schemas.id_of(schema));
            if let Some(row) = data.uploads.iter_mut().find(|row| row.upload.history_id == *upload_id) {
                row.upload.row_count = inspected.row_count;
                row.upload.inspection_problem = inspected.problem.clone();
                row.schema = schema_id;
                row.upload.schema_difference = difference.as_ref().map(|difference| Box::new(difference.in_short()));
            }
            data.schemas.differences.extend(difference.map(|difference| (*upload_id, difference)));
            data.remember_good(id);
        }
        Ok(())
    }

    async fn good_schema(&self, dataset: &LakePath) -> Result<Option<GoodSchema>, Error> {
        let data = self.data();
        let good = data.schemas.good.get(dataset);
        Ok(good.map(|good| GoodSchema { sync_id: good.sync_id, schema: good.schema.clone() }))
    }

    async fn landed_rows(&self, files: &[(LakePath, Identity)]) -> Result<Vec<Option<LandedRows>>, Error> {
        let data = self.data();
        let rows = |(target, identity): &(LakePath, Identity)| {
            data.uploads.iter().rev().filter(|row| row.target == *target).find_map(|row| {
                let (_, content) = row.landed().filter(|(landed, _)| landed == identity)?;
                Some(LandedRows {
                    size_bytes: content.digest.size_bytes,
                    landed_at: content.landed_at,
                    row_count: row.upload.row_count,
                    schema: row.schema,
                })
            })
        };
        Ok(files.iter().map(rows).collect())
    }

    async fn schema_policy(&self, dataset: &LakePath) -> Result<SchemaPolicy, Error> {
        Ok(self.data().schemas.policies.get(dataset).copied().unwrap_or_default())
    }

    async fn set_schema_policy(
        &self,
        dataset: &LakePath,
        policy: SchemaPolicy,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut data = self.data();
        data.remember(Deed::schema_policy_set(dataset, policy, by, at));
        data.schemas.policies.insert(dataset.clone(), policy);
        Ok(())
    }

    async fn differing_uploads(&self, id: SyncId, size: u64) -> Result<Vec<Upload>, Error> {
        let data = self.data();
        let differing = data.uploads.iter().map(|row| &row.upload);
        let differing = differing.filter(|upload| upload.sync_id == id && upload.schema_difference.is_some());
        Ok(differing.take(usize::try_from(size).unwrap_or(usize::MAX)).cloned().collect())
    }
}
