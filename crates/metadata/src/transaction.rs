//! Transactions that write to either database: what they lock, and where they take new ids from.
//!
//! SQLite has one writer, so that nothing has to be locked, and its tables allocate their ids. In PostgreSQL any number of
//! nodes write: what a transaction decides by is locked first, and ids come from the table `counters`.

use crate::query::WritingConnection;
use futures_util::future::BoxFuture;
use lakeshore::Error;
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::status::{Status, SyncType};

/// Durability of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// May be lost when the database crashes, also where this process lives on: only for what nobody relies on.
    Passing,
    /// Survives the end of the process, and is durable with the next `Synced` commit at the latest.
    Written,
    /// Durable before the answer.
    Synced,
}

/// Ids that are allocated from the table `counters`, in the order in which their rows are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Also held while the unfinished uploads of an owner are counted.
    Resumables,
    /// Held by each change of the history, the trash, the versions, or counts of them.
    Uploads,
    Syncs,
    Landings,
    Trash,
    Folders,
    Schemas,
    Keys,
    /// Also held by each start and end of a session.
    Sessions,
    Snapshots,
    /// Held by each change of the tree of a lake on object storage.
    Namespace,
    /// Taken by the commit.
    Activity,
}

/// How the row of a sync is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncLock {
    /// It stays open: an end waits.
    Share,
    /// It is changed: an end, and landings of other nodes, wait.
    Change,
}

/// Transaction that a job writes by.
pub(crate) trait WriteTransaction: WritingConnection {
    /// Locks the history, the trash, the versions, and what is counted of them.
    fn lock_history(&mut self) -> impl Future<Output = Result<(), Error>> + Send {
        self.lock(Counter::Uploads)
    }

    /// Locks a counter, and with it what its holder may change.
    fn lock(&mut self, counter: Counter) -> impl Future<Output = Result<(), Error>> + Send;

    /// Locks the rows of syncs, those that there are.
    fn lock_syncs(&mut self, ids: Vec<i64>, lock: SyncLock) -> impl Future<Output = Result<(), Error>> + Send;

    /// Locks the row of a sync whose uploads change, and then the history. Refuses where another node is at
    /// its end, with [`lakeshore::Error::SyncBusy`].
    fn lock_receiving(&mut self, sync_id: SyncId) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits until no other start or restore is under way.
    fn lock_starts(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Locks all syncs: none begins or changes.
    fn lock_all_syncs(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Allocates ids of new rows, and returns the first; NULL where the table allocates them.
    fn new_ids(&mut self, counter: Counter, count: usize) -> impl Future<Output = Result<Option<i64>, Error>> + Send;

    /// Id of a new row, like [`Self::new_ids`].
    fn new_id(&mut self, counter: Counter) -> impl Future<Output = Result<Option<i64>, Error>> + Send {
        self.new_ids(counter, 1)
    }

    /// Marks the transaction as one that changes keys or sessions: its commit empties the cache of them, where there is one.
    fn change_callers(&mut self) {}

    /// Counts a sync in its blocks, under a status, or under another than before. Requires the lock of the history.
    fn count_sync(
        &mut self,
        sync_id: SyncId,
        sync_type: SyncType,
        before: Option<Status>,
        status: Status,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Id of a folder; adds it and those above it where they are missing. Requires the lock of the history.
    fn folder_id(&mut self, path: &str) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Records an action in this transaction, and logs it after the commit.
    fn record(&mut self, entry: &AuditEntry) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Work of a transaction, which may run again where it failed for a passing reason.
pub(crate) type Work<W, A, T> = for<'w> fn(&'w mut W, &'w A) -> BoxFuture<'w, Result<T, Error>>;
