//! Schemas of landed files: read after the landing, and compared with their dataset.
//!
//! Only the end of a full sync waits for this, if the policy of its dataset is to hold. Unread files are listed durably
//! by the transaction of the landing, so a restart continues there.

use crate::model::access::key::{Caller, may_write};
use crate::model::dataset::schema::{Format, SchemaPolicy};
use crate::model::dataset::schema_policy::{DatasetSchema, SetSchemaPolicy};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::preview::Inspected;
use crate::model::storage_path::StoragePath;
use crate::model::sync::end::EndSync;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{SyncJob, SyncRecord};
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use crate::ports::metadata::schema::{Attempts, InspectedUpload, Uninspected};
use crate::ports::storage::{OpenFile, OpenedFile};
use crate::service::Lake;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

/// Time for which files are read in a row before other work runs: the end of a sync may wait for it.
const TOGETHER_MAX: Duration = Duration::from_secs(1);
/// Files whose results are stored together.
const INSPECTED_TOGETHER: u64 = 64;
/// Pauses after failed attempts whose cause may be temporary.
const ATTEMPT_PAUSES: [Duration; ATTEMPTS_MAX - 1] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// Maximum attempts that may fail this way.
const ATTEMPTS_MAX: usize = 5;
/// Pause after a result could not be stored.
const UNREMEMBERED_PAUSE: Duration = Duration::from_secs(60);
/// Attempts that may begin without an end, because the server crashed.
const BEGUN_MAX: u32 = 3;
/// Differing files that an error names.
const DIFFERING_NAMED_MAX: usize = 3;

/// Result for an unreadable file, with the reason.
fn unread(problem: String) -> Inspected {
    Inspected { format: Format::Other, row_count: None, schema: None, problem: Some(problem) }
}

/// Where the file of an upload may be.
fn places_of(sync: &SyncJob, id: SyncId, target: &LakePath) -> Vec<StoragePath> {
    let live = StoragePath::Live(target.clone());
    if sync.sync_type == SyncType::FullSync {
        vec![StoragePath::of_upload(Some(id), &sync.path, target), live]
    } else {
        vec![live]
    }
}

fn is_file_of(file: &Uninspected, open: &dyn OpenFile) -> bool {
    file.identity.as_ref().is_none_or(|identity| open.found().identity == *identity)
}

/// Result of reading some files.
#[derive(Debug, Default)]
pub struct InspectedFiles {
    /// Number of attempts; 0 when none was due.
    pub tried: usize,
    /// Errors of files that could not be read and are tried again later.
    pub faults: Vec<Error>,
}

impl Lake {
    /// Reads some of the landed files, oldest first.
    pub async fn inspect_some(&self) -> Result<InspectedFiles, Error> {
        self.inspect_some_of(None).await
    }

