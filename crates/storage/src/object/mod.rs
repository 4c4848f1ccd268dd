//! File store on object storage (S3 and compatible). Folders and files are rows of a [`Namespace`]; the bucket holds
//! objects that never change.
//!
//! Every object has its row before its bytes come to the bucket, and loses it after they have left: what a crash leaves
//! in between is found by its row ([`collecting`]). A step that moves files is a transaction of the namespace and needs
//! no request to the bucket, so nothing is ever copied there.

mod bucket;
mod buffer;
mod collecting;
mod fault;
mod group;
mod intents;
mod lake_identity;
mod lease;
mod open_multiparts;
mod partial;
mod reading;
mod recent;
mod resuming;
mod settings;
mod table_log;

use async_trait::async_trait;
use bucket::Bucket;
use buffer::Buffers;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use group::SmallWrites;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::id::SyncId;
use lakeshore::model::object_key::{ObjectKey, UploadOwner};
use lakeshore::model::path::LakePath;
use lakeshore::model::snapshot::SnapshotToken;
use lakeshore::model::storage_path::{Identity, PartialName, StoragePath, TrashKey};
use lakeshore::model::time::Timestamp;
use lakeshore::model::totals::Totals;
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore::ports::inspection::Entry;
use lakeshore::ports::namespace::{FoundObject, NewObject};
use lakeshore::ports::storage::{
    FolderEntry, FolderState, FoundFile, Landing, LandingOutcome, Measured, OpenFile, OpenedFile, Publication, Removed,
    RemovedSnapshot, Restoration, ReuseRequest, ReusedCopy, Snapped, SnapshotFile, WholeFile, WrittenFiles,
};
use lakeshore::ports::{
    Clock, Files, FilesInspection, Namespace, Partial, Randomness, Space, WrittenGroup, random_bytes,
};
use lakeshore_system::failpoints::crash_point;
use lease::Lease;
use open_multiparts::OpenMultiparts;
use recent::RecentObjects;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;

pub use bucket::BucketError;
pub use collecting::Collected;
pub use lake_identity::{InspectError, inspect_lake};
pub use lease::{LeaseError, SILENCE_MAX};
pub use settings::{Addressing, BucketSettings, Encryption, LakeUrl, SettingsError};

/// Objects of which the size is asked for concurrently.
const HEADS_MAX: usize = 16;

#[derive(Clone)]
pub struct ObjectFiles(Arc<Shared>);

struct Shared {
    bucket: Arc<Bucket>,
    /// Only of the server that has the lake.
    lease: OnceLock<Lease>,
    namespace: Arc<dyn Namespace>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    buffers: Buffers,
    recent: RecentObjects,
    open_multiparts: OpenMultiparts,
    small_writes: SmallWrites,
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Refuses where another server may have the lake.
    fn may_write(&self) -> Result<(), Error> {
        self.lease.get().map_or(Ok(()), Lease::may_write)
    }

    /// Refuses also what began, by [`lease::now_ms`], before a long silence of this server.
    fn may_still_write(&self, begun: u64) -> Result<(), Error> {
        self.lease.get().map_or(Ok(()), |lease| lease.may_still_write(begun))
    }

    fn random(&self) -> Result<[u8; 16], Error> {
        random_bytes(&*self.randomness)
    }
}

