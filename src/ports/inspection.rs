//! Looking at everything there is, which `lakeshore check` does while no server runs: slow, and not by an index.

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

/// A counter that is not what the rows say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// What it counts for.
    pub of: String,
    /// What it says, and what it should say.
    pub difference: String,
}

/// A piece of trash that has its folder on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashSlot {
    pub trash_id: TrashId,
    pub key: TrashKey,
    pub origin: LakePath,
    /// It is being removed: how much of it is left is not known.
    pub is_emptying: bool,
}

#[async_trait]
pub trait StateInspection: Send + Sync {
    /// What the store itself finds broken, one thing a line.
    async fn damage(&self) -> Result<Vec<String>, Error>;

    /// Counters that disagree with the rows.
    async fn miscounts(&self) -> Result<Vec<Miscount>, Error>;

    /// Counts the rows anew, durably: afterwards there are no miscounts.
    async fn recount(&self) -> Result<(), Error>;

    /// Uploads that have landed, in the order of where they did and then of their ids, at most `size` of those behind
    /// `after`.
    async fn landed(&self, after: Option<&(LakePath, UploadId)>, size: u64) -> Result<Vec<Upload>, Error>;

    /// Those of `files` to which no upload has ever landed.
    async fn never_landed(&self, files: &[LakePath]) -> Result<Vec<LakePath>, Error>;

    /// Where uploads of this content and this name have landed, at most `size` places.
    async fn landed_as(&self, content: &Digest, leaf: &str, size: u64) -> Result<Vec<LakePath>, Error>;

    /// To which places something was restored, each with the last time.
    async fn restored(&self) -> Result<Vec<(LakePath, Timestamp)>, Error>;

    /// Pieces that have a folder on the disk, in ascending order, at most `size` of those behind `after`.
    async fn trash_slots(&self, after: TrashId, size: u64) -> Result<Vec<TrashSlot>, Error>;

    /// Remembers, durably, a piece that was found in the trash.
    async fn adopt_trash(&self, found: &NewTrash) -> Result<(), Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    /// A link, a pipe, or what else the lake never makes.
    Other,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is not UTF-8, what comes nearest.
    pub name: String,
    pub kind: EntryKind,
    /// Of a file; 0 of what else there is.
    pub size_bytes: u64,
}

#[async_trait]
pub trait FilesInspection: Send + Sync {
    /// What is in a folder, in no order. What is not there, or no folder, holds nothing.
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error>;

    /// The size of each of the files, in bytes; `None` where there is no file.
    async fn sizes(&self, files: &[StoragePath]) -> Result<Vec<Option<u64>>, Error>;

    /// Reads a file to its end; `None` when there is none.
    async fn digest(&self, file: &StoragePath) -> Result<Option<Digest>, Error>;

    /// Gives a folder of the trash another name, durably; never one that is taken.
    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error>;

    /// Removes a folder of the trash if there is nothing in it.
    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error>;
}
