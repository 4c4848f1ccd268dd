//! Uploads: one file of a sync, one row of the history.

use crate::error::Error;
use crate::path::LakePath;
use crate::schema::SchemaDifference;
use crate::sync::{Status, SyncId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Counts from 1, without gaps, in the order in which the rows were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub u64);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row of the history, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub org_id: u64,
    pub history_id: UploadId,
    pub sync_id: SyncId,
    /// As the client sent it.
    pub file_name: String,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub sync_status: Status,
    /// Why it failed; empty otherwise.
    pub message: String,
    /// Bytes that landed, or, of a failed upload, that had arrived.
    pub size_bytes: u64,
    /// Where readers find it (once a full sync is published); absent until it has landed.
    pub landed_path: Option<LakePath>,
    /// SHA-256 of the bytes, in hexadecimal; absent until it has landed.
    pub sha256: Option<String>,
    /// Its bytes were not sent: they are those of the file that the dataset had there before.
    #[serde(default)]
    pub taken_over: bool,
    /// Absent until it was looked at, and where counting would mean reading it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// Why its rows and columns are not known; absent where they are, and where it was not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection_problem: Option<String>,
    /// In what its columns differ from those of its dataset before, in short; absent where they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_difference: Option<Box<SchemaDifference>>,
}

/// The name of an upload's bytes before they land: random, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartialName(String);

impl PartialName {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hexadecimal(&bytes))
    }

    /// A name that was made by [`Self::from_random`] and remembered.
    pub fn remembered(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a file or folder from another one that came to its name: how a backend recognises, after a restart,
/// what it was moving. Only the backend that made it reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub String);

/// Size and SHA-256 of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub size_bytes: u64,
    pub sha256: [u8; 32],
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self { size_bytes: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }
}

/// An upload that has landed, as its sender hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Where readers find it, once a full sync is published.
    pub path: LakePath,
    pub digest: Digest,
}

/// What the bytes of an upload are to be, as its sender has announced it. Where nothing was announced, all are right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announced {
    pub sha256: Option<[u8; 32]>,
    /// Such an upload is hashed twice: the lake itself goes by SHA-256.
    pub sha512: Option<[u8; 64]>,
}

impl Announced {
    /// What was announced here and there together. An error where that is two things.
    pub fn and(self, other: Self) -> Result<Self, Error> {
        fn both<T: Eq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Error> {
            match (one, other) {
                (Some(one), Some(other)) if one != other => Err(Error::Invalid(
                    "two different digests were announced for one file; send the one of its bytes".into(),
                )),
                (one, other) => Ok(one.or(other)),
            }
        }
        Ok(Self { sha256: both(self.sha256, other.sha256)?, sha512: both(self.sha512, other.sha512)? })
    }
}

/// Refuses bytes that are not those that were announced, if any were.
pub(crate) fn must_match<const N: usize>(
    algorithm: &'static str,
    announced: Option<[u8; N]>,
    arrived: [u8; N],
) -> Result<(), Error> {
    match announced {
        Some(announced) if announced != arrived => {
            let (announced, arrived) = (hexadecimal(&announced), hexadecimal(&arrived));
            Err(Error::DigestMismatch { algorithm, announced, arrived })
        }
        _ => Ok(()),
    }
}

/// The bytes that `text` spells in hexadecimal, in letters of either case; `None` when it spells no `N` bytes.
pub fn from_hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_back_and_nothing_else_is() {
        assert_eq!(from_hexadecimal(&hexadecimal(&[0, 171, 255])), Some([0, 171, 255]));
        assert_eq!(from_hexadecimal("00ABFF"), Some([0, 171, 255]));
        for wrong in ["", "00abf", "00abfff", "00abfg", "+0+1+2", "00ab\u{fc}"] {
            assert_eq!(from_hexadecimal::<3>(wrong), None, "{wrong}");
        }
    }
}
