//! Idempotent starts: the same call with the same `Idempotency-Key` starts one sync, however often it is sent
//! (draft-ietf-httpapi-idempotency-key-header).

use crate::model::error::Error;
use crate::model::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use sha2::{Digest as _, Sha256};
use std::io;

/// Client's name for one call, usually random. Names of different principals are independent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses the header's value: a string in quotes (RFC 8941, section 3.3.3), or without them, as many clients send
    /// it.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let value = value.trim();
        let key = match value.strip_prefix('"') {
            Some(rest) => unquoted(rest).ok_or_else(|| invalid("its quotes do not match"))?,
            None => value.to_owned(),
        };
        if key.is_empty() {
            return Err(invalid("it is empty"));
        }
        if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(invalid(&format!("it is longer than {IDEMPOTENCY_KEY_BYTES_MAX} bytes")));
        }
        Ok(Self(key))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text after an opening quote, if a closing one ends it.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|&next| next == '"' || next == '\\')?),
            other => text.push(other),
        }
    }
}

fn invalid(reason: &str) -> Error {
    Error::Invalid(format!(
        "the Idempotency-Key is not valid: {reason}; send a random one, for example a UUID in quotes"
    ))
}

/// SHA-256 of the request: distinguishes a repeated call from another one under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub fn of(call: &impl serde::Serialize) -> Result<Self, Error> {
        let mut hashed = Hashed(Sha256::new());
        serde_json::to_writer(&mut hashed, call).map_err(Error::internal)?;
        Ok(Self(hashed.0.finalize().into()))
    }
}

/// Hashes the written bytes without keeping them, since a call may be long.
struct Hashed(Sha256);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_with_its_quotes_or_without_and_never_half() {
        let parsed = |value: &str| IdempotencyKey::parse(value).map(|key| key.0);
        assert_eq!(parsed("\"8e03978e\"").unwrap(), "8e03978e");
        assert_eq!(parsed(" 8e03978e ").unwrap(), "8e03978e");
        assert_eq!(parsed("\"a\\\"b\\\\c\"").unwrap(), "a\"b\\c");
        for wrong in ["", "  ", "\"\"", "\"", "\"a", "\"a\"b", "\"a\\x\"", "\"a\\"] {
            assert!(parsed(wrong).is_err(), "{wrong} was taken");
        }
        assert!(parsed(&"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX)).is_ok());
        assert!(parsed(&"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)).is_err());
    }
}
