//! Stored audit log.

use crate::model::audit::{Activity, AuditEntry, AuditQuery};
use crate::model::error::Error;
use async_trait::async_trait;

#[async_trait]
pub trait AuditStore: Send + std::marker::Sync {
    /// Stores the entry of an action that changes nothing else.
    async fn record(&self, entry: &AuditEntry) -> Result<(), Error>;

    /// Entries, newest first; with `after`, oldest first.
    async fn activity(&self, query: &AuditQuery) -> Result<Vec<Activity>, Error>;
}
