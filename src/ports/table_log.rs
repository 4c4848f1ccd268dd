//! The door by which the logs of tables get into the bucket.

use crate::model::error::Error;
use crate::model::object_key::ObjectKey;
use async_trait::async_trait;
use bytes::Bytes;

/// Outcome of a write of an object that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object has these bytes, by this write or by an earlier one.
    Done,
    /// The object has other bytes.
    Taken,
}

#[async_trait]
pub trait TableLog: Send + Sync {
    /// Writes an object that never changes.
    async fn write_once(&self, key: &ObjectKey, chunks: Vec<Bytes>) -> Result<PutOutcome, Error>;

    /// Writes an object, whatever was there.
    async fn write_over(&self, key: &ObjectKey, chunks: Vec<Bytes>) -> Result<(), Error>;

    /// Replaces an object by `bytes`, unless `is_newer` says that what is there is newer.
    async fn replace_older(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        is_newer: &(dyn for<'b> Fn(&'b [u8]) -> bool + Sync),
    ) -> Result<(), Error>;

    /// The bytes of an object; `None` where there is none.
    async fn read(&self, key: &ObjectKey) -> Result<Option<Bytes>, Error>;

    /// Deletes objects, those that are there.
    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), Error>;
}
