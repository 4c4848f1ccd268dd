//! SHA-256 of local files.

use super::walk::Stamp;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Bytes per read.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Problem of a file that changed, reported with its path.
pub const CHANGED: &str = "it changed while it was read; run the command again when no program writes to it";

/// Reason why a file has no digest.
#[derive(Debug)]
pub enum DigestError {
    Stopped,
    Problem(String),
}

impl From<std::io::Error> for DigestError {
    fn from(error: std::io::Error) -> Self {
        Self::Problem(error.to_string())
    }
}

/// Flags for opening a file of the plan: never block, even if a pipe has taken its name.
pub const SOURCE_FLAGS: i32 = OFlags::NONBLOCK.union(OFlags::CLOEXEC).bits() as i32;

/// Digest of a file that still matches the walk, checked before and after. Blocks; `read` gets the progress.
pub fn digest(path: &Path, stamp: &Stamp, stop: &CancellationToken, read: &dyn Fn(u64)) -> Result<String, DigestError> {
    let mut file = OpenOptions::new().read(true).custom_flags(SOURCE_FLAGS).open(path)?;
    let has_changed = |file: &File| Ok::<_, std::io::Error>(Stamp::of(&file.metadata()?) != *stamp);
    if has_changed(&file)? {
        return Err(DigestError::Problem(CHANGED.to_owned()));
    }
    let chunk_bytes = CHUNK_BYTES.min(usize::try_from(stamp.size_bytes).unwrap_or(CHUNK_BYTES) + 1);
    let sha256 = hash(&mut file, chunk_bytes, stop, read)?;
    if has_changed(&file)? { Err(DigestError::Problem(CHANGED.to_owned())) } else { Ok(sha256) }
}

/// SHA-256 of an open file, from its current offset to its end.
pub fn digest_of(file: &mut File, stop: &CancellationToken) -> Result<String, DigestError> {
    hash(file, CHUNK_BYTES, stop, &|_| ())
}

fn hash(
    file: &mut File,
    chunk_bytes: usize,
    stop: &CancellationToken,
    read: &dyn Fn(u64),
) -> Result<String, DigestError> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; chunk_bytes];
    loop {
        if stop.is_cancelled() {
            return Err(DigestError::Stopped);
        }
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => {
                hasher.update(&chunk[..count]);
                read(count as u64);
            }
        }
    }
}
