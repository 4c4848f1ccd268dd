//! The bytes of a file on their way out: a bounded number of pieces at a time, however slowly they are taken.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use lakeshore::ports::files::OpenFile;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces of one file in memory: one is sent while the next is read.
const PIECES_MAX: usize = 2;
/// A piece is large where there are few downloads, and small where there are many.
const PIECE_BYTES_MAX: usize = 256 * 1024;
const PIECE_BYTES_MIN: usize = 16 * 1024;
/// What the pieces of all downloads may hold, until they are so many that each has the least.
const PIECES_BYTES: usize = 64 * 1024 * 1024;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

fn piece_bytes(downloads: usize) -> usize {
    (PIECES_BYTES / PIECES_MAX / downloads.max(1)).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
}

/// Counts as a download until it is dropped.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A piece keeps its place until the connection has sent it.
struct Piece {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct Download {
    file: Box<dyn OpenFile>,
    rest: Range<u64>,
    places: Arc<Semaphore>,
    _under_way: UnderWay,
}

/// The bytes of `range`, which lies within the file.
pub fn body(file: Box<dyn OpenFile>, range: Range<u64>) -> Body {
    let places = Arc::new(Semaphore::new(PIECES_MAX));
    let download = Download { file, rest: range, places, _under_way: UnderWay::begin() };
    Body::from_stream(stream::try_unfold(download, |mut download| async move {
        Ok::<_, io::Error>(download.next().await?.map(|piece| (Bytes::from_owner(piece), download)))
    }))
}

impl Download {
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        let left = self.rest.end - self.rest.start;
        if left == 0 {
            return Ok(None);
        }
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let wanted = piece_bytes(UNDER_WAY.load(Ordering::Relaxed));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        let read = self.file.read(self.rest.start, wanted).await.map_err(io::Error::other);
        let bytes = read.inspect_err(|error| tracing::error!(%error, "a download broke off"))?;
        if bytes.is_empty() {
            // Its length was announced: the connection breaks, and so the client notices.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "somebody has cut the file while it was sent"));
        }
        self.rest.start += bytes.len() as u64;
        Ok(Some(Piece { bytes, _place: place }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_downloads_share_what_few_have() {
        assert_eq!(piece_bytes(0), PIECE_BYTES_MAX);
        assert_eq!(piece_bytes(256), 128 * 1024);
        assert_eq!(piece_bytes(100_000), PIECE_BYTES_MIN);
    }
}
