//! Writes the bytes of an upload to the bucket: a small object by one request, a large one in parts.
//!
//! Bytes are gathered until they make a part. While parts are sent the next is gathered; when there are too many, the
//! sender waits. What was sent counts when its rows say so, which they do at a checkpoint.

use super::Shared;
use super::buffer::Buffer;
use async_trait::async_trait;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::storage_path::Identity;
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore::ports::Partial;
use lakeshore::ports::namespace::{ObjectCheckpoint, ObjectId, StoredPart};
use lakeshore_system::failpoints::crash_point;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Parts of one upload that are sent at the same time.
const PARTS_IN_FLIGHT_MAX: usize = 3;
/// Parts that an object may have (S3).
const PARTS_MAX: usize = 10_000;
const MIB: u64 = 1 << 20;

/// Size of the part of this number. The first ones are small, so that little is gathered; later ones are larger, so that
/// 1 TiB fits into [`PARTS_MAX`] parts.
fn part_bytes(number: usize) -> u64 {
    match number {
        0..1000 => 8 * MIB,
        1000..2000 => 32 * MIB,
        _ => 128 * MIB,
    }
}

pub(super) struct ObjectPartial {
    shared: Arc<Shared>,
    identity: Identity,
    object: ObjectId,
    key: ObjectKey,
    hasher: Sha256,
    size_bytes: u64,
    /// Behind the last part.
    buffer: Buffer,
    multipart_id: Option<String>,
    /// Parts in the bucket, in their order; behind them come those that are sent.
    parts: Vec<StoredPart>,
    sending: VecDeque<JoinHandle<Result<StoredPart, Error>>>,
    /// Parts of which the rows know.
    recorded_parts: usize,
    /// The last checkpoint.
    recorded: Option<Checkpoint>,
    /// The object is whole.
    sealed: Option<Digest>,
    /// A part was not written, so nothing can follow it.
    is_broken: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("an earlier part of this upload could not be written")]
struct Broken;

#[derive(Debug, thiserror::Error)]
#[error("a task that sent a part was ended: {0}")]
struct SendingEnded(tokio::task::JoinError);

impl ObjectPartial {
    pub(super) fn new(shared: &Arc<Shared>, identity: Identity, object: ObjectId, key: ObjectKey) -> Self {
        Self {
            shared: shared.clone(),
            identity,
            object,
            key,
            hasher: Sha256::new(),
            size_bytes: 0,
            buffer: shared.buffers.buffer(),
            multipart_id: None,
            parts: Vec::new(),
            sending: VecDeque::new(),
            recorded_parts: 0,
            recorded: None,
            sealed: None,
            is_broken: false,
        }
    }

    /// Goes on behind parts that are in the bucket.
    pub(super) fn with_parts(mut self, multipart_id: Option<String>, parts: Vec<StoredPart>) -> Self {
        self.multipart_id = multipart_id;
        self.size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        self.recorded_parts = parts.len();
        self.parts = parts;
        self
    }

    pub(super) fn with_hasher(mut self, hasher: Sha256) -> Self {
        self.hasher = hasher;
        self
    }

    /// Bytes taken in so far become the checkpoint.
    pub(super) fn at_checkpoint(&mut self) {
        self.recorded = Some(self.here());
    }

    fn here(&self) -> Checkpoint {
        Checkpoint { offset: self.size_bytes, hash_state: self.hasher.serialize().to_vec() }
    }

