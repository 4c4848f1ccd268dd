//! Parquet file for the parquet crate: the tail is read at once, the rest as needed.

use crate::Fault;
use crate::source::Source;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, Read};
use std::sync::Arc;

/// Longest footer. One with a thousand row groups and a hundred columns has about 10 MB.
const FOOTER_BYTES_MAX: u64 = 32 << 20;
/// Bytes of the tail, which contains most footers.
const TAIL_BYTES: usize = 64 * 1024;
/// Bytes of one read of a page header. Most headers have some tens of bytes; those with the minimum and maximum of the
/// page have more.
const HEADER_CHUNK_BYTES: usize = 1024;

#[derive(Clone)]
pub(super) struct ParquetFile {
    source: Arc<Source>,
    /// Offset of the tail, and its bytes.
    tail: (u64, Bytes),
    footer_bytes: u64,
    /// First fault: the parquet crate keeps only the message of an error.
    fault: Arc<Mutex<Option<Fault>>>,
}

impl ParquetFile {
    /// Reads the tail, which locates the footer.
    pub(super) fn new(source: &Arc<Source>) -> Result<Self, Fault> {
        let length = source.len();
        let begins_at = length.saturating_sub(TAIL_BYTES as u64);
        let tail = source.read(begins_at, TAIL_BYTES)?;
        let footer_bytes = match tail.last_chunk::<8>() {
            Some([.., b'P', b'A', b'R', b'E']) => return Err(Fault::unreadable("it is encrypted")),
            Some([a, b, c, d, b'P', b'A', b'R', b'1']) if length >= 12 => {
                let footer = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                if footer > length - 12 {
                    return Err(Fault::unreadable("it is damaged: its footer length is larger than the file"));
                }
                if footer > FOOTER_BYTES_MAX {
                    let limit = FOOTER_BYTES_MAX >> 20;
                    return Err(Fault::unreadable(format!("not supported: its footer is longer than {limit} MiB")));
                }
                footer
            }
            _ => {
                let problem = "it is truncated or not a Parquet file";
                return Err(Fault::unreadable(problem));
            }
        };
        Ok(Self { source: source.clone(), tail: (begins_at, tail), footer_bytes, fault: Arc::default() })
    }

    pub(super) fn footer(&self) -> Result<Bytes, Fault> {
        let length = usize::try_from(self.footer_bytes).unwrap_or(usize::MAX);
        self.read(self.source.len() - 8 - self.footer_bytes, length)
    }

    /// Cause of an error that the crate returned.
    pub(super) fn cause(&self, error: impl std::fmt::Display) -> Fault {
        let fault = self.fault.lock().take();
        fault.unwrap_or_else(|| Fault::Unreadable(described(&error.to_string())))
    }

    fn read(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let (begins_at, tail) = &self.tail;
        let in_tail = at.checked_sub(*begins_at).and_then(|at| usize::try_from(at).ok());
        let end = in_tail.and_then(|at| at.checked_add(length));
        match (in_tail, end) {
            (Some(at), Some(end)) if end <= tail.len() => Ok(tail.slice(at..end)),
            _ => self.source.read_exactly(at, length),
        }
    }

    /// Keeps a fault before the crate reduces it to a message.
    fn kept<T>(&self, result: Result<T, Fault>) -> Result<T, String> {
        result.map_err(|fault| {
            let words = fault.to_string();
            *self.fault.lock() = Some(fault);
            words
        })
    }
}

/// Rewords a message of the crate, which has one kind of error for damage and for limits of its own.
pub(super) fn described(message: &str) -> String {
    const LIMITS: [&str; 9] = [
        "NYI: ",
        "not supported",
        "not yet supported",
        "not implemented",
        "Not yet implemented",
        "Disabled feature",
        "Unable to convert parquet",
        "Unexpected Encoding",
        "is greater than max",
    ];
    let cause = message.rsplit(" error: ").next().unwrap_or_default();
    let cause = ["Parquet error: ", "Arrow: ", "EOF: ", "NYI: "]
        .into_iter()
        .fold(cause, |cause, prefix| cause.strip_prefix(prefix).unwrap_or(cause));
    if LIMITS.into_iter().any(|limit| message.contains(limit)) {
        format!("not supported: {cause}")
    } else {
        format!("it is damaged: {cause}")
    }
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.source.len()
    }
}

impl ChunkReader for ParquetFile {
    type T = OffsetReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(OffsetReader { file: self.clone(), at: start, chunk: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.kept(self.read(start, length)).map_err(ParquetError::General)
    }
}

/// Reader from an offset on, which reads as needed.
pub(super) struct OffsetReader {
    file: ParquetFile,
    at: u64,
    chunk: Bytes,
}

impl Read for OffsetReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let rest = usize::try_from(self.file.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
            let length = HEADER_CHUNK_BYTES.max(buffer.len()).min(rest);
            self.chunk = self.file.kept(self.file.read(self.at, length)).map_err(io::Error::other)?;
            self.at += length as u64;
        }
        let taken = self.chunk.split_to(self.chunk.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}
