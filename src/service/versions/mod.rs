//! Versions of datasets: lists, files, comparisons, restores and pins.

mod comparing;
mod copying;
mod damage;
mod moving;
mod pinning;
mod reading;
mod restoring;
mod unchanged;

pub(super) use copying::RunningRestores;
pub(super) use moving::{Lookups, Move, Moves};

use super::Lake;
use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use crate::model::version::{Version, VersionFile, WhichVersion};

/// Requested version: by number, by a time at which it was current, or the newest by default.
pub(super) fn which(version: Option<VersionNumber>, as_of: Option<Timestamp>) -> Result<WhichVersion, Error> {
    match (version, as_of) {
        (Some(_), Some(_)) => Err(Error::Invalid("version and as_of each name a version; send one of them".into())),
        (Some(number), None) => Ok(WhichVersion::Number(number)),
        (None, Some(at)) => Ok(WhichVersion::AsOf(at)),
        (None, None) => Ok(WhichVersion::Current),
    }
}

/// Error for a file of a version that cannot be read.
pub(super) fn file_gone(dataset: &LakePath, version: VersionNumber, file: &VersionFile) -> Error {
    let why = if file.place().is_none() { reading::PURGED } else { reading::CHANGED };
    Error::VersionGone { dataset: dataset.clone(), version, path: file.path.clone(), why }
}

impl Lake {
    /// Dataset of a path, if the caller may see it. One above the prefix of a key is reported as missing.
    pub(super) async fn seen_dataset(&self, caller: &Caller, place: &LakePath) -> Result<LakePath, Error> {
        caller.may_read()?;
        let unknown = || Error::NoSuchDataset(place.clone());
        if !caller.sees(place) {
            return Err(unknown());
        }
        let dataset = self.0.state.dataset_of(place).await?;
        dataset.filter(|dataset| caller.sees(dataset)).ok_or_else(unknown)
    }

    pub(super) async fn seen_version(&self, dataset: &LakePath, which: WhichVersion) -> Result<Version, Error> {
        let unknown = || match which {
            WhichVersion::Current => Error::NoSuchDataset(dataset.clone()),
            WhichVersion::Number(number) => Error::NoSuchVersion(number.to_string(), dataset.clone()),
            WhichVersion::AsOf(at) => Error::NoSuchVersion(format!("as of {} ms", at.0), dataset.clone()),
        };
        self.0.state.find_version(dataset, which).await?.ok_or_else(unknown)
    }
}
