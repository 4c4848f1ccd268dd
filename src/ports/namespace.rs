//! Namespace of a lake on object storage: its folders and files as rows, whose bytes are in objects that never change.
//!
//! Each call is one transaction. The tree is that of [`StoragePath`]: lake paths, partial files, staging and trash are
//! folders in it. A file points to an object, and several files may point to one. An object is remembered before it is
//! written, and until it is deleted from the bucket, so that no object is ever without a row.
//!
//! Identities ([`Identity`]) are those of the tree's nodes: one that has moved keeps its own.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::object_key::ObjectKey;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::ports::inspection::Entry;
use crate::ports::storage::{
    FolderEntry, FolderState, FoundFile, Landing, LandingOutcome, Measured, Publication, Removed, Restoration,
    ReuseRequest, ReusedCopy,
};
use async_trait::async_trait;
use std::collections::BTreeSet;

/// Row of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub i64);

/// An object that is about to be written, as the bytes of an upload that has not landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    pub partial: PartialName,
    pub key: ObjectKey,
    /// Where the bytes are known already.
    pub digest: Option<Digest>,
}

/// Its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntendedObject {
    pub object: ObjectId,
    pub identity: Identity,
}

/// A part of a multipart upload that is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Identity in the object storage: its `ETag`, and its checksum.
    pub content_id: String,
    pub size_bytes: u64,
}

/// How far an unfinished upload is in the bucket. Its bytes are those of its first parts, then those of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCheckpoint {
    /// In bytes.
    pub offset: u64,
    pub hash_state: Vec<u8>,
    /// Parts that lie before the offset, and their bytes.
    pub parts: u64,
    pub parts_bytes: u64,
    /// The object that begins with the bytes between the parts and the offset. It may go on behind them.
    pub tail: Option<(ObjectId, ObjectKey)>,
}

/// An upload that has not landed, as its rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    pub identity: Identity,
    pub object: ObjectId,
    pub key: ObjectKey,
    /// Of the whole object; absent while it is not whole.
    pub digest: Option<Digest>,
    pub multipart_id: Option<String>,
    /// In their order.
    pub parts: Vec<StoredPart>,
    /// In the order of their offsets.
    pub checkpoints: Vec<ObjectCheckpoint>,
}

/// A file and its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundObject {
    pub found: FoundFile,
    pub key: ObjectKey,
}

/// An object that nothing refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreferencedObject {
    pub object: ObjectId,
    pub key: ObjectKey,
    /// Of a multipart upload that was not completed, as far as the rows know.
    pub multipart_id: Option<String>,
    /// Its size was never known: there may be a multipart upload of which the rows do not know.
    pub is_unfinished: bool,
}

#[async_trait]
pub trait Namespace: Send + Sync {
    /// Remembers objects, durably, before they are written. An upload of a name that is there gets the new object in place
    /// of its old one, and keeps its identity.
    async fn intend(&self, new: &[NewObject], at: Timestamp) -> Result<Vec<IntendedObject>, Error>;

    /// Remembers, durably, an object that is to be a tail. It is unreferenced until a checkpoint refers to it.
    async fn intend_tail(&self, key: &ObjectKey, size_bytes: u64, at: Timestamp) -> Result<ObjectId, Error>;

    /// Remembers, durably, that a multipart upload of the object has begun.
    async fn begin_multipart(&self, object: ObjectId, multipart_id: &str) -> Result<(), Error>;

