//! Server functions of dataset versions. Changes are made by plain forms, which work without a script.

use super::AsOf;
use crate::error::ApiError;
use crate::json::Call;
use lakeshore::model::id::SyncId;
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::difference::Difference;
use lakeshore::model::table::DatasetTable;
use lakeshore::model::version::Version;
use lakeshore::model::version_requests::{ListedVersionFile, RestoredVersion};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::datasets::FILES_PER_PAGE;
#[cfg(feature = "ssr")]
use super::{LakeRoot, as_of, request_context};
#[cfg(feature = "ssr")]
use crate::query::ROWS_PER_PAGE;
#[cfg(feature = "ssr")]
use crate::routes;
#[cfg(feature = "ssr")]
use lakeshore::model::sync::difference::{ChangeKind, ChangesPage};
#[cfg(feature = "ssr")]
use lakeshore::model::time::Timestamp;
#[cfg(feature = "ssr")]
use lakeshore::model::version::VersionKind;
#[cfg(feature = "ssr")]
use lakeshore::model::version_requests::{self, CompareVersions, VersionParameters, VersionsParameters};
#[cfg(feature = "ssr")]
use lakeshore::{Caller, Error, Lake};
#[cfg(feature = "ssr")]
use std::time::Duration;

/// The newest versions, which every page of the list offers for a comparison.
#[cfg(feature = "ssr")]
const OFFERED_MAX: u64 = 200;

/// The versions to compare, as the address names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compared {
    /// The current one with the one before.
    Latest,
    Two {
        old: VersionNumber,
        new: VersionNumber,
    },
    /// The current one with the one that was current this many hours ago.
    Since {
        hours: u32,
    },
}

/// Content of the Versions tab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionList {
    /// A page, newest first, with one row more than it shows, which the last row is compared with.
    pub versions: Vec<Version>,
    pub current: Option<VersionNumber>,
    /// Set if the address names the current version as restored, and a restore created it.
    pub restored: Option<VersionNumber>,
    pub comparison: Option<VersionComparison>,
    /// Remark on the comparison, or the reason why there is none.
    pub note: Option<String>,
    /// The newest versions, which can be compared besides those of the page.
    pub offered: Vec<Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionComparison {
    pub old: Version,
    pub new: Version,
    pub difference: Difference,
}

/// A version with a page of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionPage {
    pub version: Version,
    pub current: VersionNumber,
    pub files: Vec<ListedVersionFile>,
    /// Last file of the page if there are more.
    pub next: Option<LakePath>,
    /// Folder of the dataset on the server's disk, for callers who may know it.
    pub disk_path: Option<String>,
    /// Of a lake on object storage.
    pub table: Option<Box<DatasetTable>>,
}

/// Effect of restoring a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRestorePreview {
    pub version: Version,
    pub current: Version,
    pub answer: RestoredVersion,
}

#[cfg(feature = "ssr")]
async fn find(
    lake: &Lake,
    caller: &Caller,
    path: &LakePath,
    version: Option<VersionNumber>,
    as_of: Option<Timestamp>,
) -> Result<Version, Error> {
    let wanted = VersionParameters { path: path.to_string(), version, as_of, after: None, size: Some(0) };
    Ok(lake.version(caller, &wanted).await?.version)
}

