//! File store in a folder: the embedded default.
//!
//! Each method of the port is one blocking function of a module here. The steps of a landing run on the calling thread
//! (that of the commit queue, see `server/src/commit_thread.rs`), all others on tokio's blocking threads. Names are
//! resolved beneath the root's own handle only ([`tree`]), and files change places by `renameat2` ([`landing`],
//! [`exchange`]).

mod exchange;
mod fault;
mod group;
mod inspect;
mod lake_identity;
mod landing;
mod listing;
mod measuring;
mod partial;
mod publish;
mod purge;
mod reading;
mod resuming;
mod snapshots;
mod stat;
mod sweep;
mod take_over;
mod tree;

use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::UploadOwner;
use lakeshore::model::path::LakePath;
use lakeshore::model::snapshot::SnapshotToken;
use lakeshore::model::storage_path::StoragePath;
use lakeshore::model::storage_path::TrashKey;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::totals::Totals;
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore::ports::inspection::Entry;
use lakeshore::ports::storage::{
    FolderEntry, FolderState, FoundFile, Landing, LandingOutcome, Measured, OpenFile, Publication, Removed,
    RemovedSnapshot, Restoration, ReuseRequest, ReusedCopy, Snapped, SnapshotFile, WholeFile, WrittenFiles,
};
use lakeshore::ports::{Files, FilesInspection, Partial, Space, WrittenGroup};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tree::Tree;

pub use lake_identity::{IdentityError, ProbeError, inspect_lake};
pub use reading::reopen;
pub use tree::OpenError;

/// Folders listed concurrently; more wait. A folder may hold many names, and each list occupies a thread.
static LISTS: Semaphore = Semaphore::const_new(4);

#[derive(Clone)]
pub struct LocalFiles(Arc<Tree>);

impl LocalFiles {
    /// Opens the lake root, and makes it and the engine's folders where they are missing. Fails where another server
    /// serves the root, or its file system lacks the calls that publishing needs.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Tree::open(root)?)))
    }

    /// Identity of the lake, if it has one.
    pub fn identity(&self) -> Result<Option<String>, IdentityError> {
        lake_identity::identity(&self.0)
    }

    pub fn set_identity(&self, identity: &str) -> Result<(), IdentityError> {
        lake_identity::set_identity(&self.0, identity)
    }

    /// Checks by a write whether writes succeed. Blocks.
    pub fn probe(&self) -> Result<(), ProbeError> {
        lake_identity::probe(&self.0)
    }

    /// Runs disk work on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let tree = self.0.clone();
        tokio::task::spawn_blocking(move || work(&tree)).await.map_err(Error::internal)?
    }

    /// Lists a folder when it is its turn.
    async fn listing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = LISTS.acquire().await.map_err(|_| Error::ShuttingDown)?;
        self.blocking(move |tree| {
            // The list is completed even if its caller is gone, so the permit moves into it.
            let _turn = turn;
            work(tree)
        })
        .await
    }
}

#[async_trait]
impl Files for LocalFiles {
    async fn create_partial(&self, name: PartialName, _: Option<&UploadOwner>) -> Result<Box<dyn Partial>, Error> {
        let tree = self.0.clone();
        let partial = self.blocking(move |_| partial::create(&tree, &name)).await?;
        Ok(Box::new(partial))
    }

