//! Storage port: the files of the lake. Every completed call is on stable storage: its effect survives a power cut.
//!
//! An error tells whether its cause may be temporary ([`Error::is_transient`]). Such a call has changed nothing and may be
//! repeated. A failed sync is never such an error.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::object_key::UploadOwner;
use crate::model::path::LakePath;
use crate::model::snapshot::SnapshotToken;
use crate::model::storage_path::StoragePath;
use crate::model::storage_path::TrashKey;
use crate::model::storage_path::{Identity, PartialName};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::TrashKind;
use crate::model::upload::resumable::Checkpoint;
use crate::ports::{FilesInspection, Space};
use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeSet;

/// Partial file of one upload that is being written. Dropping it leaves the file for [`Files::discard_partial`] or the
/// sweep.
#[async_trait]
pub trait Partial: Send + Sync {
    /// Identity of the file, to find it again after a restart or at its landing.
    fn identity(&self) -> &Identity;

    /// Appends bytes. Waits while the disk is slower than the sender, so that memory stays bounded.
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error>;

    /// Waits until no write is in progress. Bytes that are not durable yet may be lost.
    async fn rest(&mut self);

    /// Syncs all written bytes, and the name, to stable storage. The upload can be resumed from there.
    async fn checkpoint(&mut self) -> Result<Checkpoint, Error>;

    /// Writes the remaining bytes and syncs the file to stable storage.
    async fn seal(&mut self) -> Result<Digest, Error>;
}

/// A small upload with all its bytes in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeFile {
    pub name: PartialName,
    pub owner: UploadOwner,
    pub bytes: Bytes,
    /// Digest of `bytes`.
    pub digest: Digest,
}

/// Small uploads that were written together and are not synced yet.
#[async_trait]
pub trait WrittenGroup: Send {
    /// Syncs all files to stable storage.
    async fn seal(self: Box<Self>) -> Result<(), Error>;
}

/// Identity and digest of each file of a group, in order, or the error that prevented its write.
pub type WrittenFiles = Vec<Result<(Identity, Digest), Error>>;

/// A sealed upload, and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    pub partial: PartialName,
    pub identity: Identity,
    /// `StoragePath::Live` or `StoragePath::Staged`.
    pub place: StoragePath,
    /// Trash item for the replaced file.
    pub trash: TrashKey,
    /// Name of the file in the trash item.
    pub leaf: String,
}

/// A file, as found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    pub identity: Identity,
    pub size_bytes: u64,
    /// Time of the last write. Untrusted: the owner of the file may set it.
    pub modified_at: Timestamp,
    /// Time of the last write, rename, link or change of rights. Cannot be set.
    pub changed_at: Timestamp,
}

impl FoundFile {
    /// Whether the file is unchanged since it landed with this size.
    pub fn is_as_landed(&self, size_bytes: u64, landed_at: Timestamp) -> bool {
        self.changed_at <= landed_at && self.size_bytes == size_bytes
    }
}

/// Files at a path and below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub totals: Totals,
    /// States of its folders, if later changes will be visible in them.
    pub folders: Option<Vec<FolderState>>,
}

/// State of a folder at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderState {
    /// Relative to the measured path; empty for that path itself.
    pub path: String,
    pub state: Identity,
}

/// An open file. It keeps its content when another file takes its name. Its own backend may downcast it, for example to
/// a descriptor.
#[async_trait]
pub trait OpenFile: Any + Send + Sync {
    /// State of the file when it was opened.
    fn found(&self) -> &FoundFile;

    /// `bytes_max` bytes from `at` on; fewer at the end of the file.
    async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error>;
}

/// An entry of a folder of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub path: LakePath,
    pub modified_at: Timestamp,
    /// Absent for a folder.
    pub file: Option<FoundFile>,
}

/// A file of a dataset, or of one of its versions, that a sync copies instead of receiving it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReuseRequest {
    pub from: StoragePath,
    /// State in which it was found.
    pub found: FoundFile,
    /// Partial name of its copy.
    pub partial: PartialName,
}

/// A durable copy under its partial name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReusedCopy {
    pub identity: Identity,
    /// SHA-256 of the bytes. Absent where the copy shares them with the file, so that none was read.
    pub sha256: Option<[u8; 32]>,
}

