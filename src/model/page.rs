//! Paging and filters of list requests.

use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::limits::{LIST_SIZE_DEFAULT, LIST_SIZE_MAX};
use crate::model::path::LakePath;
use crate::model::sync::status::{Status, SyncType};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Asc,
    Desc,
}

/// Skips `from` rows and returns `size` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub from: u64,
    pub size: u64,
    pub order: Order,
}

impl Page {
    pub fn new(from: Option<u64>, size: Option<u64>, order: Order) -> Result<Self, Error> {
        let size = size.unwrap_or(LIST_SIZE_DEFAULT);
        if size > LIST_SIZE_MAX {
            // A shorter list than requested would look like the last page.
            return Err(Error::Invalid(format!(
                "size is at most {LIST_SIZE_MAX}; ask for {size} rows in several pages"
            )));
        }
        Ok(Self { from: from.unwrap_or(0), size, order })
    }
}

/// Filter of a list of syncs. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncQuery {
    pub page: Page,
    pub status: Option<Status>,
    pub sync_type: Option<SyncType>,
    /// Syncs on this path or below it.
    pub path: Option<LakePath>,
    /// Text in the name or the path.
    pub text: Option<String>,
    /// Prefix of the caller's key: only paths here or below.
    pub scope: Option<LakePath>,
}

/// Filter of a list of uploads. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadQuery {
    pub page: Page,
    pub sync_id: Option<SyncId>,
    pub status: Option<Status>,
    /// Uploads to this path or below it.
    pub path: Option<LakePath>,
    /// Text in the file name or the path.
    pub text: Option<String>,
    pub scope: Option<LakePath>,
}

/// Filter of a list of trash. `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashQuery {
    pub page: Page,
    /// Items that this sync moved to the trash; 0 selects the items without a sync.
    pub sync_id: Option<SyncId>,
    pub path: Option<LakePath>,
    pub text: Option<String>,
    pub scope: Option<LakePath>,
}

impl Page {
    /// Every row, oldest first, up to [`LIST_SIZE_MAX`].
    pub const FIRST: Self = Self { from: 0, size: LIST_SIZE_MAX, order: Order::Asc };
}

/// Parameters of the list calls: REST reads them from the URL, the pages send them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    pub order: Order,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<SyncType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<LakePath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}
