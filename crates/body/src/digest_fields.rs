//! Digests that a sender announces: `Content-Digest` and `Repr-Digest` (RFC 9530), and `Upload-Checksum` as tus spells
//! it.
//!
//! In a multipart body each part has its own, in the head of the part; a file is sent as it is, so the first two mean
//! the same. `Upload-Checksum` in the head of a request is taken for its one file. `Content-Digest` there would cover
//! the whole multipart body, which is not hashed; it is refused, because a digest that is announced but not checked
//! would be trusted.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use lakeshore::Error;
use lakeshore::model::digest::ExpectedDigests;
use sfv::{BareItem, DictSerializer, Dictionary, ListEntry, Parser, key_ref};

const CONTENT_DIGEST: &str = "content-digest";
const REPR_DIGEST: &str = "repr-digest";
const UPLOAD_CHECKSUM: &str = "upload-checksum";
/// Fields older than RFC 9530. The engine does not know their algorithms; the bytes are hashed as they arrive.
const CONTENT_MD5: &str = "content-md5";
const DIGEST: &str = "digest";

/// Digest fields of one head, as received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DigestFields(Vec<Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: &'static str,
    value: String,
}

/// Whether the request asks for digests in its answer (RFC 9530, section 4). The preferred algorithms are ignored: only
/// SHA-256 is returned.
pub fn wants_digest(headers: &HeaderMap) -> bool {
    headers.contains_key("want-repr-digest") || headers.contains_key("want-content-digest")
}

/// Value of `Repr-Digest` for a SHA-256.
pub fn sha256_field(sha256: &[u8; 32]) -> String {
    let mut members = DictSerializer::new();
    members.bare_item(key_ref("sha-256"), sha256.as_slice());
    members.finish().unwrap_or_default()
}

impl DigestFields {
    /// Fields of a request that uploads files.
    pub fn of_upload(headers: &HeaderMap) -> Result<Self, Error> {
        for name in [CONTENT_DIGEST, REPR_DIGEST] {
            if headers.contains_key(name) {
                return Err(Error::Invalid(format!(
                    "{name} in the header of this request applies to the whole multipart body, which is not checked; send \
                     it in the part of the file, or send Upload-Checksum: sha256 and the digest in base64"
                )));
            }
        }
        let mut fields = Self::default();
        for value in headers.get_all(UPLOAD_CHECKSUM) {
            fields.take(UPLOAD_CHECKSUM, value.as_bytes());
        }
        Ok(fields)
    }

    /// Fields of a request whose body is a file, whole or in chunks.
    pub fn of_representation(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for value in headers.get_all(REPR_DIGEST) {
            fields.take(REPR_DIGEST, value.as_bytes());
        }
        fields
    }

    /// Fields that cover the bytes of one request.
    pub fn of_content(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for value in headers.get_all(CONTENT_DIGEST) {
            fields.take(CONTENT_DIGEST, value.as_bytes());
        }
        fields
    }

    /// Keeps the field if it announces a digest.
    pub fn take(&mut self, name: &str, value: &[u8]) {
        let known = [CONTENT_DIGEST, REPR_DIGEST, UPLOAD_CHECKSUM, CONTENT_MD5, DIGEST];
        if let Some(name) = known.into_iter().find(|known| name.eq_ignore_ascii_case(known)) {
            self.0.push(Field { name, value: String::from_utf8_lossy(value).trim().to_owned() });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digests that all fields together announce.
    pub fn announced(&self) -> Result<ExpectedDigests, Error> {
        let new = self.0.iter().filter(|field| !field.is_old());
        new.map(Field::announced).try_fold(ExpectedDigests::default(), |announced, more| announced.and(more?))
    }

    /// Fields with algorithms that the engine does not know, by name and value.
    pub fn old(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter(|field| field.is_old()).map(|field| (field.name, field.value.as_bytes()))
    }
}

impl Field {
    fn is_old(&self) -> bool {
        matches!(self.name, CONTENT_MD5 | DIGEST)
    }

    /// Ignores other algorithms beside a known one, as RFC 9530, section 2, allows; alone they are refused.
    fn announced(&self) -> Result<ExpectedDigests, Error> {
        let announced = match self.name {
            UPLOAD_CHECKSUM => self.checksum(),
            _ => self.dictionary(),
        };
        announced.filter(|announced| *announced != ExpectedDigests::default()).ok_or_else(|| {
            let how = match self.name {
                UPLOAD_CHECKSUM => "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
                _ => "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:",
            };
            Error::Invalid(format!("the {} of the file is not a SHA-256 or SHA-512; send it as {how}", self.name))
        })
    }

    /// `sha256 uU0n…`
    fn checksum(&self) -> Option<ExpectedDigests> {
        let (algorithm, digest) = self.value.split_once(' ')?;
        let digest = BASE64_STANDARD.decode(digest.trim()).ok()?;
        announced(algorithm, &digest, ["sha256", "sha512"])
    }

    /// `sha-256=:uU0n…:, sha-512=:…:`
    fn dictionary(&self) -> Option<ExpectedDigests> {
        let members: Dictionary = Parser::new(&self.value).parse().ok()?;
        members.iter().try_fold(ExpectedDigests::default(), |all, (algorithm, member)| {
            let ListEntry::Item(item) = member else { return None };
            let BareItem::ByteSequence(digest) = &item.bare_item else { return None };
            // A dictionary has each algorithm once, so its members cannot contradict each other.
            all.and(announced(algorithm.as_str(), digest, ["sha-256", "sha-512"])?).ok()
        })
    }
}

/// `None` where a digest of a known algorithm has the wrong length.
fn announced(algorithm: &str, digest: &[u8], [sha256, sha512]: [&str; 2]) -> Option<ExpectedDigests> {
    let mut announced = ExpectedDigests::default();
    if algorithm == sha256 {
        announced.sha256 = Some(digest.try_into().ok()?);
    } else if algorithm == sha512 {
        announced.sha512 = Some(digest.try_into().ok()?);
    }
    Some(announced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, String)]) -> Result<ExpectedDigests, Error> {
        let mut digests = DigestFields::default();
        for (name, value) in fields {
            digests.take(name, value.as_bytes());
        }
        assert_eq!(digests.is_empty(), fields.is_empty());
        digests.announced()
    }

