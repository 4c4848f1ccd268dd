//! Stored keys.

use crate::model::access::actor::Actor;
use crate::model::access::key::{Key, NewKey, SecretHash};
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait KeyState: Send + std::marker::Sync {
    /// Stores a key durably. Ends the session of the first sign-in, and invalidates its link.
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error>;

    async fn keys(&self) -> Result<Vec<Key>, Error>;

    /// Key of this secret, active or not.
    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error>;

    /// Revokes a key durably, and ends its sessions. False when there was none to revoke.
    async fn revoke_key(&self, id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error>;

    /// Stores the last use of a key, unless one was stored less than [`crate::model::limits::LAST_USE_GRANULARITY`]
    /// ago.
    async fn touch_key(&self, id: KeyId, at: Timestamp) -> Result<(), Error>;
}
