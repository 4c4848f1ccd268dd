//! Comparison of a declaration with the landed files.

use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// A file in a declaration or in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Relative to the sync's path.
    pub path: String,
    pub size_bytes: u64,
    /// In hexadecimal. A declared file may omit it: then only the size is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Totals of a declaration, shown with the sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedTotals {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Whether each file was named.
    pub is_named: bool,
}

/// Size and digest of one file, as declared or as landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentFile {
    pub path: String,
    pub expected: Content,
    pub landed: Content,
}

/// Declared files compared with landed ones. Each list has at most [`MISMATCHES_NAMED_MAX`] entries; the numbers count
/// all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub expected: ExpectedTotals,
    /// Files landed by this sync, one for each target.
    pub landed: Totals,
    /// Named files that landed as declared.
    pub num_as_expected: u64,
    pub missing: Vec<ManifestEntry>,
    pub num_missing: u64,
    pub extra: Vec<ManifestEntry>,
    pub num_extra: u64,
    pub different: Vec<DifferentFile>,
    pub num_different: u64,
}
