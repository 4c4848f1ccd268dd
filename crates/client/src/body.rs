//! Request bodies read from a file as the connection takes them; reading stops when the file changes.

use super::digest::{CHANGED, CHUNK_BYTES, SOURCE_FLAGS};
use super::progress::FileProgress;
use super::walk::Stamp;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Reason why a body ended early, for its sender: the error of the connection does not contain it.
#[derive(Debug, Clone, Default)]
pub struct BodyError(Arc<OnceLock<String>>);

impl BodyError {
    pub fn why(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn broken(&self, why: impl std::fmt::Display) -> io::Error {
        let error = io::Error::other(why.to_string());
        // The first reason is the cause.
        let _ = self.0.set(why.to_string());
        error
    }
}

/// An open file that matches its entry in the plan.
pub struct SourceFile {
    file: File,
    stamp: Stamp,
}

impl SourceFile {
    /// Opens the file, or returns why it cannot be sent.
    pub async fn open(path: &Path, stamp: &Stamp) -> Result<Self, String> {
        let opened = OpenOptions::new().read(true).custom_flags(SOURCE_FLAGS).open(path).await;
        let file = opened.map_err(|error| error.to_string())?;
        let source = Self { file, stamp: *stamp };
        if source.is_unchanged().await { Ok(source) } else { Err(CHANGED.to_owned()) }
    }

    async fn is_unchanged(&self) -> bool {
        self.file.metadata().await.is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }

    /// Reads a small file at once.
    pub async fn read_whole(mut self) -> Result<Bytes, String> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.stamp.size_bytes).unwrap_or_default() + 1);
        let limit = self.stamp.size_bytes + 1;
        (&mut self.file).take(limit).read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
        let is_whole = bytes.len() as u64 == self.stamp.size_bytes && self.is_unchanged().await;
        if is_whole { Ok(bytes.into()) } else { Err(CHANGED.to_owned()) }
    }

    /// Streams `length` bytes from `offset` on. If the file has changed, it fails before the last chunk, so that the
    /// server never gets a whole body.
    pub fn stream(
        self,
        offset: u64,
        length: u64,
        progress: Arc<FileProgress>,
        body_error: BodyError,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let begin = (self, None::<u64>);
        stream::try_unfold(begin, move |(mut source, left)| {
            let (progress, body_error) = (progress.clone(), body_error.clone());
            async move {
                let left = match left {
                    Some(left) => left,
                    None => {
                        source.file.seek(SeekFrom::Start(offset)).await.map_err(|error| body_error.broken(error))?;
                        length
                    }
                };
                if left == 0 {
                    return Ok(None);
                }
                let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                let mut chunk = BytesMut::with_capacity(wanted);
                while chunk.len() < wanted {
                    let room = (wanted - chunk.len()) as u64;
                    let count = (&mut source.file).take(room).read_buf(&mut chunk).await;
                    if count.map_err(|error| body_error.broken(error))? == 0 {
                        return Err(body_error.broken(CHANGED));
                    }
                }
                let left = left - chunk.len() as u64;
                if left == 0 && !source.is_unchanged().await {
                    return Err(body_error.broken(CHANGED));
                }
                progress.add(chunk.len() as u64);
                Ok(Some((chunk.freeze(), (source, Some(left)))))
            }
        })
    }
}
