//! Destination of uploads: the folder of an open sync that the caller may upload to.
//!
//! Uploads begin here. One with an invalid name, or without enough free space, is refused and recorded as failed; beyond
//! a limit it is only counted, so that a sender that repeats a mistake cannot fill the history.

use crate::model::access::key::Caller;
use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{
    REFUSED_MESSAGE_CHARACTERS_MAX, REFUSED_NAME_CHARACTERS_MAX, REFUSED_ROWS_MAX, REFUSED_ROWS_OF_REQUEST_MAX,
};
use crate::model::object_key::UploadOwner;
use crate::model::path::LakePath;
use crate::model::sync::job::{SyncJob, may_accept_uploads, refuse_restoring};
use crate::model::text::truncate;
use crate::model::time::Timestamp;
use crate::model::upload::request::UploadRequest;
use crate::ports::metadata::upload::RefusedUpload;
use crate::service::Lake;
use crate::service::uploads::receive::IncomingUpload;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Folder of an open sync that the caller may upload to.
pub struct Destination {
    pub(in crate::service) lake: Lake,
    pub(in crate::service) sync: Arc<SyncJob>,
    pub(in crate::service) folder: LakePath,
    /// Owner of the uploads that are begun here.
    pub(in crate::service) owner: Principal,
    /// Name for display.
    pub(in crate::service) by: String,
    /// Announced bytes of the request, until its first file has checked the free space.
    expected_bytes: AtomicU64,
    /// Refused uploads of this request that got a row.
    refused_rows: AtomicU64,
}

/// An upload that was refused before it began and is not recorded yet.
pub struct RefusedBeginning {
    file_name: String,
    target: Option<LakePath>,
    error: Error,
    begun_at: Timestamp,
}

impl RefusedBeginning {
    /// Name as it is recorded, which is shortened.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }
}

impl Lake {
    /// Checks that the caller may upload to the sync, that it is open, and that `path` is within it. A sync outside the
    /// caller's prefix is reported as missing.
    pub async fn destination(
        &self,
        caller: &Caller,
        sync_id: SyncId,
        path: Option<&str>,
    ) -> Result<Destination, Error> {
        // Checked before the look-up: a caller that may not upload must not learn which syncs exist.
        caller.may_upload_parts()?;
        let sync = self.open_sync(caller, sync_id).await?;
        let folder = sync.path.upload_folder(path)?;
        Ok(self.destination_in(caller, sync, folder))
    }

    /// Destination of the files that the lake adds to its own sync, for this caller.
    pub(in crate::service) fn own_destination(&self, caller: &Caller, sync: SyncJob) -> Destination {
        let folder = sync.path.clone();
        self.destination_in(caller, Arc::new(sync), folder)
    }

    fn destination_in(&self, caller: &Caller, sync: Arc<SyncJob>, folder: LakePath) -> Destination {
        // A guest's upload is attributed to the caller that started the sync.
        let by = if matches!(caller, Caller::Guest(_)) { sync.started_by.clone() } else { caller.name().to_owned() };
        let owner = caller.principal();
        Destination {
            lake: self.clone(),
            sync,
            folder,
            owner,
            by,
            expected_bytes: AtomicU64::new(0),
            refused_rows: AtomicU64::new(0),
        }
    }

    /// Sync that accepts uploads of this caller.
    async fn open_sync(&self, caller: &Caller, sync_id: SyncId) -> Result<Arc<SyncJob>, Error> {
        // Cached: the properties needed here do not change while the sync is open, and whether it is open is checked
        // again when the upload gets its row.
        let unknown = |_| Error::NoSuchSync(sync_id);
        if let Some(sync) = self.0.sync_locks.open_sync(sync_id) {
            caller.may_upload(&sync.path).map_err(unknown)?;
            return Ok(sync);
        }
        let record = self.record(sync_id).await?;
        caller.may_upload(&record.sync.path).map_err(unknown)?;
        refuse_restoring(&record)?;
        may_accept_uploads(&record)?;
        let sync = Arc::new(record.sync);
        self.0.sync_locks.remember_open(sync.clone());
        Ok(sync)
    }
}

