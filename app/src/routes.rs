//! Routes of the pages in one table, and the links that lead to them.

use crate::query::{percent_encoded, query_string};
use lakeshore::model::id::{SyncId, TrashId, VersionNumber};
use lakeshore::model::path::LakePath;
use lakeshore::model::sync::status::Status;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Calls the macro with the table of routes: pattern and page of each.
macro_rules! with_routes {
    ($then:ident) => {
        $then! {
            "/" => Overview,
            "/syncs" => Syncs,
            "/syncs/:id" => Sync,
            "/datasets" => Datasets,
            "/datasets/*path" => Dataset,
            "/upload" => Upload,
            "/lake" => Lake,
            "/lake/*path" => Lake,
            "/history" => History,
            "/versions/*path" => Version,
            "/restore/*path" => RestoreVersion,
            "/trash" => Trash,
            "/trash/restore" => RestoreTrash,
            "/trash/syncs/:id" => TrashSync,
            "/trash/pieces/:id" => TrashItem,
            "/activity" => Activity,
            "/keys" => Keys,
            "/search" => Search,
            "/sign-in" => SignIn,
        }
    };
}
pub(crate) use with_routes;

/// Whether a pattern of the table matches an address without its query.
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut given = segments(path);
    for wanted in segments(pattern) {
        match (wanted.as_bytes().first(), given.next()) {
            (_, None) => return false,
            (Some(b'*'), Some(_)) => return true,
            (Some(b':'), Some(_)) => {}
            (_, Some(segment)) if segment == wanted => {}
            _ => return false,
        }
    }
    given.next().is_none()
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

pub const OVERVIEW: &str = "/";
pub const SYNCS: &str = "/syncs";
pub const DATASETS: &str = "/datasets";
pub const UPLOAD: &str = "/upload";
pub const LAKE: &str = "/lake";
pub const HISTORY: &str = "/history";
pub const TRASH: &str = "/trash";
pub const RESTORE_TRASH: &str = "/trash/restore";
pub const ACTIVITY: &str = "/activity";
pub const KEYS: &str = "/keys";
pub const SEARCH: &str = "/search";
pub const SIGN_IN: &str = "/sign-in";
/// Target of a form, without a page.
pub const SIGN_OUT: &str = "/sign-out";

/// Tabs of the page of a dataset, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DatasetTab {
    #[default]
    Files,
    Syncs,
    Calendar,
    Versions,
    Schedule,
}

impl DatasetTab {
    pub const ALL: [Self; 5] = [Self::Files, Self::Syncs, Self::Calendar, Self::Versions, Self::Schedule];

    /// Name in the address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Syncs => "syncs",
            Self::Calendar => "calendar",
            Self::Versions => "versions",
            Self::Schedule => "rhythm",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Syncs => "Syncs",
            Self::Calendar => "Calendar",
            Self::Versions => "Versions",
            Self::Schedule => "Schedule",
        }
    }

    /// The first one for an unknown name.
    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|tab| tab.name() == name).unwrap_or_default()
    }
}

/// Tabs of the page of a file, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FileTab {
    #[default]
    Rows,
    Schema,
    RowGroups,
    Use,
}

impl FileTab {
    pub const ALL: [Self; 4] = [Self::Rows, Self::Schema, Self::RowGroups, Self::Use];

    /// Name in the address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Schema => "schema",
            Self::RowGroups => "row-groups",
            Self::Use => "use",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Rows => "Preview",
            Self::Schema => "Schema",
            Self::RowGroups => "Row groups",
            Self::Use => "Code",
        }
    }

    /// The first one for an unknown name.
    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|tab| tab.name() == name).unwrap_or_default()
    }
}

/// The page of a dataset.
pub fn dataset(path: &str) -> String {
    format!("{DATASETS}{}", percent_encoded(path))
}

/// A tab of the page of a dataset.
pub fn dataset_tab(path: &str, tab: DatasetTab) -> String {
    let page = dataset(path);
    if tab == DatasetTab::default() { page } else { format!("{page}?tab={}", tab.name()) }
}

/// The list of a dataset's versions.
pub fn versions(path: &str) -> String {
    dataset_tab(path, DatasetTab::Versions)
}

/// A folder or file of the lake; the lake itself for an empty path.
pub fn lake(path: &str) -> String {
    format!("{LAKE}{}", percent_encoded(path))
}

/// A tab of the page of a file.
pub fn file_tab(path: &str, tab: FileTab) -> String {
    let page = lake(path);
    if tab == FileTab::default() { page } else { format!("{page}?tab={}", tab.name()) }
}

pub fn sync(id: SyncId) -> String {
    format!("{SYNCS}/{id}")
}

/// The files of a sync, on its page.
pub fn sync_files(id: SyncId, is_failed_only: bool) -> String {
    let filter = if is_failed_only { "?status=Failed" } else { "" };
    format!("{}{filter}#files-title", sync(id))
}

/// Syncs at or below a path.
pub fn syncs_of(path: &str) -> String {
    format!("{SYNCS}?path={}", percent_encoded(path))
}