    #[test]
    fn a_digest_that_was_written_is_read_back() {
        let written = sha256_field(&[7; 32]);
        assert_eq!(written, format!("sha-256=:{}:", base64(32)));
        assert_eq!(read(&[("repr-digest", written)]).unwrap().sha256, Some([7; 32]));
    }

    fn base64(length: usize) -> String {
        BASE64_STANDARD.encode(vec![7; length])
    }

    #[test]
    fn each_field_and_all_together_are_read() {
        let (sha256, sha512) = (Some([7; 32]), Some([7; 64]));
        let (short, long) = (base64(32), base64(64));
        let only_256 = ExpectedDigests { sha256, sha512: None };
        assert_eq!(read(&[]).unwrap(), ExpectedDigests::default());
        assert_eq!(read(&[("Content-Digest", format!("sha-256=:{short}:"))]).unwrap(), only_256);
        assert_eq!(read(&[("Upload-Checksum", format!("sha256 {short}"))]).unwrap(), only_256);
        let both = ExpectedDigests { sha256, sha512 };
        assert_eq!(
            read(&[("repr-digest", format!("md5=:AAAA:, sha-256=:{short}:, sha-512=:{long}:;x=1"))]).unwrap(),
            both
        );
        let apart = [("repr-digest", format!("sha-512=:{long}:")), ("upload-checksum", format!("sha256 {short}"))];
        assert_eq!(read(&apart).unwrap(), both);
        let same_twice =
            [("repr-digest", format!("sha-256=:{short}:")), ("content-digest", format!("sha-256=:{short}:"))];
        assert_eq!(read(&same_twice).unwrap(), only_256);
    }

    #[test]
    fn invalid_digests_are_refused_with_a_valid_example() {
        let (short, long) = (base64(32), base64(64));
        for (name, value) in [
            ("Content-Digest", String::new()),
            ("Content-Digest", format!("sha-256={short}")),
            ("Content-Digest", format!("sha-256=:{short}")),
            ("Content-Digest", format!("sha-256=:{long}:")),
            ("Content-Digest", format!("sha-256=(:{short}:)")),
            ("Content-Digest", "md5=:AAAA:".into()),
            ("Repr-Digest", format!("sha-256=:{short}:, sha-512=:{short}:")),
            ("Upload-Checksum", short.clone()),
            ("Upload-Checksum", format!("sha1 {short}")),
            ("Upload-Checksum", format!("sha512 {short}")),
            ("Upload-Checksum", "sha256 not-base64".into()),
        ] {
            let refused = read(&[(name, value.clone())]);
            assert!(matches!(refused, Err(Error::Invalid(text)) if text.contains("send it as")), "{name}: {value}");
        }
        let other = BASE64_STANDARD.encode([8; 32]);
        let two = [("repr-digest", format!("sha-256=:{short}:")), ("upload-checksum", format!("sha256 {other}"))];
        assert!(matches!(read(&two), Err(Error::Invalid(text)) if text.contains("two different")));
    }
}
