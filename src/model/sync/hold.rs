//! Held full syncs, whose end is refused until somebody confirms it.

use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// Reason for which a full sync is held: it would shrink its dataset, or change its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// Size of the dataset at the last request to end.
    pub replaced: Totals,
    /// Size that the dataset would have had.
    pub published: Totals,
    /// Files whose columns differ from those of the dataset, if that is the reason; else 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub differing_files: u64,
}

fn is_none(files: &u64) -> bool {
    *files == 0
}
