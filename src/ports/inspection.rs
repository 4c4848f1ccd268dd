//! Full scans for `lakeshore check`, which runs while no server does. Slow, and without an index.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::upload::row::Upload;
use async_trait::async_trait;

/// A counter that differs from the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// Subject of the counter.
    pub of: String,
    /// Stored and correct value.
    pub difference: String,
}

/// A trash item with a folder on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashSlot {
    pub trash_id: TrashId,
    pub key: TrashKey,
    pub origin: LakePath,
    /// True while it is being purged; the remaining part is unknown.
    pub is_emptying: bool,
}

#[async_trait]
pub trait StateInspection: Send + Sync {
    /// Damage found by the store itself, one problem a line.
    async fn damage(&self) -> Result<Vec<String>, Error>;

    /// Counters that differ from the rows.
    async fn miscounts(&self) -> Result<Vec<Miscount>, Error>;

    /// Recounts all rows durably. Afterwards there are no miscounts.
    async fn recount(&self) -> Result<(), Error>;

    /// Landed uploads, ordered by path and id: at most `size` after `after`.
    async fn landed(&self, after: Option<&(LakePath, UploadId)>, size: u64) -> Result<Vec<Upload>, Error>;

    /// Those of `files` without any landed upload.
    async fn never_landed(&self, files: &[LakePath]) -> Result<Vec<LakePath>, Error>;

    /// Paths of landed uploads with this content and file name, at most `size`.
    async fn landed_as(&self, content: &Digest, leaf: &str, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Paths of restores, each with the time of the last one.
    async fn restored(&self) -> Result<Vec<(LakePath, Timestamp)>, Error>;

    /// Items with a folder on the disk, in ascending order: at most `size` after `after`.
    async fn trash_slots(&self, after: TrashId, size: u64) -> Result<Vec<TrashSlot>, Error>;

    /// Stores durably an item that was found in the trash.
    async fn adopt_trash(&self, found: &NewTrash) -> Result<(), Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    /// A link, a pipe, or another kind that the lake never makes.
    Other,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Lossily converted if it is not UTF-8.
    pub name: String,
    pub kind: EntryKind,
    /// 0 unless it is a file.
    pub size_bytes: u64,
}

#[async_trait]
pub trait FilesInspection: Send + Sync {
    /// Entries of a folder, unordered. Empty if the path is missing or not a folder.
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error>;

    /// Files and folders of a folder: folders first, then files, each ordered by the bytes of their names. Skips the
    /// first `from` and returns at most `size`. Omits names that are no lake path. Empty if the path is missing or not
    /// a folder.
    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error>;

    /// Size of each file in bytes; `None` where there is no file.
    async fn sizes(&self, files: &[StoragePath]) -> Result<Vec<Option<u64>>, Error>;

    /// Reads a whole file; `None` when there is none.
    async fn digest(&self, file: &StoragePath) -> Result<Option<Digest>, Error>;

    /// Renames a folder of the trash durably. Never overwrites another one.
    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error>;

    /// Removes a folder of the trash if it is empty.
    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error>;
}
