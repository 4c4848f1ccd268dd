//! What is found by words.

use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::search::{FoundDataset, Words};
use crate::model::sync::job::SyncJob;
use async_trait::async_trait;

/// What is looked for, and how much of it is wanted at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// At least one.
    pub words: Words,
    pub scope: Option<LakePath>,
    pub size: u64,
}

/// Words of fewer than three letters narrow what longer ones find. Alone they are looked for among the first
/// [`crate::model::limits::SHORT_WORDS_LOOKED_AT`] datasets by path, and as many of the last syncs.
#[async_trait]
pub trait SearchState: Send + std::marker::Sync {
    /// Datasets whose path holds each of the words, in no order that counts.
    async fn find_datasets(&self, query: &SearchQuery) -> Result<Vec<FoundDataset>, Error>;

    /// Syncs that hold each of the words in their name or path, the newest first.
    async fn find_syncs(&self, query: &SearchQuery) -> Result<Vec<SyncJob>, Error>;
}