    /// Takes bytes that the hash has seen, or sees now.
    pub(super) async fn take(&mut self, mut bytes: &[u8], is_hashed: bool) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::internal(Broken));
        }
        if !is_hashed {
            self.hasher.update(bytes);
        }
        self.size_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let number = self.parts.len() + self.sending.len();
            let room = part_bytes(number).saturating_sub(self.buffer.len());
            let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let gathered = self.buffer.push(&bytes[..fits]).await;
            self.breaks(gathered)?;
            bytes = &bytes[fits..];
            if self.buffer.len() >= part_bytes(number) {
                let sent = self.send_part().await;
                self.breaks(sent)?;
            }
        }
        Ok(())
    }

    /// After an error, what is in the bucket and in the buffer does not go together any more.
    fn breaks<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.is_broken = true;
            // Another server may have completed it.
            self.shared.open_multiparts.remove(self.object);
        }
        // The bytes are gone: the step cannot be made again.
        result.map_err(Error::permanent)
    }

    /// Sends what was gathered, in the background.
    async fn send_part(&mut self) -> Result<(), Error> {
        let number = self.parts.len() + self.sending.len();
        if number >= PARTS_MAX {
            return Err(Error::TooLarge { limit_bytes: self.size_bytes });
        }
        let multipart_id = match &self.multipart_id {
            Some(multipart_id) => multipart_id.clone(),
            None => self.begin_multipart().await?,
        };
        while self.sending.len() >= PARTS_IN_FLIGHT_MAX {
            self.wait_for_one().await?;
        }
        let gathered = self.buffer.take(&self.shared.buffers);
        let permit = self.shared.buffers.may_send(gathered.len()).await?;
        let (shared, key) = (self.shared.clone(), self.key.clone());
        self.sending.push_back(tokio::spawn(async move {
            let _permit = permit;
            let bytes = gathered.into_bytes().await?;
            let content_id = shared.bucket.put_part(&key, &multipart_id, number, &bytes).await?;
            crash_point!("object.part_put");
            Ok(StoredPart { content_id, size_bytes: bytes.len() as u64 })
        }));
        Ok(())
    }

    async fn begin_multipart(&mut self) -> Result<String, Error> {
        let multipart_id = self.shared.bucket.create_multipart(&self.key).await?;
        crash_point!("object.multipart_begun");
        if let Err(error) = self.shared.namespace.begin_multipart(self.object, &multipart_id).await {
            // Nobody would find it later.
            let _ = self.shared.bucket.abort_multipart(&self.key, &multipart_id).await;
            return Err(error);
        }
        self.shared.open_multiparts.insert(self.object);
        self.multipart_id = Some(multipart_id.clone());
        Ok(multipart_id)
    }

    async fn wait_for_one(&mut self) -> Result<(), Error> {
        if let Some(sending) = self.sending.pop_front() {
            let part = sending.await.map_err(|ended| Error::internal(SendingEnded(ended)))??;
            self.parts.push(part);
        }
        Ok(())
    }

    /// Waits until all parts are in the bucket.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::internal(Broken));
        }
        while !self.sending.is_empty() {
            let sent = self.wait_for_one().await;
            self.breaks(sent)?;
        }
        Ok(())
    }

    /// Writes what is behind the last part as an object of its own.
    async fn put_tail(&self) -> Result<Option<(ObjectId, ObjectKey)>, Error> {
        if self.buffer.len() == 0 {
            return Ok(None);
        }
        let key = ObjectKey::of_tail(self.shared.random()?);
        let _permit = self.shared.buffers.may_send(self.buffer.len()).await?;
        let bytes = self.buffer.copy().await?;
        let tail = self.shared.namespace.intend_tail(&key, bytes.len() as u64, self.shared.now()).await?;
        crash_point!("object.tail_intended");
        self.shared.may_write()?;
        self.shared.bucket.put(&key, &bytes).await?;
        Ok(Some((tail, key)))
    }

    async fn put_whole(&mut self) -> Result<(), Error> {
        self.shared.may_write()?;
        let gathered = self.buffer.take(&self.shared.buffers);
        let _permit = self.shared.buffers.may_send(gathered.len()).await?;
        let bytes = gathered.into_bytes().await?;
        self.shared.bucket.put(&self.key, &bytes).await
    }

    async fn complete(&mut self, multipart_id: &String) -> Result<(), Error> {
        if self.buffer.len() > 0 {
            self.send_part().await?;
        }
        while !self.sending.is_empty() {
            self.wait_for_one().await?;
        }
        self.shared.open_multiparts.remove(self.object);
        let parts: Vec<_> = self.parts.iter().map(|part| part.content_id.clone()).collect();
        self.shared.bucket.complete_multipart(&self.key, multipart_id, &parts, self.size_bytes).await
    }
}

/// A resumed upload sends parts of the same numbers.
impl Drop for ObjectPartial {
    fn drop(&mut self) {
        self.sending.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Partial for ObjectPartial {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.sealed.is_some() {
            return Err(Error::BytesLost);
        }
        self.take(&bytes, false).await
    }

    async fn rest(&mut self) {
        for sending in std::mem::take(&mut self.sending) {
            let _ = sending.await;
            // Its part is not known here any more.
            self.is_broken = true;
        }
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        self.settle().await?;
        if let Some(recorded) = self.recorded.as_ref().filter(|recorded| recorded.offset == self.size_bytes) {
            return Ok(recorded.clone());
        }
        let here = self.here();
        if self.size_bytes > 0 && self.sealed.is_none() {
            let checkpoint = ObjectCheckpoint {
                offset: here.offset,
                hash_state: here.hash_state.clone(),
                parts: self.parts.len() as u64,
                parts_bytes: self.parts.iter().map(|part| part.size_bytes).sum(),
                tail: self.put_tail().await?,
            };
            let new_parts = &self.parts[self.recorded_parts..];
            let namespace = &self.shared.namespace;
            namespace.checkpoint(self.object, &checkpoint, new_parts, self.shared.now()).await?;
            crash_point!("partial.checkpoint");
            self.recorded_parts = self.parts.len();
        }
        self.recorded = Some(here.clone());
        Ok(here)
    }

    async fn seal(&mut self) -> Result<Digest, Error> {
        if let Some(digest) = self.sealed {
            return Ok(digest);
        }
        self.settle().await?;
        let written = match self.multipart_id.clone() {
            None => self.put_whole().await,
            Some(multipart_id) => self.complete(&multipart_id).await,
        };
        self.breaks(written)?;
        crash_point!("object.put");
        let digest = Digest { size_bytes: self.size_bytes, sha256: self.hasher.clone().finalize().into() };
        let sealed = self.shared.namespace.seal(self.object, &digest, self.shared.now()).await;
        self.breaks(sealed)?;
        crash_point!("partial.synced");
        self.sealed = Some(digest);
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tebibyte_fits_into_the_parts_of_an_object() {
        let bytes: u64 = (0..PARTS_MAX).map(part_bytes).sum();
        assert!(bytes >= 1 << 40, "{bytes}");
        assert!(part_bytes(0) >= 5 * MIB && part_bytes(PARTS_MAX - 1) <= 5 << 30, "the bounds of S3");
    }
}