/// Versions tab of a dataset. `restored` is the version that a restore created, according to the address.
#[cfg(feature = "ssr")]
pub(super) async fn version_list(
    lake: &Lake,
    caller: &Caller,
    path: &LakePath,
    compared: Option<Compared>,
    kind: Option<ChangeKind>,
    page: u64,
    restored: Option<VersionNumber>,
) -> Result<VersionList, Error> {
    // With a comparison, the page is one of the comparison.
    let from = if compared.is_some() { 0 } else { page.saturating_mul(ROWS_PER_PAGE) };
    let wanted = VersionsParameters { path: path.to_string(), from: Some(from), size: Some(ROWS_PER_PAGE + 1) };
    let mut versions = match lake.versions(caller, &wanted).await {
        // A dataset of the history may have no version yet.
        Err(Error::NoSuchDataset(_)) => Vec::new(),
        versions => versions?,
    };
    // Versions of a parent dataset do not belong here.
    versions.retain(|version| version.path == *path);
    let current = match versions.first() {
        Some(newest) if newest.is_current => Some(newest.version),
        Some(_) => Some(find(lake, caller, path, None, None).await?.version),
        None => None,
    };
    let restored = restored.filter(|made| {
        let is_it = |version: &Version| version.version == *made && version.kind == VersionKind::Restore;
        Some(*made) == current && versions.iter().any(is_it)
    });
    let offered = match versions.len() as u64 {
        // All of them are on the page.
        number if from == 0 && number <= ROWS_PER_PAGE => Vec::new(),
        _ => {
            let newest = VersionsParameters { path: path.to_string(), from: Some(0), size: Some(OFFERED_MAX) };
            lake.versions(caller, &newest).await?
        }
    };
    let mut list = VersionList { versions, current, restored, comparison: None, note: None, offered };
    let (Some(compared), Some(current)) = (compared, current) else { return Ok(list) };
    let found = match compared {
        Compared::Latest if current.0 < 2 => {
            list.note = Some("This is the first version.".to_owned());
            return Ok(list);
        }
        Compared::Latest => {
            let old = find(lake, caller, path, Some(VersionNumber(current.0 - 1)), None).await?;
            (old, find(lake, caller, path, Some(current), None).await?)
        }
        Compared::Two { old, new } => {
            (find(lake, caller, path, Some(old), None).await?, find(lake, caller, path, Some(new), None).await?)
        }
        Compared::Since { hours } => {
            let at = lake.now().minus(Duration::from_secs(u64::from(hours) * 3600));
            match find(lake, caller, path, None, Some(at)).await {
                Ok(old) => (old, find(lake, caller, path, Some(current), None).await?),
                // The dataset is younger, so it is compared with its first version.
                Err(Error::NoSuchVersion(..)) if current.0 > 1 => {
                    list.note =
                        Some(format!("There was no version {hours} hours ago. Compared with the first version."));
                    let old = find(lake, caller, path, Some(VersionNumber(1)), None).await?;
                    (old, find(lake, caller, path, Some(current), None).await?)
                }
                Err(Error::NoSuchVersion(..)) => {
                    list.note = Some(format!("The dataset has one version, created in the last {hours} hours."));
                    return Ok(list);
                }
                Err(refused) => return Err(refused),
            }
        }
    };
    let (old, new) = found;
    let wanted = CompareVersions { path: path.clone(), old: old.version, new: new.version };
    let page = ChangesPage { from: Some(page.saturating_mul(FILES_PER_PAGE)), size: Some(FILES_PER_PAGE + 1), kind };
    let mut difference = lake.compare_versions(caller, &wanted, &page).await?;
    // Unchanged files are counted, and listed only on request.
    if kind.is_none() {
        difference = changed_first(lake, caller, &wanted, page, difference).await?;
    }
    list.comparison = Some(VersionComparison { old, new, difference });
    Ok(list)
}

/// Only files that differ, since unchanged ones would fill the page.
#[cfg(feature = "ssr")]
async fn changed_first(
    lake: &Lake,
    caller: &Caller,
    wanted: &CompareVersions,
    page: ChangesPage,
    all: Difference,
) -> Result<Difference, Error> {
    let differing = [ChangeKind::Changed, ChangeKind::Removed, ChangeKind::Added];
    let mut files = Vec::new();
    let (mut skip, room) = (page.from.unwrap_or(0), page.size.unwrap_or(0));
    for kind in differing {
        let count = all.totals(kind).files;
        if skip >= count {
            skip -= count;
            continue;
        }
        let left = room.saturating_sub(files.len() as u64);
        if left == 0 {
            break;
        }
        let of_kind = ChangesPage { kind: Some(kind), from: Some(skip), size: Some(left) };
        files.extend(lake.compare_versions(caller, wanted, &of_kind).await?.files);
        skip = 0;
    }
    Ok(Difference { files, ..all })
}

/// A version of the dataset at this path, and a page of its files.
#[server(prefix = "/fn", endpoint = "version", input = Call, output = Call)]
pub async fn get_version(
    path: String,
    version: VersionNumber,
    after: Option<String>,
) -> Result<AsOf<VersionPage>, ApiError> {
    let (lake, caller) = request_context()?;
    let sees_all = caller.may_read()?.is_none();
    let root = use_context::<LakeRoot>().filter(|_| sees_all);
    let read = async {
        let after = after.as_deref().map(LakePath::parse).transpose()?;
        let wanted = VersionParameters {
            path: path.clone(),
            version: Some(version),
            as_of: None,
            after,
            size: Some(FILES_PER_PAGE),
        };
        let detail = lake.version(&caller, &wanted).await?;
        if detail.version.path.as_str() != path {
            return Err(Error::NoSuchDataset(LakePath::parse(&path)?));
        }
        let current = find(&lake, &caller, &detail.version.path, None, None).await?.version;
        let disk_path = root.and_then(|root| root.disk_path(&detail.version.path));
        let table = lake.dataset_table(&caller, &path).await?.map(Box::new);
        Ok(VersionPage { version: detail.version, current, files: detail.files, next: detail.next, disk_path, table })
    };
    as_of(&lake, read).await
}

