//! Resumable uploads: begun once, continued by any number of requests, and landed like every upload.
//!
//! An upload has a row in the history, `Syncing`, from its beginning, and a partial file that outlives the server. Both
//! protocols, tus and the IETF's, use this engine. Parts, which a client joins into one upload, have no row and belong
//! to no sync.

mod access;
mod join;
mod resumable_session;
mod session_end;
mod upload_locks;

pub use resumable_session::ResumableSession;
pub(in crate::service) use upload_locks::UploadLocks;

use crate::model::access::key::Caller;
use crate::model::access::principal::Principal;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{METADATA_BYTES_MAX, UNFINISHED_UPLOADS_MAX};
use crate::model::object_key::UploadOwner;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::Status;
use crate::model::upload::request::ResumableRequest;
use crate::model::upload::resumable::{Checkpoint, Token};
use crate::model::upload::row::cancelled_message;
use crate::ports::metadata::resumable::{NewResumable, ResumableId, ResumableRecord};
use crate::ports::metadata::upload::NewUpload;
use crate::service::recovery::INTERRUPTED;
use crate::service::uploads::destination::{bounded, upload_owner};
use crate::service::{Destination, Lake};
use access::Wanted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records processed together.
pub(in crate::service) const TOGETHER: u64 = 1000;

impl Destination {
    /// Begins an upload that may arrive in several requests. A refused one is recorded as a failed upload.
    pub async fn begin_resumable(&self, request: ResumableRequest) -> Result<ResumableSession, Error> {
        let lake = &self.lake;
        let at = lake.now();
        let file_name = bounded(&request.upload.file_name);
        let target = match self.folder.file(&request.upload.file_name) {
            Ok(target) => target,
            Err(error) => return Err(self.refuse(&file_name, None, error.into(), at).await),
        };
        let is_allowed = async {
            refuse_long_metadata(&request)?;
            lake.refuse_length(request.upload.length)?;
            lake.refuse_below_reserve(self.owner, request.upload.length.unwrap_or(0)).await
        };
        if let Err(error) = is_allowed.await {
            return Err(self.refuse(&file_name, Some(target), error, at).await);
        }
        // Taken before the upload is stored, so that an ending in between is noticed.
        let lease = lake.0.sync_locks.of(self.sync.sync_id).lease();
        let bytes_of = upload_owner(&self.sync, &target);
        let upload = |partial: PartialName, identity| NewUpload {
            sync_id: self.sync.sync_id,
            file_name,
            target,
            partial,
            identity,
            at,
        };
        let sync = Some((self.sync.clone(), lease));
        lake.begin(request, self.owner, self.by.clone(), Some((bytes_of, upload)), sync).await
    }
}

fn refuse_long_metadata(request: &ResumableRequest) -> Result<(), Error> {
    if request.metadata.len() <= METADATA_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Invalid(format!("the metadata is longer than {METADATA_BYTES_MAX} bytes; send less of it")))
}

impl Lake {
    /// Begins a part. It has no row, and never lands by itself.
    pub async fn begin_part(&self, caller: &Caller, request: ResumableRequest) -> Result<ResumableSession, Error> {
        caller.may_upload_parts()?;
        refuse_long_metadata(&request)?;
        self.refuse_length(request.upload.length)?;
        self.refuse_below_reserve(caller.principal(), request.upload.length.unwrap_or(0)).await?;
        let no_upload = None::<(UploadOwner, fn(PartialName, Identity) -> NewUpload)>;
        self.begin(request, caller.principal(), caller.name().to_owned(), no_upload, None).await
    }

