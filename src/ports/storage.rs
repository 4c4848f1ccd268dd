//! Where the bytes are. Every promise here is about stable storage: what a call has done survives a power cut.
//!
//! An error says whether its reason may pass ([`Error::may_pass`]): then the call has changed nothing and can be made again.
//! A failed sync is never such an error.

use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
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

/// The bytes of one upload on their way in. Dropping it leaves them to [`Files::discard_partial`] or to the sweep.
#[async_trait]
pub trait Partial: Send + Sync {
    fn identity(&self) -> &Identity;

    /// Takes the next bytes. Waits while the disk is slower than the sender, so that memory stays bounded.
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error>;

    /// Waits until nothing of it is being written any more. What was not made durable may be lost.
    async fn rest(&mut self);

    /// Syncs all that it was given, and its name, to stable storage: from there it can be resumed.
    async fn checkpoint(&mut self) -> Result<Checkpoint, Error>;

    /// Writes what is left and syncs it all to stable storage.
    async fn seal(&mut self) -> Result<Digest, Error>;
}

/// The bytes of a small upload, all of them, before they are anywhere but in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeFile {
    pub name: PartialName,
    pub bytes: Bytes,
    /// Of these bytes.
    pub digest: Digest,
}

/// Small uploads that were written together and are not on stable storage yet.
#[async_trait]
pub trait WrittenGroup: Send {
    /// Syncs them all to stable storage.
    async fn seal(self: Box<Self>) -> Result<(), Error>;
}

/// Of each file of a group, in order, what it is now, or why it was not written.
pub type WrittenFiles = Vec<Result<(Identity, Digest), Error>>;

/// A sealed upload, and the name that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    pub partial: PartialName,
    pub identity: Identity,
    /// `StoragePath::Live` or `StoragePath::Staged`.
    pub place: StoragePath,
    /// Where what is replaced goes.
    pub trash: TrashKey,
    /// The name that it has there.
    pub leaf: String,
}

/// A file as it was found in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    pub identity: Identity,
    pub size_bytes: u64,
    /// When its bytes were last written, as far as its owner lets that be known: anybody may set this time.
    pub modified_at: Timestamp,
    /// When it was last written, renamed, linked, or given other rights. Nobody can set this time.
    pub changed_at: Timestamp,
}

impl FoundFile {
    /// Nothing has changed it since it landed so.
    pub fn is_as_landed(&self, size_bytes: u64, landed_at: Timestamp) -> bool {
        self.changed_at <= landed_at && self.size_bytes == size_bytes
    }
}

/// What lies at a place and below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub totals: Totals,
    /// How its folders were, where a later change of any of them will show.
    pub folders: Option<Vec<FolderState>>,
}

/// How a folder was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderState {
    /// Below the place; empty for itself.
    pub path: String,
    pub state: Identity,
}

/// A file that is open. It stays what it was when it was opened, whatever takes its name. Its own backend may know it as more
/// than that, such as a descriptor.
#[async_trait]
pub trait OpenFile: Any + Send + Sync {
    fn found(&self) -> &FoundFile;

    /// The bytes from `at` on, `bytes_max` of them; fewer where the file ends before.
    async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error>;
}

/// What a folder of the lake holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub path: LakePath,
    pub modified_at: Timestamp,
    /// Absent: a folder.
    pub file: Option<FoundFile>,
}

/// A file of a dataset, or of a version of it, that a sync goes on with, instead of being sent it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    pub from: StoragePath,
    /// As it was found there.
    pub found: FoundFile,
    /// The name of its copy.
    pub partial: PartialName,
}

/// A copy, on stable storage under its partial name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    pub identity: Identity,
    /// SHA-256 of the bytes. Absent where the copy shares them with the file, so that none of them was read.
    pub sha256: Option<[u8; 32]>,
}

/// A file that a snapshot is to hold, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    pub from: StoragePath,
    /// Below the folder of the snapshot.
    pub relative: String,
    pub size_bytes: u64,
    /// Absent where it is not known: then its size has to do.
    pub identity: Option<Identity>,
}

/// What has come of putting a file into a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapped {
    /// It shares the bytes, and is a file of its own.
    Copied,
    /// It is another name of the same file.
    Linked(Touched),
    /// What lies there is not the file.
    Elsewhere,
}

/// A file to which the lake has added a name, or taken one from it, without changing its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub identity: Identity,
    /// When it was last changed before, and by this: as [`FoundFile::changed_at`].
    pub before: Timestamp,
    pub after: Timestamp,
}

/// How far the removal of a snapshot has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovedSnapshot {
    /// Files that are left under other names, each by its path below the folder of the snapshot.
    pub touched: Vec<(String, Touched)>,
    pub has_more: bool,
}

/// A staged folder, and the dataset that it is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub sync: SyncId,
    pub identity: Identity,
    pub dataset: LakePath,
    pub trash: TrashKey,
}

/// A piece of trash, and the place that it goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    pub trash: TrashKey,
    pub identity: Identity,
    pub origin: LakePath,
    pub kind: TrashKind,
}

/// Whether something was in the place before; it is then in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandingOutcome {
    Added,
    Replaced,
}

/// How far a removal has come.
#[derive(Debug, Default)]
pub struct Removed {
    /// Pieces of which nothing is left, durably.
    pub gone: Vec<TrashKey>,
    /// Whether some of the rest is left because `removals_max` was reached.
    pub has_more: bool,
    /// Why others could not be removed. They keep nobody else from being removed.
    pub faults: Vec<Error>,
}