    /// Remembers, durably, how far an upload has come. `new_parts` are those from number `checkpoint.parts -
    /// new_parts.len()` on; what was remembered of later ones is forgotten. Of earlier checkpoints, the last
    /// [`CHECKPOINTS_KEPT`] are kept: the engine may not have remembered the latest.
    async fn checkpoint(
        &self,
        object: ObjectId,
        checkpoint: &ObjectCheckpoint,
        new_parts: &[StoredPart],
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Marks the object of an upload as whole, and deletes the rows of its parts.
    async fn seal(&self, object: ObjectId, digest: &Digest, at: Timestamp) -> Result<(), Error>;

    /// The upload goes on in another object, at a checkpoint whose bytes are the first of its whole object.
    async fn reopen(
        &self,
        name: &PartialName,
        key: &ObjectKey,
        checkpoint: &ObjectCheckpoint,
        at: Timestamp,
    ) -> Result<ObjectId, Error>;

    async fn upload(&self, name: &PartialName) -> Result<Option<StoredUpload>, Error>;

    /// As [`Files::discard_partial`](crate::ports::Files::discard_partial).
    async fn discard(&self, name: &PartialName, at: Timestamp) -> Result<(), Error>;

    /// As [`Files::land`](crate::ports::Files::land), in one transaction. The objects are whole.
    async fn land(&self, landings: &[Landing], at: Timestamp) -> Result<Vec<Result<LandingOutcome, Error>>, Error>;

    /// As [`Files::rollback_landing`](crate::ports::Files::rollback_landing).
    async fn rollback_landing(&self, landing: &Landing, at: Timestamp) -> Result<(), Error>;

    /// As [`Files::recover_landing`](crate::ports::Files::recover_landing).
    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error>;

    /// The files at these places, in their order, with their objects.
    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundObject>>, Error>;

    /// The files of these identities, wherever they are, in their order, with their objects.
    async fn find_identified(&self, identities: &[Identity]) -> Result<Vec<Option<FoundObject>>, Error>;

    /// As [`Files::list_folder`](crate::ports::Files::list_folder).
    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error>;

    /// Gives the files another name, under which they are uploads that have not landed; they share their objects.
    async fn take_over(&self, files: &[ReuseRequest], at: Timestamp) -> Result<Vec<Option<ReusedCopy>>, Error>;

    /// As [`Files::stage`](crate::ports::Files::stage).
    async fn stage(&self, sync: SyncId, at: Timestamp) -> Result<Identity, Error>;

    /// As [`Files::publish`](crate::ports::Files::publish): changes as many rows for ten files as for a million.
    async fn publish(&self, publication: &Publication, at: Timestamp) -> Result<LandingOutcome, Error>;

    /// As [`Files::drop_staging`](crate::ports::Files::drop_staging).
    async fn drop_staging(
        &self,
        sync: SyncId,
        dataset: &LakePath,
        trash: &TrashKey,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// As [`Files::identify_trash`](crate::ports::Files::identify_trash).
    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error>;

    /// As [`Files::restore`](crate::ports::Files::restore).
    async fn restore(&self, restoration: &Restoration, at: Timestamp) -> Result<LandingOutcome, Error>;

    /// As [`Files::remove_trash`](crate::ports::Files::remove_trash). The objects stay until their time is over.
    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64, at: Timestamp) -> Result<Removed, Error>;

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error>;

    /// As [`Files::measure_folders`](crate::ports::Files::measure_folders).
    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error>;

    /// As [`Files::are_unchanged`](crate::ports::Files::are_unchanged).
    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error>;

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error>;

    /// As [`Files::sweep`](crate::ports::Files::sweep).
    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>, at: Timestamp) -> Result<(), Error>;

    /// Entries of a folder, in no order.
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error>;

    /// As [`FilesInspection::list_page`](crate::ports::FilesInspection::list_page).
    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error>;

    /// As [`FilesInspection::rename_slot`](crate::ports::FilesInspection::rename_slot).
    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error>;

    /// As [`FilesInspection::remove_empty_slot`](crate::ports::FilesInspection::remove_empty_slot).
    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error>;

    /// Objects that nothing has referred to since `before`, the longest unreferenced first, at most `size`.
    async fn unreferenced_objects(&self, before: Timestamp, size: u64) -> Result<Vec<UnreferencedObject>, Error>;

    /// Forgets objects that are not in the bucket any more.
    async fn forget_objects(&self, objects: &[ObjectId]) -> Result<(), Error>;
}

/// Checkpoints of an upload that are kept.
pub const CHECKPOINTS_KEPT: u64 = 4;
