//! Keys, sessions and the first sign-in: the tables `api_keys`, `sessions` and `sign_in_link`.
//!
//! A secret's row is found by its hash. The hash is of 256 random bits, so the time that the look-up takes tells nothing
//! about a key; it is compared once more, in constant time.

use super::row::{id, key};
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::key::{Key, KeyId, NewKey, SecretHash};
use lakeshore::ports::state::KeyState;
use lakeshore::{Error, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

#[async_trait]
impl KeyState for SqliteState {
    async fn create_key(&self, new: &NewKey, hint: &str, hash: &SecretHash, at: Timestamp) -> Result<Key, Error> {
        let (new, hint, hash) = (new.clone(), hint.to_owned(), *hash);
        self.writer
            .write(Synced, move |connection| {
                Box::pin(async move {
                    let sql = "INSERT INTO api_keys (name, role, path_prefix, hint, hash, created_at, expires_at) \
                               VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *";
                    let row = sqlx::query(sql)
                        .bind(new.name)
                        .bind(new.role.as_str())
                        .bind(new.path_prefix.map(String::from))
                        .bind(hint)
                        .bind(hash.0.to_vec())
                        .bind(at.0)
                        .bind(new.expires_at.map(|at| at.0))
                        .fetch_one(connection)
                        .await
                        .map_err(fault)?;
                    key(&row).map_err(fault)
                })
            })
            .await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        let sql = "SELECT * FROM api_keys ORDER BY key_id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(fault)?;
        rows.iter().map(key).collect::<Result<_, _>>().map_err(fault)
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        let sql = "SELECT * FROM api_keys WHERE hash = ?";
        let row = sqlx::query(sql).bind(hash.0.to_vec()).fetch_optional(&self.readers).await.map_err(fault)?;
        match row {
            Some(row) if same(&row, hash)? => key(&row).map(Some).map_err(fault),
            _ => Ok(None),
        }
    }

    async fn revoke_key(&self, key_id: KeyId, at: Timestamp) -> Result<bool, Error> {
        self.writer
            .write(Synced, move |connection| {
                Box::pin(async move {
                    let sql = "UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL";
                    let query = sqlx::query(sql).bind(at.0).bind(id(key_id.0));
                    let revoked = query.execute(&mut *connection).await.map_err(fault)?.rows_affected();
                    let sql = "DELETE FROM sessions WHERE key_id = ?";
                    sqlx::query(sql).bind(id(key_id.0)).execute(connection).await.map_err(fault)?;
                    Ok(revoked > 0)
                })
            })
            .await
    }

    async fn touch_key(&self, key_id: KeyId, at: Timestamp) -> Result<(), Error> {
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    let sql = "UPDATE api_keys SET last_used_at = ? WHERE key_id = ?";
                    sqlx::query(sql).bind(at.0).bind(id(key_id.0)).execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn begin_session(
        &self,
        hash: &SecretHash,
        key_id: Option<KeyId>,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let hash = *hash;
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    let sql = "INSERT INTO sessions (hash, key_id, expires_at) VALUES (?, ?, ?)";
                    let key_id = key_id.map(|key_id| id(key_id.0));
                    let query = sqlx::query(sql).bind(hash.0.to_vec()).bind(key_id).bind(expires_at.0);
                    query.execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<Option<Key>>, Error> {
        let sql = "SELECT s.hash AS session_hash, s.key_id AS session_key, k.* FROM sessions s \
                   LEFT JOIN api_keys k ON k.key_id = s.key_id WHERE s.hash = ? AND s.expires_at > ?";
        let query = sqlx::query(sql).bind(hash.0.to_vec()).bind(now.0);
        let Some(row) = query.fetch_optional(&self.readers).await.map_err(fault)? else { return Ok(None) };
        let kept: Vec<u8> = row.try_get("session_hash").map_err(fault)?;
        if <[u8; 32]>::try_from(kept).ok().map(SecretHash).as_ref() != Some(hash) {
            return Ok(None);
        }
        match row.try_get::<Option<i64>, _>("session_key").map_err(fault)? {
            None => Ok(Some(None)),
            Some(_) => key(&row).map(|key| Some(Some(key))).map_err(fault),
        }
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        let hash = *hash;
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    let sql = "DELETE FROM sessions WHERE hash = ?";
                    sqlx::query(sql).bind(hash.0.to_vec()).execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        let hash = *hash;
        self.writer
            .write(Written, move |connection| {
                Box::pin(async move {
                    let sql = "INSERT OR REPLACE INTO sign_in_link (only_row, hash, expires_at) VALUES (1, ?, ?)";
                    let query = sqlx::query(sql).bind(hash.0.to_vec()).bind(expires_at.0);
                    query.execute(connection).await.map_err(fault)?;
                    Ok(())
                })
            })
            .await
    }

    async fn take_sign_in(&self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let hash = *hash;
        self.writer.write(Synced, move |connection| Box::pin(take_sign_in(connection, hash, now))).await
    }

    async fn is_unclaimed(&self) -> Result<bool, Error> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM api_keys) AND NOT EXISTS (SELECT 1 FROM sessions)";
        sqlx::query_scalar(sql).fetch_one(&self.readers).await.map_err(fault)
    }
}

fn same(row: &SqliteRow, hash: &SecretHash) -> Result<bool, Error> {
    let kept: Vec<u8> = row.try_get("hash").map_err(fault)?;
    Ok(<[u8; 32]>::try_from(kept).is_ok_and(|kept| SecretHash(kept) == *hash))
}

async fn take_sign_in(connection: &mut SqliteConnection, hash: SecretHash, now: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT hash FROM sign_in_link WHERE expires_at > ?";
    let offered = sqlx::query(sql).bind(now.0).fetch_optional(&mut *connection).await.map_err(fault)?;
    match offered {
        Some(row) if same(&row, &hash)? => {
            sqlx::query("DELETE FROM sign_in_link").execute(connection).await.map_err(fault)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
