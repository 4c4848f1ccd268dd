//! Judgement of files by the tables that readers of the bucket see.

use crate::model::error::Error;
use crate::model::id::{SyncId, UploadId};
use crate::model::path::LakePath;
use async_trait::async_trait;

/// A file that cannot be in the table of its dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub upload_id: UploadId,
    /// Each with its remedy.
    pub reasons: Vec<String>,
}

#[async_trait]
pub trait TableFit: Send + Sync {
    /// Files of an open full sync that the table could not have if the sync were published now, in the order of their uploads. Reads
    /// those that were not read yet.
    async fn misfits(&self, sync: SyncId, dataset: &LakePath) -> Result<Vec<Misfit>, Error>;
}
