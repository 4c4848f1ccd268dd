//! Addresses of the pages of datasets, their versions, and the confirmation of restores.

use crate::query::{percent_encoded, query_string};
use lakeshore::model::id::VersionNumber;
use lakeshore::model::path::LakePath;

/// The page of a dataset.
pub fn dataset(path: &str) -> String {
    format!("/datasets{}", percent_encoded(path))
}

/// The list of a dataset's versions.
pub fn list(path: &str) -> String {
    format!("{}?tab=versions", dataset(path))
}

/// One version, with its files.
pub fn version(path: &str, version: VersionNumber) -> String {
    format!("/versions{}?version={version}", percent_encoded(path))
}

/// Two versions compared.
pub fn compare(path: &str, old: VersionNumber, new: VersionNumber) -> String {
    format!("{}&old={old}&new={new}", list(path))
}

/// Changes since a number of hours ago.
pub fn since(path: &str, hours: u32) -> String {
    format!("{}&since={hours}", list(path))
}

/// Confirmation of restoring a version. `has_moved`: the dataset changed since an earlier confirmation was shown.
pub fn confirm_restore(path: &str, version: VersionNumber, has_moved: bool) -> String {
    let moved = if has_moved { "&moved=1" } else { "" };
    format!("/restore{}?version={version}{moved}", percent_encoded(path))
}

/// The list after a restore, with the version that it created; absent if the dataset was the same already.
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the server leads there"))]
pub fn restored(path: &str, made: Option<VersionNumber>) -> String {
    let made = made.map_or(0, |made| made.0);
    format!("{}&restored={made}", list(path))
}

/// Download of a file of a version.
pub fn download(dataset: &LakePath, version: VersionNumber, file: &LakePath) -> String {
    let number = version.to_string();
    query_string(
        "/api/lake/file/download",
        [("path", Some(file.as_str())), ("dataset", Some(dataset.as_str())), ("version", Some(&number))],
    )
}

/// Confirmation of restoring trash items. The restore returns to `back`.
pub fn confirm_trash_restore(field: &str, id: u64, back: &str) -> String {
    format!("/trash/restore?{field}={id}&back={}", percent_encoded(back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_any_name() {
        assert_eq!(version("/data/dt=1/a b#", VersionNumber(3)), "/versions/data/dt=1/a%20b%23?version=3");
        let [dataset, file] = ["/d", "/d/x&y"].map(|path| LakePath::parse(path).unwrap());
        let address = download(&dataset, VersionNumber(2), &file);
        assert_eq!(address, "/api/lake/file/download?path=/d/x%26y&dataset=/d&version=2");
        assert_eq!(
            confirm_trash_restore("sync_id", 7, "/trash?page=1&q=a"),
            "/trash/restore?sync_id=7&back=/trash%3Fpage=1%26q=a"
        );
    }
}
