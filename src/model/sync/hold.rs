//! A full sync whose end is refused until somebody confirms it.

use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// That a full sync is held, and why: it would shrink its dataset, or change its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// The dataset as it was when the end was asked for last.
    pub replaced: Totals,
    /// What would have become the dataset.
    pub published: Totals,
    /// Files whose columns are not those of the dataset, where that is why; else 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub differing_files: u64,
}

fn is_none(files: &u64) -> bool {
    *files == 0
}