    async fn begin(
        &self,
        request: ResumableRequest,
        owner: Principal,
        by: String,
        upload: Option<(UploadOwner, impl FnOnce(PartialName, Identity) -> NewUpload)>,
        sync: Option<(Arc<SyncJob>, crate::service::syncs::sync_lock::UploadLease)>,
    ) -> Result<ResumableSession, Error> {
        let token = Token::from_random(self.random()?);
        let name = PartialName::from_random(self.random()?);
        let mut held = self.0.upload_locks.preempt(&token).await;
        let (bytes_of, upload) = upload.unzip();
        let mut partial = self.0.files.create_partial(name.clone(), bytes_of.as_ref()).await?;
        let at = self.now();
        let mut new = NewResumable {
            token: token.clone(),
            identity: partial.identity().clone(),
            upload: upload.map(|upload| upload(name.clone(), partial.identity().clone())),
            partial: name.clone(),
            parts: request.parts,
            checkpoint: Checkpoint::default(),
            length: request.upload.length,
            metadata: request.metadata,
            digests: request.upload.digests,
            is_told: !request.brings_bytes,
            owner,
            by,
            at,
            expires_at: at.plus(self.0.limits.idle_max(0)),
        };
        let begun = async {
            // Makes its name durable too.
            new.checkpoint = partial.checkpoint().await?;
            self.while_busy(|| self.0.state.begin_resumable(&new, UNFINISHED_UPLOADS_MAX)).await?;
            held.hold_everywhere(self.0.state.hold_upload(&token).await?);
            Ok(())
        };
        if let Err(error) = begun.await {
            if self.0.state.has_other_nodes() {
                self.undo_begin(&token).await;
            }
            self.discard(&name).await;
            return Err(error);
        }
        self.invalidate_free_space();
        let record = self.known_resumable(&token).await?;
        if let Some(sync_id) = record.sync_id {
            self.0.events.pending_changes().sync(sync_id);
        }
        let session = ResumableSession::new(self.clone(), held, record, sync, Some(partial));
        session.sent_by(&request.upload.sender);
        Ok(session)
    }

    /// Ends an upload that is stored, and whose sender does not learn of it. Where this fails, it expires.
    async fn undo_begin(&self, token: &Token) {
        let Ok(record) = self.known_resumable(token).await else { return };
        let _ = match record.upload_id {
            Some(upload_id) => {
                self.while_busy(|| self.0.state.fail_upload(upload_id, INTERRUPTED, 0, self.now())).await
            }
            None => self.0.state.delete_resumable(token).await,
        };
    }

    /// Refuses more bytes than a file may have.
    pub(in crate::service) fn refuse_length(&self, length: Option<u64>) -> Result<(), Error> {
        let limit_bytes = self.0.limits.upload_bytes_max;
        match length {
            Some(length) if length > limit_bytes => Err(Error::TooLarge { limit_bytes }),
            _ => Ok(()),
        }
    }

    pub(in crate::service) async fn known_resumable(&self, token: &Token) -> Result<ResumableRecord, Error> {
        self.0.state.resumable(token).await?.ok_or_else(|| Error::NoSuchResumable(token.to_string()))
    }

    async fn sync_of(&self, sync_id: SyncId) -> Result<Arc<SyncJob>, Error> {
        match self.0.sync_locks.open_sync(sync_id) {
            Some(sync) => Ok(sync),
            None => Ok(Arc::new(self.record(sync_id).await?.sync)),
        }
    }

    /// Continues an upload exclusively: a request that still sends it is asked to stop, and its bytes are kept.
    pub async fn resume(&self, caller: &Caller, token: &str) -> Result<ResumableSession, Error> {
        let record = self.allowed_resumable(caller, token, Wanted::GoOn).await?;
        self.hold(&record.token).await
    }

    async fn hold(&self, token: &Token) -> Result<ResumableSession, Error> {
        let held = self.take_upload(token).await?;
        let resumption = self.held(held, token).await?;
        match resumption.record.status {
            Status::Failed => Err(Error::ResumableEnded { message: resumption.record.message }),
            _ => Ok(resumption),
        }
    }

    /// Asks the request that has the upload to stop, on any node, and takes it.
    async fn take_upload(&self, token: &Token) -> Result<upload_locks::UploadLock, Error> {
        let mut held = self.0.upload_locks.preempt(token).await;
        held.hold_everywhere(self.0.state.hold_upload(token).await?);
        Ok(held)
    }

    /// Asks requests to stop that send uploads which other nodes want to go on with. To be called a few times a second.
    pub async fn give_up_wanted_uploads(&self) -> Result<(), Error> {
        self.0.state.wanted_uploads().await?.iter().for_each(|token| self.0.upload_locks.ask_to_stop(token));
        Ok(())
    }

    async fn held(&self, held: upload_locks::UploadLock, token: &Token) -> Result<ResumableSession, Error> {
        let record = self.known_resumable(token).await?;
        self.settle_landing_of(&record.partial).await?;
        let sync = match record.sync_id {
            Some(sync_id) => Some((self.sync_of(sync_id).await?, self.0.sync_locks.of(sync_id).lease())),
            None => None,
        };
        // Read again: the lease notices later endings, and this one earlier ones.
        let record = self.known_resumable(token).await?;
        Ok(ResumableSession::new(self.clone(), held, record, sync, None))
    }

