//! In-memory storage: a map from paths to bytes.

use super::tree::{Tree, at};
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::object_key::UploadOwner;
use crate::model::path::LakePath;
use crate::model::snapshot::SnapshotToken;
use crate::model::storage_path::TrashKey;
use crate::model::storage_path::{ENGINE_FOLDER, StoragePath, UPLOADS_FOLDER};
use crate::model::storage_path::{Identity, PartialName};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::upload::resumable::Checkpoint;
use crate::ports::Space;
use crate::ports::storage::{
    Files, FolderEntry, FolderState, FoundFile, Landing, LandingOutcome, Measured, OpenFile, OpenedFile, Partial,
    Publication, Removed, RemovedSnapshot, Restoration, ReuseRequest, ReusedCopy, Snapped, SnapshotFile, WholeFile,
    WrittenFiles, WrittenGroup,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Cheap to clone; all clones share one lake.
#[derive(Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<Tree>>);

impl MemoryFiles {
    /// Files of the lake that readers see, with their bytes.
    pub fn live_files(&self) -> BTreeMap<String, Vec<u8>> {
        let tree = self.tree();
        let live = tree.nodes.iter().filter(|(path, _)| !path.starts_with('.'));
        live.filter_map(|(path, node)| Some((format!("/{path}"), node.bytes.clone()?))).collect()
    }

    /// Makes the next calls of `create_partial`, `write_group`, `seal` of a group, `land`, or `restore` fail without a
    /// change; of several files, for the first.
    pub fn fail_next(&self, call: &'static str, errors: Vec<Error>) {
        self.tree().faults.add(call, errors);
    }

    /// From now on, small files are written before their turn in the commit queue, as on object storage.
    pub fn write_at_once(&self) {
        self.tree().writes_at_once = true;
    }

    /// Number of partial files.
    pub fn partials(&self) -> usize {
        let uploads = format!("{ENGINE_FOLDER}/{UPLOADS_FOLDER}");
        self.tree().nodes.keys().filter(|path| path.starts_with(&uploads)).count()
    }

    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock()
    }
}

struct MemoryPartial {
    files: MemoryFiles,
    path: String,
    identity: Identity,
    bytes: Vec<u8>,
}

impl MemoryPartial {
    fn store(&self) {
        if let Some(node) = self.files.tree().nodes.get_mut(&self.path) {
            node.bytes = Some(self.bytes.clone());
        }
    }
}

#[async_trait]
impl Partial for MemoryPartial {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn rest(&mut self) {}

    async fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        self.store();
        Ok(Checkpoint { offset: self.bytes.len() as u64, hash_state: Vec::new() })
    }

    async fn seal(&mut self) -> Result<Digest, Error> {
        self.store();
        Ok(Digest::of(&self.bytes))
    }
}

struct MemoryOpenFile {
    found: FoundFile,
    bytes: Vec<u8>,
}

#[async_trait]
impl OpenFile for MemoryOpenFile {
    fn found(&self) -> &FoundFile {
        &self.found
    }

    async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = at.saturating_add(bytes_max).min(self.bytes.len());
        Ok(self.bytes[at..end].to_vec())
    }
}

struct MemoryGroup(MemoryFiles);

#[async_trait]
impl WrittenGroup for MemoryGroup {
    async fn seal(self: Box<Self>) -> Result<(), Error> {
        self.0.tree().faults.next("seal")
    }
}

#[async_trait]
impl Files for MemoryFiles {
    async fn create_partial(&self, name: PartialName, _: Option<&UploadOwner>) -> Result<Box<dyn Partial>, Error> {
        self.tree().faults.next("create_partial")?;
        let path = at(&StoragePath::Partial(name));
        let identity = self.tree().make(path.clone(), Some(Vec::new()));
        Ok(Box::new(MemoryPartial { files: self.clone(), path, identity, bytes: Vec::new() }))
    }

