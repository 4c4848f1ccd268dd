//! Looking at everything there is: in memory nothing is damaged and nothing miscounted.

use super::files::{MemoryFiles, at};
use super::state::{Fate, MemoryState};
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::TrashId;
use crate::model::id::UploadId;
use crate::model::path::LakePath;
use crate::model::storage_path::Place;
use crate::model::storage_path::TrashKey;
use crate::model::sync::status::Status;
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::upload::row::Upload;
use crate::ports::inspection::{Entry, EntryKind, FilesInspection, Miscount, StateInspection, TrashSlot};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

fn bounded(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[async_trait]
impl StateInspection for MemoryState {
    async fn damage(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    async fn miscounts(&self) -> Result<Vec<Miscount>, Error> {
        let data = self.data();
        let mut miscounts = Vec::new();
        for (record, _) in &data.syncs {
            let sync = &record.sync;
            let rows = data.uploads.iter().map(|row| &row.upload).filter(|upload| upload.sync_id == sync.sync_id);
            let mut counted = (sync.num_unlisted, sync.num_unlisted, 0, 0);
            for upload in rows {
                counted.0 += 1;
                match upload.sync_status {
                    Status::Failed => counted.1 += 1,
                    Status::Syncing => counted.2 += 1,
                    Status::Finished => counted.3 += upload.size_bytes,
                }
            }
            let remembered = (sync.total_files, sync.num_failed, sync.num_in_flight, sync.size_bytes);
            if remembered != counted {
                let difference = format!("{remembered:?} is {counted:?}");
                miscounts.push(Miscount { of: format!("sync {}", sync.sync_id), difference });
            }
        }
        Ok(miscounts)
    }

    async fn recount(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn landed(&self, after: Option<&(LakePath, UploadId)>, size: u64) -> Result<Vec<Upload>, Error> {
        let data = self.data();
        let landed: BTreeMap<_, _> = data
            .uploads
            .iter()
            .filter_map(|row| Some(((row.upload.landed_path.clone()?, row.upload.history_id), &row.upload)))
            .collect();
        let behind = landed.into_iter().filter(|(place, _)| after.is_none_or(|after| place > after));
        Ok(behind.map(|(_, upload)| upload.clone()).take(bounded(size)).collect())
    }

    async fn never_landed(&self, files: &[LakePath]) -> Result<Vec<LakePath>, Error> {
        let data = self.data();
        let landed: BTreeSet<_> = data.uploads.iter().filter_map(|row| row.upload.landed_path.as_ref()).collect();
        Ok(files.iter().filter(|file| !landed.contains(file)).cloned().collect())
    }

    async fn landed_as(&self, content: &Digest, leaf: &str, size: u64) -> Result<Vec<LakePath>, Error> {
        let data = self.data();
        let sha256 = hex::encode(content.sha256);
        let same = data.uploads.iter().map(|row| &row.upload).filter(|upload| {
            upload.size_bytes == content.size_bytes && upload.sha256.as_deref() == Some(sha256.as_str())
        });
        let places: BTreeSet<_> = same.filter_map(|upload| upload.landed_path.clone()).collect();
        Ok(places.into_iter().filter(|place| place.leaf() == leaf).take(bounded(size)).collect())
    }

    async fn restored(&self) -> Result<Vec<(LakePath, Timestamp)>, Error> {
        let data = self.data();
        let restored = data.trash.iter().filter_map(|(record, fate)| match fate {
            Fate::Restored(at) => Some((record.entry.origin.clone(), *at)),
            _ => None,
        });
        let mut last = BTreeMap::new();
        for (origin, at) in restored {
            let known = last.entry(origin).or_insert(at);
            *known = at.max(*known);
        }
        Ok(last.into_iter().collect())
    }

    async fn trash_slots(&self, after: TrashId, size: u64) -> Result<Vec<TrashSlot>, Error> {
        let data = self.data();
        let slots = data.trash.iter().filter(|(_, fate)| matches!(fate, Fate::Kept | Fate::Emptying));
        let slots = slots.map(|(record, fate)| TrashSlot {
            trash_id: record.entry.trash_id,
            key: record.key.clone(),
            origin: record.entry.origin.clone(),
            is_emptying: *fate == Fate::Emptying,
        });
        Ok(slots.filter(|slot| slot.trash_id > after).take(bounded(size)).collect())
    }

    async fn adopt_trash(&self, found: &NewTrash) -> Result<(), Error> {
        self.data().add_trash(found);
        Ok(())
    }
}

#[async_trait]
impl FilesInspection for MemoryFiles {
    async fn list(&self, folder: &Place) -> Result<Vec<Entry>, Error> {
        let tree = self.tree();
        let below = format!("{}/", at(folder));
        let mut entries = BTreeMap::new();
        for (path, node) in &tree.nodes {
            let Some(rest) = path.strip_prefix(&below) else { continue };
            let (name, is_deeper) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            let entry = match &node.bytes {
                Some(bytes) if !is_deeper => (EntryKind::File, bytes.len() as u64),
                _ => (EntryKind::Folder, 0),
            };
            entries.insert(name.to_owned(), entry);
        }
        Ok(entries.into_iter().map(|(name, (kind, size_bytes))| Entry { name, kind, size_bytes }).collect())
    }

    async fn sizes(&self, files: &[Place]) -> Result<Vec<Option<u64>>, Error> {
        let tree = self.tree();
        let size = |place: &Place| tree.nodes.get(&at(place))?.bytes.as_ref().map(|bytes| bytes.len() as u64);
        Ok(files.iter().map(size).collect())
    }

    async fn digest(&self, file: &Place) -> Result<Option<Digest>, Error> {
        let tree = self.tree();
        Ok(tree.nodes.get(&at(file)).and_then(|node| node.bytes.as_deref().map(Digest::of)))
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        let mut tree = self.tree();
        let [from, to] = [from, to].map(|key| at(&Place::TrashSlot(key.clone())));
        if tree.below(&to).next().is_some() {
            return Err(Error::InTheWay(format!("{to} is taken")));
        }
        let moved = tree.take(&from);
        tree.put(&to, moved);
        Ok(())
    }

    async fn remove_empty_slot(&self, _key: &TrashKey) -> Result<(), Error> {
        Ok(())
    }
}
