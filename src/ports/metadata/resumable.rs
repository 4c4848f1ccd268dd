//! What is remembered of resumable uploads. Each call is one transaction, as in [`super`].

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

/// A resumable upload whose bytes are about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResumable {
    pub token: Token,
    pub partial: PartialName,
    pub identity: Identity,
    /// Its row in the history; absent for a part, which belongs to no sync.
    pub upload: Option<NewUpload>,
    /// The parts that it is to be joined of, in order.
    pub parts: Vec<Token>,
    pub checkpoint: Checkpoint,
    /// In bytes; absent when its sender does not know it yet.
    pub length: Option<u64>,
    /// What the client said of it, in the client's words, to be given back when it asks.
    pub metadata: String,
    /// What the whole must have.
    pub digests: ExpectedDigests,
    /// Whether its sender is told its token at once, and not only when more of it has come.
    pub is_told: bool,
    /// Who may go on with it.
    pub owner: Principal,
    /// The name that is shown.
    pub by: String,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// Counts from 1 in the order in which they were begun, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResumableId(pub u64);

/// A resumable upload as the lake remembers it: until it expires, also when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumableRecord {
    pub resumable_id: ResumableId,
    pub token: Token,
    pub partial: PartialName,
    pub identity: Identity,
    pub upload_id: Option<UploadId>,
    pub sync_id: Option<SyncId>,
    pub file_name: String,
    /// Where it lands; absent for a part.
    pub target: Option<LakePath>,
    pub parts: Vec<Token>,
    /// What a part was joined into, whether that has landed yet or not.
    pub joined_into: Option<Token>,
    pub checkpoint: Checkpoint,
    pub length: Option<u64>,
    pub metadata: String,
    pub digests: ExpectedDigests,
    /// Whether its sender may know its token.
    pub is_told: bool,
    /// Who may go on with it.
    pub owner: Principal,
    /// The name that is shown.
    pub by: String,
    pub begun_at: Timestamp,
    pub expires_at: Timestamp,
    /// That of its row in the history. A part is `Finished` when what it was joined into is.
    pub status: Status,
    /// Why it failed; empty otherwise.
    pub message: String,
}

/// What the unfinished uploads of one owner have announced, and what has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedBytes {
    pub owner: Principal,
    /// Of all of them.
    pub bytes: u64,
    /// Of those of which something has come.
    pub begun_bytes: u64,
}

#[async_trait]
pub trait ResumableState: Send + Sync {
    /// Remembers a resumable upload durably, with its row in the history, if [`crate::model::sync::job::may_accept_uploads`] allows
    /// it, and if its owner has fewer than `unfinished_max` unfinished ones. Its parts are from now on joined into it.
    async fn begin_resumable(&self, new: &NewResumable, unfinished_max: u64) -> Result<Option<UploadId>, Error>;

    async fn resumable(&self, token: &Token) -> Result<Option<ResumableRecord>, Error>;

    /// Remembers durably how far it has come, and that its sender may be told its token. Does nothing to one that is not there.
    async fn advance_resumable(
        &self,
        token: &Token,
        checkpoint: &Checkpoint,
        length: Option<u64>,
        expires_at: Timestamp,
    ) -> Result<(), Error>;

    /// Those that have not ended, in ascending order, at most `size` of those behind `after`.
    async fn unfinished_resumables(&self, after: ResumableId, size: u64) -> Result<Vec<ResumableRecord>, Error>;

    /// Where the bytes were of those of the sync that have failed.
    async fn failed_resumables_of(&self, sync_id: SyncId) -> Result<Vec<PartialName>, Error>;

    /// Those, ended or not, whose time was over before `before`, at most `size`.
    async fn expired_resumables(&self, before: Timestamp, size: u64) -> Result<Vec<Token>, Error>;

    /// Forgets one. What the history says of it stays.
    async fn forget_resumable(&self, token: &Token) -> Result<(), Error>;

    /// Bytes that those that have not ended have announced, and that have not come yet, by their owners. Asked often: it
    /// answers at once.
    async fn announced_bytes(&self) -> Result<Vec<AnnouncedBytes>, Error>;
}
