//! One upload, from its first byte to its landing.
//!
//! The order is what the promises rest on: the bytes are on stable storage before they have their name, they have
//! their name before the row says so, and the row is durable before the caller hears of it.

use super::Lake;
use super::gate::Pass;
use crate::error::Error;
use crate::key::Caller;
use crate::path::LakePath;
use crate::place::Place;
use crate::ports::Partial;
use crate::ports::files::{Landing, Outcome};
use crate::ports::state::{NewTrash, NewUpload, RefusedUpload, UnfinishedUpload};
use crate::sync::{Sync, SyncId, SyncType, may_accept_uploads};
use crate::trash::{TrashKey, TrashKind, TrashReason};
use crate::upload::{PartialName, Upload, UploadId};
use bytes::Bytes;

/// The folder of an open sync that the caller may upload to.
pub struct Destination {
    lake: Lake,
    sync: Sync,
    folder: LakePath,
    by: String,
}

/// An upload in flight. It ends by [`Self::land`] or by [`Self::fail`].
pub struct IncomingUpload {
    lake: Lake,
    sync: Sync,
    upload_id: UploadId,
    target: LakePath,
    name: PartialName,
    partial: Box<dyn Partial>,
    pass: Pass,
    received_bytes: u64,
    by: String,
}

impl Lake {
    /// Checks that the sync is open, that the caller may upload to it, and that `path` lies within it.
    pub async fn destination(
        &self,
        caller: &Caller,
        sync_id: SyncId,
        path: Option<&str>,
    ) -> Result<Destination, Error> {
        // Asked before the sync is looked up: whoever may not upload must not learn which syncs there are.
        if self.0.auth_mode == crate::key::AuthMode::Required && *caller == Caller::Anonymous {
            return Err(Error::NoKey);
        }
        let record = self.record(sync_id).await?;
        self.0.auth_mode.may_upload(caller, &record.sync.path)?;
        may_accept_uploads(&record)?;
        let folder = record.sync.path.upload_folder(path)?;
        // In the open mode an upload needs no key: it then counts as the starter's.
        let by = if *caller == Caller::Anonymous { record.sync.started_by.clone() } else { caller.name().to_owned() };
        Ok(Destination { lake: self.clone(), sync: record.sync, folder, by })
    }

    /// What an upload that replaces a file puts into the trash.
    pub(super) fn overwritten(&self, upload: &UnfinishedUpload, by: &str) -> NewTrash {
        NewTrash {
            key: TrashKey::of_upload(upload.upload_id),
            origin: upload.target.clone(),
            kind: TrashKind::File,
            reason: TrashReason::Overwritten,
            sync_id: Some(upload.sync_id),
            by: by.to_owned(),
            at: self.now(),
        }
    }
}

/// How the landing of an upload reads, at its time and after a restart.
pub(super) fn landing_of(sync: &Sync, upload: &UnfinishedUpload) -> Landing {
    let staging = (sync.sync_type == SyncType::FullSync).then_some(sync.sync_id);
    Landing {
        partial: upload.partial.clone(),
        identity: upload.identity.clone(),
        place: Place::of_upload(staging, &sync.path, &upload.target),
        trash: TrashKey::of_upload(upload.upload_id),
        leaf: upload.target.leaf().to_owned(),
    }
}

impl Destination {
    /// Begins the upload of one file. A name that the lake does not take is remembered as a failed upload.
    pub async fn begin(&self, file_name: &str) -> Result<IncomingUpload, Error> {
        let lake = &self.lake;
        let target = match self.folder.file(file_name) {
            Ok(target) => target,
            Err(error) => {
                let refused = RefusedUpload {
                    sync_id: self.sync.sync_id,
                    file_name: bounded(file_name),
                    folder: self.folder.clone(),
                    message: error.to_string(),
                    at: lake.now(),
                };
                lake.0.state.refuse_upload(&refused).await?;
                return Err(error.into());
            }
        };
        let name = PartialName::from_random(lake.random()?);
        let pass = lake.0.gates.of(self.sync.sync_id).pass();
        let partial = lake.0.files.create_partial(name.clone()).await?;
        let new = NewUpload {
            sync_id: self.sync.sync_id,
            file_name: bounded(file_name),
            target: target.clone(),
            partial: name.clone(),
            identity: partial.identity().clone(),
            at: lake.now(),
        };
        let upload_id = match lake.0.state.begin_upload(&new).await {
            Ok(upload_id) => upload_id,
            Err(error) => {
                lake.0.files.discard_partial(&name).await?;
                return Err(error);
            }
        };
        Ok(IncomingUpload {
            lake: lake.clone(),
            sync: self.sync.clone(),
            upload_id,
            target,
            name,
            partial,
            pass,
            received_bytes: 0,
            by: self.by.clone(),
        })
    }
}

/// File names are remembered as they came, but not at any length.
fn bounded(file_name: &str) -> String {
    const CHARACTERS_MAX: usize = 1024;
    file_name.chars().take(CHARACTERS_MAX).collect()
}

impl IncomingUpload {
    pub fn upload_id(&self) -> UploadId {
        self.upload_id
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.pass.check()?;
        self.received_bytes += bytes.len() as u64;
        let limit_bytes = self.lake.0.limits.upload_bytes_max;
        if self.received_bytes > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        self.partial.write(bytes).await
    }

    /// Every byte has come: makes them durable, gives them their name, and remembers it.
    pub async fn land(mut self) -> Result<Upload, Error> {
        match self.try_land().await {
            Ok(()) => self.row().await,
            Err(error) => {
                self.fail(&error).await?;
                Err(error)
            }
        }
    }

    async fn try_land(&mut self) -> Result<(), Error> {
        let digest = self.partial.seal().await?;
        let _landing = self.pass.enter().await?;
        let upload = UnfinishedUpload {
            upload_id: self.upload_id,
            sync_id: self.sync.sync_id,
            target: self.target.clone(),
            partial: self.name.clone(),
            identity: self.partial.identity().clone(),
        };
        let outcome = self.lake.0.files.land(&landing_of(&self.sync, &upload)).await?;
        let trash = (outcome == Outcome::Replaced).then(|| self.lake.overwritten(&upload, &self.by));
        self.lake.0.state.finish_upload(self.upload_id, &digest, trash.as_ref(), self.lake.now()).await
    }

    /// The upload ends here, without landing: the row says why, and its bytes go.
    pub async fn fail(self, error: &Error) -> Result<Upload, Error> {
        let lake = &self.lake;
        // The row first: a partial without a row is swept, but a row must never point at bytes that another upload
        // could have been given since.
        lake.0.state.fail_upload(self.upload_id, &error.to_string(), self.received_bytes, lake.now()).await?;
        lake.0.files.discard_partial(&self.name).await?;
        self.row().await
    }

    async fn row(&self) -> Result<Upload, Error> {
        let row = self.lake.0.state.upload(self.upload_id).await?;
        row.ok_or(Error::NoSuchSync(self.sync.sync_id))
    }
}
