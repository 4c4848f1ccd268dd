//! Continues partial files at their checkpoint, and reads them to join parts.

use super::fault::{fault, io_fault};
use super::partial::{HashedFile, LocalPartial};
use super::stat::identity_of;
use super::tree::Tree;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes per read where a hash has to start over.
const READ_BYTES: usize = 1 << 20;

fn open(tree: &Tree, name: &PartialName, access: OFlags) -> Result<File, Error> {
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(tree.uploads(), name.as_str(), flags, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::NOENT) => Err(Error::BytesLost),
        Err(errno) => Err(fault("opening an upload")(errno)),
    }
}

pub(super) fn resume(
    tree: &Arc<Tree>,
    name: &PartialName,
    identity: &Identity,
    checkpoint: &Checkpoint,
) -> Result<LocalPartial, Error> {
    let mut file = open(tree, name, OFlags::RDWR)?;
    let length = file.metadata().map_err(io_fault("looking at an upload"))?.len();
    if identity_of(file.as_fd())? != *identity || length < checkpoint.offset {
        return Err(Error::BytesLost);
    }
    if length > checkpoint.offset {
        file.set_len(checkpoint.offset).map_err(io_fault("cutting an upload"))?;
        crash_point!("partial.cut");
    }
    let hasher = match hasher_at(checkpoint) {
        Some(hasher) => hasher,
        None => hash(&mut file, checkpoint.offset)?,
    };
    file.seek(SeekFrom::Start(checkpoint.offset)).map_err(io_fault("going on with an upload"))?;
    let file = HashedFile::new(file, hasher, checkpoint.offset);
    Ok(LocalPartial::new(tree, identity.clone(), file, true))
}

fn hasher_at(checkpoint: &Checkpoint) -> Option<Sha256> {
    let state = SerializedState::<Sha256>::try_from(checkpoint.hash_state.as_slice()).ok()?;
    Sha256::deserialize(&state).ok()
}

fn hash(file: &mut File, length: u64) -> Result<Sha256, Error> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; READ_BYTES];
    let mut bytes = file.take(length);
    loop {
        match bytes.read(&mut chunk).map_err(io_fault("reading an upload"))? {
            0 => return Ok(hasher),
            count => hasher.update(&chunk[..count]),
        }
    }
}

pub(super) fn read(tree: &Tree, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error> {
    let file = open(tree, name, OFlags::RDONLY)?;
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut bytes[filled..], offset + filled as u64).map_err(io_fault("reading an upload"))? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}