/// Effect of restoring the version.
#[server(prefix = "/fn", endpoint = "restore-preview", input = Call, output = Call)]
pub async fn preview_version_restore(
    path: String,
    version: VersionNumber,
) -> Result<AsOf<VersionRestorePreview>, ApiError> {
    let (lake, caller) = request_context()?;
    let read = async {
        let path = LakePath::parse(&path)?;
        let wanted = version_requests::RestoreVersion { path: path.clone(), version, dry_run: true, confirm: false };
        let answer = lake.restore_version(&caller, &wanted).await?;
        let current = find(&lake, &caller, &path, Some(answer.replaced_version), None).await?;
        Ok(VersionRestorePreview { version: find(&lake, &caller, &path, Some(version), None).await?, current, answer })
    };
    as_of(&lake, read).await
}

/// Fields of the forms. `replaces` is the version that was current on the confirmation page; if it no longer is, the
/// page is shown again. `confirm` is the checkbox against the shrink guard.
#[server(prefix = "/fn", endpoint = "restore-version")]
pub async fn restore_version(
    path: String,
    version: VersionNumber,
    #[server(default)] replaces: Option<VersionNumber>,
    #[server(default)] confirm: String,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let restore = async {
        caller.may_write_somewhere()?;
        let path = LakePath::parse(&path)?;
        let current = find(&lake, &caller, &path, None, None).await?.version;
        if replaces.is_some_and(|replaces| replaces != current) {
            return Ok(routes::confirm_restore(path.as_str(), version, true));
        }
        let wanted = version_requests::RestoreVersion { path, version, dry_run: false, confirm: !confirm.is_empty() };
        let restored = lake.restore_version(&caller, &wanted).await?;
        Ok(routes::restored(wanted.path.as_str(), restored.new_version))
    };
    let place = restore.await.map_err(|error: Error| ApiError::of_form(&error))?;
    leptos_axum::redirect(&place);
    Ok(())
}

/// Fields of the form. An empty `keep` unpins the version.
#[server(prefix = "/fn", endpoint = "pin-version")]
pub async fn pin_version(
    path: String,
    version: VersionNumber,
    #[server(default)] note: String,
    #[server(default)] keep: String,
) -> Result<(), ApiError> {
    let (lake, caller) = request_context()?;
    let pin = async {
        let wanted =
            version_requests::PinVersion { path: LakePath::parse(&path)?, version, note: note.trim().to_owned() };
        if keep.is_empty() {
            lake.unpin_version(&caller, &wanted).await?;
        } else {
            lake.pin_version(&caller, &wanted).await?;
        }
        Ok(routes::version(wanted.path.as_str(), version))
    };
    let place = pin.await.map_err(|error: Error| ApiError::of_form(&error))?;
    leptos_axum::redirect(&place);
    Ok(())
}

/// A version that a sync created, and its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeVersion {
    pub version: Version,
    /// Absent for the first version.
    pub difference: Option<Difference>,
}

/// The version that a full sync published; absent if it published none.
#[server(prefix = "/fn", endpoint = "made-version", input = Call, output = Call)]
pub async fn version_made_by(sync_id: SyncId) -> Result<Option<MadeVersion>, ApiError> {
    let (lake, caller) = request_context()?;
    let sync = lake.sync(&caller, sync_id).await?;
    let version = match find(&lake, &caller, &sync.path, None, Some(sync.end_time)).await {
        Ok(version) if version.sync_id == Some(sync_id) && version.path == sync.path => version,
        Ok(_) | Err(Error::NoSuchVersion(..) | Error::NoSuchDataset(_)) => return Ok(None),
        Err(refused) => return Err(refused.into()),
    };
    let difference = match version.version.0.checked_sub(1).filter(|old| *old > 0) {
        Some(old) => {
            let wanted = CompareVersions { path: sync.path.clone(), old: VersionNumber(old), new: version.version };
            let no_files = ChangesPage { size: Some(0), ..ChangesPage::default() };
            Some(lake.compare_versions(&caller, &wanted, &no_files).await?)
        }
        None => None,
    };
    Ok(Some(MadeVersion { version, difference }))
}
