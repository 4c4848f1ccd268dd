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

    /// Decodes the 64 hexadecimal digits of a SHA-256.
    pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
        let mut sha256 = [0; 32];
        hex::decode_to_slice(text, &mut sha256).ok()?;
        Some(sha256)
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

    /// Refuses a file with other digests. Its SHA-512 is needed only where one is expected.
    pub(crate) fn verify(&self, sha256: [u8; 32], sha512: Option<[u8; 64]>) -> Result<(), Error> {
        if let Some(expected) = self.sha512 {
            verify_digest("SHA-512", &expected, sha512.as_ref().map_or(&[], |sha512| sha512.as_slice()))?;
        }
        self.sha256.map_or(Ok(()), |expected| verify_digest("SHA-256", &expected, &sha256))
    }
}

/// Refuses bytes whose digest is not the announced one.
pub fn verify_digest(algorithm: &'static str, announced: &[u8], arrived: &[u8]) -> Result<(), Error> {
    if announced == arrived {
        return Ok(());
    }
    Err(Error::DigestMismatch { algorithm, announced: hex::encode(announced), arrived: hex::encode(arrived) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expected_digest_has_to_match() {
        let expected = ExpectedDigests { sha256: Some([1; 32]), sha512: Some([2; 64]) };
        let refused = |sha256, sha512| match expected.verify(sha256, sha512) {
            Err(Error::DigestMismatch { algorithm, .. }) => Some(algorithm),
            _ => None,
        };
        assert_eq!(refused([1; 32], Some([2; 64])), None);
        assert_eq!(refused([3; 32], Some([2; 64])), Some("SHA-256"));
        assert_eq!(refused([1; 32], Some([3; 64])), Some("SHA-512"));
        assert_eq!(refused([1; 32], None), Some("SHA-512"), "it was not computed");
        assert!(ExpectedDigests::default().verify([1; 32], None).is_ok());
    }
}
