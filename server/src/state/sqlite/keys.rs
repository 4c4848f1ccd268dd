//! Keys, sessions and the first sign-in: the tables `api_keys`, `sessions` and `sign_in_link`.
//!
//! A secret's row is found by its hash. The hash is of 256 random bits, so the time that the look-up takes tells nothing
//! about a key; it is compared once more, in constant time.

use super::activity::record;
use super::query::{changed, found};
use super::row::{id, key};
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

    async fn begin_session(
        &self,
        hash: &SecretHash,
        key_id: Option<KeyId>,
        expires_at: Timestamp,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (hash, key_id, by) = (*hash, key_id.map(|key_id| id(key_id.0)), by.clone());
        let sql = "INSERT INTO sessions (hash, key_id, expires_at) VALUES (?, ?, ?)";
        self.writer
            .write(Written, move |connection| {
                changed(connection, sql, params![hash.0, key_id, expires_at.0])?;
                record(connection, &Deed::signed_in(&by, at))
            })
            .await
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<Option<Key>>, Error> {
        let sql = "SELECT s.hash AS session_hash, s.key_id AS session_key, k.* FROM sessions s \
                   LEFT JOIN api_keys k ON k.key_id = s.key_id WHERE s.hash = ? AND s.expires_at > ?";
        self.readers.look(|connection| {
            let found = found(connection, sql, params![hash.0, now.0], |row| {
                let by_key = row.get::<_, Option<i64>>("session_key")?.is_some();
                Ok((kept(row, "session_hash")?, if by_key { Some(key(row)?) } else { None }))
            })?;
            Ok(found.filter(|(kept, _)| kept == hash).map(|(_, key)| key))
        })
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        let hash = *hash;
        self.writer
            .write(Written, move |connection| {
                changed(connection, "DELETE FROM sessions WHERE hash = ?", [hash.0]).map(|_| ())
            })
            .await
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        let hash = *hash;
        let sql = "INSERT OR REPLACE INTO sign_in_link (only_row, hash, expires_at) VALUES (1, ?, ?)";
        self.writer
            .write(Written, move |connection| changed(connection, sql, params![hash.0, expires_at.0]).map(|_| ()))
            .await
    }

    async fn take_sign_in(&self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let hash = *hash;
        self.writer
            .write(Synced, move |connection| {
                let sql = "SELECT hash FROM sign_in_link WHERE expires_at > ?";
                let offered = found(connection, sql, [now.0], |row| kept(row, "hash"))?;
                if offered != Some(hash) {
                    return Ok(false);
                }
                changed(connection, "DELETE FROM sign_in_link", [])?;
                Ok(true)
            })
            .await
    }

    async fn is_unclaimed(&self) -> Result<bool, Error> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM api_keys) AND NOT EXISTS (SELECT 1 FROM sessions)";
        self.readers.look(|connection| connection.query_row(sql, [], |row| row.get(0)).map_err(fault))
    }
}

fn kept(row: &Row<'_>, column: &str) -> rusqlite::Result<SecretHash> {
    Ok(SecretHash(row.get(column)?))
}
