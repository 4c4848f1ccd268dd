//! `Repr-Digest`: the SHA-256 of a whole file as a header field (RFC 9530), written and read.

use super::error::ClientError;
use lakeshore::model::digest::Digest;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, DictSerializer, Dictionary, KeyRef, ListEntry, Parser, key_ref};

pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const SHA_256: &KeyRef = key_ref("sha-256");

/// Formats a SHA-256 of 64 hexadecimal digits as the value of the field.
pub fn repr_digest(sha256: &str) -> Result<HeaderValue, ClientError> {
    let digest =
        Digest::parse_sha256(sha256).ok_or_else(|| ClientError::Local(format!("{sha256:?} is not a SHA-256")))?;
    let mut field = DictSerializer::new();
    field.bare_item(SHA_256, digest.as_slice());
    HeaderValue::try_from(field.finish().unwrap_or_default()).map_err(|error| ClientError::Local(error.to_string()))
}

/// SHA-256 of the whole file in hexadecimal, if the answer has one.
pub fn sha256_of(headers: &HeaderMap) -> Option<String> {
    let fields: Vec<_> = headers.get_all(REPR_DIGEST).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    let members: Dictionary = Parser::new(&fields.join(", ")).parse().ok()?;
    let ListEntry::Item(member) = members.get(SHA_256)? else { return None };
    let BareItem::ByteSequence(digest) = &member.bare_item else { return None };
    (digest.len() == 32).then(|| hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Option<String> {
        sha256_of(&fields.iter().map(|field| (REPR_DIGEST, field.parse().unwrap())).collect())
    }

    #[test]
    fn a_digest_that_was_written_is_read_back() {
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let written = repr_digest(sha256).unwrap();
        assert_eq!(written, "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:");
        let written = written.to_str().unwrap();
        let (beside, with_parameter) =
            (format!("sha-512=:AAAA:,{written}"), format!("{written};from=disk, md5=:AAAA:"));
        let fields: [&[&str]; 4] = [&[written], &[&beside], &[&with_parameter], &["md5=:AAAA:", written]];
        for fields in fields {
            assert_eq!(read(fields).as_deref(), Some(sha256), "{fields:?}");
        }
    }

    #[test]
    fn a_field_without_a_whole_sha_256_is_ignored() {
        for field in ["", "sha-256", "sha-256=:AAAA:", "sha-256=(:AAAA:)", "sha-256=LPJN", "md5=:AAAA:", "sha-256=:?:"]
        {
            assert_eq!(read(&[field]), None, "{field}");
        }
        assert_eq!(read(&[]), None);
        assert!(repr_digest("abc").is_err());
    }
}
