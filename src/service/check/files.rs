//! Check of landed files against the files in the lake.
//!
//! Not every row of the history can be checked. A row describes the file at its path only if no later change happened
//! there: no full sync of a dataset around it (syncs of which one is full never overlap in time, so their ids are in
//! the order of their effects), no later upload, no restore. Of concurrent uploads to one path, any may be the last.

use super::{Check, Finding, FindingKind};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::{Page, SyncQuery};
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::model::sync::job::SyncJob;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::upload::row::Upload;
use crate::ports::inspection::EntryKind;
use std::collections::{BTreeMap, HashMap};

/// Rows, or files, checked together.
const TOGETHER: u64 = 1000;

/// Changes of datasets.
struct Datasets {
    syncs: BTreeMap<SyncId, SyncJob>,
    /// Last published full sync at each path.
    published: HashMap<LakePath, SyncId>,
    /// Time of the last restore at each path.
    restored: HashMap<LakePath, Timestamp>,
}

/// An expected file, with one of these contents.
struct Expected {
    place: StoragePath,
    uploads: Vec<Upload>,
}

impl Check<'_> {
    pub(super) async fn files(&mut self) -> Result<(), Error> {
        let datasets = self.datasets().await?;
        let mut after = None;
        let mut of_one_place: Vec<Upload> = Vec::new();
        let mut expected = Vec::new();
        loop {
            let rows = self.lake.0.state.landed(after.as_ref(), TOGETHER).await?;
            let is_last = rows.is_empty();
            for row in rows {
                let Some(target) = row.landed_path.clone() else { continue };
                if of_one_place.first().is_some_and(|first| first.landed_path.as_ref() != Some(&target)) {
                    expected.extend(self.expect(&datasets, std::mem::take(&mut of_one_place)));
                }
                after = Some((target, row.history_id));
                of_one_place.push(row);
            }
            if is_last {
                expected.extend(self.expect(&datasets, of_one_place));
                self.compare(expected).await?;
                break;
            }
            self.compare(std::mem::take(&mut expected)).await?;
        }
        self.unknown_files().await
    }

    async fn datasets(&self) -> Result<Datasets, Error> {
        let mut syncs = BTreeMap::new();
        loop {
            let page = Page { from: syncs.len() as u64, ..Page::FIRST };
            let query = SyncQuery { page, status: None, sync_type: None, path: None, text: None, scope: None };
            let rows = self.lake.0.state.syncs(&query).await?;
            if rows.is_empty() {
                break;
            }
            syncs.extend(rows.into_iter().map(|sync| (sync.sync_id, sync)));
        }
        let is_published =
            |sync: &&SyncJob| sync.sync_type == SyncType::FullSync && sync.sync_status == Status::Finished;
        // In ascending order, so the last one stays.
        let published = syncs.values().filter(is_published).map(|sync| (sync.path.clone(), sync.sync_id)).collect();
        let restored = self.lake.0.state.restored().await?.into_iter().collect();
        Ok(Datasets { syncs, published, restored })
    }

    /// Expected files at one path, by the uploads that landed there.
    fn expect(&self, datasets: &Datasets, uploads: Vec<Upload>) -> Vec<Expected> {
        let Some(target) = uploads.first().and_then(|upload| upload.landed_path.clone()) else { return Vec::new() };
        if self.in_doubt.iter().any(|path| path.overlaps(&target)) {
            return Vec::new();
        }
        let around: Vec<_> = around(&target).collect();
        let published = around.iter().filter_map(|path| datasets.published.get(path)).max();
        let restored = around.iter().filter_map(|path| datasets.restored.get(path)).max();
        let mut live = Vec::new();
        let mut staged: BTreeMap<SyncId, Vec<Upload>> = BTreeMap::new();
        for upload in uploads {
            let Some(sync) = datasets.syncs.get(&upload.sync_id) else { continue };
            match (sync.sync_type, sync.sync_status) {
                (SyncType::FullSync, Status::Syncing) => staged.entry(sync.sync_id).or_default().push(upload),
                // Its files are in the trash.
                (SyncType::FullSync, Status::Failed) => {}
                _ if published.is_some_and(|published| upload.sync_id < *published) => {}
                _ => live.push(upload),
            }
        }
        let mut expected = Vec::new();
        let last = last_of(live);
        let is_restored = last.iter().any(|upload| restored.is_some_and(|restored| *restored >= upload.start_time));
        if !last.is_empty() && !is_restored {
            expected.push(Expected { place: StoragePath::Live(target.clone()), uploads: last });
        }
        for (sync_id, uploads) in staged {
            if let Some(sync) = datasets.syncs.get(&sync_id) {
                let place = StoragePath::of_upload(Some(sync_id), &sync.path, &target);
                expected.push(Expected { place, uploads: last_of(uploads) });
            }
        }
        expected
    }

    async fn compare(&mut self, expected: Vec<Expected>) -> Result<(), Error> {
        let places: Vec<_> = expected.iter().map(|expected| expected.place.clone()).collect();
        let sizes = self.lake.0.files.sizes(&places).await?;
        for (Expected { place, uploads }, size_bytes) in expected.into_iter().zip(sizes) {
            let Some(upload) = uploads.last() else { continue };
            let of = format!("upload {} of sync {}", upload.history_id, upload.sync_id);
            let finding = match size_bytes {
                None => Some((
                    FindingKind::MissingFile,
                    format!("{of} landed here, but the file is missing; upload it again, or restore it from a backup"),
                )),
                Some(size) if uploads.iter().all(|upload| upload.size_bytes != size) => Some((
                    FindingKind::WrongSize,
                    format!(
                        "{of} has {} bytes, but the file has {size}; it was changed outside Lakeshore",
                        upload.size_bytes
                    ),
                )),
                Some(_) if self.options.digests => self.compare_digest(&place, &uploads).await?.map(|digest| {
                    (
                        FindingKind::WrongDigest,
                        format!("{of} has another checksum; the SHA-256 of the file is now {digest}"),
                    )
                }),
                Some(_) => None,
            };
            if let Some((kind, detail)) = finding {
                self.tell(&Finding::new(kind, place.shown(), detail));
            }
        }
        Ok(())
    }

    /// Digest of the file, if it differs from that of every upload.
    async fn compare_digest(&self, place: &StoragePath, uploads: &[Upload]) -> Result<Option<String>, Error> {
        let digest = self.lake.0.files.digest(place).await?;
        let digest = digest.map(|digest| hex::encode(digest.sha256)).unwrap_or_default();
        let is_known = uploads.iter().any(|upload| upload.sha256.as_deref() == Some(digest.as_str()));
        Ok((!is_known).then_some(digest))
    }

    /// Searches every dataset for files without an upload.
    async fn unknown_files(&mut self) -> Result<(), Error> {
        let mut datasets = self.lake.0.state.datasets("", None, u64::MAX).await?;
        datasets.sort();
        let mut folders: Vec<LakePath> = Vec::new();
        for dataset in datasets {
            // A dataset below another one is searched with that.
            if !folders.iter().any(|folder| folder.contains(&dataset)) {
                folders.push(dataset);
            }
        }
        while let Some(folder) = folders.pop() {
            let mut files = Vec::new();
            for entry in self.lake.0.files.list(&StoragePath::Live(folder.clone())).await? {
                match (folder.join(&entry.name), entry.kind) {
                    (Ok(below), EntryKind::Folder) => folders.push(below),
                    (Ok(file), EntryKind::File) => files.push(file),
                    _ => {
                        let path = format!("{}/{}", StoragePath::Live(folder.clone()).shown(), entry.name);
                        self.tell(&Finding::new(
                            FindingKind::UnknownFile,
                            path,
                            "this is not a file that an upload can create",
                        ));
                    }
                }
            }
            for unknown in self.lake.0.state.never_landed(&files).await? {
                let path = StoragePath::Live(unknown).shown();
                self.tell(&Finding::new(FindingKind::UnknownFile, path, "no upload created this file"));
            }
        }
        Ok(())
    }
}

/// The path itself and all paths above it.
fn around(path: &LakePath) -> impl Iterator<Item = LakePath> {
    path.at_and_above().into_iter().filter_map(|text| LakePath::parse(text).ok())
}

/// The upload that ended last, and those concurrent with it. A row with a higher id came later even if it ended
/// earlier: then the clock was set back.
fn last_of(mut uploads: Vec<Upload>) -> Vec<Upload> {
    uploads.sort_by_key(|upload| (upload.end_time, upload.history_id));
    let Some((since, id)) = uploads.last().map(|last| (last.start_time, last.history_id)) else { return uploads };
    uploads.retain(|upload| upload.end_time >= since || upload.history_id > id);
    uploads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_around_a_path_are_itself_and_those_above_it() {
        let place = LakePath::parse("/a/b/c").unwrap();
        assert_eq!(around(&place).map(|path| path.to_string()).collect::<Vec<_>>(), ["/a", "/a/b", "/a/b/c"]);
    }
}
