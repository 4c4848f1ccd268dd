//! Writes the bytes of an upload to its partial file.
//!
//! Bytes are gathered, then written and hashed as a batch on a blocking thread. While one batch is written the next is
//! gathered; when both are full, the sender waits. So an upload holds at most two batches, whose memory is reused.

use super::fault::{fault, unsure_fault};
use super::stat::identity_of;
use super::tree::{Tree, sync_folder};
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore::ports::Partial;
use lakeshore_system::failpoints::crash_point;
use rustix::fs::{Advice, Mode, OFlags, fadvise, openat};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

/// Size at which a batch is handed to the disk: large enough to make the hand-over cheap while there are few uploads,
/// small enough to keep all uploads together within [`BATCHES_BYTES`] while there are many.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_BYTES_MIN: usize = 32 * 1024;
/// Bytes that the batches of all uploads may hold, but for more uploads than fit with the smallest batch each.
const BATCHES_BYTES: usize = 8 * 1024 * 1024;
/// Bytes written before write-back starts: the disk works while the rest arrives, and the final sync finds little left.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// Size of a batch with `uploads` in progress, each of which has two. An upload starts with small batches, because more
/// uploads may be about to start.
fn batch_bytes(uploads: usize, received_bytes: u64) -> usize {
    let grown = usize::try_from(received_bytes / 4).unwrap_or(usize::MAX);
    (BATCHES_BYTES / 2 / uploads.max(1)).min(grown).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
}

pub(super) struct LocalPartial {
    tree: Arc<Tree>,
    identity: Identity,
    /// The batch that is being gathered. Bytes are copied, so that the connection can reuse its buffer, and the batch
    /// is written in one call.
    batch: Vec<u8>,
    received_bytes: u64,
    /// Whether the name of the file survives a power cut.
    is_named: bool,
    /// The file and its hash so far: here, or with the batch that is being written.
    sink: Sink,
}

enum Sink {
    Idle(Box<HashedFile>),
    Writing(JoinHandle<Result<Box<HashedFile>, Error>>),
    /// A write failed, so the content of the file is unknown.
    Broken,
}

pub(super) struct HashedFile {
    file: File,
    hasher: Sha256,
    size_bytes: u64,
    /// Bytes for which write-back has started.
    begun_bytes: u64,
    /// Memory of the last batch, reused for the batch after the next.
    written: Vec<u8>,
}

/// Creates an empty partial file of this name.
pub(super) fn create_file(tree: &Tree, name: &PartialName) -> Result<File, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The umask decides who may read the lake.
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    openat(tree.uploads(), name.as_str(), flags, mode).map(File::from).map_err(fault("creating an upload"))
}

pub(super) fn create(tree: &Arc<Tree>, name: &PartialName) -> Result<LocalPartial, Error> {
    let file = create_file(tree, name)?;
    crash_point!("partial.created");
    // The file exists from here on, so a retry would find its name taken.
    let identity = identity_of(file.as_fd()).map_err(Error::permanent)?;
    Ok(LocalPartial::new(tree, identity, HashedFile::new(file, Sha256::new(), 0), false))
}

impl HashedFile {
    /// A file that holds `size_bytes` so far, with the state of its hash.
    pub(super) fn new(file: File, hasher: Sha256, size_bytes: u64) -> Self {
        Self { file, hasher, size_bytes, begun_bytes: size_bytes, written: Vec::new() }
    }

    fn take(&mut self, mut batch: Vec<u8>) -> io::Result<()> {
        self.file.write_all(&batch)?;
        self.hasher.update(&batch);
        self.size_bytes += batch.len() as u64;
        batch.clear();
        self.written = batch;
        self.begin_write_back();
        Ok(())
    }

    fn begin_write_back(&mut self) {
        let waiting = self.size_bytes - self.begun_bytes;
        if waiting >= WRITE_BACK_BYTES {
            // Starts write-back; the bytes stay cached for the first reader. This is a hint (posix_fadvise(2)): where
            // it is ignored, the final sync writes them.
            let _ = fadvise(&self.file, self.begun_bytes, NonZeroU64::new(waiting), Advice::DontNeed);
            self.begun_bytes = self.size_bytes;
        }
    }
}

