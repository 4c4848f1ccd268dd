//! A file without a descriptor of its own, such as an object of a bucket: the server serves its bytes by a socket to the reader
//! process, which asks for them piece by piece.
//!
//! A question is an offset and a length, the answer a length and that number of bytes. A length of [`FAILED`] says that there are none.
//! The socket knows one file, so a reader that was taken over by it gets nothing else.

use crate::source::ReadAt;
use lakeshore::ports::storage::OpenFile;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of one answer at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A reader asks for whole blocks, because each question may be a request to the object storage.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks that a reader keeps.
const BLOCKS_MAX: usize = 16;
const QUESTION_BYTES: usize = 12;
const FAILED: u32 = u32::MAX;

/// Serves a file until the other end of the socket is closed. Returns that end.
pub(crate) fn serve(file: Arc<dyn OpenFile>) -> io::Result<File> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    tokio::spawn(async move {
        // The reader has what it wants, or has ended.
        let _ = answer_all(&mut ours, &*file).await;
    });
    Ok(File::from(OwnedFd::from(theirs)))
}

async fn answer_all(socket: &mut tokio::net::UnixStream, file: &dyn OpenFile) -> io::Result<()> {
    loop {
        let at = socket.read_u64_le().await?;
        let length = usize::try_from(socket.read_u32_le().await?).unwrap_or(usize::MAX).min(ANSWER_BYTES_MAX);
        match file.read(at, length).await {
            Ok(bytes) => {
                socket.write_u32_le(u32::try_from(bytes.len()).unwrap_or(FAILED)).await?;
                socket.write_all(&bytes).await?;
            }
            Err(fault) => {
                tracing::warn!(?fault, "cannot read a file for its preview or schema");
                socket.write_u32_le(FAILED).await?;
            }
        }
    }
}

/// The reader's side.
pub(crate) struct ServedFile(Mutex<Blocks>);

struct Blocks {
    socket: File,
    /// By their numbers.
    known: BTreeMap<u64, Vec<u8>>,
}

impl ServedFile {
    pub(crate) fn new(socket: File) -> Self {
        Self(Mutex::new(Blocks { socket, known: BTreeMap::new() }))
    }
}

impl Blocks {
    fn ask(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut question = [0; QUESTION_BYTES];
        question[..8].copy_from_slice(&at.to_le_bytes());
        question[8..].copy_from_slice(&u32::try_from(length).unwrap_or(FAILED).to_le_bytes());
        self.socket.write_all(&question)?;
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length == FAILED {
            return Err(io::ErrorKind::Other.into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0).min(ANSWER_BYTES_MAX)];
        self.socket.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl ReadAt for ServedFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut blocks = self.0.lock();
        if buffer.len() >= BLOCK_BYTES {
            let bytes = blocks.ask(at, buffer.len().min(ANSWER_BYTES_MAX))?;
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            return Ok(length);
        }
        let block_bytes = BLOCK_BYTES as u64;
        let number = at / block_bytes;
        if !blocks.known.contains_key(&number) {
            let block = blocks.ask(number * block_bytes, BLOCK_BYTES)?;
            if blocks.known.len() >= BLOCKS_MAX {
                blocks.known.pop_first();
            }
            blocks.known.insert(number, block);
        }
        let block = blocks.known.get(&number).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(at % block_bytes).unwrap_or(0).min(block.len());
        let length = buffer.len().min(block.len() - from);
        buffer[..length].copy_from_slice(&block[from..from + length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use lakeshore::model::storage_path::Identity;
    use lakeshore::ports::storage::FoundFile;
    use lakeshore::{Error, Timestamp};

    struct Bytes(FoundFile, Vec<u8>);

    #[async_trait]
    impl OpenFile for Bytes {
        fn found(&self) -> &FoundFile {
            &self.0
        }

        async fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, Error> {
            if at == 5 << 20 {
                return Err(Error::BytesLost);
            }
            let at = usize::try_from(at).unwrap().min(self.1.len());
            Ok(self.1[at..self.1.len().min(at + bytes_max)].to_vec())
        }
    }

    #[test]
    fn a_served_file_reads_as_the_file_itself() {
        let bytes: Vec<u8> = (0..6 << 20).map(|number: u32| (number % 251) as u8).collect();
        let found = FoundFile {
            identity: Identity("1".into()),
            size_bytes: bytes.len() as u64,
            modified_at: Timestamp(0),
            changed_at: Timestamp(0),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
        let socket = runtime.block_on(async { serve(Arc::new(Bytes(found, bytes.clone()))) }).unwrap();
        let served = ServedFile::new(socket);
        let block = BLOCK_BYTES as u64;
        for (at, length) in [
            (0, 1),
            (block - 1, 2),
            (block, 100),
            (3, BLOCK_BYTES),
            (7, 3 << 20),
            (bytes.len() as u64 - 3, 9),
            (1 << 40, 9),
        ] {
            let mut buffer = vec![0; length];
            let count = served.read_at(&mut buffer, at).unwrap();
            let at = usize::try_from(at).unwrap().min(bytes.len());
            assert!(count > 0 || at == bytes.len(), "{length} from {at}");
            assert_eq!(buffer[..count], bytes[at..at + count], "{length} from {at}");
        }
        assert!(served.read_at(&mut [0; 9], 5 << 20).is_err());
        assert_eq!(served.read_at(&mut [0; 9], 0).unwrap(), 9, "it goes on behind a fault");
    }
}
