//! Digests of files: as computed, and as their sender has announced them.

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

/// What the bytes of an upload are to be, as its sender has announced it. Where nothing was announced, all are right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedDigests {
    pub sha256: Option<[u8; 32]>,
    /// Such an upload is hashed twice: the lake itself goes by SHA-256.
    pub sha512: Option<[u8; 64]>,
}

impl ExpectedDigests {
    /// What was announced here and there together. An error where that is two things.
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

/// Refuses bytes that are not those that were announced, if any were.
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