    async fn resume_partial(
        &self,
        name: &PartialName,
        identity: &Identity,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Partial>, Error> {
        let tree = self.0.clone();
        let (name, identity, checkpoint) = (name.clone(), identity.clone(), checkpoint.clone());
        let partial = self.blocking(move |_| resuming::resume(&tree, &name, &identity, &checkpoint)).await?;
        Ok(Box::new(partial))
    }

    async fn read_partial(&self, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error> {
        let name = name.clone();
        self.blocking(move |tree| resuming::read(tree, &name, offset, size)).await
    }

    async fn discard_partial(&self, name: &PartialName) -> Result<(), Error> {
        let name = name.clone();
        self.blocking(move |tree| tree.remove_partial(&name)).await
    }

    async fn write_group(&self, files: Vec<WholeFile>) -> (WrittenFiles, Box<dyn WrittenGroup>) {
        let (written, group) = group::write(&self.0, files);
        (written, Box::new(group))
    }

    async fn land(&self, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>> {
        landing::land(&self.0, landings)
    }

    async fn rollback_landing(&self, landing: &Landing) -> Result<(), Error> {
        landing::rollback_landing(&self.0, landing)
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        let landing = landing.clone();
        self.blocking(move |tree| landing::recover(tree, &landing)).await
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error> {
        let places = places.to_vec();
        self.blocking(move |tree| reading::find(tree, &places)).await
    }

    async fn open(&self, place: &StoragePath) -> Result<Option<Box<dyn OpenFile>>, Error> {
        let place = place.clone();
        let open = self.blocking(move |tree| reading::open(tree, &place)).await?;
        Ok(open.map(|file| Box::new(file) as Box<dyn OpenFile>))
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        let folder = folder.cloned();
        self.listing(move |tree| reading::list(tree, folder.as_ref(), from, size)).await
    }

    async fn copy_unchanged(&self, files: &[ReuseRequest]) -> Vec<Result<Option<ReusedCopy>, Error>> {
        let files = files.to_vec();
        let count = files.len();
        let copied = self.blocking(move |tree| Ok(take_over::take_over(tree, &files))).await;
        copied.unwrap_or_else(|fault| (0..count).map(|_| Err(fault.repeated())).collect())
    }

    async fn begin_snapshot(&self, token: &SnapshotToken, leaf: &str) -> Result<(), Error> {
        let (token, leaf) = (token.clone(), leaf.to_owned());
        self.blocking(move |tree| snapshots::begin(tree, &token, &leaf)).await
    }

    async fn snap(&self, token: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>> {
        let (token, files) = (token.clone(), files.to_vec());
        let count = files.len();
        let snapped = self.blocking(move |tree| Ok(snapshots::snap(tree, &token, &files))).await;
        snapped.unwrap_or_else(|fault| (0..count).map(|_| Err(fault.repeated())).collect())
    }

    async fn finish_snapshot(&self, token: &SnapshotToken) -> Result<(), Error> {
        let token = token.clone();
        self.blocking(move |tree| snapshots::finish(tree, &token)).await
    }

    async fn remove_snapshot(&self, token: &SnapshotToken, removals_max: u64) -> Result<RemovedSnapshot, Error> {
        let token = token.clone();
        self.blocking(move |tree| snapshots::remove(tree, &token, removals_max)).await
    }

    async fn stage(&self, sync: SyncId) -> Result<Identity, Error> {
        self.blocking(move |tree| publish::stage(tree, sync)).await
    }

    async fn publish(&self, publication: &Publication) -> Result<LandingOutcome, Error> {
        let publication = publication.clone();
        self.blocking(move |tree| publish::publish(tree, &publication)).await
    }

    async fn drop_staging(&self, sync: SyncId, dataset: &LakePath, trash: &TrashKey) -> Result<bool, Error> {
        let trashed = StoragePath::trashed(trash, dataset);
        self.blocking(move |tree| publish::drop_staging(tree, sync, &trashed)).await
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        let place = StoragePath::trashed(trash, origin);
        self.blocking(move |tree| Ok(tree.look(&place)?.map(|found| found.identity))).await
    }

    async fn restore(&self, restoration: &Restoration) -> Result<LandingOutcome, Error> {
        let restoration = restoration.clone();
        self.blocking(move |tree| publish::restore(tree, &restoration)).await
    }

    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64) -> Removed {
        let items = items.to_vec();
        let removed = self.blocking(move |tree| Ok(purge::remove(tree, &items, removals_max))).await;
        removed.unwrap_or_else(|fault| Removed { faults: vec![fault], ..Removed::default() })
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        let place = place.clone();
        self.blocking(move |tree| measuring::measure(tree, &place)).await
    }

    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
        let place = place.clone();
        self.blocking(move |tree| measuring::measure_folders(tree, &place, folders_max)).await
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        let (place, folders) = (place.clone(), folders.to_vec());
        self.blocking(move |tree| measuring::are_unchanged(tree, &place, &folders)).await
    }

    fn space(&self) -> Result<Space, Error> {
        self.0.space()
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        let place = place.clone();
        self.blocking(move |tree| Ok(tree.look(&place)?.is_some())).await
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error> {
        let (open_syncs, kept) = (open_syncs.to_vec(), kept.clone());
        self.blocking(move |tree| sweep::sweep(tree, &open_syncs, &kept)).await
    }
}

#[async_trait]
impl FilesInspection for LocalFiles {
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
        let folder = folder.clone();
        self.blocking(move |tree| inspect::list(tree, &folder)).await
    }

    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error> {
        let folder = folder.clone();
        self.listing(move |tree| inspect::list_page(tree, &folder, from, size)).await
    }

    async fn sizes(&self, files: &[StoragePath]) -> Result<Vec<Option<u64>>, Error> {
        let files = files.to_vec();
        self.blocking(move |tree| inspect::sizes(tree, &files)).await
    }

    async fn digest(&self, file: &StoragePath) -> Result<Option<Digest>, Error> {
        let file = file.clone();
        self.blocking(move |tree| inspect::digest(tree, &file)).await
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |tree| inspect::rename_slot(tree, &from, &to)).await
    }

    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error> {
        let place = StoragePath::TrashSlot(key.clone());
        self.blocking(move |tree| tree.remove_empty_folder(&place)).await
    }
}
