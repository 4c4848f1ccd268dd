//! Writes small uploads: the rows of those that come at the same time by one transaction, then their objects, many at once.

use super::intents::Intents;
use super::{Shared, lease};
use async_trait::async_trait;
use futures_util::future::join_all;
use lakeshore::Error;
use lakeshore::model::digest::Digest;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::model::storage_path::Identity;
use lakeshore::ports::WrittenGroup;
use lakeshore::ports::namespace::NewObject;
use lakeshore::ports::storage::{WholeFile, WrittenFiles};
use lakeshore_system::failpoints::crash_point;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Objects that a server writes at the same time.
const PUTS_MAX: usize = 64;

/// What the writers of small uploads share.
pub(super) struct SmallWrites {
    pub(super) intents: Intents,
    puts: Semaphore,
}

impl Default for SmallWrites {
    fn default() -> Self {
        Self { intents: Intents::default(), puts: Semaphore::new(PUTS_MAX) }
    }
}

/// A group whose objects are in the bucket.
pub(super) struct StoredGroup;

#[async_trait]
impl WrittenGroup for StoredGroup {
    async fn seal(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) async fn write(shared: &Arc<Shared>, files: Vec<WholeFile>) -> WrittenFiles {
    join_all(files.into_iter().map(|file| write_one(shared, file))).await
}

async fn write_one(shared: &Arc<Shared>, file: WholeFile) -> Result<(Identity, Digest), Error> {
    let writes = &shared.small_writes;
    shared.may_write()?;
    let key = ObjectKey::of_upload(Some(&file.owner), shared.random()?);
    let new = NewObject { partial: file.name, key: key.clone(), digest: Some(file.digest) };
    let begun = lease::now_ms();
    let intended = writes.intents.record(shared, new).await?;
    crash_point!("object.intended");
    let _turn = writes.puts.acquire().await.map_err(Error::internal)?;
    // The row of a server that stood still since may have been swept by another one.
    shared.may_still_write(begun)?;
    shared.bucket.put(&key, &file.bytes).await?;
    shared.recent.keep(&key, &file.bytes);
    crash_point!("object.put");
    Ok((intended.identity, file.digest))
}
