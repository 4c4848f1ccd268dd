//! Keys: the table `api_keys`.
//!
//! A secret's row is found by its hash. The hash is of 256 random bits, so the time that the look-up takes tells nothing
//! about a key; it is compared once more, in constant time.

use super::activity::record;
use super::query::{changed, found};
use super::row::{id, key};
use super::sessions::end_first_sign_in;
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::activity::{Actor, Deed};
use lakeshore::key::{Key, KeyId, NewKey, SecretHash};
use lakeshore::limits::LAST_USE_GRANULARITY;
use lakeshore::path::LakePath;
use lakeshore::ports::state::KeyState;
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};

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
        let (new, hint, hash, by) = (new.clone(), hint.to_owned(), *hash, by.clone());
        let sql = "INSERT INTO api_keys (name, role, path_prefix, hint, hash, created_at, expires_at, created_by) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *";
        self.writer
            .write(Synced, move |connection| {
                let prefix = new.path_prefix.as_ref().map(LakePath::as_str);
                let expires_at = new.expires_at.map(|at| at.0);
                let values = params![new.name, new.role.as_str(), prefix, hint, hash.0, at.0, expires_at, by.name];
                let key = connection.query_row(sql, values, key).map_err(fault)?;
                end_first_sign_in(connection)?;
                record(connection, &Deed::key_created(&new, &by, at))?;
                Ok(key)
            })
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.readers
            .list(|connection| {
                let mut statement =
                    connection.prepare_cached("SELECT * FROM api_keys ORDER BY key_id").map_err(fault)?;
                let keys = statement.query_map([], key).map_err(fault)?;
                keys.collect::<rusqlite::Result<_>>().map_err(fault)
            })
            .await
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        self.readers.look(|connection| {
            let sql = "SELECT * FROM api_keys WHERE hash = ?";
            let found = found(connection, sql, [hash.0], |row| Ok((kept(row, "hash")?, key(row)?)))?;
            Ok(found.filter(|(kept, _)| kept == hash).map(|(_, key)| key))
        })
    }

    async fn revoke_key(&self, key_id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error> {
        let by = by.clone();
        self.writer
            .write(Synced, move |connection| {
                let sql = "UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL RETURNING *";
                let revoked = found(connection, sql, params![at.0, id(key_id.0)], key)?;
                changed(connection, "DELETE FROM sessions WHERE key_id = ?", [id(key_id.0)])?;
                match &revoked {
                    Some(key) => record(connection, &Deed::key_revoked(key, &by, at)).map(|()| true),
                    None => Ok(false),
                }
            })
            .await
    }

    async fn touch_key(&self, key_id: KeyId, at: Timestamp) -> Result<(), Error> {
        // Many requests may find at once that it was long ago.
        let sql =
            "UPDATE api_keys SET last_used_at = ? WHERE key_id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
        let long_ago = at.minus(LAST_USE_GRANULARITY);
        let touch = move |connection: &Connection| {
            changed(connection, sql, params![at.0, id(key_id.0), long_ago.0]).map(|_| ())
        };
        self.writer.write(Written, touch).await
    }
}

pub(super) fn kept(row: &Row<'_>, column: &str) -> rusqlite::Result<SecretHash> {
    Ok(SecretHash(row.get(column)?))
}