/// A file for a snapshot, and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    pub from: StoragePath,
    /// Relative to the folder of the snapshot.
    pub relative: String,
    pub size_bytes: u64,
    /// Absent if unknown; then only the size is compared.
    pub identity: Option<Identity>,
    /// Time until which the changes of the file are known to have kept its bytes. One changed later is not added.
    pub changed_at_max: Timestamp,
}

/// Result of adding a file to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapped {
    /// Added as a separate file that shares its bytes.
    Copied,
    /// Added as a hard link.
    Linked(Touched),
    /// The file at the path is another one, or was changed later than expected.
    Elsewhere,
}

/// A file to which the lake added a hard link, or from which it removed one, without changing its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub identity: Identity,
    /// Times of the last change before and by this, as in [`FoundFile::changed_at`].
    pub before: Timestamp,
    pub after: Timestamp,
}

/// Progress of the removal of a snapshot.
#[derive(Debug, Default)]
pub struct RemovedSnapshot {
    /// Files with remaining hard links, each by its path relative to the folder of the snapshot.
    pub touched: Vec<(String, Touched)>,
    pub has_more: bool,
    /// Error that ended the step. The files of `touched` were removed before it.
    pub fault: Option<Error>,
}

/// A staged folder, and the dataset that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub sync: SyncId,
    pub identity: Identity,
    pub dataset: LakePath,
    pub trash: TrashKey,
}

/// A trash item, and the path to which it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    pub trash: TrashKey,
    pub identity: Identity,
    pub origin: LakePath,
    pub kind: TrashKind,
}

/// Whether the path was occupied before; its old content is then in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandingOutcome {
    Added,
    Replaced,
}

/// Progress of a removal.
#[derive(Debug, Default)]
pub struct Removed {
    /// Items that are removed completely and durably.
    pub gone: Vec<TrashKey>,
    /// Whether others remain because `removals_max` was reached.
    pub has_more: bool,
    /// Errors of other items. They do not stop the removal of the rest.
    pub faults: Vec<Error>,
}

/// An open file; `None` if there is none.
pub type OpenedFile = Option<Box<dyn OpenFile>>;

#[async_trait]
pub trait Files: FilesInspection {
    /// Begins an upload. Without an owner its bytes become part of another upload.
    async fn create_partial(&self, name: PartialName, owner: Option<&UploadOwner>) -> Result<Box<dyn Partial>, Error>;

