//! File as its readers see it: counted and bounded reads at an offset.

use super::Fault;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes read of a file.
const BYTES_MAX: u64 = 512 << 20;
/// Most bytes of one read.
const CHUNK_BYTES_MAX: usize = 128 << 20;

/// Reads bytes at an offset, of a file or of memory.
pub trait ReadAt: Send + Sync {
    /// Reads from `at` on. May return fewer bytes than fit, and does at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

pub struct Source {
    bytes: Box<dyn ReadAt>,
    size_bytes: u64,
    bytes_read: AtomicU64,
}

impl Source {
    /// `size_bytes` is the size of the file when it was opened.
    pub fn new(bytes: impl ReadAt + 'static, size_bytes: u64) -> Self {
        Self { bytes: Box::new(bytes), size_bytes, bytes_read: AtomicU64::new(0) }
    }

    /// Size in bytes when the file was opened.
    pub(super) fn len(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Reads `length` bytes from `at` on, fewer at the end of the file.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let length = length.min(usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(Bytes::new());
        }
        if length > CHUNK_BYTES_MAX || self.bytes_read() + length as u64 > BYTES_MAX {
            return Err(Fault::unreadable("its preview needs too much data"));
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.bytes.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Disk(error)),
            }
        }
        bytes.truncate(filled);
        self.bytes_read.fetch_add(filled as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }

    /// Reads exactly `length` bytes.
    pub(super) fn read_exactly(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let bytes = self.read(at, length)?;
        if bytes.len() < length {
            return Err(Fault::unreadable("it is truncated"));
        }
        Ok(bytes)
    }
}
