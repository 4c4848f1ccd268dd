//! Search of metadata by words.

use crate::model::error::Error;
use crate::model::path::LakePath;
use crate::model::search::{FoundDataset, Words};
use crate::model::sync::job::SyncJob;
use async_trait::async_trait;

/// Words to search for, and the maximum number of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// At least one word.
    pub words: Words,
    pub scope: Option<LakePath>,
    pub size: u64,
}

/// Words of fewer than three letters only narrow the matches of longer ones. Alone they are searched in the first
/// [`crate::model::limits::SHORT_WORDS_LOOKED_AT`] datasets by path, and in as many of the newest syncs.
#[async_trait]
pub trait SearchState: Send + std::marker::Sync {
    /// Datasets whose path contains each word, unordered.
    async fn find_datasets(&self, query: &SearchQuery) -> Result<Vec<FoundDataset>, Error>;

    /// Syncs whose name or path contain each word, newest first.
    async fn find_syncs(&self, query: &SearchQuery) -> Result<Vec<SyncJob>, Error>;
}
