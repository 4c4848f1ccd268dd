//! Reading the lake: the entries of a folder, and the bytes of a file.

use crate::model::access::key::Caller;
use crate::model::dataset::browsing::BrowseFolder;
use crate::model::dataset::browsing::LakeEntry;
use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::storage_path::StoragePath;
use crate::service::Lake;

use crate::model::id::VersionNumber;
use crate::ports::storage::{FolderEntry, OpenFile};
use std::time::Duration;

/// Pauses before a file is opened again during a publish, to name its version.
const VERSION_PAUSES: [Duration; 4] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(320)];

/// A file opened for sending.
pub struct Download {
    pub path: LakePath,
    pub file: Box<dyn OpenFile>,
    /// Absent if unknown: see [`crate::service::datasets::content`].
    pub sha256: Option<[u8; 32]>,
    /// Dataset of the file, and the requested version; without a request, the newest one that lists this file. Absent
    /// if the file is of no version, or of one that is being published.
    pub version: Option<(LakePath, VersionNumber)>,
}

impl Lake {
    /// Opens a file of the lake. The download is complete and unchanged even when another file takes its name
    /// meanwhile.
    pub async fn download(&self, caller: &Caller, path: &str) -> Result<Download, Error> {
        caller.may_read()?;
        let path = LakePath::parse(path)?;
        let unknown = || Error::NoSuchFile(path.clone());
        if !caller.sees(&path) {
            return Err(unknown());
        }
        let place = StoragePath::Live(path.clone());
        let mut pauses = VERSION_PAUSES.into_iter();
        let (file, version) = loop {
            let before = self.current_version(caller, path.as_str()).await;
            let file = self.0.files.open(&place).await?.ok_or_else(unknown)?;
            let Some(current) = before else { break (file, None) };
            if self.is_of_version(&current, &path, &*file).await? {
                break (file, Some(current));
            }
            // A publish may have come between the two, or have renamed the file before its commit. A file that was put
            // there by hand is of no version.
            if !self.0.moves.is_moving(&path) && self.current_version(caller, path.as_str()).await == Some(current) {
                break (file, None);
            }
            let Some(pause) = pauses.next() else { break (file, None) };
            self.pause(pause).await;
        };
        let known = self.known_digests(&[(path.clone(), file.found().clone())]).await?;
        let sha256 = known.into_iter().flatten().next().map(|digest| digest.sha256);
        Ok(Download { path, file, sha256, version })
    }

    /// A page of a folder: folders first, then files, each by name. Names that are not valid in lake paths are left
    /// out, and so are links. Without a path, or with `/`: the lake itself.
    pub async fn list_folder(
        &self,
        caller: &Caller,
        path: Option<&str>,
        from: Option<u64>,
        size: Option<u64>,
    ) -> Result<Vec<LakeEntry>, Error> {
        let wanted = BrowseFolder { path: path.map(str::to_owned), from, size, ..BrowseFolder::default() };
        Ok(self.browse_folder(caller, &wanted).await?.entries)
    }

    /// Checks that the caller may list the folder. One outside its prefix is reported as missing.
    pub(in crate::service) fn readable_folder(
        &self,
        caller: &Caller,
        path: Option<&str>,
    ) -> Result<Option<LakePath>, Error> {
        let scope = caller.may_read()?;
        let folder = match path.unwrap_or_default() {
            "" | "/" => None,
            path => Some(LakePath::parse(path)?),
        };
        match (&folder, scope, caller) {
            (Some(folder), ..) if !caller.sees(folder) => return Err(Error::NoSuchFolder(folder.clone())),
            (Some(_), ..) => {}
            (None, Some(prefix), Caller::Known(grant)) => {
                return Err(Error::WholeLake { name: grant.name.clone(), prefix });
            }
            (None, ..) => {}
        }
        Ok(folder)
    }

    /// Adds the known digests.
    pub(in crate::service) async fn shown(&self, entries: Vec<FolderEntry>) -> Result<Vec<LakeEntry>, Error> {
        let files: Vec<_> =
            entries.iter().filter_map(|entry| Some((entry.path.clone(), entry.file.clone()?))).collect();
        let mut known = self.known_digests(&files).await?.into_iter();
        let shown = entries.into_iter().map(|entry| LakeEntry {
            name: entry.path.leaf().to_owned(),
            is_folder: entry.file.is_none(),
            size_bytes: entry.file.as_ref().map_or(0, |file| file.size_bytes),
            modified_time: entry.modified_at,
            sha256: entry.file.and_then(|_| known.next().flatten()).map(|digest| hex::encode(digest.sha256)),
            path: entry.path,
        });
        Ok(shown.collect())
    }
}

pub(in crate::service) fn no_such_folder(folder: Option<&LakePath>) -> Error {
    match folder {
        Some(folder) => Error::NoSuchFolder(folder.clone()),
        None => Error::InTheWay(
            "the lake root is missing, because it was moved or deleted outside Lakeshore; restore it".into(),
        ),
    }
}