    async fn resume_partial(
        &self,
        name: &PartialName,
        identity: &Identity,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Partial>, Error> {
        let path = at(&StoragePath::Partial(name.clone()));
        let length = usize::try_from(checkpoint.offset).unwrap_or(usize::MAX);
        let mut tree = self.tree();
        let node = tree.nodes.get_mut(&path).filter(|node| node.identity == *identity);
        let kept = node.and_then(|node| node.bytes.as_mut()).filter(|bytes| bytes.len() >= length);
        let kept = kept.ok_or(Error::BytesLost)?;
        kept.truncate(length);
        let bytes = kept.clone();
        Ok(Box::new(MemoryPartial { files: self.clone(), path, identity: identity.clone(), bytes }))
    }

    async fn read_partial(&self, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error> {
        let tree = self.tree();
        let node = tree.nodes.get(&at(&StoragePath::Partial(name.clone())));
        let bytes = node.and_then(|node| node.bytes.as_ref()).ok_or(Error::BytesLost)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes[from..from.saturating_add(size).min(bytes.len())]))
    }

    async fn discard_partial(&self, name: &PartialName) -> Result<(), Error> {
        self.tree().nodes.remove(&at(&StoragePath::Partial(name.clone())));
        Ok(())
    }

    fn writes_at_once(&self) -> bool {
        self.tree().writes_at_once
    }

    async fn write_group(&self, files: Vec<WholeFile>) -> (WrittenFiles, Box<dyn WrittenGroup>) {
        let mut tree = self.tree();
        let written = files.into_iter().map(|WholeFile { name, bytes, digest, .. }| {
            tree.faults.next("write_group")?;
            Ok((tree.make(at(&StoragePath::Partial(name)), Some(bytes.into())), digest))
        });
        let written = written.collect();
        (written, Box::new(MemoryGroup(self.clone())))
    }

    async fn land(&self, landings: &[Landing]) -> Vec<Result<LandingOutcome, Error>> {
        let mut tree = self.tree();
        let mut land = |landing: &Landing| {
            tree.faults.next("land")?;
            let slot = StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
            let landed =
                tree.swap(&at(&StoragePath::Partial(landing.partial.clone())), &at(&landing.place), &at(&slot));
            tree.faults.next("land_synced").and(landed)
        };
        landings.iter().map(&mut land).collect()
    }

