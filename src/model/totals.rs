//! Totals of files and bytes.

use serde::{Deserialize, Serialize};

/// Number of files, and their total size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
}
