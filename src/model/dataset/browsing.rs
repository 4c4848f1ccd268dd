//! Pages of a folder of the lake: the request, and its entries.

use crate::model::page::Order;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Sort order of a folder. Folders come first in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum FolderSort {
    #[default]
    Name,
    Size,
    Modified,
}

impl FolderSort {
    pub const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Modified];

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Requested page of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrowseFolder {
    /// Absent for the lake itself.
    pub path: Option<String>,
    pub from: Option<u64>,
    pub size: Option<u64>,
    pub sort: FolderSort,
    pub order: Order,
    /// Text that names in the folder and below must contain, in either case.
    pub q: Option<String>,
}

/// A page of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browsed {
    pub folder: Option<LakePath>,
    pub entries: Vec<LakeEntry>,
    /// Whether names were ignored: see [`crate::model::limits::BROWSED_NAMES_MAX`].
    pub is_cut: bool,
}

/// A file or folder of the lake, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeEntry {
    pub name: String,
    pub path: LakePath,
    pub is_folder: bool,
    /// 0 for a folder, whose content is not counted.
    pub size_bytes: u64,
    pub modified_time: Timestamp,
    /// In hexadecimal; absent for folders, and for files that did not land through the lake.
    pub sha256: Option<String>,
}