#[async_trait]
pub trait Files: FilesInspection {
    async fn create_partial(&self, name: PartialName) -> Result<Box<dyn Partial>, Error>;

    /// Goes on with the bytes of an upload at a checkpoint of it. What was written behind it is cut off.
    /// [`Error::BytesLost`] when what lies there is not what was left.
    async fn resume_partial(
        &self,
        name: &PartialName,
        identity: &Identity,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Partial>, Error>;

    /// At most `size` bytes of an upload that has not landed, from `offset` on; none at its end.
    async fn read_partial(&self, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error>;

    /// Forgets the bytes of an upload that will not land. One that is not there is no error.
    async fn discard_partial(&self, name: &PartialName) -> Result<(), Error>;

    /// Writes small uploads, all at once, under their partial names.
    async fn write_group(&self, files: Vec<WholeFile>) -> (WrittenFiles, Box<dyn WrittenGroup>);

    /// Gives sealed uploads their names, one after the other: readers see the old file or the new one, whole. An error
    /// means of its upload that it has not landed and the partial is gone or unchanged; an unsettled one
    /// ([`Error::is_unsettled`]), that only [`Files::recover_landing`] finds out.
    async fn land(&self, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>>;

    /// Takes an upload that has landed out of the lake again, and puts what it replaced back: it could not be remembered.
    /// An error means that it may still be there.
    async fn take_back(&self, landing: &Landing) -> Result<(), Error>;

    /// After a restart, or a fault: has this upload landed? It has durably then. `None` means that it has not, and then
    /// whatever [`Files::land`] had prepared is undone. Doing it again does nothing more.
    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error>;

    /// The files at these places, in their order. A folder is none, nor is a link.
    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error>;

    /// Opens the file at a place, where there is one.
    async fn open(&self, place: &StoragePath) -> Result<Option<Box<dyn OpenFile>>, Error>;

    /// What a folder of the lake holds, or the lake root: the folders first, then the files, each by name in the order of
    /// its bytes, without the first `from` of them, and at most `size`. What no lake path names is left out, and so is what
    /// is neither. `None` where there is no folder.
    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error>;

    /// Copies files and syncs the copies to stable storage. `None`: what is there is not the file that was found, or was
    /// changed meanwhile; there is no copy then. The copy is a file of its own: whoever writes to one does not change the
    /// other.
    async fn take_over(&self, files: &[TakeOver]) -> Vec<Result<Option<TakenOver>, Error>>;

    /// Makes sure that the sync has a staging folder, and tells its identity.
    async fn stage(&self, sync: SyncId) -> Result<Identity, Error>;

    /// Makes the staged folder the dataset, at once, in a time that does not depend on the number of its files.
    /// Doing it again does nothing more. An error means that the dataset and the staged folder are as they were; an unsettled
    /// one ([`Error::is_unsettled`]), that doing it again finds out.
    async fn publish(&self, publication: &Publication) -> Result<LandingOutcome, Error>;

    /// Moves the staged folder to the trash, as the last part of the name of `dataset`; an empty one just goes.
    /// Tells whether there is something in the trash now. Doing it again does nothing more.
    async fn drop_staging(&self, sync: SyncId, dataset: &LakePath, trash: &TrashKey) -> Result<bool, Error>;

    /// The identity of a piece of trash; `None` when it is not there.
    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error>;

    /// Puts a piece of trash back, at once; what is in its place goes where the piece was. Doing it again does nothing
    /// more. An error means that nothing has changed; an unsettled one, that doing it again finds out.
    async fn restore(&self, restoration: &Restoration) -> Result<LandingOutcome, Error>;

    /// Removes pieces of trash for good, one after the other, at most `removals_max` files and folders of them all. Doing it
    /// again goes on with it.
    async fn remove_trash(&self, pieces: &[TrashKey], removals_max: u64) -> Removed;

    /// Begins a snapshot, with a folder of this name in it.
    async fn begin_snapshot(&self, token: &SnapshotToken, leaf: &str) -> Result<(), Error>;

    /// Puts files into a snapshot that is being made, as copies that share their bytes where the file system can, else as other
    /// names of the same files.
    async fn snap(&self, token: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>>;

    /// Gives a snapshot its name, durably: it is there whole from then on.
    async fn finish_snapshot(&self, token: &SnapshotToken) -> Result<(), Error>;

    /// Removes a snapshot, finished or not, at most `removals_max` files and folders of it. One that is not there is no error.
    async fn remove_snapshot(&self, token: &SnapshotToken, removals_max: u64) -> Result<RemovedSnapshot, Error>;

    /// Counts the files at a place and below. Slow work: it visits each of them. A place that is not there has none.
    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error>;

    /// The same, with how each folder was meanwhile. Of more than `folders_max`, and where one has changed so shortly before
    /// that a later change might not show, that is not told.
    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error>;

    /// Whether the folders of a place are as they were: no name in them has come, gone, or become another file's. Visits the
    /// folders, not the files.
    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error>;

    /// The room where the lake is. Asked often: it answers at once.
    fn space(&self) -> Result<Space, Error>;

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error>;

    /// Removes every partial but for `kept`, and the staging of every sync that is not among `open_syncs`. Only at start,
    /// when nothing is in flight.
    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error>;
}
