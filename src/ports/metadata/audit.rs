//! What was done, as it is remembered.

use crate::model::audit::{Activity, ActivityQuery, Deed};
use crate::model::error::Error;
use async_trait::async_trait;

#[async_trait]
pub trait ActivityState: Send + std::marker::Sync {
    /// Remembers a deed that changes nothing else.
    async fn record(&self, deed: &Deed) -> Result<(), Error>;

    /// Deeds, the newest first; behind one that is named, the oldest first.
    async fn activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error>;
}
