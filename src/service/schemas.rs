//! The schema at the door: what files hold is read after they have landed, and compared with their dataset.
//!
//! Nobody waits for it but the end of a full sync whose dataset holds what differs. What was not looked at yet is listed
//! durably, by the transaction of the landing itself, so that a restart goes on where it was.

use super::{EndSync, Lake};
use crate::error::Error;
use crate::guard::Hold;
use crate::key::{Caller, may_write};
use crate::path::LakePath;
use crate::place::Place;
use crate::ports::files::OpenFile;
use crate::ports::schemas::{InspectedUpload, Uninspected};
use crate::preview::Inspected;
use crate::schema::{Format, Schema, SchemaPolicy};
use crate::sync::{SyncId, SyncRecord, SyncType};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Files that are remembered together.
const INSPECTED_TOGETHER: u64 = 16;
/// Differing files that a refusal names.
const DIFFERING_NAMED_MAX: u64 = 3;

/// The columns of a dataset, and what becomes of files that have others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSchema {
    pub path: LakePath,
    pub policy: SchemaPolicy,
    /// Of most files of the last sync that finished and brought columns; absent where none has.
    pub schema: Option<Schema>,
    /// That sync.
    pub sync_id: Option<SyncId>,
    /// Files of that sync that differ from what was there before it.
    pub num_differences: u64,
}

/// The body of the call that sets a policy, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSchemaPolicy {
    pub path: String,
    pub policy: SchemaPolicy,
}

impl Lake {
    /// Looks at some of the files that have landed, the oldest first. Gives how many: 0 when all were looked at.
    pub async fn inspect_some(&self) -> Result<usize, Error> {
        self.inspect_some_of(None).await
    }

    async fn inspect_some_of(&self, sync: Option<SyncId>) -> Result<usize, Error> {
        let files = self.0.state.uninspected(sync, INSPECTED_TOGETHER).await?;
        let mut inspected = Vec::with_capacity(files.len());
        for file in files {
            inspected.push(InspectedUpload { upload_id: file.upload_id, inspected: self.inspect(&file).await });
        }
        if !inspected.is_empty() {
            self.0.state.remember_inspected(&inspected).await?;
        }
        Ok(inspected.len())
    }

    /// What cannot be read is remembered so, and not tried for ever.
    async fn inspect(&self, file: &Uninspected) -> Inspected {
        let nothing = Inspected { format: Format::Other, row_count: None, schema: None, problem: None };
        let read = async {
            match self.landed_file(file).await? {
                Some(open) => self.0.formats.inspect(Arc::from(open), file.target.leaf()).await,
                // Another has its name by now, or its sync was aborted.
                None => Ok(nothing.clone()),
            }
        };
        match read.await {
            Ok(inspected) => inspected,
            Err(fault) => Inspected { problem: Some(fault.to_string()), ..nothing },
        }
    }

    /// The file of an upload, in the staging of its sync or where readers see it, if it is still that one.
    async fn landed_file(&self, file: &Uninspected) -> Result<Option<Box<dyn OpenFile>>, Error> {
        let sync = self.record(file.sync_id).await?.sync;
        let staged = Place::of_upload(Some(file.sync_id), &sync.path, &file.target);
        let live = Place::Live(file.target.clone());
        let places = if sync.sync_type == SyncType::FullSync { vec![staged, live] } else { vec![live] };
        for place in places {
            if let Some(open) = self.0.files.open(&place).await?
                && file.identity.as_ref().is_none_or(|identity| open.found().identity == *identity)
            {
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    /// Refuses to publish files whose columns are not those of the dataset, where that is its policy, and remembers that the
    /// sync is held. Looks at what was not looked at yet. Call it alone in the gate.
    pub(super) async fn refuse_differing(
        &self,
        caller: &Caller,
        record: &SyncRecord,
        end: &EndSync,
    ) -> Result<(), Error> {
        let sync = &record.sync;
        if end.confirm || sync.sync_type != SyncType::FullSync || sync.num_landed() == 0 {
            return Ok(());
        }
        if self.0.state.schema_policy(&sync.path).await? != SchemaPolicy::Hold {
            return Ok(());
        }
        while self.inspect_some_of(Some(sync.sync_id)).await? > 0 {}
        let differing_files = self.record(sync.sync_id).await?.sync.num_schema_differences;
        if differing_files == 0 {
            return Ok(());
        }
        let (replaced, published) = self.totals_of_end(sync).await?;
        let hold = Hold { since: self.now(), replaced, published, differing_files };
        let hold = self.0.state.hold_sync(sync.sync_id, hold, &caller.actor()).await?;
        self.0.events.marks().sync(sync.sync_id).is_held = true;
        let first = self.0.state.differing_uploads(sync.sync_id, DIFFERING_NAMED_MAX).await?;
        let named = first.into_iter().filter_map(|upload| {
            let differences = upload.schema_difference?.in_words();
            Some(format!("{}: {differences}", upload.landed_path.as_ref()?.leaf()))
        });
        Err(Error::SchemaHeld { sync_id: sync.sync_id, path: sync.path.clone(), hold, named: named.collect() })
    }

    /// The columns of a dataset, as the last sync has left them.
    pub async fn dataset_schema(&self, caller: &Caller, path: &str) -> Result<DatasetSchema, Error> {
        caller.may_read()?;
        let path = LakePath::parse(path)?;
        caller.may_read_path(&path)?;
        let policy = self.0.state.schema_policy(&path).await?;
        let good = self.0.state.good_schema(&path).await?;
        let (schema, sync_id) = good.map(|good| (good.schema, good.sync_id)).unzip();
        let num_differences = match sync_id {
            Some(sync_id) => self.record(sync_id).await?.sync.num_schema_differences,
            None => 0,
        };
        Ok(DatasetSchema { path, policy, schema, sync_id, num_differences })
    }

    /// Says what becomes of files that differ, from the next that lands on.
    pub async fn set_schema_policy(&self, caller: &Caller, set: &SetSchemaPolicy) -> Result<(), Error> {
        let path = LakePath::parse(&set.path)?;
        may_write(caller, &path)?;
        self.0.state.set_schema_policy(&path, set.policy, &caller.actor(), self.now()).await?;
        self.0.events.marks().activity();
        Ok(())
    }
}
