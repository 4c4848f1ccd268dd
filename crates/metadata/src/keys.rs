//! API keys: the table `api_keys`.
//!
//! A row is found by the hash of its secret. The hash has 256 random bits, so the time of the look-up reveals nothing
//! about a key; it is compared once more, in constant time.

use crate::backend::{Backend, MetadataStore, statements};
use crate::query::{Value, execute_returning, fetch_all, fetch_optional, values};
use crate::row::{DbRow, bytes, id, key};
use crate::sessions::end_first_sign_in;
use crate::transaction::Durability::{self, Passing, Synced};
use crate::transaction::{Counter, WriteTransaction};
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
impl<B: Backend> KeyState for MetadataStore<B> {
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error> {
        let given = (new.clone(), hint.to_owned(), *hash, by.clone(), at);
        self.0
            .write(Synced, given, |writing, (new, hint, hash, by, at)| {
                Box::pin(create_key(writing, new, hint, hash, by, *at))
            })
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        fetch_all(&mut self.0.list().await?, "SELECT * FROM api_keys ORDER BY key_id", vec![], key).await
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        let find = async {
            let sql = "SELECT * FROM api_keys WHERE hash = ?";
            let found = fetch_optional(&mut self.0.look().await?, sql, values![hash.0], key_with_hash).await?;
            Ok(found.filter(|(kept, _)| kept == hash).map(|(_, key)| key))
        };
        self.0.caller_lookups().keys.find(hash, find).await
    }

    async fn revoke_key(&self, key_id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error> {
        self.0
            .write(Synced, (key_id, by.clone(), at), |writing, (key_id, by, at)| {
                Box::pin(revoke_key(writing, *key_id, by, *at))
            })
            .await
    }

    async fn touch_key(&self, key_id: KeyId, at: Timestamp) -> Result<(), Error> {
        // Many requests may decide at the same time that the last use is due to be written.
        let sql =
            "UPDATE api_keys SET last_used_at = ? WHERE key_id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
        change(&self.0, Passing, sql, values![at.0, id(key_id.0), at.minus(LAST_USE_GRANULARITY).0]).await
    }
}

async fn create_key(
    writing: &mut impl WriteTransaction,
    new: &NewKey,
    hint: &str,
    hash: &SecretHash,
    by: &Actor,
    at: Timestamp,
) -> Result<Key, Error> {
    writing.change_callers();
    let key_id = writing.new_id(Counter::Keys).await?;
    // Behind a use of the sign-in link, which works only while there is no key.
    writing.lock(Counter::Sessions).await?;
    let sql = "INSERT INTO api_keys (key_id, name, role, path_prefix, hint, hash, created_at, expires_at, created_by) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *";
    let prefix = new.path_prefix.as_ref().map(LakePath::as_str);
    let expires_at = new.expires_at.map(|at| at.0);
    let values = values![key_id, new.name, new.role.as_str(), prefix, hint, hash.0, at.0, expires_at, by.name];
    let mut made = execute_returning(writing, sql, values, key).await?;
    let key = made.pop().ok_or_else(|| Error::internal(sqlx::Error::RowNotFound))?;
    end_first_sign_in(writing).await?;
    writing.record(&AuditEntry::key_created(new, by, at)).await?;
    Ok(key)
}

async fn revoke_key(
    writing: &mut impl WriteTransaction,
    key_id: KeyId,
    by: &Actor,
    at: Timestamp,
) -> Result<bool, Error> {
    writing.change_callers();
    // Behind a start of a session with it.
    writing.lock(Counter::Sessions).await?;
    let sql = "UPDATE api_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL RETURNING *; \
               DELETE FROM sessions WHERE key_id = $1";
    let revoked = execute_returning(writing, sql, values![id(key_id.0), at.0], key).await?;
    for key in &revoked {
        writing.record(&AuditEntry::key_revoked(key, by, at)).await?;
    }
    Ok(!revoked.is_empty())
}

/// Runs a statement that changes keys or sessions.
pub(crate) async fn change(
    backend: &impl Backend,
    durability: Durability,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<(), Error> {
    backend
        .write_aside(durability, (sql, values), |writing, given| {
            writing.change_callers();
            statements(writing, given)
        })
        .await
}

pub(crate) fn kept(row: &impl DbRow, column: &str) -> sqlx::Result<SecretHash> {
    bytes(row, column).map(SecretHash)
}

fn key_with_hash(row: &impl DbRow) -> sqlx::Result<(SecretHash, Key)> {
    Ok((kept(row, "hash")?, key(row)?))
}
