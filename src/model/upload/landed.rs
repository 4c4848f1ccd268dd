//! Landed uploads, as reported to their senders.

use crate::model::digest::Digest;
use crate::model::path::LakePath;

/// A landed upload, as reported to its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Lake path of the file; of a full sync, after its publish.
    pub path: LakePath,
    pub digest: Digest,
}
