//! What was done, as it is remembered.

use crate::model::audit::{Activity, AuditEntry, AuditQuery};
use crate::model::error::Error;
use async_trait::async_trait;

#[async_trait]
pub trait AuditStore: Send + std::marker::Sync {
    /// Remembers a deed that changes nothing else.
    async fn record(&self, deed: &AuditEntry) -> Result<(), Error>;

    /// Deeds, the newest first; behind one that is named, the oldest first.
    async fn activity(&self, query: &AuditQuery) -> Result<Vec<Activity>, Error>;
}
