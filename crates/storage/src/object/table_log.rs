//! Logs of tables and manifests in the bucket. Their keys are not random, so a write may find what an earlier one has left: by
//! this server, by one that has ended, or by one that seemed to have ended.
//!
//! They have no rows among the objects: what writes them knows their names.

use super::ObjectFiles;
use super::bucket::{Bucket, Replaced};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::StreamExt;
use lakeshore::Error;
use lakeshore::model::fault::FaultKind;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::ports::TableLog;
use lakeshore::ports::table_log::PutOutcome;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

/// Attempts at replacing an object that others replace too.
const REPLACEMENTS_MAX: usize = 8;

impl Bucket {
    async fn write_once(&self, key: &ObjectKey, chunks: &[Bytes]) -> Result<PutOutcome, Error> {
        let (store, path) = (self.store(), &self.path(key));
        let (bytes, looks_first) = (chunks.iter().map(Bytes::len).sum(), self.ignores_conditions());
        let create = move || create(store, path, chunks, looks_first).boxed();
        self.attempts("writing an entry of a table", bytes, create).await
    }

    async fn write_over(&self, key: &ObjectKey, chunks: &[Bytes]) -> Result<(), Error> {
        let (store, path) = (self.store(), &self.path(key));
        let bytes = chunks.iter().map(Bytes::len).sum();
        let put = move || async move { store.put(path, payload(chunks)).await.map(drop) }.boxed();
        self.attempts("writing an entry of a table", bytes, put).await
    }
}

fn payload(chunks: &[Bytes]) -> PutPayload {
    chunks.iter().cloned().collect()
}

async fn create(store: &AmazonS3, path: &Path, chunks: &[Bytes], looks_first: bool) -> Result<PutOutcome, StoreError> {
    if looks_first {
        match store.head(path).await {
            Ok(_) => return compare(store, path, chunks).await,
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, payload(chunks), options).await {
        Ok(_) => Ok(PutOutcome::Done),
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => compare(store, path, chunks).await,
        // Every writer has the same bytes for it.
        Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
            store.put(path, payload(chunks)).await.map(|_| PutOutcome::Done)
        }
        Err(error) => Err(error),
    }
}

async fn compare(store: &AmazonS3, path: &Path, chunks: &[Bytes]) -> Result<PutOutcome, StoreError> {
    let there = super::bucket::there(store, path).await?;
    let mut rest: Vec<Bytes> = chunks.iter().rev().cloned().collect();
    let mut stream = there.into_stream();
    while let Some(some) = stream.next().await.transpose()? {
        let mut some = some;
        while !some.is_empty() {
            let Some(mut wanted) = rest.pop() else { return Ok(PutOutcome::Taken) };
            let length = some.len().min(wanted.len());
            if some.split_to(length) != wanted.split_to(length) {
                return Ok(PutOutcome::Taken);
            }
            if !wanted.is_empty() {
                rest.push(wanted);
            }
        }
    }
    let is_whole = rest.iter().all(Bytes::is_empty);
    Ok(if is_whole { PutOutcome::Done } else { PutOutcome::Taken })
}

#[derive(Debug, thiserror::Error)]
#[error("replacing an entry of a table: others have replaced it {REPLACEMENTS_MAX} times meanwhile")]
struct NeverReplaced;

fn passing(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::transient(error).of_kind(FaultKind::NoObjectStorage)
}

#[async_trait]
impl TableLog for ObjectFiles {
    async fn write_once(&self, key: &ObjectKey, chunks: Vec<Bytes>) -> Result<PutOutcome, Error> {
        self.0.may_write()?;
        self.0.bucket.write_once(key, &chunks).await
    }

    async fn write_over(&self, key: &ObjectKey, chunks: Vec<Bytes>) -> Result<(), Error> {
        self.0.may_write()?;
        self.0.bucket.write_over(key, &chunks).await
    }

    async fn replace_older(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        is_newer: &(dyn for<'b> Fn(&'b [u8]) -> bool + Sync),
    ) -> Result<(), Error> {
        self.0.may_write()?;
        let bucket = &self.0.bucket;
        for _ in 0..REPLACEMENTS_MAX {
            match bucket.get_version(key).await.map_err(passing)? {
                Some((there, _)) if there == bytes || is_newer(&there) => return Ok(()),
                Some((_, version)) => match bucket.replace(key, bytes.clone(), &version).await.map_err(passing)? {
                    Replaced::Done => return Ok(()),
                    Replaced::Changed => {}
                },
                None if bucket.put_new(key, bytes.clone()).await.map_err(passing)? => return Ok(()),
                None => {}
            }
        }
        Err(passing(NeverReplaced))
    }

    async fn read(&self, key: &ObjectKey) -> Result<Option<Bytes>, Error> {
        let found = self.0.bucket.get_version(key).await.map_err(passing)?;
        Ok(found.map(|(bytes, _)| bytes))
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), Error> {
        self.0.may_write()?;
        match self.0.bucket.delete(keys).await {
            (_, None) => Ok(()),
            (_, Some(error)) => Err(error),
        }
    }
}