    /// Continues an upload from a checkpoint. Later bytes are cut off. [`Error::BytesLost`] when the file is not the
    /// one of the checkpoint.
    async fn resume_partial(
        &self,
        name: &PartialName,
        identity: &Identity,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Partial>, Error>;

    /// At most `size` bytes of a partial file from `offset` on; empty at its end.
    async fn read_partial(&self, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error>;

    /// Removes a partial file that will not land. A missing file is not an error.
    async fn discard_partial(&self, name: &PartialName) -> Result<(), Error>;

    /// Whether calls of [`Self::write_group`] at the same time cost no more than one call. An upload is then written before
    /// its turn in the commit queue, so a slow write holds up no other group.
    fn writes_at_once(&self) -> bool {
        false
    }

    /// Writes small uploads together, under their partial names.
    async fn write_group(&self, files: Vec<WholeFile>) -> (WrittenFiles, Box<dyn WrittenGroup>);

    /// Renames sealed uploads to their targets, in order. Readers see the complete old or the complete new file. An
    /// error means that the upload has not landed and its partial file is gone or unchanged; after an unsettled one
    /// ([`Error::is_unsettled`]) only [`Files::recover_landing`] finds out.
    async fn land(&self, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>>;

    /// Removes a landed upload that could not be recorded, and puts the replaced file back. After an error it may still
    /// be there.
    async fn rollback_landing(&self, landing: &Landing) -> Result<(), Error>;

    /// After a restart or a fault: whether an upload has landed. If so, it is durable on return. `None` means that it
    /// has not; then preparations of [`Files::land`] are undone. Idempotent.
    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error>;

    /// Files at these paths, in order. `None` for folders, links and missing files.
    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error>;

    /// Opens the file at a path; `None` if there is none.
    async fn open(&self, place: &StoragePath) -> Result<Option<Box<dyn OpenFile>>, Error>;

    /// Whether [`Self::open_all`] costs less than opening one file after the other.
    fn opens_together(&self) -> bool {
        false
    }

    /// Opens the files at these paths, in order.
    async fn open_all(&self, places: &[StoragePath]) -> Result<Vec<OpenedFile>, Error> {
        let mut opened = Vec::with_capacity(places.len());
        for place in places {
            opened.push(self.open(place).await?);
        }
        Ok(opened)
    }

    /// Opens the files of these identities, wherever they are, in order. `None` where files are found by their paths only.
    async fn open_identified(&self, _identities: &[Identity]) -> Result<Option<Vec<OpenedFile>>, Error> {
        Ok(None)
    }

    /// Entries of a folder of the lake, or of the lake root: folders first, then files, each ordered by the bytes of
    /// their names. Skips the first `from` and returns at most `size`. Omits other kinds and names that are no lake
    /// path. `None` if there is no folder.
    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error>;

    /// Copies files and syncs the copies to stable storage. `None`, without a copy: the file is not the one that was
    /// found, or it changed during the copy. Writes to the copy do not change the file, nor the reverse.
    async fn copy_unchanged(&self, files: &[ReuseRequest]) -> Vec<Result<Option<ReusedCopy>, Error>>;

    /// Makes the staging folder of a sync if it is missing, and returns its identity.
    async fn stage(&self, sync: SyncId) -> Result<Identity, Error>;

    /// Atomically replaces the dataset by the staged folder, in a time independent of the number of files. Idempotent.
    /// After an error the dataset and the staged folder are unchanged; after an unsettled one ([`Error::is_unsettled`])
    /// repeating the call finds out.
    async fn publish(&self, publication: &Publication) -> Result<LandingOutcome, Error>;

    /// Moves the staged folder to the trash, under the last component of `dataset`; removes an empty one. Returns
    /// whether the trash item exists. Idempotent.
    async fn drop_staging(&self, sync: SyncId, dataset: &LakePath, trash: &TrashKey) -> Result<bool, Error>;

    /// Identity of a trash item; `None` when it is missing.
    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error>;

    /// Atomically returns a trash item to its path, and moves the current content of that path into the trash item.
    /// Idempotent. After an error nothing has changed; after an unsettled one repeating the call finds out.
    async fn restore(&self, restoration: &Restoration) -> Result<LandingOutcome, Error>;

    /// Removes trash items one after the other, at most `removals_max` files and folders in total. A repeated call
    /// continues.
    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64) -> Removed;

    /// Begins a snapshot, with a folder of this name in it.
    async fn begin_snapshot(&self, token: &SnapshotToken, leaf: &str) -> Result<(), Error>;

    /// Adds files to an unfinished snapshot: copies that share their bytes where the file system supports it, else hard
    /// links.
    async fn snap(&self, token: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>>;

    /// Renames a snapshot to its final name, durably. From then on it is visible and complete.
    async fn finish_snapshot(&self, token: &SnapshotToken) -> Result<(), Error>;

    /// Removes a snapshot, finished or not, at most `removals_max` files and folders of it. A missing one is not an
    /// error.
    async fn remove_snapshot(&self, token: &SnapshotToken, removals_max: u64) -> Result<RemovedSnapshot, Error>;

    /// Counts the files at a path and below. Slow: visits each of them. A missing path has none.
    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error>;

    /// [`Self::measure`] with the states of the folders during the count. The states are omitted for more than
    /// `folders_max` folders, and where a folder changed so recently that a later change might be invisible.
    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error>;

    /// Whether the folders of a path are unchanged: no name was added, removed or given to another file. Visits
    /// folders, not files.
    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error>;

    /// Free space of the disk of the lake. Called often, so it must not block.
    fn space(&self) -> Result<Space, Error>;

    /// Whether anything is at the path.
    async fn exists(&self, place: &StoragePath) -> Result<bool, Error>;

    /// Refuses where another server may have the lake: for steps that the metadata store does alone.
    fn may_write(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Removes every partial file except `kept`, and the staging of every sync that is not in `open_syncs`. Only at
    /// start, while no upload is in flight.
    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error>;
}
