//! The checksum of one request's bytes: `Upload-Checksum`, of tus's extension of that name.

use super::pieces::header;
use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lakeshore::Error;
use sha2::Digest;

/// As `Tus-Checksum-Algorithm` lists them.
pub const ALGORITHMS: &str = "sha1,md5,crc32,sha256,blake3";

/// A checksum that was announced, and what it is so far.
pub struct Checksum {
    announced: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Crc32(crc32fast::Hasher),
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Checksum {
    /// `Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`. Absent where there is none.
    pub fn announced(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(text) = header(headers, "upload-checksum")? else { return Ok(None) };
        let malformed = |text: &str| {
            Error::Invalid(format!(
                "{text:?} is no Upload-Checksum; send an algorithm ({ALGORITHMS}) and the checksum in base64, for \
                 example: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="
            ))
        };
        let (algorithm, announced) = text.trim().split_once(' ').ok_or_else(|| malformed(text))?;
        let hasher = match algorithm {
            "sha1" => Hasher::Sha1(sha1::Sha1::default()),
            "md5" => Hasher::Md5(md5::Md5::default()),
            "crc32" => Hasher::Crc32(crc32fast::Hasher::new()),
            "sha256" => Hasher::Sha256(sha2::Sha256::default()),
            "blake3" => Hasher::Blake3(Box::default()),
            _ => return Err(malformed(text)),
        };
        let announced = BASE64_STANDARD.decode(announced.trim()).map_err(|_| malformed(text))?;
        Ok(Some(Self { announced, hasher }))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Md5(hasher) => hasher.update(bytes),
            Hasher::Crc32(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.hasher {
            Hasher::Sha1(_) => "sha1",
            Hasher::Md5(_) => "md5",
            Hasher::Crc32(_) => "crc32",
            Hasher::Sha256(_) => "sha256",
            Hasher::Blake3(_) => "blake3",
        }
    }

    /// Whether all bytes together have the checksum that was announced.
    pub fn matches(self) -> bool {
        let found = match self.hasher {
            Hasher::Sha1(hasher) => hasher.finalize().to_vec(),
            Hasher::Md5(hasher) => hasher.finalize().to_vec(),
            // The most significant byte first, as its hexadecimal form reads.
            Hasher::Crc32(hasher) => hasher.finalize().to_be_bytes().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
            Hasher::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        };
        found == self.announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(text: &str) -> Result<Option<Checksum>, Error> {
        let headers = HeaderMap::from_iter([("upload-checksum".parse().unwrap(), text.parse().unwrap())]);
        Checksum::announced(&headers)
    }

    #[test]
    fn every_algorithm_knows_the_right_bytes_from_wrong_ones() {
        for right in [
            "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "md5 XUFAKrxLKna5cZ2REBfFkg==",
            "crc32 NhCmhg==",
            "sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "blake3 6o8WPbOGgpJeRJHF5Y1Ls1Bu+MFOt4qG6QjFYkpnIA8=",
        ] {
            for (bytes, is_right) in [("hello", true), ("hallo", false)] {
                let mut checksum = announced(right).unwrap().unwrap();
                assert!(ALGORITHMS.contains(checksum.algorithm()));
                checksum.update(&bytes.as_bytes()[..2]);
                checksum.update(&bytes.as_bytes()[2..]);
                assert_eq!(checksum.matches(), is_right, "{right} of {bytes}");
            }
        }
    }

    #[test]
    fn what_is_no_checksum_is_refused_with_what_is() {
        for wrong in ["", "sha1", "crc64 AAAA", "sha1 not-base64"] {
            assert!(matches!(announced(wrong), Err(Error::Invalid(text)) if text.contains("sha256")), "{wrong:?}");
        }
        assert!(Checksum::announced(&HeaderMap::new()).unwrap().is_none());
    }
}
