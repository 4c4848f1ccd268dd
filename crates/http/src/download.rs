//! Body and headers of a download: the media type, the file name, and the bytes in a bounded number of chunks, however
//! slowly the client reads.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use lakeshore::Error;
use lakeshore::model::preview::image_type;
use lakeshore::ports::storage::OpenFile;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Chunks of one file in memory: one is sent while the next is read.
const CHUNKS_MAX: usize = 2;
/// Size of a chunk, in bytes: large with few downloads, small with many.
const CHUNK_BYTES_MAX: usize = 256 * 1024;
const CHUNK_BYTES_MIN: usize = 16 * 1024;
/// Memory for the chunks of all downloads, in bytes. Exceeded only by very many downloads, each with the smallest chunk.
const CHUNKS_BYTES: usize = 64 * 1024 * 1024;

/// Characters that are escaped in a file name: all but `attr-char` of RFC 8187.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Bytes at the beginning of a file that identify an image.
const HEAD_BYTES: usize = 16;
/// Media types of files that browsers must not run, display or sniff.
const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
/// Extensions of files that are served as text.
const TEXT_EXTENSIONS: [&str; 9] = ["txt", "text", "log", "csv", "tsv", "md", "json", "jsonl", "ndjson"];

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

fn chunk_bytes(downloads: usize) -> usize {
    (CHUNKS_BYTES / CHUNKS_MAX / downloads.max(1)).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

/// Counts a download until it is dropped.
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

/// Chunk in memory. Holds its permit until the connection has sent it.
struct RangeBody {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for RangeBody {
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

/// Streams `range`, which lies within the file.
pub fn body(file: Box<dyn OpenFile>, range: Range<u64>) -> Body {
    let places = Arc::new(Semaphore::new(CHUNKS_MAX));
    let download = Download { file, rest: range, places, _under_way: UnderWay::begin() };
    Body::from_stream(stream::try_unfold(download, |mut download| async move {
        Ok::<_, io::Error>(download.next().await?.map(|chunk| (Bytes::from_owner(chunk), download)))
    }))
}

impl Download {
    async fn next(&mut self) -> io::Result<Option<RangeBody>> {
        let left = self.rest.end - self.rest.start;
        if left == 0 {
            return Ok(None);
        }
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let wanted = chunk_bytes(UNDER_WAY.load(Ordering::Relaxed));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        let read = self.file.read(self.rest.start, wanted).await.map_err(io::Error::other);
        let bytes = read.inspect_err(|error| tracing::error!(%error, "download failed"))?;
        if bytes.is_empty() {
            // The length was announced, so the error breaks the connection, and the client notices.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent"));
        }
        self.rest.start += bytes.len() as u64;
        Ok(Some(RangeBody { bytes, _place: place }))
    }
}

/// Media type of a download. A raster image is served as such if its content and its name agree. Pages, scripts, styles
/// and SVG, which can run scripts, are served as bytes. A file that is both an image and a script is served as an
/// image, which no browser runs.
pub async fn media_type(file: &dyn OpenFile, name: &str) -> Result<&'static str, Error> {
    let guess = mime_guess::from_path(name).first_raw().unwrap_or_default();
    if guess.starts_with("image/") {
        let head = file.read(0, HEAD_BYTES).await?;
        return Ok(image_type(&head).filter(|found| *found == guess).unwrap_or(BYTES));
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    Ok(if TEXT_EXTENSIONS.contains(&extension.as_str()) { TEXT } else { BYTES })
}

/// Builds `Content-Disposition` (RFC 6266): a name that every client can read, and the exact one if it differs. Neither
/// contains characters that end the header, or hide or reorder parts of the name.
pub fn disposition(name: &str) -> String {
    let is_plain = |character: char| {
        character.is_ascii() && !character.is_ascii_control() && !matches!(character, '"' | '\\' | '%')
    };
    let plain: String = name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    let true_name: String = name.chars().map(|one| if app::visible::is_hidden(one) { '_' } else { one }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&true_name, ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_as_every_client_reads_it_and_as_it_is() {
        assert_eq!(disposition("a b;c.csv"), "attachment; filename=\"a b;c.csv\"");
        assert_eq!(
            disposition("hé \"1%\".csv"),
            "attachment; filename=\"h_ _1__.csv\"; filename*=UTF-8''h%C3%A9%20%221%25%22.csv"
        );
    }

    #[test]
    fn a_name_can_neither_end_its_header_nor_hide_what_it_ends_in() {
        let header = disposition("a\r\nX: 1\u{202E}gpj.exe");
        assert_eq!(header, "attachment; filename=\"a__X: 1_gpj.exe\"; filename*=UTF-8''a__X%3A%201_gpj.exe");
        assert_eq!(disposition("\0"), "attachment; filename=\"_\"; filename*=UTF-8''_");
    }

    #[test]
    fn many_downloads_share_what_few_have() {
        assert_eq!(chunk_bytes(0), CHUNK_BYTES_MAX);
        assert_eq!(chunk_bytes(256), 128 * 1024);
        assert_eq!(chunk_bytes(100_000), CHUNK_BYTES_MIN);
    }
}
