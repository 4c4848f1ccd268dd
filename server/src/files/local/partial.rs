//! The bytes of an upload on their way to the disk.
//!
//! Pieces are gathered, then written and hashed together on a blocking thread, one batch at a time: while one batch is
//! being written the next is gathered, and then the sender waits. So an upload holds two batches at most.

use super::fault::{fault, io_fault};
use super::tree::{Tree, identity_of};
use crate::crash::crash_point;
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::ports::Partial;
use lakeshore::upload::{Digest, Identity, PartialName};
use rustix::fs::{Mode, OFlags, openat};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use tokio::task::JoinHandle;

/// A batch is handed to the disk at this size. Large enough that the hand-over costs little, small enough that hundreds of
/// uploads at once stay within tens of megabytes.
const BATCH_BYTES: usize = 256 * 1024;

pub(super) struct LocalPartial {
    identity: Identity,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    /// The file and its hash so far: here, or with the batch that is being written.
    sink: Sink,
}

enum Sink {
    Idle(Box<HashedFile>),
    Writing(JoinHandle<Result<Box<HashedFile>, Error>>),
    /// A write failed, and what the file holds is not known.
    Broken,
}

struct HashedFile {
    file: File,
    hasher: Sha256,
    size_bytes: u64,
}

/// A new file of that partial name, empty.
pub(super) fn create_file(tree: &Tree, name: &PartialName) -> Result<File, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The umask decides who reads the lake.
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    openat(tree.uploads(), name.as_str(), flags, mode).map(File::from).map_err(fault("creating an upload"))
}

pub(super) fn create(tree: &Tree, name: &PartialName) -> Result<LocalPartial, Error> {
    let file = create_file(tree, name)?;
    crash_point!("partial.created");
    Ok(LocalPartial {
        identity: identity_of(file.as_fd())?,
        gathered: Vec::new(),
        gathered_bytes: 0,
        sink: Sink::Idle(Box::new(HashedFile { file, hasher: Sha256::new(), size_bytes: 0 })),
    })
}

impl HashedFile {
    fn take(&mut self, batch: &[Bytes]) -> io::Result<()> {
        for bytes in batch {
            self.file.write_all(bytes)?;
            self.hasher.update(bytes);
            self.size_bytes += bytes.len() as u64;
        }
        Ok(())
    }
}

impl LocalPartial {
    /// Waits for the batch that is being written.
    async fn idle(&mut self) -> Result<Box<HashedFile>, Error> {
        match std::mem::replace(&mut self.sink, Sink::Broken) {
            Sink::Idle(file) => Ok(file),
            Sink::Writing(batch) => batch.await.map_err(Error::internal)?,
            Sink::Broken => Err(Error::internal(io::Error::other("written to after a failed write"))),
        }
    }

    fn take_batch(&mut self) -> Vec<Bytes> {
        self.gathered_bytes = 0;
        std::mem::take(&mut self.gathered)
    }
}

#[async_trait]
impl Partial for LocalPartial {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= BATCH_BYTES {
            let mut file = self.idle().await?;
            let batch = self.take_batch();
            self.sink = Sink::Writing(tokio::task::spawn_blocking(move || {
                file.take(&batch).map_err(io_fault("writing an upload"))?;
                Ok(file)
            }));
        }
        Ok(())
    }

    async fn seal(&mut self) -> Result<Digest, Error> {
        let mut file = self.idle().await?;
        let batch = self.take_batch();
        let sealed = tokio::task::spawn_blocking(move || {
            file.take(&batch).map_err(io_fault("writing an upload"))?;
            file.file.sync_data().map_err(io_fault("syncing an upload"))?;
            crash_point!("partial.synced");
            let HashedFile { hasher, size_bytes, .. } = *file;
            Ok(Digest { size_bytes, sha256: hasher.finalize().into() })
        });
        sealed.await.map_err(Error::internal)?
    }
}
