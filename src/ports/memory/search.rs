//! What is found by words.

use super::MemoryState;
use super::state::within;
use crate::model::error::Error;
use crate::model::search::FoundDataset;
use crate::model::sync::job::Sync;
use crate::ports::metadata::search::{SearchQuery, SearchState};
use async_trait::async_trait;

#[async_trait]
impl SearchState for MemoryState {
    async fn find_datasets(&self, query: &SearchQuery) -> Result<Vec<FoundDataset>, Error> {
        let data = self.data();
        let records = data.datasets.iter().map(|row| &row.record);
        let found = records
            .filter(|record| within(query.scope.as_ref(), &record.path) && query.words.are_in(&[record.path.as_str()]));
        let found = found.take(usize::try_from(query.size).unwrap_or(usize::MAX));
        let of = |record: &crate::model::dataset::record::DatasetRecord| FoundDataset {
            path: record.path.clone(),
            last_sync_id: record.last_sync_id,
            last_landed: record.last_landed,
        };
        Ok(found.map(of).collect())
    }

    async fn find_syncs(&self, query: &SearchQuery) -> Result<Vec<Sync>, Error> {
        let data = self.data();
        let syncs = data.syncs.iter().rev().map(|(record, _)| &record.sync);
        let found = syncs.filter(|sync| {
            within(query.scope.as_ref(), &sync.path) && query.words.are_in(&[&sync.name, sync.path.as_str()])
        });
        Ok(found.take(usize::try_from(query.size).unwrap_or(usize::MAX)).cloned().collect())
    }
}