    async fn rollback_landing(&self, landing: &Landing) -> Result<(), Error> {
        let mut tree = self.tree();
        let live = at(&landing.place);
        let slot = at(&StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() });
        if tree.is(&live, &landing.identity) {
            let taken = tree.take(&live);
            let replaced = tree.take(&slot);
            tree.put(&at(&StoragePath::Partial(landing.partial.clone())), taken);
            tree.put(&live, replaced);
        }
        Ok(())
    }

    async fn recover_landing(&self, landing: &Landing) -> Result<Option<LandingOutcome>, Error> {
        let mut tree = self.tree();
        tree.faults.next("recover_landing")?;
        let slot = StoragePath::Trashed { key: landing.trash.clone(), leaf: landing.leaf.clone() };
        let mut in_trash = tree.nodes.iter().filter(|(path, _)| path.starts_with(".lakeshore/trash/"));
        let landed = tree.is(&at(&landing.place), &landing.identity)
            || in_trash.any(|(_, node)| node.identity == landing.identity);
        Ok(landed.then(|| tree.outcome_of_earlier(&at(&slot))))
    }

    async fn find(&self, places: &[StoragePath]) -> Result<Vec<Option<FoundFile>>, Error> {
        let tree = self.tree();
        Ok(places.iter().map(|place| tree.find(&at(place))).collect())
    }

    async fn open(&self, place: &StoragePath) -> Result<Option<Box<dyn OpenFile>>, Error> {
        let tree = self.tree();
        let path = at(place);
        let Some(found) = tree.find(&path) else { return Ok(None) };
        let bytes = tree.nodes.get(&path).and_then(|node| node.bytes.clone()).unwrap_or_default();
        Ok(Some(Box::new(MemoryOpenFile { found, bytes })))
    }

    async fn open_identified(&self, identities: &[Identity]) -> Result<Option<Vec<OpenedFile>>, Error> {
        let tree = self.tree();
        let open = |identity: &Identity| {
            let (path, node) = tree.nodes.iter().find(|(_, node)| node.identity == *identity)?;
            let opened = MemoryOpenFile { found: tree.find(path)?, bytes: node.bytes.clone()? };
            Some(Box::new(opened) as Box<dyn OpenFile>)
        };
        Ok(Some(identities.iter().map(open).collect()))
    }

    async fn list_folder(
        &self,
        folder: Option<&LakePath>,
        from: u64,
        size: u64,
    ) -> Result<Option<Vec<FolderEntry>>, Error> {
        let tree = self.tree();
        let path = folder.map(|folder| at(&StoragePath::Live(folder.clone())));
        if path.as_ref().is_some_and(|path| tree.nodes.get(path).is_none_or(|node| node.bytes.is_some())) {
            return Ok(None);
        }
        let below = path.map_or_else(String::new, |path| format!("{path}/"));
        let inside = tree.nodes.keys().filter(|path| path.strip_prefix(&below).is_some_and(|name| !name.contains('/')));
        let entry = |path: &String| {
            let modified_at = Timestamp(0);
            Some(FolderEntry { path: LakePath::parse(&format!("/{path}")).ok()?, modified_at, file: tree.find(path) })
        };
        let mut entries: Vec<_> = inside.filter_map(entry).collect();
        entries.sort_by_key(|entry| entry.file.is_some());
        let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Some(entries.into_iter().skip(clamp(from)).take(clamp(size)).collect()))
    }

    async fn begin_snapshot(&self, _: &SnapshotToken, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn snap(&self, _: &SnapshotToken, files: &[SnapshotFile]) -> Vec<Result<Snapped, Error>> {
        files.iter().map(|_| Ok(Snapped::Elsewhere)).collect()
    }

    async fn finish_snapshot(&self, _: &SnapshotToken) -> Result<(), Error> {
        Ok(())
    }

    async fn remove_snapshot(&self, _: &SnapshotToken, _: u64) -> Result<RemovedSnapshot, Error> {
        Ok(RemovedSnapshot::default())
    }

    async fn copy_unchanged(&self, files: &[ReuseRequest]) -> Vec<Result<Option<ReusedCopy>, Error>> {
        let mut tree = self.tree();
        let mut copy = |file: &ReuseRequest| {
            let from = at(&file.from);
            if tree.find(&from).as_ref() != Some(&file.found) {
                return Ok(None);
            }
            let bytes = tree.nodes.get(&from).and_then(|node| node.bytes.clone()).unwrap_or_default();
            let sha256 = Some(Digest::of(&bytes).sha256);
            Ok(Some(ReusedCopy {
                identity: tree.make(at(&StoragePath::Partial(file.partial.clone())), Some(bytes)),
                sha256,
            }))
        };
        files.iter().map(&mut copy).collect()
    }

    async fn stage(&self, sync: SyncId) -> Result<Identity, Error> {
        let mut tree = self.tree();
        let path = at(&StoragePath::Staging(sync));
        Ok(match tree.nodes.get(&path) {
            Some(node) => node.identity.clone(),
            None => tree.make(path, None),
        })
    }

    async fn publish(&self, publication: &Publication) -> Result<LandingOutcome, Error> {
        let mut tree = self.tree();
        let live = at(&StoragePath::Live(publication.dataset.clone()));
        let slot = at(&StoragePath::trashed(&publication.trash, &publication.dataset));
        let staging = at(&StoragePath::Staging(publication.sync));
        if tree.is(&live, &publication.identity) {
            Ok(tree.outcome_of_earlier(&slot))
        } else if tree.is(&staging, &publication.identity) {
            tree.swap(&staging, &live, &slot)
        } else {
            Err(Error::StagingLost(publication.sync))
        }
    }

    async fn drop_staging(&self, sync: SyncId, dataset: &LakePath, trash: &TrashKey) -> Result<bool, Error> {
        let mut tree = self.tree();
        let slot = at(&StoragePath::trashed(trash, dataset));
        let staged = tree.take(&at(&StoragePath::Staging(sync)));
        if staged.iter().any(|(_, node)| node.bytes.is_some()) {
            tree.put(&slot, staged);
        }
        Ok(tree.nodes.contains_key(&slot))
    }

    async fn identify_trash(&self, trash: &TrashKey, origin: &LakePath) -> Result<Option<Identity>, Error> {
        let place = at(&StoragePath::trashed(trash, origin));
        Ok(self.tree().nodes.get(&place).map(|node| node.identity.clone()))
    }

    async fn restore(&self, restoration: &Restoration) -> Result<LandingOutcome, Error> {
        let mut tree = self.tree();
        tree.faults.next("restore")?;
        let live = at(&StoragePath::Live(restoration.origin.clone()));
        let slot = at(&StoragePath::trashed(&restoration.trash, &restoration.origin));
        if tree.is(&live, &restoration.identity) {
            Ok(tree.outcome_of_earlier(&slot))
        } else if tree.is(&slot, &restoration.identity) {
            tree.swap(&slot.clone(), &live, &slot)
        } else {
            Err(Error::InTheWay("the trash is not there any more".into()))
        }
    }

    async fn remove_trash(&self, items: &[TrashKey], removals_max: u64) -> Removed {
        let mut tree = self.tree();
        let mut left = removals_max;
        let mut removed = Removed::default();
        for key in items {
            let slot = at(&StoragePath::TrashSlot(key.clone()));
            // Deepest first: the last in the order of the map.
            while let Some((path, _)) = tree.below(&slot).last() {
                if left == 0 {
                    removed.has_more = true;
                    return removed;
                }
                let path = path.clone();
                tree.nodes.remove(&path);
                left -= 1;
            }
            removed.gone.push(key.clone());
        }
        removed
    }

    async fn measure(&self, place: &StoragePath) -> Result<Totals, Error> {
        Ok(self.tree().totals(&at(place)))
    }

    async fn measure_folders(&self, place: &StoragePath, _folders_max: usize) -> Result<Measured, Error> {
        let tree = self.tree();
        let state = FolderState { path: String::new(), state: tree.state(&at(place)) };
        Ok(Measured { totals: tree.totals(&at(place)), folders: Some(vec![state]) })
    }

    async fn are_unchanged(&self, place: &StoragePath, folders: &[FolderState]) -> Result<bool, Error> {
        let state = self.tree().state(&at(place));
        Ok(folders.iter().all(|folder| folder.state == state))
    }

    fn space(&self) -> Result<Space, Error> {
        Ok(Space::UNBOUNDED)
    }

    async fn exists(&self, place: &StoragePath) -> Result<bool, Error> {
        Ok(self.tree().below(&at(place)).next().is_some())
    }

    async fn sweep(&self, open_syncs: &[SyncId], kept: &BTreeSet<PartialName>) -> Result<(), Error> {
        let mut tree = self.tree();
        let kept: BTreeSet<_> = kept.iter().map(|name| at(&StoragePath::Partial(name.clone()))).collect();
        tree.nodes.retain(|path, _| !path.starts_with(".lakeshore/uploads/") || kept.contains(path));
        tree.nodes.retain(|path, _| {
            let name = path.strip_prefix(".lakeshore/staging/").and_then(|rest| rest.split('/').next());
            name.and_then(StoragePath::staging_owner).is_none_or(|owner| open_syncs.contains(&owner))
        });
        Ok(())
    }
}
