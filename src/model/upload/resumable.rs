//! Resumable uploads: files that may arrive in several requests, each of which continues where the last one ended.
//!
//! The **checkpoint** of an upload is its offset on stable storage, which is also the offset that its sender is told. A
//! checkpoint never goes back.

use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::time::Timestamp;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Public name of a resumable upload: 128 random bits in hexadecimal. An upload begun with a key needs that key too;
/// one begun by a guest is open to every client with the token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

const TOKEN_BYTES: usize = 16;

impl Token {
    pub fn from_random(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Parses the token of a URL; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * TOKEN_BYTES && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Restores a stored token, without a check.
    pub fn from_stored(token: String) -> Self {
        Self(token)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hides the token, which would otherwise be logged.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Durable progress of an upload. The default is the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// In bytes.
    pub offset: u64,
    /// State of the hash at that offset. Only the backend that made it reads it. If it cannot, it reads the file again.
    pub hash_state: Vec<u8>,
}

/// An unfinished upload as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedResumable {
    /// Only for callers that may use it: the one who began the upload, and administrators, who may discard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Its row in the history, and its sync; absent for a part, as several parts become one upload.
    pub history_id: Option<UploadId>,
    pub sync_id: Option<SyncId>,
    pub file_name: String,
    /// Durable bytes.
    pub offset: u64,
    /// Bytes of the whole file; absent until its sender declares them.
    pub length: Option<u64>,
    pub start_time: Timestamp,
    /// Time at which it is discarded unless more bytes arrive.
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_text_parses_as_a_token() {
        let token = Token::from_random([0xAB; 16]);
        assert_eq!(Token::parse(token.as_str()), Some(token.clone()));
        for wrong in ["", "ab", "../../../../etc/passwd/../../../", &token.as_str().to_uppercase()] {
            assert_eq!(Token::parse(wrong), None, "{wrong:?} was taken");
        }
    }
}
