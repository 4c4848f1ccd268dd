//! An upload that has landed, as its sender hears of it.

use crate::model::digest::Digest;
use crate::model::path::LakePath;

/// An upload that has landed, as its sender hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Where readers find it, once a full sync is published.
    pub path: LakePath,
    pub digest: Digest,
}