    async fn inspect_some_of(&self, sync: Option<SyncId>) -> Result<InspectedFiles, Error> {
        // Otherwise a file could be read twice at once, and the second attempt would see one without an end.
        let _alone = self.0.inspecting.lock().await;
        let due = async || self.0.state.uninspected(sync, self.now(), INSPECTED_TOGETHER).await;
        let mut files = due().await?;
        let mut _everywhere = None;
        if self.0.state.has_other_nodes() && !files.is_empty() {
            _everywhere = Some(self.0.state.take_inspections().await?);
            files = due().await?;
        }
        let (fresh, tried): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.attempts == Attempts::default());
        let mut inspected = InspectedFiles::default();
        // Alone, so that a file that crashes the server casts suspicion on its neighbours only once.
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
        let mut opened = self.open_together(files).await?;
        self.0.state.begin_inspections(&ids).await?;
        let mut read = Vec::with_capacity(files.len());
        let until = self.now().plus(TOGETHER_MAX);
        for (at, file) in files.iter().enumerate() {
            if at > 0 && self.now() > until {
                self.remember_read(&read, inspected).await?;
                return self.0.state.release_inspections(&ids[at..]).await;
            }
            inspected.tried += 1;
            let fault = match self.inspect(file, opened.remove(&file.upload_id)).await {
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

    /// Stores all results together; if that fails, one by one, so that one result cannot block the others.
    async fn remember_read(&self, read: &[InspectedUpload], inspected: &mut InspectedFiles) -> Result<(), Error> {
        if read.is_empty() || self.0.state.remember_inspected(read).await.is_ok() {
            return Ok(());
        }
        for file in read {
            if let Err(fault) = self.0.state.remember_inspected(std::slice::from_ref(file)).await {
                inspected.faults.push(fault);
                // If this fails too, the attempt counts as begun without an end.
                let _ = self.0.state.fail_inspection(file.upload_id, self.now().plus(UNREMEMBERED_PAUSE)).await;
            }
        }
        Ok(())
    }

    /// Time of the next attempt for an unreadable file; `None` after the last one.
    fn next_attempt(&self, file: &Uninspected) -> Option<Timestamp> {
        let pause = ATTEMPT_PAUSES.get(usize::try_from(file.attempts.failed).unwrap_or(usize::MAX))?;
        Some(self.now().plus(*pause))
    }

    /// Returns errors only for causes that may be temporary. A fault of the file itself is stored with it, and the file
    /// is not read again.
    async fn inspect(&self, file: &Uninspected, opened: Option<OpenedFile>) -> Result<Inspected, Error> {
        if file.attempts.begun >= BEGUN_MAX {
            return Ok(unread(format!("the server stopped {BEGUN_MAX} times while reading it")));
        }
        let Some(target) = &file.target else {
            return Ok(unread("its name is not valid for a file of the lake".into()));
        };
        let opened = match opened {
            Some(opened) => opened,
            None => self.landed_file(file, target).await?,
        };
        match opened {
            Some(open) => self.0.formats.inspect(Arc::from(open), target.leaf()).await,
            // The path has another file by now, or the sync was aborted.
            None => Ok(Inspected { problem: None, ..unread(String::new()) }),
        }
    }

    /// Files of uploads, as [`Self::landed_file`] finds each, where the storage opens many together.
    async fn open_together(&self, files: &[Uninspected]) -> Result<HashMap<UploadId, OpenedFile>, Error> {
        if !self.0.files.opens_together() {
            return Ok(HashMap::new());
        }
        let mut syncs = HashMap::new();
        let (mut owners, mut places) = (Vec::new(), Vec::new());
        for file in files {
            let Some(target) = &file.target else { continue };
            let sync = match syncs.entry(file.sync_id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.record(file.sync_id).await?.sync),
            };
            for place in places_of(sync, file.sync_id, target) {
                owners.push(file);
                places.push(place);
            }
        }
        let opened = self.0.files.open_all(&places).await?;
        let mut found: HashMap<_, OpenedFile> = owners.iter().map(|file| (file.upload_id, None)).collect();
        for (file, open) in owners.into_iter().zip(opened) {
            if let Some(open) = open.filter(|open| is_file_of(file, open.as_ref()))
                && let Some(none @ None) = found.get_mut(&file.upload_id)
            {
                *none = Some(open);
            }
        }
        Ok(found)
    }

    /// File of an upload, staged or live, if it is still the uploaded one.
    async fn landed_file(&self, file: &Uninspected, target: &LakePath) -> Result<OpenedFile, Error> {
        let sync = self.record(file.sync_id).await?.sync;
        for place in places_of(&sync, file.sync_id, target) {
            if let Some(open) = self.0.files.open(&place).await?
                && is_file_of(file, open.as_ref())
            {
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    /// Refuses to publish files whose columns differ from those of the dataset, or that its table could not have, if that is its
    /// policy, and records the hold. Reads unread files first. Requires the exclusive sync lock.
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
        let mut differing_files = self.record(sync.sync_id).await?.sync.num_schema_differences;
        let misfits = if differing_files == 0 { self.misfits(sync).await? } else { Vec::new() };
        if !misfits.is_empty() {
            differing_files = misfits.len() as u64;
        }
        if differing_files == 0 {
            return Ok(());
        }
        let (replaced, published) = self.totals_of_end(sync).await?;
        let hold = Hold { since: self.now(), replaced, published, differing_files };
        let hold = self.0.state.hold_sync(sync.sync_id, hold, &caller.actor()).await?;
        self.0.events.pending_changes().sync(sync.sync_id).is_held = true;
        let first = self.0.state.differing_uploads(sync.sync_id, DIFFERING_NAMED_MAX as u64).await?;
        let mut named: Vec<_> = first
            .into_iter()
            .filter_map(|upload| {
                let differences = upload.schema_difference?.in_words();
                Some(format!("{}: {differences}", upload.landed_path.as_ref()?.leaf()))
            })
            .collect();
        for misfit in misfits.into_iter().take(DIFFERING_NAMED_MAX) {
            let upload = self.0.state.upload(misfit.upload_id).await?;
            let name = upload.and_then(|upload| Some(upload.landed_path?.leaf().to_owned())).unwrap_or_default();
            named.push(format!("{name}: {}", misfit.reasons.join("; ")));
        }
        Err(Error::SchemaHeld { sync_id: sync.sync_id, path: sync.path.clone(), hold, named })
    }

    /// Columns of a dataset, from its last sync.
    pub async fn dataset_schema(&self, caller: &Caller, path: &str) -> Result<DatasetSchema, Error> {
        caller.may_read()?;
        let path = LakePath::parse(path)?;
        if !caller.sees(&path) {
            // Same result as for a path without a dataset.
            let policy = SchemaPolicy::default();
            return Ok(DatasetSchema { path, policy, schema: None, sync_id: None, num_differences: 0 });
        }
        let policy = self.0.state.schema_policy(&path).await?;
        let good = self.0.state.baseline_schema(&path).await?;
        let (schema, sync_id) = good.map(|good| (good.schema, good.sync_id)).unzip();
        let num_differences = match sync_id {
            Some(sync_id) => self.record(sync_id).await?.sync.num_schema_differences,
            None => 0,
        };
        Ok(DatasetSchema { path, policy, schema, sync_id, num_differences })
    }

    /// One row of the history, with all differing columns.
    pub async fn upload(&self, caller: &Caller, id: UploadId) -> Result<Upload, Error> {
        caller.may_read()?;
        let mut upload = self.0.state.upload(id).await?.ok_or(Error::NoSuchUpload(id))?;
        // Visible to those who may see its sync.
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

    /// Sets the policy for files with other columns, from the next landing on.
    pub async fn set_schema_policy(&self, caller: &Caller, set: &SetSchemaPolicy) -> Result<(), Error> {
        caller.may_write_somewhere()?;
        let path = LakePath::parse(&set.path)?;
        may_write(caller, &path)?;
        self.0.state.set_schema_policy(&path, set.policy, &caller.actor(), self.now()).await?;
        self.0.events.pending_changes().activity();
        Ok(())
    }
}