impl ObjectFiles {
    /// Makes no request.
    pub fn new(
        settings: &BucketSettings,
        namespace: Arc<dyn Namespace>,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, SettingsError> {
        let (bucket, lease) = (Arc::new(Bucket::new(settings)?), OnceLock::new());
        let (buffers, recent) = (Buffers::default(), RecentObjects::default());
        Ok(Self(Arc::new(Shared {
            bucket,
            lease,
            namespace,
            clock,
            randomness,
            buffers,
            recent,
            open_multiparts: OpenMultiparts::default(),
            small_writes: SmallWrites::default(),
        })))
    }

    /// Takes the lake for this server alone. `server` says for people which that is; two servers that name the same
    /// `database` never run at once.
    pub async fn serve_alone(&self, server: &str, database: &str) -> Result<(), LeaseError> {
        let start = self.0.random().map_err(|error| LeaseError::Start(Box::new(error)))?;
        self.serve(server, database, hex::encode(start)).await
    }

    /// Takes the lake together with the servers of the same group, which share a database.
    pub async fn serve_with_group(&self, server: &str, database: &str, group: &str) -> Result<(), LeaseError> {
        self.serve(server, database, group.to_owned()).await
    }

    async fn serve(&self, server: &str, database: &str, start: String) -> Result<(), LeaseError> {
        let [a, b, c, d, ..] = self.0.random().map_err(|error| LeaseError::Start(Box::new(error)))?;
        let random = u32::from_le_bytes([a, b, c, d]);
        let lease = lease::take(&self.0.bucket, server, database, start, random).await?;
        self.0.small_writes.intents.run_on(Handle::current());
        // Called once.
        let _ = self.0.lease.set(lease);
        Ok(())
    }

    /// Whether another server has taken over the lake that this one served.
    pub fn is_taken_over(&self) -> bool {
        self.0.lease.get().is_some_and(Lease::is_lost)
    }

    /// Gives the lake back at the end, so that the next server need not wait.
    pub async fn release(&self) {
        if let Some(lease) = self.0.lease.get() {
            lease.release().await;
        }
    }

    fn opened(&self, FoundObject { found, key }: FoundObject) -> Box<dyn OpenFile> {
        Box::new(reading::ObjectOpenFile::new(&self.0, found, key))
    }

    async fn found(&self, place: &StoragePath) -> Result<Option<FoundObject>, Error> {
        Ok(self.0.namespace.find(std::slice::from_ref(place)).await?.pop().flatten())
    }
}

/// Of a lake on object storage, versions are read by their objects.
fn no_snapshots() -> Error {
    Error::Invalid(
        "this lake is on object storage, which has no snapshot folders; read the version by its address, see /api/lake/dataset/versions"
            .into(),
    )
}

#[async_trait]
impl Files for ObjectFiles {
    async fn create_partial(&self, name: PartialName, owner: Option<&UploadOwner>) -> Result<Box<dyn Partial>, Error> {
        self.0.may_write()?;
        let key = ObjectKey::of_upload(owner, self.0.random()?);
        let new = NewObject { partial: name, key: key.clone(), digest: None };
        let intended = self.0.namespace.intend(&[new], self.0.now()).await?.pop().ok_or(Error::BytesLost)?;
        crash_point!("object.intended");
        Ok(Box::new(partial::ObjectPartial::new(&self.0, intended.identity, intended.object, key)))
    }

