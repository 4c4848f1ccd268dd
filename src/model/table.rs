//! Tables of datasets on object storage: what the lake remembers of their files, what is fixed before it is written to the
//! bucket, and what is shown of them.

use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use serde::{Deserialize, Serialize};

/// Files outside a table that are shown.
pub const FILES_OUTSIDE_SHOWN_MAX: u64 = 100;

/// A file of Parquet in the terms of tables, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    pub schema: String,
    pub stats: String,
}

/// Kind of an entry of a dataset's folder in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum EntryKind {
    /// A commit of the table's log.
    Commit,
    /// The list of the files of a version.
    Manifest,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Bytes of an entry that are remembered, whether it is fixed or not. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DraftId(pub i64);

/// The table of a dataset, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetTable {
    pub path: LakePath,
    /// Its address in the bucket, for callers who may see the whole lake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Number of the last commit of its Delta log; absent while no file of the dataset is in a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// The version that it has come to; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionNumber>,
    /// Versions that are not in the bucket yet.
    pub versions_behind: u64,
    /// Files of that version in the table, and in all.
    pub table_files: u64,
    pub dataset_files: u64,
    /// The version that has the newest manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<VersionNumber>,
    /// Why it does not come further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Files of Parquet that are not in the table: the first [`FILES_OUTSIDE_SHOWN_MAX`], by their landing.
    pub outside: Vec<FileOutsideTable>,
}

impl DatasetTable {
    /// The commit that holds a version of the dataset: each version is one.
    pub fn commit_of(&self, version: VersionNumber) -> Option<u64> {
        self.commit?.checked_sub(self.version?.0.checked_sub(version.0)?)
    }
}

/// A file that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOutsideTable {
    pub path: LakePath,
    pub reasons: Vec<ReasonOutside>,
}

/// Why a file is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonOutside {
    /// Such as `other_type`.
    pub reason: String,
    /// Cause and remedy.
    pub message: String,
}