    /// Discards an upload: its bytes are removed, and its row gets the reason. For an ended upload only the token is
    /// deleted.
    pub async fn discard_resumable(&self, caller: &Caller, token: &str) -> Result<(), Error> {
        let record = self.allowed_resumable(caller, token, Wanted::Discard).await?;
        let held = self.take_upload(&record.token).await?;
        let mut resumption = self.held(held, &record.token).await?;
        if resumption.record.status == Status::Syncing {
            resumption.fail(&Error::Invalid(cancelled_message(caller.name()))).await?;
        }
        self.0.state.delete_resumable(&record.token).await
    }

    /// Discards uploads without a byte for [`crate::model::settings::Limits::resumable_idle_max`], and deletes the
    /// records of those that ended as long ago.
    pub async fn expire_resumables(&self) -> Result<u64, Error> {
        let mut expired = 0;
        let before = self.now().minus(self.postponement(self.0.limits.resumable_idle_max));
        loop {
            let mut progress = false;
            for token in self.0.state.expired_resumables(before, TOGETHER).await? {
                // A request is active, so it has not expired.
                let Some(mut held) = self.0.upload_locks.take_free(&token) else { continue };
                let Some(everywhere) = self.0.state.try_hold_upload(&token).await? else { continue };
                held.hold_everywhere(everywhere);
                let mut resumption = match self.held(held, &token).await {
                    Ok(resumption) => resumption,
                    Err(Error::NoSuchResumable(_)) => continue,
                    Err(error) => return Err(error),
                };
                if resumption.record.expires_at >= before {
                    continue;
                }
                if resumption.record.status == Status::Syncing {
                    let idle_max = self.0.limits.idle_max(resumption.record.checkpoint.offset);
                    let minutes = idle_max.as_secs() / 60;
                    let message = format!("expired: no data for {minutes} minutes");
                    resumption.fail(&Error::IncompleteUpload(message)).await?;
                    expired += 1;
                }
                self.0.state.delete_resumable(&token).await?;
                progress = true;
            }
            if !progress {
                return Ok(expired);
            }
        }
    }

    /// Removes the partial files of uploads that failed with the closing of their sync, and that may have no active
    /// request.
    pub(in crate::service) async fn drop_failed_resumables(&self, sync_id: SyncId) -> Result<(), Error> {
        for partial in self.0.state.failed_resumables_of(sync_id).await? {
            self.discard(&partial).await;
        }
        Ok(())
    }

    /// All unfinished uploads, by the names of their partial files.
    pub(in crate::service) async fn unfinished_resumables(
        &self,
    ) -> Result<BTreeMap<PartialName, ResumableRecord>, Error> {
        let mut unfinished = BTreeMap::new();
        let mut after = ResumableId(0);
        loop {
            let records = self.0.state.unfinished_resumables(after, TOGETHER).await?;
            let Some(last) = records.last() else { return Ok(unfinished) };
            after = last.resumable_id;
            unfinished.extend(records.into_iter().map(|record| (record.partial.clone(), record)));
        }
    }

    /// Unfinished uploads that nobody can continue, each with the reason: its bytes are incomplete, or a stop kept its
    /// sender from learning the token.
    pub(in crate::service) async fn lost_resumables(
        &self,
        unfinished: &BTreeMap<PartialName, ResumableRecord>,
    ) -> Result<Vec<(ResumableRecord, String)>, Error> {
        let records: Vec<_> = unfinished.values().collect();
        let mut lost = Vec::new();
        for records in records.chunks(usize::try_from(TOGETHER).unwrap_or(usize::MAX)) {
            let places: Vec<_> = records.iter().map(|record| StoragePath::Partial(record.partial.clone())).collect();
            for (record, size) in records.iter().zip(self.0.files.sizes(&places).await?) {
                if !record.is_told {
                    lost.push(((*record).clone(), INTERRUPTED.to_owned()));
                } else if size.is_none_or(|size| size < record.checkpoint.offset) {
                    lost.push(((*record).clone(), Error::BytesLost.to_string()));
                }
            }
        }
        Ok(lost)
    }
}
