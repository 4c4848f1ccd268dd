//! Copies unchanged files of a dataset for the full sync that keeps them.
//!
//! Where the file system shares the blocks of two files until one is written to (`FICLONE`: Btrfs, XFS), a copy costs
//! almost nothing. Elsewhere the bytes are read, hashed and written.

use super::fault::{fault, io_fault, unsure_fault};
use super::partial::create_file;
use super::reading::open_file;
use super::stat::{found_file, identity_of};
use super::tree::Tree;
use lakeshore::Error;
use lakeshore::ports::storage::{FoundFile, ReuseRequest, ReusedCopy};
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{fdatasync, ioctl_ficlone};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

const CHUNK_BYTES: usize = 1 << 20;

/// A copy that is not on stable storage yet.
type Copied = Option<(File, ReusedCopy)>;

pub(super) fn take_over(tree: &Tree, files: &[ReuseRequest]) -> Vec<Result<Option<ReusedCopy>, Error>> {
    let mut chunk = Vec::new();
    let copied: Vec<_> = files.iter().map(|file| copy(tree, file, &mut chunk)).collect();
    crash_point!("take_over.copied");
    // The first sync writes most of the other files too.
    let sealed = copied.into_iter().map(|copied| match copied? {
        Some((copy, taken_over)) => {
            fdatasync(&copy).map_err(unsure_fault("syncing a file that is taken over"))?;
            Ok(Some(taken_over))
        }
        None => Ok(None),
    });
    let sealed = sealed.collect();
    crash_point!("take_over.synced");
    sealed
}

fn copy(tree: &Tree, file: &ReuseRequest, chunk: &mut Vec<u8>) -> Result<Copied, Error> {
    let Some((original, found)) = open_file(tree, &file.from)? else { return Ok(None) };
    if found != file.found {
        return Ok(None);
    }
    let copy = create_file(tree, &file.partial)?;
    let result = fill(&original, &copy, chunk).and_then(|sha256| {
        // Checks again that the file was not written to during the copy.
        Ok(match is_still(&original, &file.found)? {
            true => Some(ReusedCopy { identity: identity_of(copy.as_fd())?, sha256 }),
            false => None,
        })
    });
    match result {
        Ok(Some(taken_over)) => Ok(Some((copy, taken_over))),
        other => {
            tree.remove_partial(&file.partial)?;
            other.map(|_| None)
        }
    }
}

fn is_still(file: &File, found: &FoundFile) -> Result<bool, Error> {
    Ok(found_file(file.as_fd()).map_err(fault("looking at a file"))?.as_ref() == Some(found))
}

/// Fills the copy; returns the digest of the bytes where they had to be read.
fn fill(original: &File, mut copy: &File, chunk: &mut Vec<u8>) -> Result<Option<[u8; 32]>, Error> {
    match ioctl_ficlone(copy, original) {
        Ok(()) => return Ok(None),
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => return Err(fault("sharing a file")(errno)),
        // Not supported by this file system, or not for these two files.
        Err(_) => {}
    }
    chunk.resize(CHUNK_BYTES, 0);
    let mut hasher = Sha256::new();
    let mut original = original;
    loop {
        let length = original.read(chunk).map_err(io_fault("reading a file that is taken over"))?;
        if length == 0 {
            return Ok(Some(hasher.finalize().into()));
        }
        hasher.update(&chunk[..length]);
        copy.write_all(&chunk[..length]).map_err(unsure_fault("writing a file that is taken over"))?;
    }
}
