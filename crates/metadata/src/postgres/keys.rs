//! API keys: the table `api_keys`. A row is found by the hash of its secret, as in [`crate::sqlite`].
//!
//! Nothing is cached: another node may have revoked a key a moment ago.

use super::PostgresState;
use super::query::{Row, changed, found, rows, values};
use super::sessions::end_first_sign_in;
use super::writing::Durability::{Passing, Synced};
use super::writing::{Counter, transaction};
use crate::backend::Backend as _;
use crate::row::{bytes, id, key};
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::key::{Key, NewKey, SecretHash};
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::KeyId;
use lakeshore::model::limits::LAST_USE_GRANULARITY;
use lakeshore::model::path::LakePath;
use lakeshore::ports::metadata::key::KeyState;
use lakeshore::{Error, Timestamp};

#[async_trait]
impl KeyState for PostgresState {
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error> {
        let prefix = new.path_prefix.as_ref().map(LakePath::as_str);
        let expires_at = new.expires_at.map(|at| at.0);
        let sql = "INSERT INTO api_keys (key_id, name, role, path_prefix, hint, hash, created_at, expires_at, created_by) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *";
        transaction!(self, Synced, |writing| {
            let key_id = writing.next_id(Counter::Keys).await?;
            // Behind whoever uses the sign-in link, which works only while there is no key.
            writing.next_ids(Counter::Sessions, 0).await?;
            let values = values![key_id, new.name, new.role.as_str(), prefix, hint, hash.0, at.0, expires_at, by.name];
            let key =
                found(writing, sql, values, key).await?.ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
            end_first_sign_in(writing).await?;
            writing.record(&AuditEntry::key_created(new, by, at));
            Ok(key)
        })
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        rows(&mut *self.list().await?, "SELECT * FROM api_keys ORDER BY key_id", vec![], key).await
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        let sql = "SELECT * FROM api_keys WHERE hash = ?";
        let decode = |row: &Row| Ok((kept(row, "hash")?, key(row)?));
        let found = found(&mut *self.look().await?, sql, values![hash.0], decode).await?;
        Ok(found.filter(|(kept, _)| kept == hash).map(|(_, key)| key))
    }

    async fn revoke_key(&self, key_id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE api_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL RETURNING *";
        transaction!(self, Synced, |writing| {
            // Behind whoever begins a session with it.
            writing.next_ids(Counter::Sessions, 0).await?;
            let revoked = found(writing, sql, values![id(key_id.0), at.0], key).await?;
            changed(writing, "DELETE FROM sessions WHERE key_id = ?", values![id(key_id.0)]).await?;
            if let Some(key) = &revoked {
                writing.record(&AuditEntry::key_revoked(key, by, at));
            }
            Ok(revoked.is_some())
        })
    }

    async fn touch_key(&self, key_id: KeyId, at: Timestamp) -> Result<(), Error> {
        // Many requests may decide at the same time that the last use is due to be written.
        let sql =
            "UPDATE api_keys SET last_used_at = ? WHERE key_id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
        let values = values![at.0, id(key_id.0), at.minus(LAST_USE_GRANULARITY).0];
        transaction!(self, Passing, |writing| changed(writing, sql, values.clone()).await.map(drop))
    }
}

pub(super) fn kept(row: &Row, column: &str) -> sqlx::Result<SecretHash> {
    bytes(row, column).map(SecretHash)
}
