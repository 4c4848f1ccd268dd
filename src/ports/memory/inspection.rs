//! Inspection of the in-memory storage, which is never damaged.

use super::files::MemoryFiles;
use super::tree::at;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::storage_path::{StoragePath, TrashKey};
use crate::ports::inspection::{Entry, EntryKind, FilesInspection};
use async_trait::async_trait;
use std::collections::BTreeMap;

#[async_trait]
impl FilesInspection for MemoryFiles {
    async fn list(&self, folder: &StoragePath) -> Result<Vec<Entry>, Error> {
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

    async fn list_page(&self, folder: &StoragePath, from: u64, size: u64) -> Result<Vec<Entry>, Error> {
        let mut entries = self.list(folder).await?;
        entries.sort_by_key(|entry| entry.kind == EntryKind::File);
        let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(entries.into_iter().skip(clamp(from)).take(clamp(size)).collect())
    }

    async fn sizes(&self, files: &[StoragePath]) -> Result<Vec<Option<u64>>, Error> {
        let tree = self.tree();
        let size = |place: &StoragePath| tree.nodes.get(&at(place))?.bytes.as_ref().map(|bytes| bytes.len() as u64);
        Ok(files.iter().map(size).collect())
    }

    async fn digest(&self, file: &StoragePath) -> Result<Option<Digest>, Error> {
        let tree = self.tree();
        Ok(tree.nodes.get(&at(file)).and_then(|node| node.bytes.as_deref().map(Digest::of)))
    }

    async fn rename_slot(&self, from: &TrashKey, to: &TrashKey) -> Result<(), Error> {
        let mut tree = self.tree();
        let [from, to] = [from, to].map(|key| at(&StoragePath::TrashSlot(key.clone())));
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
