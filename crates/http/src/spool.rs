//! Buffers long bodies on disk before they are parsed, so that they use neither memory nor a slot of a bounded queue.
//! The bytes on disk are bounded; beyond the bound, a body of the busiest client is dropped.

use super::error::HttpError;
use super::gather::{SMALL_BODY_BYTES_MAX, SMALL_BODY_MAX, within};
use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use bytes::BytesMut;
use futures_util::StreamExt;
use lakeshore::Error;
use lakeshore::model::access::shares::Holder;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Bytes of all spooled bodies on disk.
const SPOOLED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Time for the rest of a long body. Its beginning has the time of a small one.
const LONG_BODY_MAX: Duration = Duration::from_secs(120);
/// Memory of all calls with long bodies, in KiB; further calls wait.
const MEMORY_KIB: u32 = 96 * 1024;
/// Memory of a call, as a multiple of its body: short entries need more memory than their text.
const MEMORY_FACTOR: usize = 8;

/// Long bodies that are searched for a key at the same time; further ones wait. The search takes time, but no memory.
const LOOKS_MAX: usize = 2;

pub struct Spool {
    /// Folder of the unnamed temporary files.
    folder: PathBuf,
    state: Arc<Mutex<SpoolState>>,
    memory: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

#[derive(Default)]
struct SpoolState {
    last: u64,
    bodies: BTreeMap<u64, Entry>,
    /// Bytes by holder; holders without any are removed.
    held: HashMap<Holder, usize>,
    bytes: usize,
}

struct Entry {
    holder: Holder,
    bytes: usize,
    give_way: CancellationToken,
}

/// A complete body.
pub enum GatheredBody {
    Small(Bytes),
    Long(LongBody),
}

pub struct LongBody {
    file: File,
    len: usize,
    give_way: CancellationToken,
    _place: SpoolSlot,
}

/// Memory permit of a call, returned on drop.
pub struct MemoryPermit(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

/// Space of one body on disk.
struct SpoolSlot {
    number: u64,
    state: Arc<Mutex<SpoolState>>,
}

fn lock(state: &Mutex<SpoolState>) -> MutexGuard<'_, SpoolState> {
    state.lock()
}

impl SpoolState {
    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.bodies.remove(&number)?;
        self.bytes -= entry.bytes;
        if let Some(held) = self.held.get_mut(&entry.holder) {
            *held -= entry.bytes;
            if *held == 0 {
                self.held.remove(&entry.holder);
            }
        }
        Some(entry)
    }

    /// Makes room: drops the oldest body of the holder with the most bytes, until the rest fits. Holders without a key
    /// in the head of their request are dropped first.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some((&fullest, _)) = self.held.iter().max_by_key(|(holder, bytes)| (holder.is_network(), **bytes))
            else {
                return;
            };
            let oldest = self.bodies.iter().find(|(_, entry)| entry.holder == fullest && entry.bytes > 0);
            let Some(entry) = oldest.map(|(&number, _)| number).and_then(|number| self.remove(number)) else { return };
            entry.give_way.cancel();
        }
    }
}

impl SpoolSlot {
    /// Records more bytes of the body.
    fn grow(&self, bytes: usize) {
        let mut all = lock(&self.state);
        let Some(entry) = all.bodies.get_mut(&self.number) else { return };
        entry.bytes += bytes;
        let holder = entry.holder;
        all.bytes += bytes;
        *all.held.entry(holder).or_default() += bytes;
        all.shrink(SPOOLED_BYTES_MAX);
    }
}

impl Drop for SpoolSlot {
    fn drop(&mut self) {
        lock(&self.state).remove(self.number);
    }
}

impl Spool {
    pub fn new(folder: PathBuf) -> Self {
        let (memory, looks) = (Semaphore::new(MEMORY_KIB as usize), Semaphore::new(LOOKS_MAX));
        Self { folder, state: Arc::default(), memory: Arc::new(memory), looks: Arc::new(looks) }
    }

    /// Buffers a body of at most `limit_bytes`.
    pub async fn gather(&self, body: Body, holder: Holder, limit_bytes: usize) -> Result<GatheredBody, HttpError> {
        let is_announced = body.size_hint().lower() > limit_bytes as u64;
        let mut stream = body.into_data_stream();
        if is_announced {
            return Err(HttpError::BodyTooLarge { limit_bytes });
        }
        let mut beginning = BytesMut::new();
        let small_max = SMALL_BODY_BYTES_MAX.min(limit_bytes);
        let next = within(SMALL_BODY_MAX, gather_beginning(&mut stream, &mut beginning, small_max)).await?;
        match next {
            None => Ok(GatheredBody::Small(beginning.freeze())),
            Some(next) => within(LONG_BODY_MAX, self.spool(&beginning.freeze(), &next, stream, holder, limit_bytes))
                .await
                .map(GatheredBody::Long),
        }
    }

