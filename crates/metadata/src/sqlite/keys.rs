//! API keys: the table `api_keys`.
//!
//! A row is found by the hash of its secret. The hash has 256 random bits, so the time of the look-up reveals nothing
//! about a key; it is compared once more, in constant time.

use super::SqliteState;
use super::job::Durability::{self, Synced, Written};
use super::query::{Row, Value, changed, found, returned, rows, values};
use super::row::{bytes, id, key};
use super::sessions::end_first_sign_in;
use crate::transaction::WriteTransaction as _;
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
impl KeyState for SqliteState {
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error> {
        let (new, by) = (new.clone(), by.clone());
        let prefix = new.path_prefix.as_ref().map(LakePath::as_str);
        let expires_at = new.expires_at.map(|at| at.0);
        let values = values![new.name, new.role.as_str(), prefix, hint, hash.0, at.0, expires_at, by.name];
        let sql = "INSERT INTO api_keys (name, role, path_prefix, hint, hash, created_at, expires_at, created_by) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *";
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move {
                    writing.change_callers();
                    let mut made = returned(writing, sql, values, key).await?;
                    let key = made.pop().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
                    end_first_sign_in(writing).await?;
                    writing.record(&AuditEntry::key_created(&new, &by, at)).await?;
                    Ok(key)
                })
            })
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        let mut connection = self.readers.list().await?;
        rows(&mut connection, "SELECT * FROM api_keys ORDER BY key_id", vec![], key).await
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        let generation = match self.lookups.keys.get(hash) {
            Ok(key) => return Ok(Some(key)),
            Err(generation) => generation,
        };
        let mut connection = self.readers.look().await?;
        let sql = "SELECT * FROM api_keys WHERE hash = ?";
        let decode = |row: &Row| Ok((kept(row, "hash")?, key(row)?));
        let found = found(&mut connection, sql, values![hash.0], decode).await?;
        let found = found.filter(|(kept, _)| kept == hash).map(|(_, key)| key);
        if let Some(key) = &found {
            self.lookups.keys.keep(generation, hash, key.clone());
        }
        Ok(found)
    }

    async fn revoke_key(&self, key_id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error> {
        let by = by.clone();
        let sql = "UPDATE api_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL RETURNING *; \
                   DELETE FROM sessions WHERE key_id = $1";
        self.writer
            .write(Synced, move |writing| {
                Box::pin(async move {
                    writing.change_callers();
                    let revoked = returned(writing, sql, values![id(key_id.0), at.0], key).await?;
                    for key in &revoked {
                        writing.record(&AuditEntry::key_revoked(key, &by, at)).await?;
                    }
                    Ok(!revoked.is_empty())
                })
            })
            .await
    }

    async fn touch_key(&self, key_id: KeyId, at: Timestamp) -> Result<(), Error> {
        // Many requests may decide at the same time that the last use is due to be written.
        let sql =
            "UPDATE api_keys SET last_used_at = ? WHERE key_id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
        change(self, Written, sql, values![at.0, id(key_id.0), at.minus(LAST_USE_GRANULARITY).0]).await
    }
}

/// Runs a statement that changes keys or sessions.
pub(super) async fn change(
    state: &SqliteState,
    durability: Durability,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<(), Error> {
    state
        .writer
        .write_aside(durability, move |writing| {
            Box::pin(async move {
                writing.change_callers();
                changed(writing, sql, values).await.map(drop)
            })
        })
        .await
}

pub(super) fn kept(row: &Row, column: &str) -> sqlx::Result<SecretHash> {
    bytes(row, column).map(SecretHash)
}
