//! Stored resumable uploads. Each call is one transaction, as in [`super`].

use crate::model::access::principal::Principal;
use crate::model::digest::ExpectedDigests;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::upload::resumable::{Checkpoint, Token};
use crate::ports::metadata::upload::NewUpload;
use async_trait::async_trait;

/// A resumable upload before its bytes arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResumable {
    pub token: Token,
    pub partial: PartialName,
    pub identity: Identity,
    /// Its row in the history; absent for a part, which belongs to no sync.
    pub upload: Option<NewUpload>,
    /// Parts that are joined into it, in order.
    pub parts: Vec<Token>,
    pub checkpoint: Checkpoint,
    /// In bytes; absent when its sender does not know it yet.
    pub length: Option<u64>,
    /// Metadata as the client sent it, returned on request.
    pub metadata: String,
    /// Announced digests of the whole file.
    pub digests: ExpectedDigests,
    /// Whether the sender gets the token at once, and not only after more bytes.
    pub is_told: bool,
    /// Principal that may continue it.
    pub owner: Principal,
    /// Name for display.
    pub by: String,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// Counts from 1 in the order of creation, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResumableId(pub u64);

/// A stored resumable upload. It is kept until it expires, even after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumableRecord {
    pub resumable_id: ResumableId,
    pub token: Token,
    pub partial: PartialName,
    pub identity: Identity,
    pub upload_id: Option<UploadId>,
    pub sync_id: Option<SyncId>,
    pub file_name: String,
    /// Target of the landing; absent for a part.
    pub target: Option<LakePath>,
    pub parts: Vec<Token>,
    /// Upload into which a part was joined, whether that has landed or not.
    pub joined_into: Option<Token>,
    pub checkpoint: Checkpoint,
    pub length: Option<u64>,
    pub metadata: String,
    pub digests: ExpectedDigests,
    /// Whether the sender may know the token.
    pub is_told: bool,
    /// Principal that may continue it.
    pub owner: Principal,
    /// Name for display.
    pub by: String,
    pub begun_at: Timestamp,
    pub expires_at: Timestamp,
    /// Status of its row in the history. A part is `Finished` when the joined upload is.
    pub status: Status,
    /// Reason for the failure; empty otherwise.
    pub message: String,
}

/// Announced bytes of one owner's unfinished uploads that have not arrived yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedBytes {
    pub owner: Principal,
    /// Of all its uploads.
    pub bytes: u64,
    /// Of its uploads with at least one byte.
    pub begun_bytes: u64,
}

#[async_trait]
pub trait ResumableState: Send + Sync {
    /// Stores a resumable upload durably, with its row in the history, if
    /// [`crate::model::sync::job::may_accept_uploads`] allows it and its owner has fewer than `unfinished_max`
    /// unfinished ones. Marks its parts as joined into it.
    async fn begin_resumable(&self, new: &NewResumable, unfinished_max: u64) -> Result<Option<UploadId>, Error>;

    async fn resumable(&self, token: &Token) -> Result<Option<ResumableRecord>, Error>;

    /// Stores its progress durably, and that its sender may know the token. Does nothing if it is missing.
    async fn advance_resumable(
        &self,
        token: &Token,
        checkpoint: &Checkpoint,
        length: Option<u64>,
        expires_at: Timestamp,
    ) -> Result<(), Error>;

    /// Unfinished ones, in ascending order: at most `size` after `after`.
    async fn unfinished_resumables(&self, after: ResumableId, size: u64) -> Result<Vec<ResumableRecord>, Error>;

    /// Partial files of the failed ones of a sync.
    async fn failed_resumables_of(&self, sync_id: SyncId) -> Result<Vec<PartialName>, Error>;

    /// Those, ended or not, that expired before `before`, at most `size`.
    async fn expired_resumables(&self, before: Timestamp, size: u64) -> Result<Vec<Token>, Error>;

    /// Deletes one. Its row in the history stays.
    async fn delete_resumable(&self, token: &Token) -> Result<(), Error>;

    /// Announced bytes of unfinished uploads that have not arrived yet, by owner. Called often, so it must not block.
    async fn announced_bytes(&self) -> Result<Vec<AnnouncedBytes>, Error>;
}
