//! Stored syncs.

use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::page::SyncQuery;
use crate::model::path::LakePath;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{Closing, Supersede, SyncJob, SyncRecord};
use crate::model::sync::start::NewSync;
use crate::model::sync::status::SyncType;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait SyncState: Send + std::marker::Sync {
    /// Stores a new sync durably, unless [`crate::model::sync::job::obstacle`] finds an open one, a restore is in
    /// progress on an overlapping path, or a full sync has other datasets below its path. A sync that an earlier call
    /// started with the same idempotency key is returned, in any state; the key of a different call is refused.
    async fn start_sync(&self, new: &NewSync) -> Result<SyncId, Error>;

    /// Refuses as [`Self::start_sync`] would for a sync of this path and type, and stores nothing.
    async fn check_start(&self, path: &LakePath, sync_type: SyncType) -> Result<(), Error>;

    /// [`Self::start_sync`] for a path with a full sync that [`crate::model::sync::job::is_superseded`]. That sync is
    /// closed, as by [`Self::close_sync`] with [`crate::model::sync::job::superseded_by`], in the transaction that
    /// stores the new one. If it does not give way, the start is refused as by [`Self::start_sync`].
    async fn supersede_sync(&self, new: &NewSync, supersede: &Supersede) -> Result<SyncId, Error>;

    async fn sync(&self, id: SyncId) -> Result<Option<SyncRecord>, Error>;

    async fn syncs(&self, query: &SyncQuery) -> Result<Vec<SyncJob>, Error>;

    /// Closes a sync to uploads, durably, if [`crate::model::sync::job::may_close`] allows it. With
    /// `discard_in_flight`, its uploads in flight fail in the same transaction. `Closing::Finish` ends the sync at
    /// once. A publish that restores a version ([`NewSync::restores_version`]) is refused with [`Error::RestoreDiffers`]
    /// unless the staged files have the list digest of that version.
    async fn close_sync(
        &self,
        id: SyncId,
        closing: &Closing,
        discard_in_flight: bool,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// [`Self::close_sync`], which discards no uploads in flight, of a sync whose last upload (or start) was before
    /// `idle_before`. False, without a change, if it was not.
    async fn expire_sync(
        &self,
        id: SyncId,
        closing: &Closing,
        idle_before: Timestamp,
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Ends a closed sync durably, and stores its trash item. Idempotent.
    async fn settle_sync(&self, settlement: &Settlement) -> Result<(), Error>;

    /// Stores durably that an open sync is held, with the current figures. A repeated call keeps the time of the first
    /// one. The next landing and the closing of the sync lift the hold.
    async fn hold_sync(&self, id: SyncId, hold: Hold, by: &Actor) -> Result<Hold, Error>;

    /// Reopens a closed sync whose publish failed.
    async fn reopen_sync(&self, id: SyncId, why: &str, at: Timestamp) -> Result<(), Error>;

    /// Syncs that are `Publishing` or `Aborting` at a restart.
    async fn closing_syncs(&self) -> Result<Vec<SyncRecord>, Error>;

    /// Every sync that has not ended.
    async fn open_syncs(&self) -> Result<Vec<SyncId>, Error>;

    /// Open syncs without an upload in flight whose last upload (or start) was before `before`.
    async fn idle_syncs(&self, before: Timestamp) -> Result<Vec<SyncId>, Error>;

    /// Datasets whose path begins with `beginning`, any text, most recently written first.
    async fn datasets(&self, beginning: &str, scope: Option<&LakePath>, size: u64) -> Result<Vec<LakePath>, Error>;

    /// Deletes the record of a dataset that no longer exists.
    async fn delete_dataset(&self, path: &LakePath) -> Result<(), Error>;
}
