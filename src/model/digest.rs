//! Digests of files: computed ones, and those that senders announce.

use crate::model::error::Error;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// Digests that the sender of an upload has announced. Without any, all bytes are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedDigests {
    pub sha256: Option<[u8; 32]>,
    /// Makes the upload be hashed twice, as the lake itself records SHA-256.
    pub sha512: Option<[u8; 64]>,
}

impl ExpectedDigests {
    /// Merges the digests announced in two places. Fails if they differ.
    pub fn and(self, other: Self) -> Result<Self, Error> {
        fn both<T: Eq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Error> {
            match (one, other) {
                (Some(one), Some(other)) if one != other => {
                    Err(Error::Invalid("two different digests were sent for one file; send the correct one".into()))
                }
                (one, other) => Ok(one.or(other)),
            }
        }
        Ok(Self { sha256: both(self.sha256, other.sha256)?, sha512: both(self.sha512, other.sha512)? })
    }
}

/// Refuses bytes whose digest differs from the announced one, if any.
pub(crate) fn verify_digest<const N: usize>(
    algorithm: &'static str,
    announced: Option<[u8; N]>,
    arrived: [u8; N],
) -> Result<(), Error> {
    match announced {
        Some(announced) if announced != arrived => {
            let (announced, arrived) = (hex::encode(announced), hex::encode(arrived));
            Err(Error::DigestMismatch { algorithm, announced, arrived })
        }
        _ => Ok(()),
    }
}
