//! Lists of versions and their files, and opening of a file of a version.

use super::super::{Download, Lake};
use super::moving::Lookups;
use super::unchanged::is_it;
use super::which;
use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::VersionNumber;
use crate::model::limits::LIST_SIZE_MAX;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use crate::model::version::{Version, VersionFile};
use crate::model::version_requests::{ListedVersionFile, VersionDetail, VersionParameters, VersionsParameters};
use crate::ports::metadata::version::VersionFilesQuery;
use crate::ports::storage::OpenFile;

impl Lake {
    pub async fn versions(&self, caller: &Caller, wanted: &VersionsParameters) -> Result<Vec<Version>, Error> {
        caller.may_read()?;
        let Page { from, size, .. } = Page::new(wanted.from, wanted.size, Order::Desc)?;
        let dataset = self.seen_dataset(caller, &LakePath::parse(&wanted.path)?).await?;
        let versions = self.0.state.list_versions(&dataset, from, size).await?;
        Ok(versions.into_iter().map(|version| shown_to(caller, version)).collect())
    }

    /// A version, and a page of its files.
    pub async fn version(&self, caller: &Caller, wanted: &VersionParameters) -> Result<VersionDetail, Error> {
        caller.may_read()?;
        let which = which(wanted.version, wanted.as_of)?;
        let size = wanted.size.unwrap_or(LIST_SIZE_MAX);
        Page::new(None, Some(size), Order::Asc)?;
        let place = LakePath::parse(&wanted.path)?;
        let dataset = self.seen_dataset(caller, &place).await?;
        let version = shown_to(caller, self.seen_version(&dataset, which).await?);
        let query = VersionFilesQuery {
            version: version.version,
            below: (place != dataset).then_some(place),
            after: wanted.after.clone(),
            size,
            dataset,
        };
        let files = self.0.state.version_files(&query).await?;
        let is_full = size > 0 && files.len() as u64 == size;
        let next = files.last().filter(|_| is_full).map(|file| file.path.clone());
        Ok(VersionDetail { version, files: files.into_iter().map(ListedVersionFile::from).collect(), next })
    }

    /// Dataset of a path, and its newest version, for a caller who may see it. A newer version may follow at any time.
    pub async fn current_version(&self, caller: &Caller, place: &str) -> Option<(LakePath, VersionNumber)> {
        let place = LakePath::parse(place).ok()?;
        let dataset = self.seen_dataset(caller, &place).await.ok()?;
        let current = self.0.state.current_version(&dataset).await.ok()??;
        Some((dataset, current))
    }

    /// Opens a file of a version at its current location. `dataset` is needed if the file belongs to several.
    pub async fn download_of_version(
        &self,
        caller: &Caller,
        path: &str,
        dataset: Option<&str>,
        version: Option<VersionNumber>,
        as_of: Option<Timestamp>,
    ) -> Result<Download, Error> {
        caller.may_read()?;
        let which = which(version, as_of)?;
        let path = LakePath::parse(path)?;
        if !caller.sees(&path) {
            return Err(Error::NoSuchFile(path));
        }
        let place = dataset.map_or_else(|| Ok(path.clone()), LakePath::parse)?;
        let dataset = self.seen_dataset(caller, &place).await?;
        let version = self.seen_version(&dataset, which).await?.version;
        let (file, known) = self.open_version_file(&dataset, version, &path).await?;
        Ok(Download { path, file, sha256: Some(known.content.sha256), version: Some((dataset, version)) })
    }

    async fn open_version_file(
        &self,
        dataset: &LakePath,
        version: VersionNumber,
        path: &LakePath,
    ) -> Result<(Box<dyn OpenFile>, VersionFile), Error> {
        let gone = |why| Error::VersionGone { dataset: dataset.clone(), version, path: path.clone(), why };
        let mut lookups = Lookups::default();
        loop {
            let file = self.0.state.version_file(dataset, version, path).await?;
            let file =
                file.ok_or_else(|| Error::NotInVersion { dataset: dataset.clone(), version, path: path.clone() })?;
            let place = file.place().ok_or_else(|| gone(PURGED))?;
            if let Some(open) = self.0.files.open(&place).await?
                && is_it(&file, open.found())
            {
                let has_bytes = self.has_bytes(&file, &place, &*open).await?;
                return if has_bytes { Ok((open, file)) } else { Err(gone(CHANGED)) };
            }
            if let Some(open) = self.open_moved(&file).await?
                && self.has_bytes(&file, &place, &*open).await?
            {
                return Ok((open, file));
            }
            if !lookups.again(self, path).await? {
                return Err(gone(CHANGED));
            }
        }
    }

    /// Opens a file that is not at its recorded location, where files are found by their identities: a server may have
    /// moved it and ended before it recorded that.
    async fn open_moved(&self, file: &VersionFile) -> Result<Option<Box<dyn OpenFile>>, Error> {
        let Some(identity) = &file.identity else { return Ok(None) };
        let opened = self.0.files.open_identified(std::slice::from_ref(identity)).await?;
        Ok(opened.unwrap_or_default().pop().flatten().filter(|open| is_it(file, open.found())))
    }

    /// Whether an open file is the one that the version lists at this path.
    pub(in super::super) async fn is_of_version(
        &self,
        (dataset, version): &(LakePath, VersionNumber),
        path: &LakePath,
        open: &dyn OpenFile,
    ) -> Result<bool, Error> {
        let file = self.0.state.version_file(dataset, *version, path).await?;
        Ok(file.is_some_and(|file| self.is_unchanged(&file, open.found())))
    }
}

pub(super) const PURGED: &str = "it was removed for good from the trash";
pub(super) const CHANGED: &str = "somebody has changed or removed it by hand";

/// A version without the sync that made it, if that sync is above the prefix of the caller.
fn shown_to(caller: &Caller, version: Version) -> Version {
    match &version.sync_path {
        Some(path) if !caller.sees(path) => {
            Version { sync_id: None, sync_name: None, sync_path: None, key_id: None, made_by: String::new(), ..version }
        }
        _ => version,
    }
}
