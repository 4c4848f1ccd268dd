//! Fixes what a version adds to the bucket: its commit, its manifest, or both.

use super::change::{Pages, place_of};
use super::planning::Planned;
use super::{FollowError, Shared};
use bytes::Bytes;
use lakeshore::model::id::UploadId;
use lakeshore::model::path::LakePath;
use lakeshore::model::table::{DraftId, EntryKind};
use lakeshore::model::version::{Version, WhichVersion};
use lakeshore::ports::Clock;
use lakeshore::ports::metadata::table::{FileOutside, FixedVersion, NewEntry, StoredTable};
use lakeshore_delta::manifest::{ManifestChunks, ManifestFile, ManifestHead, ManifestObject};
use lakeshore_delta::plan::TableState;
use lakeshore_system::clock::SystemClock;
use lakeshore_system::failpoints::crash_point;
use std::collections::HashSet;

/// Files of a version that gets a manifest even where a newer version is there already. A manifest lists all files, so those of
/// large datasets would cost more with each landing.
const MANIFEST_OF_EACH_FILES_MAX: u64 = 100;

impl Shared {
    pub(super) async fn fix(
        &self,
        dataset: &LakePath,
        table: &StoredTable,
        version: &Version,
    ) -> Result<(), FollowError> {
        let state: Option<TableState> = table.state.as_deref().map(serde_json::from_str).transpose()?;
        let mut change = self.change(dataset, table, version).await?;
        let (kept, gone) = (change.kept, change.gone.take());
        let planned = self.plan(dataset, state.as_ref(), version, change).await?;
        let Planned { commit, adds, removes, outside } = planned;
        let mut after = StoredTable {
            version: version.version.0,
            dataset_files: version.files,
            table_files: kept + adds.len() as u64,
            state: table.state.clone(),
            commit: table.commit,
            manifest: table.manifest,
            actions: table.actions + (adds.len() + removes.len()) as u64,
            ..StoredTable::default()
        };
        let mut entries = Vec::new();
        if let Some(commit) = &commit {
            after.state = Some(serde_json::to_string(&commit.state)?);
            let number = commit.number();
            after.commit = Some(number);
            let chunks = commit.chunks(adds, removes).map(|chunk| chunk.map_err(FollowError::from));
            entries.push(self.draft(EntryKind::Commit, number, chunks).await?);
        }
        if self.wants_manifest(dataset, &after, version).await? {
            let files = self.manifest_files(dataset, version, &outside, gone.as_deref()).await?;
            let head = head_of(dataset, version);
            let chunks = ManifestChunks::new(&head, files)?.map(|chunk| chunk.map_err(FollowError::from));
            entries.push(self.draft(EntryKind::Manifest, version.version.0, chunks).await?);
            after.manifest = Some(version.version.0);
        }
        crash_point!("object.table_drafted");
        let fixed =
            FixedVersion { dataset: dataset.clone(), before: table.version, table: after, entries, outside, gone };
        if !self.state.fix_version(&fixed).await? {
            return Err(FollowError::Overtaken);
        }
        crash_point!("object.table_fixed");
        Ok(())
    }

    /// Bytes of one chunk are fixed with the version, those of several are written before.
    async fn draft(
        &self,
        kind: EntryKind,
        number: u64,
        mut chunks: impl Iterator<Item = Result<Bytes, FollowError>> + Send,
    ) -> Result<NewEntry, FollowError> {
        let draft = DraftId(self.random()?);
        let first = chunks.next().transpose()?.unwrap_or_default();
        let Some(second) = chunks.next() else {
            return Ok(NewEntry { kind, number, draft, bytes: Some(first) });
        };
        for (index, chunk) in (0..).zip([Ok(first), second].into_iter().chain(chunks)) {
            self.state.write_draft(draft, index, chunk?, SystemClock.now()).await?;
        }
        Ok(NewEntry { kind, number, draft, bytes: None })
    }

    /// Of a version with files outside the table, and of each that comes after one that has a manifest: the newest has to
    /// be current.
    async fn wants_manifest(
        &self,
        dataset: &LakePath,
        after: &StoredTable,
        version: &Version,
    ) -> Result<bool, FollowError> {
        let is_whole_table = after.state.is_some() && after.table_files == after.dataset_files;
        if is_whole_table && after.manifest.is_none() {
            return Ok(false);
        }
        if version.files <= MANIFEST_OF_EACH_FILES_MAX {
            return Ok(true);
        }
        let newest = self.state.find_version(dataset, WhichVersion::Current).await?;
        Ok(newest.is_none_or(|newest| newest.version == version.version))
    }

    async fn manifest_files(
        &self,
        dataset: &LakePath,
        version: &Version,
        outside: &[FileOutside],
        gone: Option<&[UploadId]>,
    ) -> Result<Vec<ManifestFile>, FollowError> {
        let outside: HashSet<_> = outside.iter().map(|file| file.upload_id).collect();
        let mut files = Vec::new();
        let mut pages = Pages::new(dataset, version.version);
        while let Some(page) = pages.next(self).await? {
            let ids: Vec<_> = page.iter().map(|file| file.upload_id).collect();
            let known = self.known_already(dataset, &ids).await?;
            for file in page {
                let known = known.get(&file.upload_id);
                let is_in_table = known.is_some_and(|known| {
                    let was_outside = gone.is_some() && known.is_outside;
                    known.schema.is_some() && !was_outside && !outside.contains(&file.upload_id)
                });
                let object = known.and_then(|known| match place_of(dataset, &file.path, known) {
                    Ok((path, _)) => Some(ManifestObject::Below(path)),
                    Err(_) => known.key.clone().map(ManifestObject::Elsewhere),
                });
                let path = dataset.relative(&file.path).unwrap_or_default().to_owned();
                files.push(ManifestFile { path, object, content: file.content, rows: file.rows, is_in_table });
            }
        }
        Ok(files)
    }
}

pub(super) fn head_of<'a>(dataset: &'a LakePath, version: &Version) -> ManifestHead<'a> {
    ManifestHead { dataset, version: version.version, at: version.at, kind: version.kind }
}
