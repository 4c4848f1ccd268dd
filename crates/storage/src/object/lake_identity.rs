//! Identity of the lake in a bucket, stored as an object, and the write probe.

use super::ObjectFiles;
use super::bucket::{Bucket, BucketError};
use super::settings::{BucketSettings, SettingsError};
use crate::LakeState;
use bytes::Bytes;
use lakeshore::model::object_key::ObjectKey;

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Reads the state of a lake in a bucket. Only objects below the lake's prefix count.
pub async fn inspect_lake(settings: &BucketSettings) -> Result<LakeState, InspectError> {
    let bucket = Bucket::new(settings)?;
    let identity = identity(&bucket).await?;
    let holds_something = identity.is_some() || bucket.holds_something().await?;
    Ok(LakeState { identity, holds_something, ..LakeState::default() })
}

async fn identity(bucket: &Bucket) -> Result<Option<String>, BucketError> {
    let found = bucket.get_small(&ObjectKey::of_identity()).await?;
    Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

impl ObjectFiles {
    /// Identity of the lake, if it has one.
    pub async fn identity(&self) -> Result<Option<String>, BucketError> {
        identity(&self.0.bucket).await
    }

    /// Gives a lake its identity. False where it has one meanwhile.
    pub async fn set_first_identity(&self, identity: &str) -> Result<bool, BucketError> {
        let bytes = Bytes::copy_from_slice(identity.as_bytes());
        Ok(self.0.bucket.put_new(&ObjectKey::of_identity(), bytes).await?
            || self.identity().await?.as_deref() == Some(identity))
    }

    /// Gives a lake another identity, whatever it had.
    pub async fn set_identity(&self, identity: &str) -> Result<(), BucketError> {
        self.0.bucket.put_over(&ObjectKey::of_identity(), Bytes::copy_from_slice(identity.as_bytes())).await
    }

    /// Checks by a write and a read whether both succeed. Always of the same key, so that it leaves nothing behind.
    pub async fn probe(&self) -> Result<(), BucketError> {
        self.0.bucket.put_over(&ObjectKey::of_probe(), Bytes::from_static(b"ok")).await?;
        self.0.bucket.get_small(&ObjectKey::of_probe()).await.map(drop)
    }
}
