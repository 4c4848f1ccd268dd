//! Free space of a disk.

use crate::model::limits::RESERVE_BYTES_MAX;

/// Space of the disk of the files or of the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    /// Space without a known limit.
    pub const UNBOUNDED: Self = Self { free_bytes: u64::MAX, total_bytes: u64::MAX };

    /// Default reserve of a disk with this space.
    pub fn reserve(&self) -> u64 {
        (self.total_bytes / 100).min(RESERVE_BYTES_MAX)
    }
}
