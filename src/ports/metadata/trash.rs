//! Stored trash items.

use crate::model::access::actor::Actor;
use crate::model::error::Error;
use crate::model::id::TrashId;
use crate::model::page::TrashQuery;
use crate::model::path::LakePath;
use crate::model::storage_path::{Identity, TrashKey};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::{NewTrash, PurgeSelector, TrashEntry, TrashGroup};
use async_trait::async_trait;

/// A stored trash item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashRecord {
    pub entry: TrashEntry,
    pub key: TrashKey,
    /// Set during a restore: the moved identity, and the actor.
    pub restoring: Option<(Identity, Actor)>,
}

/// Size of the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashSum {
    pub items: u64,
    pub totals: Totals,
    pub num_uncounted: u64,
}

#[async_trait]
pub trait TrashState: Send + std::marker::Sync {
    /// Trash items, in the order of their arrival.
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error>;

    /// Trash items grouped by sync, newest first, with the items without a sync last. Ignores the order of the query's
    /// page.
    async fn trash_groups(&self, query: &TrashQuery) -> Result<Vec<TrashGroup>, Error>;

    /// Size of all trash.
    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error>;

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error>;

    /// Stores durably that the restore of an item begins, unless an open sync (or another restore) holds the path. A
    /// dataset needs the path exclusively, as a full sync does; a file shares it, as an incremental one does.
    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error>;

    /// Ends a restore durably: the item leaves the list, and the item that it replaced enters it.
    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error>;

    /// Ends a restore that failed; the item stays.
    async fn cancel_restore(&self, id: TrashId) -> Result<(), Error>;

    /// Restores in progress at a restart.
    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error>;

    /// Items without a count, at most `size`.
    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error>;

    async fn count_trash(&self, id: TrashId, totals: Totals) -> Result<(), Error>;

    /// Marks items for a purge durably, oldest first and at most `size`. Marked items are in no list and cannot be
    /// restored. An item that is being restored is skipped, or refused if it was requested alone. Returns the marked
    /// items.
    async fn begin_emptying(
        &self,
        selector: &PurgeSelector,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error>;

    /// Items marked for a purge, in ascending order: at most `size` after `after`.
    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error>;

    /// Deletes the rows of purged items. Idempotent.
    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error>;
}
