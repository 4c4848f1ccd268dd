//! The schema at the door: what files hold is read after they have landed, and compared with their dataset.
//!
//! Nobody waits for it but the end of a full sync whose dataset holds what differs. What was not looked at yet is listed
//! durably, by the transaction of the landing itself, so that a restart goes on where it was.

use crate::model::access::key::{Caller, may_write};
use crate::model::dataset::schema::{Format, Schema, SchemaPolicy};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::preview::Inspected;
use crate::model::storage_path::StoragePath;
use crate::model::sync::end::EndSync;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::SyncRecord;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use crate::ports::metadata::schema::{Attempts, InspectedUpload, Uninspected};
use crate::ports::storage::OpenFile;
use crate::service::Lake;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Files that are read one after the other take so long, then others have their turn: the end of a sync may wait for it.
const TOGETHER_MAX: Duration = Duration::from_secs(1);
/// Files that are remembered together.
const INSPECTED_TOGETHER: u64 = 16;
/// After an attempt that failed for a reason that may pass, until the next one.
const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// Attempts that may fail so.
const ATTEMPTS_MAX: usize = 5;
/// After what was read could not be remembered.
const UNREMEMBERED_PAUSE: Duration = Duration::from_secs(60);
/// Attempts that may begin and never come to an end, because the server did.
const BEGUN_MAX: u32 = 3;
/// Differing files that a refusal names.
const DIFFERING_NAMED_MAX: u64 = 3;

/// A file of which nothing is known, and why.
fn unread(problem: String) -> Inspected {
    Inspected { format: Format::Other, row_count: None, schema: None, problem: Some(problem) }
}

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

/// What has come of looking at some files.
#[derive(Debug, Default)]
pub struct InspectedFiles {
    /// How many were tried; 0 when there is none whose time has come.
    pub tried: usize,
    /// Why some could not be read. They are tried again later.
    pub faults: Vec<Error>,
}

impl Lake {
    /// Looks at some of the files that have landed, the oldest first.
    pub async fn inspect_some(&self) -> Result<InspectedFiles, Error> {
        self.inspect_some_of(None).await
    }

