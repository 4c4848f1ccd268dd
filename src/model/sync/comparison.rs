//! A declaration beside what has landed.

use crate::model::totals::Totals;
use serde::{Deserialize, Serialize};

/// A file as it is declared, and as a comparison names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Below the sync's path.
    pub path: String,
    pub size_bytes: u64,
    /// In hexadecimal; of a declared file it may be absent: then the size alone counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What was declared, in short: shown with the sync.
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

/// What was declared beside what has landed. The lists name the first [`MISMATCHES_NAMED_MAX`] each, the numbers count all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub expected: ExpectedTotals,
    /// Files that this sync has landed, each target once.
    pub landed: Totals,
    /// Of the named files, those that have landed as declared.
    pub num_as_expected: u64,
    pub missing: Vec<ManifestEntry>,
    pub num_missing: u64,
    pub extra: Vec<ManifestEntry>,
    pub num_extra: u64,
    pub different: Vec<DifferentFile>,
    pub num_different: u64,
}
