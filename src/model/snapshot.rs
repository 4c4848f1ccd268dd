//! Snapshots: a version of a dataset as a folder of its own, for readers that list folders, for as long as its holder wants.

use crate::model::access::principal::Principal;
use crate::model::id::VersionNumber;
use crate::model::path::LakePath;
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a snapshot: random, so that nobody finds it who was not told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotToken(String);

impl SnapshotToken {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// One that was made here and remembered, or is the name of a folder.
    pub fn remembered(token: String) -> Self {
        Self(token)
    }

    /// What somebody sent, if it can be one.
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

/// How far a snapshot is.
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

/// A snapshot that is about to be made.
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

/// A snapshot as it is remembered.
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