    async fn inspect_some_of(&self, sync: Option<SyncId>) -> Result<InspectedFiles, Error> {
        // Else a file would be read twice at once, and each of the two would look like one that never came to an end.
        let _alone = self.0.inspecting.lock().await;
        let files = self.0.state.uninspected(sync, self.now(), INSPECTED_TOGETHER).await?;
        let (fresh, tried): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.attempts == Attempts::default());
        let mut inspected = InspectedFiles::default();
        // By itself, so that a file that ends the server brings no suspicion on its neighbours but once.
        for file in &tried {
            self.inspect_together(std::slice::from_ref(file), &mut inspected).await?;
        }
        self.inspect_together(&fresh, &mut inspected).await?;
        Ok(inspected)
    }

    async fn inspect_together(&self, files: &[Uninspected], inspected: &mut InspectedFiles) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = files.iter().map(|file| file.upload_id).collect();
        self.0.state.begin_inspections(&ids).await?;
        let mut read = Vec::with_capacity(files.len());
        let until = self.now().plus(TOGETHER_MAX);
        for (at, file) in files.iter().enumerate() {
            if at > 0 && self.now() > until {
                self.remember_read(&read, inspected).await?;
                return self.0.state.release_inspections(&ids[at..]).await;
            }
            inspected.tried += 1;
            let fault = match self.inspect(file).await {
                Ok(inspected) => {
                    read.push(InspectedUpload { upload_id: file.upload_id, inspected });
                    continue;
                }
                Err(fault) => fault,
            };
            if matches!(fault, Error::ShuttingDown) {
                self.remember_read(&read, inspected).await?;
                self.0.state.release_inspections(&ids[at..]).await?;
                return Err(fault);
            }
            match self.next_attempt(file) {
                Some(due) => self.0.state.fail_inspection(file.upload_id, due).await?,
                None => {
                    let inspected = unread(format!("reading failed {ATTEMPTS_MAX} times: {fault}"));
                    read.push(InspectedUpload { upload_id: file.upload_id, inspected });
                }
            }
            inspected.faults.push(fault);
        }
        self.remember_read(&read, inspected).await
    }

    /// All at once; where that fails, one by one, so that one that cannot be remembered is in nobody's way.
    async fn remember_read(&self, read: &[InspectedUpload], inspected: &mut InspectedFiles) -> Result<(), Error> {
        if read.is_empty() || self.0.state.remember_inspected(read).await.is_ok() {
            return Ok(());
        }
        for file in read {
            if let Err(fault) = self.0.state.remember_inspected(std::slice::from_ref(file)).await {
                inspected.faults.push(fault);
                // Where even this fails, it is one of those that were begun and never ended.
                let _ = self.0.state.fail_inspection(file.upload_id, self.now().plus(UNREMEMBERED_PAUSE)).await;
            }
        }
        Ok(())
    }

    /// When a file that could not be read is tried again; `None` when it was tried often enough.
    fn next_attempt(&self, file: &Uninspected) -> Option<Timestamp> {
        let pause = ATTEMPT_PAUSES.get(usize::try_from(file.attempts.failed).unwrap_or(usize::MAX))?;
        Some(self.now().plus(*pause))
    }

    /// An error is one that may pass. What is the file's own fault is remembered with it, and it is not tried again.
    async fn inspect(&self, file: &Uninspected) -> Result<Inspected, Error> {
        if file.attempts.begun >= BEGUN_MAX {
            return Ok(unread(format!("the server stopped {BEGUN_MAX} times while reading it")));
        }
        let Some(target) = &file.target else {
            return Ok(unread("its name is not valid for a file of the lake".into()));
        };
        match self.landed_file(file, target).await? {
            Some(open) => self.0.formats.inspect(Arc::from(open), target.leaf()).await,
            // Another has its name by now, or its sync was aborted.
            None => Ok(Inspected { problem: None, ..unread(String::new()) }),
        }
    }

    /// The file of an upload, in the staging of its sync or where readers see it, if it is still that one.
    async fn landed_file(&self, file: &Uninspected, target: &LakePath) -> Result<Option<Box<dyn OpenFile>>, Error> {
        let sync = self.record(file.sync_id).await?.sync;
        let staged = StoragePath::of_upload(Some(file.sync_id), &sync.path, target);
        let live = StoragePath::Live(target.clone());
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
    pub(in crate::service) async fn refuse_differing(
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
        while self.inspect_some_of(Some(sync.sync_id)).await?.tried > 0 {}
        let left = self.0.state.count_uninspected(sync.sync_id).await?;
        if left > 0 {
            return Err(Error::ColumnsUnread { sync_id: sync.sync_id, files: left });
        }
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
        if !caller.sees(&path) {
            // As of a path where nothing is.
            let policy = SchemaPolicy::default();
            return Ok(DatasetSchema { path, policy, schema: None, sync_id: None, num_differences: 0 });
        }
        let policy = self.0.state.schema_policy(&path).await?;
        let good = self.0.state.good_schema(&path).await?;
        let (schema, sync_id) = good.map(|good| (good.schema, good.sync_id)).unzip();
        let num_differences = match sync_id {
            Some(sync_id) => self.record(sync_id).await?.sync.num_schema_differences,
            None => 0,
        };
        Ok(DatasetSchema { path, policy, schema, sync_id, num_differences })
    }

    /// One row of the history, with all columns that differ.
    pub async fn upload(&self, caller: &Caller, id: UploadId) -> Result<Upload, Error> {
        caller.may_read()?;
        let mut upload = self.0.state.upload(id).await?.ok_or(Error::NoSuchUpload(id))?;
        // Who may see its sync may see it.
        match self.sync(caller, upload.sync_id).await {
            Ok(_) => {}
            Err(Error::NoSuchSync(_)) => return Err(Error::NoSuchUpload(id)),
            Err(refused) => return Err(refused),
        }
        if upload.schema_difference.is_some() {
            upload.schema_difference = self.0.state.schema_difference(id).await?.map(Box::new);
        }
        Ok(upload)
    }

    /// Says what becomes of files that differ, from the next that lands on.
    pub async fn set_schema_policy(&self, caller: &Caller, set: &SetSchemaPolicy) -> Result<(), Error> {
        caller.may_write_somewhere()?;
        let path = LakePath::parse(&set.path)?;
        may_write(caller, &path)?;
        self.0.state.set_schema_policy(&path, set.policy, &caller.actor(), self.now()).await?;
        self.0.events.marks().activity();
        Ok(())
    }
}
