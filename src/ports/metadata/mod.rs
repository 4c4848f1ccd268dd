//! Metadata port. Each call is one transaction; "durably" means on stable storage when the call returns.
//!
//! A call that performs an action of somebody stores its [`AuditEntry`] in the same transaction.
//!
//! The rules that a transaction has to check (which syncs may be open together, when a sync may close) are functions of
//! [`crate::model::sync::job`], which every backend calls inside its transaction.

pub mod audit;
pub mod batch;
pub mod dataset;
pub mod event_log;
pub mod key;
pub mod node;
pub mod overview;
pub mod resumable;
pub mod schema;
pub mod search;
pub mod session;
pub mod sync;
pub mod table;
pub mod trash;
pub mod upload;
pub mod version;

use crate::model::error::Error;
use crate::ports::metadata::audit::AuditStore;
use crate::ports::metadata::batch::BatchState;
use crate::ports::metadata::event_log::EventLog;
use crate::ports::metadata::key::KeyState;
use crate::ports::metadata::node::NodeState;
use crate::ports::metadata::sync::SyncState;
use crate::ports::metadata::trash::TrashState;
use crate::ports::metadata::upload::UploadState;
use crate::ports::{
    ClockState, DatasetState, OverviewState, ResumableState, SchemaState, SearchState, SessionState, Space,
    StateInspection, TableStore, VersionStore,
};

/// Metadata store: all parts of the port together.
pub trait State:
    SyncState
    + UploadState
    + BatchState
    + ResumableState
    + SchemaState
    + TrashState
    + KeyState
    + SessionState
    + AuditStore
    + DatasetState
    + OverviewState
    + SearchState
    + ClockState
    + VersionStore
    + TableStore
    + NodeState
    + EventLog
    + StateInspection
{
    /// Free space of the disk of the metadata. Called often, so it must not block.
    fn space(&self) -> Result<Space, Error>;

    /// Bytes of the reserve for a full disk that are missing, which nothing else may use.
    fn missing_reserve_bytes(&self) -> u64 {
        0
    }

    /// Releases a part of the reserve on a full disk, so that a write may succeed. False when none is left.
    fn release_reserve(&self) -> bool {
        false
    }

    /// Refills the reserve, where the disk has space for it.
    fn refill_reserve(&self) -> Result<(), Error> {
        Ok(())
    }
}
