//! Copies of files of a dataset, for the full sync that goes on with them.
//!
//! Where the file system can share the bytes of two files until one is written to (`FICLONE`: Btrfs, XFS), a copy costs
//! next to nothing. Elsewhere the bytes are read, hashed and written.

use super::fault::{fault, io_fault, unsure_fault};
use super::partial::create_file;
use super::reading::open_file;
use super::tree::{Tree, found_file, identity_of};
use lakeshore::Error;
use lakeshore::model::storage_path::Place;
use lakeshore::ports::storage::{FoundFile, TakeOver, TakenOver};
use lakeshore_system::crash::crash_point;
use rustix::fs::{fdatasync, ioctl_ficlone};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

const PIECE_BYTES: usize = 1 << 20;

/// What was copied, and is not on stable storage yet.
type Copied = Option<(File, TakenOver)>;

pub(super) fn take_over(tree: &Tree, files: &[TakeOver]) -> Vec<Result<Option<TakenOver>, Error>> {
    let mut piece = Vec::new();
    let copied: Vec<_> = files.iter().map(|file| copy(tree, file, &mut piece)).collect();
    crash_point!("take_over.copied");
    // The first sync takes most of the others' work with it.
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

fn copy(tree: &Tree, file: &TakeOver, piece: &mut Vec<u8>) -> Result<Copied, Error> {
    let Some((original, found)) = open_file(tree, &Place::Live(file.from.clone()))? else { return Ok(None) };
    if found != file.found {
        return Ok(None);
    }
    let copy = create_file(tree, &file.partial)?;
    let result = fill(&original, &copy, piece).and_then(|sha256| {
        // Looked at again: nobody has written to it while it was read.
        Ok(match is_still(&original, &file.found)? {
            true => Some(TakenOver { identity: identity_of(copy.as_fd())?, sha256 }),
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

/// Gives the digest of what was read, where anything had to be.
fn fill(original: &File, mut copy: &File, piece: &mut Vec<u8>) -> Result<Option<[u8; 32]>, Error> {
    match ioctl_ficlone(copy, original) {
        Ok(()) => return Ok(None),
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => return Err(fault("sharing a file")(errno)),
        // This file system cannot, or not these two files.
        Err(_) => {}
    }
    piece.resize(PIECE_BYTES, 0);
    let mut hasher = Sha256::new();
    let mut original = original;
    loop {
        let length = original.read(piece).map_err(io_fault("reading a file that is taken over"))?;
        if length == 0 {
            return Ok(Some(hasher.finalize().into()));
        }
        hasher.update(&piece[..length]);
        copy.write_all(&piece[..length]).map_err(unsure_fault("writing a file that is taken over"))?;
    }
}
