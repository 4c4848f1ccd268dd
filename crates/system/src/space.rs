//! The room on a file system, as `statvfs` tells it.

use lakeshore::ports::Space;
use rustix::fs::StatVfs;

/// What is free for everybody, not what is kept for root.
pub fn space_of(found: &StatVfs) -> Space {
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) }
}