impl LocalPartial {
    pub(super) fn new(tree: &Arc<Tree>, identity: Identity, file: HashedFile, is_named: bool) -> Self {
        tree.uploads_under_way().fetch_add(1, Ordering::Relaxed);
        let received_bytes = file.size_bytes;
        let sink = Sink::Idle(Box::new(file));
        Self { tree: tree.clone(), identity, batch: Vec::new(), received_bytes, is_named, sink }
    }

    /// Waits for the batch that is being written.
    async fn idle(&mut self) -> Result<Box<HashedFile>, Error> {
        match std::mem::replace(&mut self.sink, Sink::Broken) {
            Sink::Idle(file) => Ok(file),
            Sink::Writing(batch) => batch.await.map_err(Error::internal)?,
            Sink::Broken => Err(Error::internal(io::Error::other("written to after a failed write"))),
        }
    }

    fn batch_bytes(&self) -> usize {
        batch_bytes(self.tree.uploads_under_way().load(Ordering::Relaxed), self.received_bytes)
    }

    /// Hands the batch to the disk after the batch before it.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut file = self.idle().await?;
        let batch = std::mem::replace(&mut self.batch, std::mem::take(&mut file.written));
        self.sink = Sink::Writing(tokio::task::spawn_blocking(move || {
            file.take(batch).map_err(unsure_fault("writing an upload"))?;
            Ok(file)
        }));
        Ok(())
    }
}

impl Drop for LocalPartial {
    fn drop(&mut self) {
        self.tree.uploads_under_way().fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Partial for LocalPartial {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.received_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let batch_bytes = self.batch_bytes();
            if self.batch.is_empty() && self.batch.capacity() != batch_bytes {
                // The size is chosen again, since the number of uploads may have changed.
                self.batch = Vec::with_capacity(batch_bytes);
            }
            let room = batch_bytes.saturating_sub(self.batch.len());
            self.batch.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.batch.len() >= batch_bytes {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn rest(&mut self) {
        self.batch.clear();
        // After a failed write the file is idle too.
        if let Ok(file) = self.idle().await {
            self.sink = Sink::Idle(file);
        }
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        let mut file = self.idle().await?;
        let batch = std::mem::take(&mut self.batch);
        let tree = (!self.is_named).then(|| self.tree.clone());
        let synced = tokio::task::spawn_blocking(move || {
            file.take(batch).map_err(unsure_fault("writing an upload"))?;
            file.file.sync_data().map_err(unsure_fault("syncing an upload"))?;
            if let Some(tree) = tree {
                sync_folder(tree.uploads())?;
            }
            crash_point!("partial.checkpoint");
            let checkpoint = Checkpoint { offset: file.size_bytes, hash_state: file.hasher.serialize().to_vec() };
            Ok::<_, Error>((file, checkpoint))
        });
        let (file, checkpoint) = synced.await.map_err(Error::internal)??;
        self.sink = Sink::Idle(file);
        self.is_named = true;
        Ok(checkpoint)
    }

    async fn seal(&mut self) -> Result<Digest, Error> {
        let mut file = self.idle().await?;
        let batch = std::mem::take(&mut self.batch);
        let sealed = tokio::task::spawn_blocking(move || {
            file.take(batch).map_err(unsure_fault("writing an upload"))?;
            file.file.sync_data().map_err(unsure_fault("syncing an upload"))?;
            crash_point!("partial.synced");
            let HashedFile { hasher, size_bytes, .. } = *file;
            Ok(Digest { size_bytes, sha256: hasher.finalize().into() })
        });
        sealed.await.map_err(Error::internal)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_uploads_share_what_few_have() {
        assert_eq!(batch_bytes(1, u64::MAX), BATCH_BYTES_MAX);
        assert_eq!(batch_bytes(64, u64::MAX), 64 * 1024);
        assert_eq!(batch_bytes(100_000, u64::MAX), BATCH_BYTES_MIN);
        assert_eq!(batch_bytes(1, 0), BATCH_BYTES_MIN);
        for uploads in 1..=BATCHES_BYTES / 2 / BATCH_BYTES_MIN {
            assert!(2 * uploads * batch_bytes(uploads, u64::MAX) <= BATCHES_BYTES);
        }
    }
}
