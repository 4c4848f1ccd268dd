//! Search of datasets and syncs by a few words.

use super::Lake;
use crate::model::access::key::Caller;
use crate::model::error::Error;
use crate::model::limits::{SEARCH_BYTES_MAX, SEARCH_RANKED_MAX};
use crate::model::page::{Order, Page};
use crate::model::search::{SearchParameters, SearchResults, Words};
use crate::model::sync::job::SyncJob;
use crate::ports::metadata::search::SearchQuery;

impl Lake {
    /// Datasets and syncs that the caller may see and that contain the words. No words match nothing.
    pub async fn search(&self, caller: &Caller, wanted: &SearchParameters) -> Result<SearchResults, Error> {
        let scope = caller.may_read()?;
        let size = Page::new(None, wanted.size, Order::Asc)?.size;
        if wanted.q.len() > SEARCH_BYTES_MAX {
            return Err(Error::Invalid(format!("the search text is longer than {SEARCH_BYTES_MAX} bytes; shorten it")));
        }
        let words = Words::of(&wanted.q);
        if words.is_empty() {
            return Ok(SearchResults::default());
        }
        let _turn = self.search_turn(caller, Some(&wanted.q)).await?;
        let clamp = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let query = SearchQuery { words, scope, size: size.max(SEARCH_RANKED_MAX) };
        let mut datasets = self.0.state.find_datasets(&query).await?;
        datasets.sort_by_cached_key(|found| (query.words.rank(&found.path), found.path.clone()));
        datasets.truncate(clamp(size));
        let query = SearchQuery { size, ..query };
        let mut syncs = self.0.state.find_syncs(&query).await?;
        if let Some(named) = self.named(&query).await? {
            syncs.retain(|sync| sync.sync_id != named.sync_id);
            syncs.insert(0, named);
            syncs.truncate(clamp(size));
        }
        Ok(SearchResults { datasets, syncs })
    }

    async fn named(&self, query: &SearchQuery) -> Result<Option<SyncJob>, Error> {
        let Some(sync_id) = query.words.sync_id() else { return Ok(None) };
        let sync = self.0.state.sync(sync_id).await?.map(|record| record.sync);
        Ok(sync.filter(|sync| query.scope.as_ref().is_none_or(|scope| scope.contains(&sync.path))))
    }
}
