//! Check whether the files of a version can be restored: each is at its recorded location, with its recorded bytes.

use super::super::Lake;
use super::copying::all_files;
use super::moving::Lookups;
use super::reading::{CHANGED, PURGED};
use super::unchanged::{Verified, is_it};
use crate::model::error::Error;
use crate::model::id::VersionNumber;
use crate::model::limits::DAMAGED_FILES_NAMED_MAX;
use crate::model::path::LakePath;
use crate::model::trash::TrashKind;
use crate::model::version::{FileLocation, VersionFile};
use crate::ports::storage::FoundFile;

/// Files of a version that cannot be restored.
#[derive(Debug, Default)]
pub(super) struct Damage {
    pub(super) files: u64,
    /// Of these, files that are missing, or another file, or have other bytes.
    changed: u64,
    /// The first of them, each with the cause.
    named: Vec<String>,
}

impl Damage {
    fn add(&mut self, path: &LakePath, why: &str) {
        self.files += 1;
        if self.named.len() < DAMAGED_FILES_NAMED_MAX {
            self.named.push(format!("{path}: {why}"));
        }
    }

    pub(super) fn refuse(self, dataset: &LakePath, version: VersionNumber) -> Result<(), Error> {
        let Self { files, named, .. } = self;
        match files {
            0 => Ok(()),
            _ => Err(Error::VersionFilesGone { dataset: dataset.clone(), version, files, named }),
        }
    }
}

impl Lake {
    /// Checks every file of a version. Reads a file only if its change time does not prove that it is unchanged.
    pub(super) async fn damage(&self, dataset: &LakePath, version: VersionNumber) -> Result<Damage, Error> {
        let mut lookups = Lookups::of_many();
        loop {
            let damage = self.damage_now(dataset, version).await?;
            // A purged file stays so; others may be missing because a publish or a restore is moving them.
            if damage.changed == 0 || !lookups.again(self, dataset).await? {
                return Ok(damage);
            }
        }
    }

    async fn damage_now(&self, dataset: &LakePath, version: VersionNumber) -> Result<Damage, Error> {
        let mut query = all_files(dataset, version);
        let mut damage = Damage::default();
        loop {
            let files = self.0.state.version_files(&query).await?;
            self.add_damage(&files, &mut damage).await?;
            match files.last() {
                Some(last) if files.len() as u64 == query.size => query.after = Some(last.path.clone()),
                _ => return Ok(damage),
            }
        }
    }

    async fn add_damage(&self, files: &[VersionFile], damage: &mut Damage) -> Result<(), Error> {
        let mut stored = Vec::with_capacity(files.len());
        for file in files {
            match file.place() {
                Some(place) => stored.push((file, place)),
                None => damage.add(&file.path, PURGED),
            }
        }
        let places: Vec<_> = stored.iter().map(|(_, place)| place.clone()).collect();
        let found = self.0.files.find(&places).await?;
        let mut there = Vec::with_capacity(stored.len());
        let mut asked = Vec::with_capacity(stored.len());
        for ((file, _), found) in stored.into_iter().zip(found) {
            match found.filter(|found| is_it(file, found)) {
                Some(found) => {
                    asked.push((file.path.clone(), as_written(file, found)));
                    there.push(file);
                }
                None => {
                    damage.changed += 1;
                    damage.add(&file.path, CHANGED);
                }
            }
        }
        let known = self.known_digests(&asked).await?;
        for (file, known) in there.into_iter().zip(known) {
            if known != Some(file.content) && !matches!(self.verified(file).await?, Verified::Unchanged(_)) {
                damage.changed += 1;
                damage.add(&file.path, CHANGED);
            }
        }
        Ok(())
    }
}

/// The lake renames a single file into the trash, which changes its change time; then the time of its last write is
/// compared instead. It moves a dataset as a folder, which leaves the times of its files.
fn as_written(file: &VersionFile, found: FoundFile) -> FoundFile {
    match file.location {
        FileLocation::Trash { kind: TrashKind::File, .. } => FoundFile { changed_at: found.modified_at, ..found },
        _ => found,
    }
}
