//! Snapshots: a version of a dataset in a folder of its own, for readers that list folders, kept until its owner drops
//! it or it expires.

use crate::model::access::principal::Principal;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of a snapshot. It is random, so that only those who were told can find it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotToken(String);

impl SnapshotToken {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Restores a token from storage or from a folder name, without a check.
    pub fn from_stored(token: String) -> Self {
        Self(token)
    }

    /// Parses an untrusted token.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Progress of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    Making,
    Ready,
    /// Its files are being removed.
    Dropped,
}

impl SnapshotState {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A snapshot before its files are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSnapshot {
    pub token: SnapshotToken,
    pub path: LakePath,
    pub version: VersionNumber,
    pub owner: Principal,
    pub made_by: String,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub token: SnapshotToken,
    pub path: LakePath,
    pub version: VersionNumber,
    pub owner: Principal,
    pub made_by: String,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
    pub state: SnapshotState,
}
