//! A file as its readers get it: pieces at a place, counted and bounded.

use super::Fault;
use bytes::Bytes;
use lakeshore::ports::files::OpenFile;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::runtime::Handle;

/// What may be read of a file in all.
const BYTES_MAX: u64 = 512 << 20;
/// What may be read of it at once.
const PIECE_BYTES_MAX: usize = 128 << 20;

pub(super) struct Source {
    file: Arc<dyn OpenFile>,
    runtime: Handle,
    bytes_read: AtomicU64,
    is_given_up: AtomicBool,
}

impl Source {
    pub(super) fn new(file: Arc<dyn OpenFile>, runtime: Handle) -> Self {
        Self { file, runtime, bytes_read: AtomicU64::new(0), is_given_up: AtomicBool::new(false) }
    }

    /// In bytes, when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.file.found().size_bytes
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Nobody waits for it any more: the next read fails.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// The bytes from `at` on, `length` of them; fewer at the end of the file. Blocks.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let length = length.min(usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(Bytes::new());
        }
        if self.is_given_up.load(Ordering::Relaxed) {
            return Err(Fault::unreadable("reading it takes too long"));
        }
        if length > PIECE_BYTES_MAX || self.bytes_read() + length as u64 > BYTES_MAX {
            return Err(Fault::unreadable("too much of it would have to be read"));
        }
        let bytes = self.runtime.block_on(self.file.read(at, length))?;
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }

    /// Just so many bytes.
    pub(super) fn read_exactly(&self, at: u64, length: usize) -> Result<Bytes, Fault> {
        let bytes = self.read(at, length)?;
        if bytes.len() < length {
            return Err(Fault::unreadable("it ends before what it says it holds"));
        }
        Ok(bytes)
    }
}
