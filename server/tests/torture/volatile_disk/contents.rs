//! Bytes of a file: the visible ones, the durable ones, and the writes in between.

use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeSet;

/// Unit that the kernel writes at once, and marks as clean after a failed write.
const PAGE_BYTES: usize = 4096;
/// Unit that a disk writes atomically.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Default)]
pub struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<Change>,
    /// Pages lost by a failed sync: they can still be read, and are written completely with the next write to them.
    lost_pages: BTreeSet<usize>,
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

fn pages(offset: usize, length: usize) -> std::ops::Range<usize> {
    offset / PAGE_BYTES..(offset + length).div_ceil(PAGE_BYTES)
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes { offset, bytes: written } => put(bytes, *offset, written),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl Contents {
    pub fn len(&self) -> usize {
        self.now.len()
    }

    pub fn read(&self, offset: usize, length: usize) -> &[u8] {
        let end = (offset + length).min(self.now.len());
        &self.now[offset.min(end)..end]
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.now, offset, bytes);
        // A write to a part of a page makes the whole page dirty, including its lost bytes.
        let (mut from, mut to) = (offset, offset + bytes.len());
        for page in pages(offset, bytes.len()) {
            if self.lost_pages.remove(&page) {
                from = from.min(page * PAGE_BYTES);
                to = to.max(((page + 1) * PAGE_BYTES).min(self.now.len()));
            }
        }
        self.pending.push(Change::Bytes { offset: from, bytes: self.now[from..to].to_vec() });
    }

    pub fn set_length(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.lost_pages.retain(|page| page * PAGE_BYTES < length);
        self.pending.push(Change::Length(length));
    }

    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Behaves like Linux: the pages are marked as clean, and will not be written again. Lengths are kept, as they are
    /// in the journal of the file system.
    pub fn fail_sync(&mut self) {
        for change in &self.pending {
            if let Change::Bytes { offset, bytes } = change {
                self.lost_pages.extend(pages(*offset, bytes.len()));
            }
        }
        self.pending.retain(|change| matches!(change, Change::Length(_)));
    }

    /// Result of a power cut: any part of the writes since the last sync, in any order, torn between sectors.
    pub fn cut(&self, random: &mut StdRng) -> Self {
        let mut left = self.durable.clone();
        let kept_of_ten = [0, 3, 7, 10][random.random_range(0..4)];
        for change in &self.pending {
            match change {
                Change::Length(length) => {
                    if random.random_range(0..10) < kept_of_ten {
                        left.resize(*length, 0);
                    }
                }
                Change::Bytes { offset, bytes } => {
                    for page in pages(*offset, bytes.len()) {
                        let from = (page * PAGE_BYTES).max(*offset);
                        let mut to = ((page + 1) * PAGE_BYTES).min(offset + bytes.len());
                        if random.random_range(0..10) >= kept_of_ten {
                            continue;
                        }
                        if random.random_bool(0.1) {
                            let torn = page * PAGE_BYTES + random.random_range(0..8) * SECTOR_BYTES;
                            to = torn.clamp(from, to);
                        }
                        put(&mut left, from, &bytes[from - offset..to - offset]);
                    }
                }
            }
        }
        Self { now: left.clone(), durable: left, ..Self::default() }
    }

    /// Empties a file that is unreachable.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
