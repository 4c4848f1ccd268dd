//! Free and total space of a file system, from `statvfs`.

use lakeshore::ports::Space;
use rustix::fs::StatVfs;

/// Counts the space that is free for every user, without the blocks reserved for root.
pub fn space_of(found: &StatVfs) -> Space {
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) }
}
