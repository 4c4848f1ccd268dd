//! Totals of files and bytes.

use serde::{Deserialize, Serialize};

/// How many files, and how many bytes in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
}