impl Destination {
    /// Announces the bytes of the request. A value above the maximum size of a file is capped, as the free space is
    /// irrelevant for it.
    pub fn expecting(mut self, bytes: u64) -> Self {
        *self.expected_bytes.get_mut() = bytes.min(self.lake.0.limits.upload_bytes_max);
        self
    }

    /// Begins the upload of one file. An invalid name, or too little free space, is recorded as a failed upload.
    pub async fn begin(&self, request: UploadRequest) -> Result<IncomingUpload, Error> {
        match self.try_begin(request).await {
            Ok(Ok(incoming)) => Ok(incoming),
            Ok(Err(refused)) => Err(self.record(refused).await),
            Err(error) => Err(error),
        }
    }

    /// [`Self::begin`] that leaves recording a refusal to the caller.
    pub async fn try_begin(&self, request: UploadRequest) -> Result<Result<IncomingUpload, RefusedBeginning>, Error> {
        let lake = &self.lake;
        let begun_at = lake.now();
        let refused = |target, error| {
            let file_name = truncate(&request.file_name, REFUSED_NAME_CHARACTERS_MAX);
            Ok(Err(RefusedBeginning { file_name, target, error, begun_at }))
        };
        let target = match self.folder.file(&request.file_name) {
            Ok(target) => target,
            Err(error) => return refused(None, error.into()),
        };
        let length_bytes = request.length.unwrap_or(0).min(lake.0.limits.upload_bytes_max);
        let expected_bytes = self.expected_bytes.swap(0, Ordering::Relaxed).max(length_bytes);
        if let Err(error) = lake.refuse_below_reserve(self.owner, expected_bytes).await {
            return refused(Some(target), error);
        }
        Ok(Ok(IncomingUpload::new(self, target, request, begun_at)?))
    }

    /// An upload that the server cannot begin, such as one whose name cannot be read.
    pub fn refused(&self, file_name: &str, error: Error) -> RefusedBeginning {
        let file_name = truncate(file_name, REFUSED_NAME_CHARACTERS_MAX);
        RefusedBeginning { file_name, target: None, error, begun_at: self.lake.now() }
    }

    /// Records an upload that did not begin, and returns its error.
    pub async fn record(&self, refused: RefusedBeginning) -> Error {
        self.refuse(&refused.file_name, refused.target, refused.error, refused.begun_at).await
    }

    /// Records an upload that does not begin. Beyond a limit for the request and for the sync, it is only counted.
    /// Returns the error for its sender.
    pub(in crate::service) async fn refuse(
        &self,
        file_name: &str,
        target: Option<LakePath>,
        error: Error,
        begun_at: Timestamp,
    ) -> Error {
        let lake = &self.lake.0;
        let is_listed = self.refused_rows.load(Ordering::Relaxed) < REFUSED_ROWS_OF_REQUEST_MAX;
        let refused = RefusedUpload {
            sync_id: self.sync.sync_id,
            file_name: truncate(file_name, REFUSED_NAME_CHARACTERS_MAX),
            folder: self.folder.clone(),
            target,
            message: truncate(&error.to_string(), REFUSED_MESSAGE_CHARACTERS_MAX),
            size_bytes: 0,
            rows_max: if is_listed { REFUSED_ROWS_MAX } else { 0 },
            begun_at,
            at: begun_at,
        };
        match self.lake.while_busy(|| lake.state.refuse_upload(&refused)).await {
            Ok(row) => {
                self.refused_rows.fetch_add(u64::from(row.is_some()), Ordering::Relaxed);
                lake.events.pending_changes().failed(refused.sync_id, &refused.file_name, &refused.message);
                error
            }
            Err(fault) => fault,
        }
    }
}

pub(in crate::service) fn upload_owner(sync: &SyncJob, target: &LakePath) -> UploadOwner {
    UploadOwner { sync_id: sync.sync_id, dataset: sync.path.clone(), file: target.clone() }
}

/// File names are stored as sent, up to this length.
pub(in crate::service) fn bounded(file_name: &str) -> String {
    const CHARACTERS_MAX: usize = 1024;
    truncate(file_name, CHARACTERS_MAX)
}
