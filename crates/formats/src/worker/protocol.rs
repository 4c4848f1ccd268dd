//! Protocol between server and reader: frames of a length and JSON. The open file is sent with the first byte of its
//! request.
//!
//! Neither side trusts the lengths of the other: a file may have taken over its reader.

use crate::reading::{Depth, Reading};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Longest request: a file name and numbers.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Longest answer: the preview of a file.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Length prefix of a frame: 4 bytes, little-endian.
pub const LENGTH_BYTES: usize = 4;
/// Bytes of one read of a frame, so that no memory is allocated for an announced length.
const CHUNK_BYTES: usize = 64 << 10;

/// First message of a reader.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Reason why system calls are not filtered, if they are not.
    pub unfiltered: Option<String>,
}

/// Request for the file that is sent with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub name: String,
    /// Size when it was opened.
    pub size_bytes: u64,
    pub depth: Depth,
    pub processor_seconds_max: u64,
    /// The descriptor that comes with it is a socket, by which to ask for chunks of the file.
    pub is_served: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub reading: Reading,
    /// The reader exits after this answer, because its memory has grown.
    pub is_last: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a message of {0} bytes, more than there may be")]
    TooLong(u64),
    #[error("a message that is none: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Encodes a message. Fails as soon as it exceeds `bytes_max`.
pub fn encode(message: &impl Serialize, bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = Frame { bytes: vec![0; LENGTH_BYTES], bytes_max: LENGTH_BYTES + bytes_max };
    serde_json::to_writer(&mut frame, message).map_err(|error| match error.io_error_kind() {
        Some(_) => FrameError::TooLong(bytes_max as u64),
        None => FrameError::Malformed(error),
    })?;
    let length = u32::try_from(frame.bytes.len() - LENGTH_BYTES).map_err(|_| FrameError::TooLong(bytes_max as u64))?;
    frame.bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame.bytes)
}

struct Frame {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one message of at most `bytes_max` bytes.
pub fn decode<T: DeserializeOwned>(from: &mut impl Read, bytes_max: usize) -> Result<T, FrameError> {
    let mut length = [0; LENGTH_BYTES];
    from.read_exact(&mut length)?;
    decode_rest(from, length, bytes_max)
}

/// Reads the rest of a message whose length was read.
pub fn decode_rest<T: DeserializeOwned>(
    from: &mut impl Read,
    length: [u8; LENGTH_BYTES],
    bytes_max: usize,
) -> Result<T, FrameError> {
    let length = u32::from_le_bytes(length);
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    if left > bytes_max {
        return Err(FrameError::TooLong(length.into()));
    }
    let mut bytes = Vec::with_capacity(left.min(CHUNK_BYTES));
    while left > 0 {
        let begins_at = bytes.len();
        let chunk = left.min(CHUNK_BYTES);
        bytes.resize(begins_at + chunk, 0);
        from.read_exact(&mut bytes[begins_at..])?;
        left -= chunk;
    }
    Ok(serde_json::from_slice(&bytes)?)
}