/// Syncs with a status.
pub fn syncs_with(status: Status) -> String {
    format!("{SYNCS}?status={}", status.as_str())
}

/// Uploads of a sync.
pub fn history_of(id: SyncId) -> String {
    format!("{HISTORY}?sync_id={id}")
}

/// Activity of a sync.
pub fn activity_of(id: SyncId) -> String {
    format!("{ACTIVITY}?sync_id={id}")
}

/// Activity of one kind.
pub fn activity_of_action(action: &str) -> String {
    format!("{ACTIVITY}?what={action}")
}

/// Activity of a key.
pub fn activity_by(who: &str) -> String {
    format!("{ACTIVITY}?who={}", percent_encoded(who))
}

/// The upload page for an open sync.
pub fn upload_to_sync(id: SyncId) -> String {
    format!("{UPLOAD}?sync={id}")
}

/// The upload page for a new sync.
pub fn upload_to(path: &str) -> String {
    format!("{UPLOAD}?path={}", percent_encoded(path))
}

/// A list with a text filter.
pub fn filtered(list: &str, text: &str) -> String {
    format!("{list}?q={}", percent_encoded(text))
}

/// Trash items of a sync; 0 stands for those without one.
pub fn trash_of_sync(id: impl Display) -> String {
    format!("{TRASH}/syncs/{id}")
}

/// A trash item.
pub fn trash_item(id: TrashId) -> String {
    format!("{TRASH}/pieces/{id}")
}

/// The sign-in page, which leads back to `next`. The sign-in page itself is no place to return to.
pub fn sign_in(next: &str) -> String {
    if next.starts_with(SIGN_IN) { SIGN_IN.to_owned() } else { format!("{SIGN_IN}?next={}", percent_encoded(next)) }
}

/// Download of a current file.
pub fn download(path: &LakePath) -> String {
    query_string(DOWNLOAD, [("path", Some(path.as_str()))])
}

const DOWNLOAD: &str = "/api/lake/file/download";

/// One version, with its files.
pub fn version(path: &str, version: VersionNumber) -> String {
    format!("/versions{}?version={version}", percent_encoded(path))
}

/// Two versions compared.
pub fn compare(path: &str, old: VersionNumber, new: VersionNumber) -> String {
    format!("{}&old={old}&new={new}", versions(path))
}

/// Changes since a number of hours ago.
pub fn since(path: &str, hours: u32) -> String {
    format!("{}&since={hours}", versions(path))
}

/// Confirmation of restoring a version. `has_moved`: the dataset changed since an earlier confirmation was shown.
pub fn confirm_restore(path: &str, version: VersionNumber, has_moved: bool) -> String {
    let moved = if has_moved { "&moved=1" } else { "" };
    format!("/restore{}?version={version}{moved}", percent_encoded(path))
}

/// The list after a restore, with the version that it created; absent if the dataset was the same already.
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "only the server redirects there"))]
pub fn restored(path: &str, made: Option<VersionNumber>) -> String {
    let made = made.map_or(0, |made| made.0);
    format!("{}&restored={made}", versions(path))
}

/// Download of a file of a version.
pub fn download_of_version(dataset: &LakePath, version: VersionNumber, file: &LakePath) -> String {
    let number = version.to_string();
    query_string(
        DOWNLOAD,
        [("path", Some(file.as_str())), ("dataset", Some(dataset.as_str())), ("version", Some(&number))],
    )
}

/// Confirmation of restoring trash items. The restore returns to `back`.
pub fn confirm_trash_restore(field: &str, id: u64, back: &str) -> String {
    format!("{RESTORE_TRASH}?{field}={id}&back={}", percent_encoded(back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_addresses() {
        for (pattern, path, is_match) in [
            ("/", "/", true),
            ("/", "/syncs", false),
            ("/syncs", "/syncs/", true),
            ("/syncs/:id", "/syncs", false),
            ("/syncs/:id", "/syncs/7", true),
            ("/syncs/:id", "/syncs/7/8", false),
            ("/datasets/*path", "/datasets/", false),
            ("/datasets/*path", "/datasets/a/b", true),
            ("/trash/restore", "/trash/syncs", false),
        ] {
            assert_eq!(matches(pattern, path), is_match, "{pattern} {path}");
        }
    }

    #[test]
    fn an_address_holds_any_name() {
        assert_eq!(version("/data/dt=1/a b#", VersionNumber(3)), "/versions/data/dt=1/a%20b%23?version=3");
        let [dataset, file] = ["/d", "/d/x&y"].map(|path| LakePath::parse(path).unwrap());
        let address = download_of_version(&dataset, VersionNumber(2), &file);
        assert_eq!(address, "/api/lake/file/download?path=/d/x%26y&dataset=/d&version=2");
        assert_eq!(
            confirm_trash_restore("sync_id", 7, "/trash?page=1&q=a"),
            "/trash/restore?sync_id=7&back=/trash%3Fpage=1%26q=a"
        );
    }
}
