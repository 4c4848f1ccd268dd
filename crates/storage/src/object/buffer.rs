//! Bytes of an upload that are too few for a part yet.
//!
//! A part has 8 MiB and more, and a thousand senders may each have begun one. So the buffers of all uploads share a bounded
//! amount of memory; what finds no room there is gathered in an unnamed file of the machine's temporary folder.

use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use lakeshore::model::memory_pool::{MemoryPool, MemoryShare};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of all buffers together.
const MEMORY_BYTES_MAX: usize = 48 << 20;
/// The least that a buffer takes of it.
const STEP_BYTES_MIN: usize = 64 << 10;
/// Bytes gathered before a write to a file.
const FILE_STEP_BYTES: usize = 256 << 10;
/// Bytes of parts that are sent at the same time, in MiB; a larger part is sent alone.
const SENDING_MIB_MAX: u32 = 64;

/// Limits shared by all upload buffers.
pub(super) struct Buffers {
    memory: MemoryPool,
    sending: Arc<Semaphore>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { memory: MemoryPool::new(MEMORY_BYTES_MAX), sending: Arc::new(Semaphore::new(SENDING_MIB_MAX as usize)) }
    }
}

impl Buffers {
    pub(super) fn buffer(&self) -> Buffer {
        Buffer { memory: Vec::new(), reserved: self.memory.share(), file: None }
    }

    /// Waits until this number of bytes may be sent.
    pub(super) async fn may_send(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).clamp(1, SENDING_MIB_MAX);
        self.sending.clone().acquire_many_owned(mib).await.map_err(|_| Error::ShuttingDown)
    }
}

/// Gathers bytes in memory, or in a file and at most [`FILE_STEP_BYTES`] of memory.
pub(super) struct Buffer {
    memory: Vec<u8>,
    reserved: MemoryShare,
    file: Option<(Arc<File>, u64)>,
}

/// Bytes that are ready to be sent.
pub(super) struct Gathered {
    buffer: Buffer,
}

fn unwritable(source: io::Error) -> Error {
    #[derive(Debug, thiserror::Error)]
    #[error("buffering an upload in {}: {source}", std::env::temp_dir().display())]
    struct BufferFault {
        source: io::Error,
    }
    let kind = match source.kind() {
        io::ErrorKind::StorageFull => return Error::DiskFull,
        io::ErrorKind::PermissionDenied => FaultKind::NoRights,
        _ => FaultKind::FailingDisk,
    };
    Error::internal(BufferFault { source }).of_kind(kind)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?.map_err(unwritable)
}

impl Buffer {
    pub(super) fn len(&self) -> u64 {
        self.file.as_ref().map_or(0, |(_, bytes)| *bytes) + self.memory.len() as u64
    }

    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = self.memory.len() + bytes.len();
        if self.file.is_none() && length > self.memory.capacity() {
            let capacity = length.next_power_of_two().max(STEP_BYTES_MIN);
            if self.reserved.grow_to(capacity) {
                self.memory.reserve_exact(capacity - self.memory.len());
            } else {
                self.move_to_file().await?;
            }
        }
        self.memory.extend_from_slice(bytes);
        if self.file.is_some() && self.memory.len() >= FILE_STEP_BYTES {
            self.write_to_file().await?;
        }
        Ok(())
    }

    async fn move_to_file(&mut self) -> Result<(), Error> {
        let open = || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
            Ok(File::from(file))
        };
        self.file = Some((Arc::new(blocking(open).await?), 0));
        self.write_to_file().await?;
        self.memory = Vec::new();
        self.reserved.give_back();
        Ok(())
    }

    async fn write_to_file(&mut self) -> Result<(), Error> {
        let Some((file, written)) = &mut self.file else { return Ok(()) };
        let (into, at, bytes) = (file.clone(), *written, std::mem::take(&mut self.memory));
        let mut bytes = blocking(move || into.write_all_at(&bytes, at).map(|()| bytes)).await?;
        *written += bytes.len() as u64;
        bytes.clear();
        self.memory = bytes;
        Ok(())
    }

    /// Takes all bytes out of the buffer.
    pub(super) fn take(&mut self, buffers: &Buffers) -> Gathered {
        Gathered { buffer: std::mem::replace(self, buffers.buffer()) }
    }

    /// A copy of the bytes, which stay.
    pub(super) async fn copy(&self) -> Result<Bytes, Error> {
        let Some((file, written)) = &self.file else { return Ok(Bytes::copy_from_slice(&self.memory)) };
        let mut bytes = read_all(file.clone(), *written).await?;
        bytes.extend_from_slice(&self.memory);
        Ok(bytes.into())
    }
}

async fn read_all(file: Arc<File>, length: u64) -> Result<Vec<u8>, Error> {
    blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    })
    .await
}

impl Gathered {
    pub(super) fn len(&self) -> u64 {
        self.buffer.len()
    }

    /// The bytes, in memory. Their room is given back when the last clone of them is dropped.
    pub(super) async fn into_bytes(self) -> Result<Bytes, Error> {
        let Buffer { memory, reserved, file } = self.buffer;
        match file {
            None => Ok(Bytes::from_owner(ReservedBytes { memory, _reserved: reserved })),
            Some((file, written)) => {
                let mut bytes = read_all(file, written).await?;
                bytes.extend_from_slice(&memory);
                Ok(bytes.into())
            }
        }
    }
}

struct ReservedBytes {
    memory: Vec<u8>,
    _reserved: MemoryShare,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn bytes_come_out_as_they_went_in_from_memory_and_from_a_file_and_the_room_comes_back() {
        run(async {
            let buffers = Buffers::default();
            let chunk: Vec<u8> = (0..=255).cycle().take(100_001).collect();
            let mut all = Vec::new();
            for _ in 0..60 {
                let mut buffer = buffers.buffer();
                for _ in 0..10 {
                    buffer.push(&chunk).await.unwrap();
                }
                all.push(buffer);
            }
            let in_memory = all.iter().filter(|buffer| buffer.file.is_none()).count();
            assert!((20..60).contains(&in_memory), "{in_memory} of 60 in memory");
            assert!(buffers.memory.reserved_bytes() <= MEMORY_BYTES_MAX);
            for mut buffer in all {
                assert_eq!(buffer.len(), 1_000_010);
                assert_eq!(buffer.copy().await.unwrap(), chunk.repeat(10));
                assert_eq!(buffer.take(&buffers).into_bytes().await.unwrap(), chunk.repeat(10));
                assert_eq!(buffer.len(), 0);
            }
            assert_eq!(buffers.memory.reserved_bytes(), 0);
        });
    }
}
