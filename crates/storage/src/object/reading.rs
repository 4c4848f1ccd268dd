//! Reads files. An object never changes, so a file that is open stays what it was, as long as its object is kept.

use super::Shared;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::ports::storage::{FoundFile, OpenFile};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::sync::Mutex;

pub(super) struct ObjectOpenFile {
    shared: Arc<Shared>,
    found: FoundFile,
    key: ObjectKey,
    /// Of one reader; another one beside it reads without it.
    ahead: Mutex<Ahead>,
}

/// A reader that goes on where its last read ended gets its bytes from one request, however many reads there are.
#[derive(Default)]
struct Ahead {
    /// Where the last read ended.
    at: u64,
    stream: Option<BoxStream<'static, Result<Bytes, Error>>>,
    /// Bytes that have come, and that nobody has read.
    rest: Bytes,
}

impl ObjectOpenFile {
    pub(super) fn new(shared: &Arc<Shared>, found: FoundFile, key: ObjectKey) -> Self {
        Self { shared: shared.clone(), found, key, ahead: Mutex::default() }
    }

    async fn read_on(&self, ahead: &mut Ahead, at: u64, end: u64) -> Result<Vec<u8>, Error> {
        if ahead.at != at || at == 0 {
            *ahead = Ahead { at: end, ..Ahead::default() };
            return self.read_range(at, end).await;
        }
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(wanted);
        if ahead.stream.is_none() {
            ahead.stream = Some(self.shared.bucket.stream(&self.key, at..self.found.size_bytes).await?);
        }
        while bytes.len() < wanted {
            if ahead.rest.is_empty() {
                match ahead.stream.as_mut() {
                    Some(stream) => match stream.next().await {
                        Some(Ok(more)) => ahead.rest = more,
                        // Cut off, and perhaps there again: what is missing is asked for by itself.
                        Some(Err(_)) | None => break,
                    },
                    None => break,
                }
            }
            let taken = ahead.rest.len().min(wanted - bytes.len());
            bytes.extend_from_slice(&ahead.rest.split_to(taken));
        }
        if bytes.len() < wanted {
            *ahead = Ahead::default();
            bytes.extend(self.read_range(at + bytes.len() as u64, end).await?);
        }
        ahead.at = end;
        Ok(bytes)
    }

    async fn read_range(&self, at: u64, end: u64) -> Result<Vec<u8>, Error> {
        Ok(self.shared.bucket.get_range(&self.key, at..end).await?.into())
    }
}

#[async_trait]
impl OpenFile for ObjectOpenFile {
    fn found(&self) -> &FoundFile {
        &self.found
    }

    async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let end = self.found.size_bytes.min(at.saturating_add(bytes_max as u64));
        if at >= end {
            return Ok(Vec::new());
        }
        if let Some(object) = self.shared.recent.get(&self.key) {
            let range = usize::try_from(at).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
            return object.get(range).map(<[u8]>::to_vec).ok_or(Error::BytesLost);
        }
        match self.ahead.try_lock() {
            Ok(mut ahead) => self.read_on(&mut ahead, at, end).await,
            Err(_) => self.read_range(at, end).await,
        }
    }
}

/// Reads an object to its end; `None` when there is none.
pub(super) async fn digest(shared: &Shared, size_bytes: u64, key: &ObjectKey) -> Result<Option<Digest>, Error> {
    let Some(stored_bytes) = shared.bucket.size(key).await? else { return Ok(None) };
    let mut hasher = Sha256::new();
    let mut read_bytes = 0;
    if stored_bytes > 0 && size_bytes > 0 {
        let mut stream = shared.bucket.stream(key, 0..stored_bytes).await?;
        while let Some(bytes) = stream.next().await.transpose()? {
            hasher.update(&bytes);
            read_bytes += bytes.len() as u64;
        }
    }
    Ok(Some(Digest { size_bytes: read_bytes, sha256: hasher.finalize().into() }))
}
