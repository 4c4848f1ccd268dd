//! Continues uploads at their checkpoint, from their rows, and reads them to join parts.

use super::Shared;
use super::partial::ObjectPartial;
use bytes::Bytes;
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::storage_path::{Identity, PartialName};
use lakeshore::model::upload::resumable::Checkpoint;
use lakeshore::ports::Partial;
use lakeshore::ports::namespace::{ObjectCheckpoint, StoredPart, StoredUpload};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Bytes of an object that are read at once.
const READ_BYTES: u64 = 1 << 20;

/// Where the bytes of an upload up to a checkpoint are: in its first parts, then in the beginning of an object.
struct Resumption {
    parts: Vec<StoredPart>,
    rest: Option<(ObjectKey, u64)>,
    hasher: Option<Sha256>,
}

pub(super) async fn resume(
    shared: &Arc<Shared>,
    name: &PartialName,
    identity: &Identity,
    checkpoint: &Checkpoint,
) -> Result<ObjectPartial, Error> {
    let upload = shared.namespace.upload(name).await?.filter(|upload| upload.identity == *identity);
    let mut upload = upload.ok_or(Error::BytesLost)?;
    let given = hasher_at(&checkpoint.hash_state);
    let is_whole = match &upload.digest {
        Some(digest) if digest.size_bytes < checkpoint.offset => return Err(Error::BytesLost),
        Some(_) => true,
        None => is_completed(shared, &upload, checkpoint.offset).await?,
    };
    let resumption = if is_whole {
        // It goes on in another object.
        let old = (upload.object, upload.key.clone());
        upload.key = ObjectKey::beside(&upload.key, shared.random()?);
        let tail = (checkpoint.offset > 0).then(|| old.clone());
        let hash_state = checkpoint.hash_state.clone();
        let begun = ObjectCheckpoint { offset: checkpoint.offset, hash_state, parts: 0, parts_bytes: 0, tail };
        upload.object = shared.namespace.reopen(name, &upload.key, &begun, shared.now()).await?;
        upload.multipart_id = None;
        let rest = (checkpoint.offset > 0).then_some((old.1, checkpoint.offset));
        Resumption { parts: Vec::new(), rest, hasher: given }
    } else {
        from_checkpoint(&upload, checkpoint, given)?
    };
    let Resumption { parts, rest, hasher } = resumption;
    let mut partial = ObjectPartial::new(shared, upload.identity, upload.object, upload.key);
    let is_hashed = hasher.is_some();
    if let Some(hasher) = hasher {
        partial = partial.with_hasher(hasher);
    }
    partial = partial.with_parts(upload.multipart_id, parts);
    if let Some((key, length)) = rest {
        let mut at = 0;
        while at < length {
            let end = length.min(at + READ_BYTES);
            let bytes = shared.bucket.get_range(&key, at..end).await?;
            if bytes.is_empty() {
                return Err(Error::BytesLost);
            }
            at += bytes.len() as u64;
            partial.take(&bytes, is_hashed).await?;
        }
    }
    partial.at_checkpoint();
    Ok(partial)
}

/// Whether a stop came between the completion of a multipart upload and its record: the parts are gone then, and the object
/// is there.
async fn is_completed(shared: &Shared, upload: &StoredUpload, offset: u64) -> Result<bool, Error> {
    if upload.multipart_id.is_none() || shared.open_multiparts.contains(upload.object) {
        return Ok(false);
    }
    let is_completed = shared.bucket.size(&upload.key).await?.is_some_and(|size_bytes| size_bytes >= offset);
    if !is_completed {
        shared.open_multiparts.insert(upload.object);
    }
    Ok(is_completed)
}

fn from_checkpoint(upload: &StoredUpload, checkpoint: &Checkpoint, given: Option<Sha256>) -> Result<Resumption, Error> {
    if checkpoint.offset == 0 {
        return Ok(Resumption { parts: Vec::new(), rest: None, hasher: Some(Sha256::new()) });
    }
    let covers =
        |known: &&ObjectCheckpoint| known.parts_bytes <= checkpoint.offset && checkpoint.offset <= known.offset;
    let known = upload.checkpoints.iter().find(covers).ok_or(Error::BytesLost)?;
    let count = usize::try_from(known.parts).unwrap_or(usize::MAX);
    let parts = upload.parts.get(..count).ok_or(Error::BytesLost)?.to_vec();
    let rest_bytes = checkpoint.offset - known.parts_bytes;
    let rest = match &known.tail {
        Some((_, key)) if rest_bytes > 0 => Some((key.clone(), rest_bytes)),
        None if rest_bytes > 0 => return Err(Error::BytesLost),
        _ => None,
    };
    let own = || if known.offset == checkpoint.offset { hasher_at(&known.hash_state) } else { None };
    let hasher = given.or_else(own);
    if hasher.is_none() && !parts.is_empty() {
        // Parts cannot be read before the object is whole.
        return Err(Error::BytesLost);
    }
    Ok(Resumption { parts, rest, hasher })
}

fn hasher_at(state: &[u8]) -> Option<Sha256> {
    Sha256::deserialize(&SerializedState::<Sha256>::try_from(state).ok()?).ok()
}

/// An upload that is not whole is made so first, as far as it is in the bucket: the parts of an unfinished object cannot be
/// read.
pub(super) async fn read(shared: &Arc<Shared>, name: &PartialName, offset: u64, size: usize) -> Result<Bytes, Error> {
    let mut upload = shared.namespace.upload(name).await?.ok_or(Error::BytesLost)?;
    let size_bytes = match upload.digest {
        Some(digest) => digest.size_bytes,
        None => {
            let Some(last) = upload.checkpoints.last() else { return Ok(Bytes::new()) };
            let checkpoint = Checkpoint { offset: last.offset, hash_state: last.hash_state.clone() };
            resume(shared, name, &upload.identity, &checkpoint).await?.seal().await?;
            upload = shared.namespace.upload(name).await?.ok_or(Error::BytesLost)?;
            checkpoint.offset
        }
    };
    let end = size_bytes.min(offset.saturating_add(size as u64));
    if offset >= end {
        return Ok(Bytes::new());
    }
    shared.bucket.get_range(&upload.key, offset..end).await
}

/// How far an upload is in the bucket; `None` where its last checkpoint is not there any more.
pub(super) async fn durable_bytes(shared: &Shared, name: &PartialName) -> Result<Option<u64>, Error> {
    let Some(upload) = shared.namespace.upload(name).await? else { return Ok(None) };
    if upload.digest.is_some() {
        return shared.bucket.size(&upload.key).await;
    }
    let Some(last) = upload.checkpoints.last() else { return Ok(Some(0)) };
    match &last.tail {
        Some((_, key)) => {
            let tail_bytes = shared.bucket.size(key).await?;
            Ok(tail_bytes.filter(|tail_bytes| *tail_bytes >= last.offset - last.parts_bytes).map(|_| last.offset))
        }
        None => Ok(Some(last.offset)),
    }
}
