//! A sender's announcement of a file before its bytes.

use crate::model::digest::ExpectedDigests;
use crate::model::upload::in_flight::Sender;
use crate::model::upload::resumable::Token;
use std::sync::Arc;

/// One file to upload.
#[derive(Debug, Clone, Default)]
pub struct UploadRequest {
    pub file_name: String,
    /// In bytes; absent if the sender does not know it yet.
    pub length: Option<u64>,
    /// Expected digests of the whole file.
    pub digests: ExpectedDigests,
    pub sender: Arc<Sender>,
}

impl UploadRequest {
    /// A file of which only the name is known.
    pub fn named(file_name: &str) -> Self {
        Self { file_name: file_name.to_owned(), ..Self::default() }
    }
}

/// One file to upload in any number of requests.
#[derive(Debug, Clone, Default)]
pub struct ResumableRequest {
    pub upload: UploadRequest,
    /// As sent by the client, returned when it asks.
    pub metadata: String,
    /// Whether the creating request has bytes, too: its sender gets the token only after them.
    pub brings_bytes: bool,
    /// Parts to join into this upload.
    pub parts: Vec<Token>,
}
