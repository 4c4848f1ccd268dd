//! The room on a disk.

use crate::model::limits::RESERVE_BYTES_MAX;

/// The room where the bytes, or the state, are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    /// Where it has no bound that anybody knows of.
    pub const UNBOUNDED: Self = Self { free_bytes: u64::MAX, total_bytes: u64::MAX };

    /// What is kept free of it where nothing else was said.
    pub fn reserve(&self) -> u64 {
        (self.total_bytes / 100).min(RESERVE_BYTES_MAX)
    }
}