    async fn resume_partial(
        &self,
        name: &PartialName,
        identity: &Identity,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Partial>, Error> {
        self.0.may_write()?;
        Ok(Box::new(resuming::resume(&self.0, name, identity, checkpoint).await?))
    }

    async fn read_partial(&self, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error> {
        resuming::read(&self.0, name, offset, size).await
    }

    async fn discard_partial(&self, name: &PartialName) -> Result<(), Error> {
        self.0.may_write()?;
        self.0.namespace.discard(name, self.0.now()).await
    }

    fn writes_at_once(&self) -> bool {
        true
    }

    async fn write_group(&self, files: Vec<WholeFile>) -> (WrittenFiles, Box<dyn WrittenGroup>) {
        (group::write(&self.0, files).await, Box::new(group::StoredGroup))
    }

    async fn land(&self, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>> {
        if let Err(fault) = self.0.may_write() {
            return landings.iter().map(|_| Err(fault.repeated())).collect();
        }
        let landed = self.0.namespace.land(landings, self.0.now()).await;
        crash_point!("object.landed");
        landed.unwrap_or_else(|fault| landings.iter().map(|_| Err(fault.repeated())).collect())
    }

    async fn rollback_landing(&self, landing: &Landing) -> Result<(), Error> {
        self.0.may_write()?;
        self.0.namespace.rollback_landing(landing, self.0.now()).await
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        self.0.namespace.recover_landing(landing).await
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error> {
        let found = self.0.namespace.find(places).await?;
        Ok(found.into_iter().map(|found| found.map(|found| found.found)).collect())
    }

    async fn open(&self, place: &StoragePath) -> Result<Option<Box<dyn OpenFile>>, Error> {
        Ok(self.found(place).await?.map(|found| self.opened(found)))
    }

    fn opens_together(&self) -> bool {
        true
    }

    async fn open_all(&self, places: &[StoragePath]) -> Result<Vec<OpenedFile>, Error> {
        let found = self.0.namespace.find(places).await?;
        Ok(found.into_iter().map(|found| found.map(|found| self.opened(found))).collect())
    }

    async fn open_identified(&self, identities: &[Identity]) -> Result<Option<Vec<OpenedFile>>, Error> {
        let found = self.0.namespace.find_identified(identities).await?;
        Ok(Some(found.into_iter().map(|found| found.map(|found| self.opened(found))).collect()))
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        self.0.namespace.list_folder(folder, from, size).await
    }

    async fn copy_unchanged(&self, files: &[ReuseRequest]) -> Vec<Result<Option<ReusedCopy>, Error>> {
        if let Err(fault) = self.0.may_write() {
            return files.iter().map(|_| Err(fault.repeated())).collect();
        }
        let taken = self.0.namespace.take_over(files, self.0.now()).await;
        crash_point!("take_over.synced");
        match taken {
            Ok(taken) => taken.into_iter().map(Ok).collect(),
            Err(fault) => files.iter().map(|_| Err(fault.repeated())).collect(),
        }
    }

    async fn begin_snapshot(&self, _: &SnapshotToken, _: &str) -> Result<(), Error> {
        Err(no_snapshots())
    }

    async fn snap(&self, _: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>> {
        files.iter().map(|_| Err(no_snapshots())).collect()
    }

    async fn finish_snapshot(&self, _: &SnapshotToken) -> Result<(), Error> {
        Err(no_snapshots())
    }

    async fn remove_snapshot(&self, _: &SnapshotToken, _: u64) -> Result<RemovedSnapshot, Error> {
        Ok(RemovedSnapshot::default())
    }

    async fn stage(&self, sync: SyncId) -> Result<Identity, Error> {
        self.0.may_write()?;
        self.0.namespace.stage(sync, self.0.now()).await
    }

    async fn publish(&self, publication: &Publication) -> Result<LandingOutcome, Error> {
        self.0.may_write()?;
        let published = self.0.namespace.publish(publication, self.0.now()).await;
        crash_point!("exchange.done");
        published
    }

    async fn drop_staging(&self, sync: SyncId, dataset: &LakePath, trash: &TrashKey) -> Result<bool, Error> {
        self.0.may_write()?;
        let dropped = self.0.namespace.drop_staging(sync, dataset, trash, self.0.now()).await;
        crash_point!("drop.moved");
        dropped
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        self.0.namespace.identify_trash(trash, origin).await
    }

    async fn restore(&self, restoration: &Restoration) -> Result<LandingOutcome, Error> {
        self.0.may_write()?;
        let restored = self.0.namespace.restore(restoration, self.0.now()).await;
        crash_point!("exchange.done");
        restored
    }

    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64) -> Removed {
        if let Err(fault) = self.0.may_write() {
            return Removed { faults: vec![fault], ..Removed::default() };
        }
        let removed = self.0.namespace.remove_trash(items, removals_max, self.0.now()).await;
        crash_point!("emptying.removed");
        removed.unwrap_or_else(|fault| Removed { faults: vec![fault], ..Removed::default() })
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        self.0.namespace.measure(place).await
    }

    async fn measure_folders(&self, place: &StoragePath, folders_max: usize) -> Result<Measured, Error> {
        self.0.namespace.measure_folders(place, folders_max).await
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        self.0.namespace.are_unchanged(place, folders).await
    }

    /// A bucket has no bound that anybody knows of.
    fn space(&self) -> Result<Space, Error> {
        Ok(Space::UNBOUNDED)
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        self.0.namespace.exists(place).await
    }

    fn may_write(&self) -> Result<(), Error> {
        self.0.may_write()
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error> {
        self.0.may_write()?;
        crash_point!("sweep.begun");
        let swept = self.0.namespace.sweep(open_syncs, kept, self.0.now()).await;
        crash_point!("sweep.uploads_removed");
        swept
    }
}

#[async_trait]
impl FilesInspection for ObjectFiles {
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
        self.0.namespace.list(folder).await
    }

    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error> {
        self.0.namespace.list_page(folder, from, size).await
    }

    /// As the bucket has them, so that a row without its object is noticed.
    async fn sizes(&self, files: &[StoragePath]) -> Result<Vec<Option<u64>>, Error> {
        let found = self.0.namespace.find(files).await?;
        let files = files.to_vec();
        let sizes = stream::iter(files.into_iter().zip(found)).map(|(place, found)| async move {
            match (place, found) {
                (StoragePath::Partial(name), Some(_)) => resuming::durable_bytes(&self.0, &name).await,
                (_, Some(found)) => self.0.bucket.size(&found.key).await,
                (_, None) => Ok(None),
            }
        });
        let sizes: Vec<_> = sizes.buffered(HEADS_MAX).collect().await;
        sizes.into_iter().collect()
    }

    async fn digest(&self, file: &StoragePath) -> Result<Option<Digest>, Error> {
        match self.found(file).await? {
            Some(FoundObject { found, key }) => reading::digest(&self.0, found.size_bytes, &key).await,
            None => Ok(None),
        }
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        self.0.may_write()?;
        self.0.namespace.rename_slot(from, to).await
    }

    async fn remove_empty_slot(&self, key: &TrashKey) -> Result<(), Error> {
        self.0.may_write()?;
        self.0.namespace.remove_empty_slot(key).await
    }
}
