//! Writes small uploads in groups: their rows by one transaction, then their objects, many at once.

use super::Shared;
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use lakeshore::Error;
use lakeshore::model::object_key::ObjectKey;
use lakeshore::ports::WrittenGroup;
use lakeshore::ports::namespace::NewObject;
use lakeshore::ports::storage::{WholeFile, WrittenFiles};
use lakeshore_system::failpoints::crash_point;
use std::sync::Arc;

/// Objects that are written at the same time.
const PUTS_MAX: usize = 64;

/// A group whose objects are in the bucket.
pub(super) struct StoredGroup;

#[async_trait]
impl WrittenGroup for StoredGroup {
    async fn seal(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) async fn write(shared: &Arc<Shared>, files: Vec<WholeFile>) -> WrittenFiles {
    let new_object = |file: &WholeFile| -> Result<NewObject, Error> {
        let key = ObjectKey::of_upload(Some(&file.owner), shared.random()?);
        Ok(NewObject { partial: file.name.clone(), key, digest: Some(file.digest) })
    };
    let intended = async {
        shared.may_write()?;
        let new = files.iter().map(new_object).collect::<Result<Vec<_>, _>>()?;
        let intended = shared.namespace.intend(&new, shared.now()).await?;
        Ok((new, intended))
    };
    let (new, intended) = match intended.await {
        Ok(intended) => intended,
        Err(fault) => {
            let fault: Error = fault;
            return files.iter().map(|_| Err(fault.repeated())).collect();
        }
    };
    crash_point!("object.intended");
    let puts = files.into_iter().zip(new).zip(intended).map(|((file, new), intended)| async move {
        // A server that stood still since may find its row, and the object, swept by the next one.
        shared.may_write()?;
        shared.bucket.put(&new.key, &file.bytes).await?;
        shared.recent.keep(&new.key, &file.bytes);
        crash_point!("object.put");
        Ok((intended.identity, file.digest))
    });
    stream::iter(puts).buffered(PUTS_MAX).collect().await
}