    async fn spool(
        &self,
        beginning: &[u8],
        chunk: &[u8],
        mut stream: BodyDataStream,
        holder: Holder,
        limit_bytes: usize,
    ) -> Result<LongBody, HttpError> {
        let (place, give_way) = self.place(holder);
        let folder = self.folder.clone();
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await.map_err(Error::internal)?;
        let mut file = tokio::fs::File::from_std(file.map_err(unwritten)?);
        let mut len = 0;
        for chunk in [beginning, chunk] {
            len += write(&mut file, &place, chunk).await?;
        }
        loop {
            if len > limit_bytes {
                return Err(HttpError::BodyTooLarge { limit_bytes });
            }
            let chunk = tokio::select! {
                chunk = stream.next() => chunk,
                () = give_way.cancelled() => return Err(HttpError::BodyGaveWay),
            };
            let Some(chunk) = chunk else { break };
            len += write(&mut file, &place, &chunk.map_err(broken)?).await?;
        }
        file.flush().await.map_err(unwritten)?;
        Ok(LongBody { file: file.into_std().await, len, give_way, _place: place })
    }

    fn place(&self, holder: Holder) -> (SpoolSlot, CancellationToken) {
        let give_way = CancellationToken::new();
        let mut all = lock(&self.state);
        all.last += 1;
        let number = all.last;
        all.bodies.insert(number, Entry { holder, bytes: 0, give_way: give_way.clone() });
        (SpoolSlot { number, state: self.state.clone() }, give_way)
    }

    /// Waits for the memory of the call with this body. Its client is known by now.
    pub async fn memory_for(&self, body: &LongBody) -> Result<MemoryPermit, HttpError> {
        let kib = u32::try_from(body.len * MEMORY_FACTOR / 1024).unwrap_or(u32::MAX).clamp(1, MEMORY_KIB);
        body.turn(self.memory.clone().acquire_many_owned(kib)).await.map(MemoryPermit)
    }

    /// Waits for a turn to search this body for a key. Its client is not known yet.
    pub async fn turn_to_look(&self, body: &LongBody) -> Result<OwnedSemaphorePermit, HttpError> {
        body.turn(self.looks.clone().acquire_owned()).await
    }
}

impl LongBody {
    /// Waits for a permit. A waiting body still counts, and may be dropped.
    async fn turn(
        &self,
        turn: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
    ) -> Result<OwnedSemaphorePermit, HttpError> {
        tokio::select! {
            turn = turn => Ok(turn.map_err(|_| Error::ShuttingDown)?),
            () = self.give_way.cancelled() => Err(HttpError::BodyGaveWay),
        }
    }

    /// Reads the body from its beginning. Blocks.
    pub fn read(&mut self) -> io::Result<impl Read> {
        self.file.rewind()?;
        Ok(BufReader::with_capacity(SMALL_BODY_BYTES_MAX, &self.file))
    }

    /// Reads the whole body into memory. Blocks.
    pub fn into_bytes(mut self) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(self.len);
        self.read()?.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Buffers at most `bytes_max`. Returns the chunk that exceeds it.
async fn gather_beginning(
    stream: &mut BodyDataStream,
    beginning: &mut BytesMut,
    bytes_max: usize,
) -> Result<Option<Bytes>, HttpError> {
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(broken)?;
        if beginning.len() + chunk.len() > bytes_max {
            return Ok(Some(chunk));
        }
        beginning.extend_from_slice(&chunk);
    }
    Ok(None)
}

async fn write(file: &mut tokio::fs::File, place: &SpoolSlot, chunk: &[u8]) -> Result<usize, HttpError> {
    place.grow(chunk.len());
    file.write_all(chunk).await.map_err(unwritten)?;
    Ok(chunk.len())
}

fn broken(error: axum::Error) -> Error {
    Error::Invalid(format!("the body was interrupted: {error}; send it again"))
}

fn unwritten(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::StorageFull { Error::DiskFull } else { Error::internal(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::id::KeyId;

    #[test]
    fn the_client_with_the_most_bytes_loses_its_oldest_body_first() {
        let spool = Spool::new(PathBuf::new());
        let (large, small) = (Holder::Key(KeyId(1)), Holder::Key(KeyId(2)));
        let (old, old_gives_way) = spool.place(large);
        let (young, young_gives_way) = spool.place(large);
        let (other, other_gives_way) = spool.place(small);
        let half = SPOOLED_BYTES_MAX / 2;
        old.grow(half);
        young.grow(half - 1);
        other.grow(1);
        assert!(!old_gives_way.is_cancelled(), "all of it fits");
        other.grow(1);
        assert!(old_gives_way.is_cancelled() && !young_gives_way.is_cancelled() && !other_gives_way.is_cancelled());
        old.grow(half);
        drop(old);
        assert_eq!(lock(&spool.state).bytes, half + 1, "what has given way counts no more");
        drop((young, other));
        let all = lock(&spool.state);
        assert!(all.bytes == 0 && all.held.is_empty() && all.bodies.is_empty());
    }
}
