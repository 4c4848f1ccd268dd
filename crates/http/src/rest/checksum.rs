//! Checksums of the bytes of a body or a part: `Upload-Checksum` of tus, `Content-MD5` (RFC 1864), and `Digest` (RFC
//! 3230), the predecessor of RFC 9530.

use super::request_body::header;
use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lakeshore::Error;
use lakeshore::model::digest::{ExpectedDigests, verify_digest};

use sha2::Digest;

/// Value of `Tus-Checksum-Algorithm`.
pub const ALGORITHMS: &str = "sha1,md5,crc32,sha256,blake3";
const CONTENT_MD5: &str = "content-md5";
const DIGEST: &str = "digest";

/// Announced checksum, with the hash of the bytes so far.
#[derive(Clone)]
pub struct Checksum {
    announced: Vec<u8>,
    hasher: Hasher,
}

#[derive(Clone)]
enum Hasher {
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Crc32(crc32fast::Hasher),
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
    Blake3(Box<blake3::Hasher>),
}

/// All checksums announced for the same bytes.
#[derive(Clone, Default)]
pub struct Checksums(Vec<Checksum>);

impl Checksums {
    /// Reads the fields that a request and a part have in common.
    pub fn of_fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Error> {
        let mut all = Self::default();
        for (name, value) in fields {
            let value = String::from_utf8_lossy(value);
            match name {
                CONTENT_MD5 => all.0.push(content_md5(value.trim())?),
                DIGEST => all.0.extend(digest(&value)?),
                _ => {}
            }
        }
        Ok(all)
    }

    /// Reads `Content-MD5` and `Digest` of a request.
    pub fn of_body(headers: &HeaderMap) -> Result<Self, Error> {
        Self::of_fields(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = Checksum>) -> Self {
        self.0.extend(more);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        for checksum in &mut self.0 {
            checksum.update(bytes);
        }
    }

    /// Compares them with the received bytes. The first mismatch is the error.
    pub fn verify(self) -> Result<(), Error> {
        self.0.into_iter().try_for_each(|checksum| {
            let (algorithm, announced) = (checksum.algorithm(), checksum.announced.clone());
            verify_digest(algorithm, &announced, &checksum.arrived())
        })
    }
}

fn content_md5(value: &str) -> Result<Checksum, Error> {
    let announced = BASE64_STANDARD.decode(value).ok().filter(|announced| announced.len() == 16).ok_or_else(|| {
        Error::Invalid(format!("{value:?} is not a valid Content-MD5; send the 16 bytes of the MD5 in base64"))
    })?;
    Ok(Checksum { announced, hasher: Hasher::Md5(md5::Md5::default()) })
}

/// Parses `SHA-256=…,MD5=…`. Other algorithms beside a known one are ignored; alone they are refused.
fn digest(value: &str) -> Result<Vec<Checksum>, Error> {
    let malformed = || {
        Error::Invalid(
            "the Digest header has no SHA-256, SHA-512, SHA or MD5 in base64; send it as \
             SHA-256=uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="
                .into(),
        )
    };
    let mut known = Vec::new();
    for element in value.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (algorithm, announced) = element.split_once('=').ok_or_else(malformed)?;
        let (hasher, bytes) = match algorithm.trim().to_ascii_lowercase().as_str() {
            "sha-256" => (Hasher::Sha256(sha2::Sha256::default()), 32),
            "sha-512" => (Hasher::Sha512(Box::default()), 64),
            "sha" | "sha-1" => (Hasher::Sha1(sha1::Sha1::default()), 20),
            "md5" => (Hasher::Md5(md5::Md5::default()), 16),
            _ => continue,
        };
        let announced = BASE64_STANDARD.decode(announced.trim()).map_err(|_| malformed())?;
        if announced.len() != bytes {
            return Err(malformed());
        }
        known.push(Checksum { announced, hasher });
    }
    if known.is_empty() { Err(malformed()) } else { Ok(known) }
}

impl Checksum {
    /// Checksums from the RFC 9530 digests of one request's bytes.
    pub fn of_announced(ExpectedDigests { sha256, sha512 }: &ExpectedDigests) -> Vec<Self> {
        let sha256 = sha256
            .map(|announced| Self { announced: announced.to_vec(), hasher: Hasher::Sha256(sha2::Sha256::default()) });
        let sha512 =
            sha512.map(|announced| Self { announced: announced.to_vec(), hasher: Hasher::Sha512(Box::default()) });
        sha256.into_iter().chain(sha512).collect()
    }

    /// Parses `Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`. `None` without the field.
    pub fn announced(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(text) = header(headers, "upload-checksum")? else { return Ok(None) };
        let malformed = |text: &str| {
            Error::Invalid(format!(
                "{text:?} is not a valid Upload-Checksum; send an algorithm ({ALGORITHMS}) and the checksum in base64, for \
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
            Hasher::Sha512(hasher) => hasher.update(bytes),
            Hasher::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.hasher {
            Hasher::Sha1(_) => "sha1",
            Hasher::Md5(_) => "md5",
            Hasher::Crc32(_) => "crc32",
            Hasher::Sha256(_) => "sha256",
            Hasher::Sha512(_) => "sha512",
            Hasher::Blake3(_) => "blake3",
        }
    }

    fn arrived(self) -> Vec<u8> {
        match self.hasher {
            Hasher::Sha1(hasher) => hasher.finalize().to_vec(),
            Hasher::Md5(hasher) => hasher.finalize().to_vec(),
            // Big-endian, as the hexadecimal form reads.
            Hasher::Crc32(hasher) => hasher.finalize().to_be_bytes().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha512(hasher) => hasher.finalize().to_vec(),
            Hasher::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
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
                assert_eq!(Checksums(vec![checksum]).verify().is_ok(), is_right, "{right} of {bytes}");
            }
        }
    }

    #[test]
    fn digests_of_older_fields_are_checked() {
        let md5 = "XUFAKrxLKna5cZ2REBfFkg==";
        let sha256 = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
        for (name, value) in [
            ("content-md5", md5.to_owned()),
            ("digest", format!("MD5={md5}")),
            ("digest", format!("UNIXsum=30637, sha-256={sha256},MD5={md5}")),
            ("digest", "SHA=qvTGHdzF6KLavt4PO0gs2a6pQ00=".to_owned()),
        ] {
            for (bytes, is_right) in [("hello", true), ("hallo", false)] {
                let mut checksums = Checksums::of_fields([(name, value.as_bytes())]).unwrap();
                checksums.update(bytes.as_bytes());
                assert_eq!(checksums.verify().is_ok(), is_right, "{name}: {value} of {bytes}");
            }
        }
        for (name, value) in [
            ("content-md5", ""),
            ("content-md5", "5d41402abc4b2a76b9719d911017c592"),
            ("digest", "UNIXsum=30637"),
            ("digest", "SHA-256=XUFAKrxLKna5cZ2REBfFkg=="),
            ("digest", "nonsense"),
        ] {
            let refused = Checksums::of_fields([(name, value.as_bytes())]).err();
            assert!(matches!(refused, Some(Error::Invalid(_))), "{name}: {value}");
        }
    }

    #[test]
    fn invalid_checksums_are_refused_with_a_valid_example() {
        for wrong in ["", "sha1", "crc64 AAAA", "sha1 not-base64"] {
            assert!(matches!(announced(wrong), Err(Error::Invalid(text)) if text.contains("sha256")), "{wrong:?}");
        }
        assert!(Checksum::announced(&HeaderMap::new()).unwrap().is_none());
    }
}
