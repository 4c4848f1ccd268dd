//! Declared batches in memory.

use super::state::MemoryState;
use crate::error::Error;
use crate::expected::{Comparison, Declaration, LandedFile};
use crate::ports::state::BatchState;
use crate::sync::{SyncId, may_accept_uploads};
use crate::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
impl BatchState for MemoryState {
    async fn expect(&self, id: SyncId, expected: &Declaration, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        may_accept_uploads(data.record(id)?)?;
        data.expect(id, expected)?;
        data.touch(id, at);
        Ok(())
    }

    async fn compare_expected(&self, id: SyncId) -> Result<Option<Comparison>, Error> {
        let mut data = self.data();
        let sync = data.record(id)?.sync.clone();
        let Some(expected) = data.expected.get(&id) else { return Ok(None) };
        let named = match expected {
            Declaration::Files(files) => files.clone(),
            Declaration::Totals { .. } => Vec::new(),
        };
        let mut landed: Vec<LandedFile> = data.landed_by(id).collect();
        // Stable: the last of a target stays the last.
        landed.sort_by(|one, other| one.target.cmp(&other.target));
        let (named, landed) = (named.into_iter().map(Ok), landed.into_iter().map(Ok));
        Comparison::of(&sync.path, expected.totals(), named, landed).map(Some)
    }
}
