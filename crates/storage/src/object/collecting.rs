//! Deletes objects that nothing refers to: of purged trash, of uploads that did not land, of writes that a crash cut off.
//!
//! Not at once: a reader may still use an older version, and a write that was given up may still arrive. After the
//! bytes, the row goes. A crash in between leaves a row without an object, which the next round removes.

use super::ObjectFiles;
use lakeshore::Error;
use lakeshore::ports::namespace::UnreferencedObject;
use lakeshore_system::failpoints::crash_point;
use std::time::Duration;

/// Objects that one round looks at.
const ROUND_OBJECTS_MAX: u64 = 1000;

/// How far a round has come.
#[derive(Debug, Default)]
pub struct Collected {
    pub deleted: u64,
    /// There may be more that can be deleted now.
    pub has_more: bool,
    /// Why others were not deleted. They are tried again.
    pub fault: Option<Error>,
}

impl ObjectFiles {
    /// Deletes objects that nothing has referred to for `grace`, some of them.
    pub async fn collect(&self, grace: Duration) -> Result<Collected, Error> {
        self.0.may_write()?;
        let before = self.0.now().minus(grace);
        let unreferenced = self.0.namespace.unreferenced_objects(before, ROUND_OBJECTS_MAX).await?;
        let has_more = unreferenced.len() as u64 >= ROUND_OBJECTS_MAX;
        let mut fault = None;
        let mut aborted = Vec::with_capacity(unreferenced.len());
        for object in unreferenced {
            match self.abort(&object).await {
                Ok(()) => aborted.push(object),
                Err(error) => fault = Some(error),
            }
        }
        if aborted.is_empty() {
            return Ok(Collected { has_more: has_more && fault.is_none(), fault, ..Collected::default() });
        }
        let keys: Vec<_> = aborted.iter().map(|object| object.key.clone()).collect();
        let (deleted, failed) = self.0.bucket.delete(&keys).await;
        crash_point!("object.deleted");
        let gone: Vec<_> =
            aborted.iter().filter(|object| deleted.contains(&object.key)).map(|object| object.object).collect();
        if !gone.is_empty() {
            self.0.namespace.forget_objects(&gone).await?;
        }
        let fault = failed.or(fault);
        Ok(Collected { deleted: gone.len() as u64, has_more: has_more && fault.is_none(), fault })
    }

    async fn abort(&self, object: &UnreferencedObject) -> Result<(), Error> {
        let begun = match &object.multipart_id {
            Some(multipart_id) => vec![multipart_id.clone()],
            // A crash may have come between its beginning and its row.
            None if object.is_unfinished => self.0.bucket.multiparts_of(&object.key).await?,
            None => Vec::new(),
        };
        for multipart_id in &begun {
            self.0.bucket.abort_multipart(&object.key, multipart_id).await?;
        }
        Ok(())
    }
}
