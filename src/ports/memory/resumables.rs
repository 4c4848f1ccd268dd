//! What is remembered of resumable uploads, in memory.

use super::state::{Data, MemoryState};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::storage_path::PartialName;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::upload::resumable::{Checkpoint, Token};
use crate::ports::metadata::resumable::{AnnouncedBytes, NewResumable, ResumableId, ResumableRecord, ResumableState};
use async_trait::async_trait;
use std::collections::BTreeMap;

impl Data {
    fn resumable_mut(&mut self, token: &Token) -> Option<&mut ResumableRecord> {
        self.resumables.values_mut().find(|record| record.token == *token)
    }

    /// The record, as it stands: a row of the history says how.
    fn standing(&self, record: &ResumableRecord) -> ResumableRecord {
        let row = |upload_id: UploadId| self.upload_row(upload_id);
        let joined = record.joined_into.as_ref().and_then(|token| self.resumables.values().find(|r| r.token == *token));
        let (status, message) = match (record.upload_id, joined.and_then(|joined| joined.upload_id)) {
            (Some(upload_id), _) => row(upload_id)
                .map_or((Status::Failed, String::new()), |upload| (upload.sync_status, upload.message.clone())),
            (None, Some(into)) if row(into).is_some_and(|upload| upload.sync_status == Status::Finished) => {
                (Status::Finished, String::new())
            }
            (None, _) => (Status::Syncing, String::new()),
        };
        ResumableRecord { status, message, ..record.clone() }
    }

    fn all_standing(&self) -> impl Iterator<Item = ResumableRecord> {
        self.resumables.values().map(|record| self.standing(record))
    }
}

#[async_trait]
impl ResumableState for MemoryState {
    async fn begin_resumable(&self, new: &NewResumable, unfinished_max: u64) -> Result<Option<UploadId>, Error> {
        let mut data = self.data();
        let unfinished = data.all_standing().filter(|one| one.owner == new.owner && one.status == Status::Syncing);
        if unfinished.count() as u64 >= unfinished_max {
            return Err(Error::TooManyUnfinished { unfinished_max });
        }
        let upload_id = match &new.upload {
            Some(upload) => Some(data.begin_upload(upload)?),
            None => None,
        };
        let resumable_id = ResumableId(data.resumables.last_key_value().map_or(1, |(id, _)| id + 1));
        for part in &new.parts {
            if let Some(part) = data.resumable_mut(part) {
                part.joined_into = Some(new.token.clone());
            }
        }
        let record = ResumableRecord {
            resumable_id,
            token: new.token.clone(),
            partial: new.partial.clone(),
            identity: new.identity.clone(),
            upload_id,
            sync_id: new.upload.as_ref().map(|upload| upload.sync_id),
            file_name: new.upload.as_ref().map_or_else(String::new, |upload| upload.file_name.clone()),
            target: new.upload.as_ref().map(|upload| upload.target.clone()),
            parts: new.parts.clone(),
            joined_into: None,
            checkpoint: new.checkpoint.clone(),
            length: new.length,
            metadata: new.metadata.clone(),
            digests: new.digests.clone(),
            is_told: new.is_told,
            owner: new.owner,
            by: new.by.clone(),
            begun_at: new.at,
            expires_at: new.expires_at,
            status: Status::Syncing,
            message: String::new(),
        };
        data.resumables.insert(resumable_id.0, record);
        Ok(upload_id)
    }

    async fn resumable(&self, token: &Token) -> Result<Option<ResumableRecord>, Error> {
        Ok(self.data().all_standing().find(|record| record.token == *token))
    }

    async fn advance_resumable(
        &self,
        token: &Token,
        checkpoint: &Checkpoint,
        length: Option<u64>,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        if let Some(record) = self.data().resumable_mut(token) {
            record.checkpoint = checkpoint.clone();
            record.length = length;
            record.is_told = true;
            record.expires_at = expires_at;
        }
        Ok(())
    }

    async fn unfinished_resumables(&self, after: ResumableId, size: u64) -> Result<Vec<ResumableRecord>, Error> {
        let is_wanted = |record: &ResumableRecord| record.status == Status::Syncing && record.resumable_id > after;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(self.data().all_standing().filter(is_wanted).take(size).collect())
    }

    async fn failed_resumables_of(&self, sync_id: SyncId) -> Result<Vec<PartialName>, Error> {
        let is_wanted = |record: &ResumableRecord| record.status == Status::Failed && record.sync_id == Some(sync_id);
        Ok(self.data().all_standing().filter(is_wanted).map(|record| record.partial).collect())
    }

    async fn expired_resumables(&self, before: Timestamp, size: u64) -> Result<Vec<Token>, Error> {
        let data = self.data();
        let expired = data.resumables.values().filter(|record| record.expires_at < before);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(expired.map(|record| record.token.clone()).take(size).collect())
    }

    async fn forget_resumable(&self, token: &Token) -> Result<(), Error> {
        self.data().resumables.retain(|_, record| record.token != *token);
        Ok(())
    }

    async fn announced_bytes(&self) -> Result<Vec<AnnouncedBytes>, Error> {
        let data = self.data();
        let mut by_owner = BTreeMap::new();
        for record in data.all_standing().filter(|record| record.status == Status::Syncing) {
            let owner = record.owner;
            let announced = by_owner.entry(owner).or_insert(AnnouncedBytes { owner, bytes: 0, begun_bytes: 0 });
            let bytes = record.length.map_or(0, |length| length - record.checkpoint.offset);
            announced.bytes += bytes;
            announced.begun_bytes += if record.checkpoint.offset > 0 { bytes } else { 0 };
        }
        Ok(by_owner.into_values().collect())
    }
}
