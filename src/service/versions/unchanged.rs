//! Whether a found file still has the bytes of its version. A change by hand may keep its size, inode and modification
//! time, but moves its change time. Where the lake cannot explain a change time, the bytes are read: their SHA-256
//! decides, and a file that has the right ones is recognised again.

use super::super::Lake;
use crate::model::error::Error;
use crate::model::storage_path::StoragePath;
use crate::model::time::Timestamp;
use crate::model::version::VersionFile;
use crate::ports::storage::{FoundFile, OpenFile, Touched};
use sha2::{Digest as _, Sha256};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Whether a found file has the identity and size of the file of a version.
pub(super) fn is_it(file: &VersionFile, found: &FoundFile) -> bool {
    found.size_bytes == file.content.size_bytes
        && file.identity.as_ref().is_none_or(|identity| *identity == found.identity)
}

impl Lake {
    /// Latest change time with which the file is known to be unchanged; the earliest time if none is.
    pub(in crate::service) fn changed_at_max(&self, file: &VersionFile) -> Timestamp {
        if self.is_certain(file.landed_at) { file.landed_at } else { Timestamp(i64::MIN) }
    }

    /// Whether the file is known to be unchanged, without reading it.
    pub(super) fn is_unchanged(&self, file: &VersionFile, found: &FoundFile) -> bool {
        is_it(file, found) && found.changed_at <= self.changed_at_max(file)
    }

    /// Whether an open file has the bytes of the version.
    pub(super) async fn has_bytes(
        &self,
        file: &VersionFile,
        place: &StoragePath,
        open: &dyn OpenFile,
    ) -> Result<bool, Error> {
        let found = open.found();
        if self.is_unchanged(file, found) {
            return Ok(true);
        }
        let mut hasher = Sha256::new();
        let mut length = 0;
        loop {
            let bytes = open.read(length, READ_BYTES).await?;
            if bytes.is_empty() {
                break;
            }
            length += bytes.len() as u64;
            hasher.update(&bytes);
        }
        if length != file.content.size_bytes || <[u8; 32]>::from(hasher.finalize()) != file.content.sha256 {
            return Ok(false);
        }
        // Recorded only if nothing has changed it during the reading.
        let again = self.0.files.find(std::slice::from_ref(place)).await?.pop().flatten();
        if again.as_ref() == Some(found) {
            let touched = Touched { identity: found.identity.clone(), before: Timestamp(0), after: found.changed_at };
            self.0.state.set_touched(&[(file.path.clone(), touched)]).await?;
        }
        Ok(true)
    }

    /// Looks at the file at its recorded location, and reads it if its change time is not explained.
    pub(in crate::service) async fn verified(&self, file: &VersionFile) -> Result<Verified, Error> {
        let Some(place) = file.place() else { return Ok(Verified::Elsewhere) };
        let Some(open) = self.0.files.open(&place).await? else { return Ok(Verified::Elsewhere) };
        if !is_it(file, open.found()) {
            return Ok(Verified::Elsewhere);
        }
        let has_bytes = self.has_bytes(file, &place, &*open).await?;
        Ok(if has_bytes { Verified::Unchanged(open.found().changed_at) } else { Verified::Changed })
    }
}

/// Result of the verification of a file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Verified {
    /// It has its bytes, as last changed at this time.
    Unchanged(Timestamp),
    /// It has other bytes.
    Changed,
    /// Another file is at its recorded location, or none.
    Elsewhere,
}
