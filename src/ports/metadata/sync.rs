//! Syncs as they are remembered.

use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::SyncQuery;
use crate::model::path::LakePath;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{Closing, Supersede, SyncJob, SyncRecord};
use crate::model::sync::start::NewSync;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait SyncState: Send + std::marker::Sync {
    /// Remembers a new sync durably, unless [`crate::model::sync::job::obstacle`] finds an open one, a restore is under way on an
    /// overlapping path, or a full sync has other datasets below its path. One that an earlier call under the same key has
    /// started is given again, however it stands; under the key of another call it is refused.
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error>;

    /// The same where a full sync is in the way that [`crate::model::sync::job::gives_way`]: that one is closed, as by [`Self::close_sync`]
    /// with [`crate::model::sync::job::superseded_by`], in the transaction that remembers the new one. Where it does not give way, it is
    /// refused as by [`Self::start_sync`].
    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error>;

    async fn sync(&self, id: SyncId) -> Result<Option<SyncRecord>, Error>;

    async fn syncs(&self, query: &SyncQuery) -> Result<Vec<SyncJob>, Error>;

    /// Closes a sync to uploads, durably, if [`crate::model::sync::job::may_close`] allows it. With `discard_in_flight`, its uploads
    /// in flight fail in the same transaction. `Closing::Finish` ends it there and then.
    async fn close_sync(
        &self,
        id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Ends a sync that was closed, durably, and remembers what went to the trash. Doing it again changes nothing.
    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error>;

    /// Remembers durably that an open sync is held, with the figures of this time, unless it is so already: since when then
    /// stays what it was. The next landing and the closing of the sync lift it.
    async fn hold_sync(&self, id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error>;

    /// Opens a closed sync again: what it was closed for could not be done.
    async fn reopen_sync(&self, id: SyncId, why: &str, at: Timestamp) -> Result<(), Error>;

    /// Syncs that a restart found `Publishing` or `Aborting`.
    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error>;

    /// Every sync that has not ended.
    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error>;

    /// Open syncs without an upload in flight whose last upload (or start) was before `before`.
    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error>;

    /// Datasets at or below `beginning`, most lately written first; `beginning` is any text that a path may begin with.
    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Forgets that a dataset was ever at `path`: it is no longer there.
    async fn forget_dataset(&self, path: &LakePath) -> Result<(), Error>;
}
