//! Manifests: lists of the files of a version, for readers of what is in no table.
//!
//! A manifest lists all files. So a dataset of more than 100 files gets one for its newest version alone, and then rests for nine times as
//! long as that took to make. Until then the newest version is owed one, which its rows say, also after a stop.

use super::change::{VersionFilePages, place_of};
use super::{FollowError, Shared};
use lakeshore::model::id::{UploadId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::table::EntryKind;
use lakeshore::ports::metadata::table::{FileOutside, FixedVersions, NewEntry, StoredTable, VersionHead};
use lakeshore_delta::manifest::{ManifestChunks, ManifestFile, ManifestHead, ManifestObject};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Files of a version that gets a manifest at once, whatever comes after it.
const MANIFEST_OF_EACH_FILES_MAX: u64 = 100;
/// Pause after a manifest, as a multiple of the time that it took.
const REST_FACTOR: u32 = 9;

/// Datasets that have had a large manifest a moment ago, and when they get the next one.
#[derive(Default)]
pub(super) struct ManifestRests(Mutex<HashMap<LakePath, Instant>>);

impl ManifestRests {
    /// End of the rest of a dataset that rests.
    pub(super) fn end_of(&self, dataset: &LakePath) -> Option<Instant> {
        self.0.lock().get(dataset).copied().filter(|end| *end > Instant::now())
    }

    fn is_over(&self, dataset: &LakePath) -> bool {
        self.end_of(dataset).is_none()
    }

    fn begin(&self, dataset: &LakePath, took: Duration) {
        let now = Instant::now();
        let mut rests = self.0.lock();
        rests.retain(|_, end| *end > now);
        rests.insert(dataset.clone(), now + took * REST_FACTOR);
    }
}

impl Shared {
    /// Whether a version gets a manifest as it is followed: where files are outside the table, and each after one that has a manifest.
    pub(super) fn wants_manifest(&self, dataset: &LakePath, after: &StoredTable, version: &VersionHead) -> bool {
        let is_whole_table = after.state.is_some() && after.table_files == after.dataset_files;
        if is_whole_table && after.manifest.is_none() {
            return false;
        }
        let is_made_for_each = version.files <= MANIFEST_OF_EACH_FILES_MAX || after.manifest.is_none();
        is_made_for_each || (version.is_newest && self.rests.is_over(dataset))
    }

    /// Writes the missing manifest of the table's newest version, once the rest after the manifest before is over.
    pub(super) async fn write_owed_manifest(&self, dataset: &LakePath, table: &StoredTable) -> Result<(), FollowError> {
        let is_owed = table.manifest.is_some_and(|manifest| manifest < table.version);
        if !is_owed || !self.rests.is_over(dataset) {
            return Ok(());
        }
        let number = VersionNumber(table.version);
        let Some(version) = self.state.version_head(dataset, number).await? else {
            return Ok(());
        };
        let entry = self.manifest(dataset, &version, &[], Some(&[])).await?;
        let after = StoredTable { manifest: Some(table.version), ..table.clone() };
        let fixed = FixedVersions {
            dataset: dataset.clone(),
            before: table.version,
            table: after,
            entries: vec![entry],
            outside: Vec::new(),
            gone: Some(Vec::new()),
        };
        self.fix_entries(&fixed).await?;
        self.write_new(dataset, fixed.entries).await
    }

    /// `outside` are files that have come and are not in the table, `gone` those that have gone; `None` where all have.
    pub(super) async fn manifest(
        &self,
        dataset: &LakePath,
        version: &VersionHead,
        outside: &[FileOutside],
        gone: Option<&[UploadId]>,
    ) -> Result<NewEntry, FollowError> {
        let begun = Instant::now();
        let files = self.manifest_files(dataset, version, outside, gone).await?;
        let head = head_of(dataset, version);
        let chunks = ManifestChunks::new(&head, files)?.map(|chunk| chunk.map_err(FollowError::from));
        let entry = self.draft(version.version, EntryKind::Manifest, version.version.0, chunks).await?;
        if version.files > MANIFEST_OF_EACH_FILES_MAX {
            self.rests.begin(dataset, begun.elapsed());
        }
        Ok(entry)
    }

    async fn manifest_files(
        &self,
        dataset: &LakePath,
        version: &VersionHead,
        outside: &[FileOutside],
        gone: Option<&[UploadId]>,
    ) -> Result<Vec<ManifestFile>, FollowError> {
        let outside: HashSet<_> = outside.iter().map(|file| file.upload_id).collect();
        let mut files = Vec::new();
        let mut pages = VersionFilePages::new(dataset, version.version);
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

/// Whether the first of these versions gets a manifest whatever comes after it, and the next ones probably, too.
pub(super) fn gets_manifest_each(table: &StoredTable, versions: &[VersionHead]) -> bool {
    table.manifest.is_some() && versions.first().is_some_and(|version| version.files <= MANIFEST_OF_EACH_FILES_MAX)
}

pub(super) fn head_of<'a>(dataset: &'a LakePath, version: &VersionHead) -> ManifestHead<'a> {
    ManifestHead { dataset, version: version.version, at: version.at, kind: version.kind }
}
