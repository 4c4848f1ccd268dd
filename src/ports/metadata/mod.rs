//! What is remembered. Each call is one transaction; "durably" means on stable storage when the call returns.
//!
//! A call that is a deed of somebody remembers it in the same transaction: what as, says [`AuditEntry`].
//!
//! The rules that a transaction has to check (who may start beside whom, when a sync may close) are functions of
//! [`crate::model::sync::job`], which every backend calls inside its transaction.

pub mod audit;
pub mod batch;
pub mod dataset;
pub mod key;
pub mod overview;
pub mod resumable;
pub mod schema;
pub mod search;
pub mod session;
pub mod sync;
pub mod trash;
pub mod upload;
pub mod version;

use crate::model::error::Error;
use crate::ports::metadata::audit::AuditStore;
use crate::ports::metadata::batch::BatchState;
use crate::ports::metadata::key::KeyState;
use crate::ports::metadata::sync::SyncState;
use crate::ports::metadata::trash::TrashState;
use crate::ports::metadata::upload::UploadState;
use crate::ports::{
    ClockState, DatasetState, OverviewState, ResumableState, SchemaState, SearchState, SessionState, Space,
    StateInspection, VersionStore,
};

/// All that is remembered.
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
    + StateInspection
{
    /// The room where the state is. Asked often: it answers at once.
    fn space(&self) -> Result<Space, Error>;

    /// Bytes that were set aside for a full disk, and are to be set aside again before anything takes their room.
    fn missing_reserve_bytes(&self) -> u64 {
        0
    }

    /// The disk is full: gives a part of what was set aside back to it, so that a write may succeed. False where nothing is
    /// left.
    fn release_reserve(&self) -> bool {
        false
    }

    /// Sets aside what is missing, once there is room.
    fn refill_reserve(&self) -> Result<(), Error> {
        Ok(())
    }
}
