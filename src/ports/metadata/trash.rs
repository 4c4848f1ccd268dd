//! The trash as it is remembered.

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

/// A piece of trash as the lake remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashRecord {
    pub entry: TrashEntry,
    pub key: TrashKey,
    /// Set while it is being put back: what is moving, and who asked for it.
    pub restoring: Option<(Identity, Actor)>,
}

/// How much of the trash there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashSum {
    pub pieces: u64,
    pub totals: Totals,
    pub num_uncounted: u64,
}

#[async_trait]
pub trait TrashState: Send + std::marker::Sync {
    /// What is in the trash, in the order in which it came.
    async fn trash(&self, query: &TrashQuery) -> Result<Vec<TrashEntry>, Error>;

    /// The same by what has put it there, the newest sync first and what none has put there last. Of the query's page the
    /// order counts for nothing.
    async fn trash_groups(&self, query: &TrashQuery) -> Result<Vec<TrashGroup>, Error>;

    /// All of the trash, in one group.
    async fn trash_sum(&self, scope: Option<&LakePath>) -> Result<TrashSum, Error>;

    async fn trash_record(&self, id: TrashId) -> Result<Option<TrashRecord>, Error>;

    /// Remembers durably that a piece is about to be put back, unless an open sync (or another restore) holds the path:
    /// a dataset wants it for itself, as a full sync does; a file shares it, as an incremental one does.
    async fn begin_restore(&self, id: TrashId, identity: &Identity, by: &Actor) -> Result<(), Error>;

    /// The piece is back: it leaves the list, and what it replaced enters it. Durably.
    async fn finish_restore(&self, id: TrashId, replaced: Option<&NewTrash>, at: Timestamp) -> Result<(), Error>;

    /// The piece could not be put back, and stays.
    async fn cancel_restore(&self, id: TrashId) -> Result<(), Error>;

    /// Restores that a restart found under way.
    async fn unfinished_restores(&self) -> Result<Vec<TrashRecord>, Error>;

    /// Pieces that nobody has counted yet, at most `size`.
    async fn uncounted_trash(&self, size: u64) -> Result<Vec<TrashRecord>, Error>;

    async fn count_trash(&self, id: TrashId, totals: Totals) -> Result<(), Error>;

    /// Remembers durably that these pieces are about to be removed for good, the oldest first and at most `size` of them:
    /// from now on they are in no list and cannot be restored. One that is being restored is left out; asked for by
    /// itself, it is refused. Gives those that it has marked.
    async fn begin_emptying(
        &self,
        doomed: &PurgeSelector,
        size: u64,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<TrashEntry>, Error>;

    /// Pieces that are being removed, in ascending order, at most `size` of those behind `after`.
    async fn emptying_trash(&self, after: TrashId, size: u64) -> Result<Vec<(TrashId, TrashKey)>, Error>;

    /// Nothing is left of these pieces. Doing it again changes nothing.
    async fn finish_emptying(&self, ids: &[TrashId], at: Timestamp) -> Result<(), Error>;
}
