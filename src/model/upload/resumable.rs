//! Resumable uploads: files that may come in many requests, each going on where the last one was cut off.
//!
//! How far an upload has come is its **checkpoint**: what is on stable storage, and what its sender is told. A checkpoint
//! never goes back.

use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::time::Timestamp;

use serde::{Deserialize, Serialize};
use std::fmt;

/// The public name of a resumable upload: 128 random bits in hexadecimal. What was begun with a key
/// needs that key beside it; what a guest has begun is gone on with by whoever knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

const TOKEN_BYTES: usize = 16;

impl Token {
    pub fn from_random(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(hex::encode(bytes))
    }

    /// What an address names; `None` when it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * TOKEN_BYTES && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// A token that was made by [`Self::from_random`] and remembered.
    pub fn remembered(token: String) -> Self {
        Self(token)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not by this: it would be in a log.
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

/// How far the bytes of an upload are on stable storage. The default is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// In bytes.
    pub offset: u64,
    /// The state of the hash at that offset. Only the backend that made it reads it; one that it cannot read costs it a
    /// reading of the file.
    pub hash_state: Vec<u8>,
}

/// An unfinished upload as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedResumable {
    /// Only for those who may use it: who has begun the upload, and who may discard it as an administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Its row in the history, and its sync; absent for a part, of which several become one upload.
    pub history_id: Option<UploadId>,
    pub sync_id: Option<SyncId>,
    pub file_name: String,
    /// Bytes that are kept.
    pub offset: u64,
    /// Bytes of the whole; absent as long as its sender has not said.
    pub length: Option<u64>,
    pub start_time: Timestamp,
    /// When it is given up unless more comes.
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_own_text_and_nothing_else_is_one() {
        let token = Token::from_random([0xAB; 16]);
        assert_eq!(Token::parse(token.as_str()), Some(token.clone()));
        for wrong in ["", "ab", "../../../../etc/passwd/../../../", &token.as_str().to_uppercase()] {
            assert_eq!(Token::parse(wrong), None, "{wrong:?} was taken");
        }
    }
}
