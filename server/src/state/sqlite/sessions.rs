//! Sessions and the sign-in link: the tables `sessions` and `sign_in_link`. Of a secret only the hash is kept; see `keys.rs`.

use super::activity::record;
use super::keys::kept;
use super::query::{Select, changed, clamp, found};
use super::row::{id, key, number};
use super::writer::Durability::{Synced, Written};
use super::{SqliteState, fault};
use async_trait::async_trait;
use lakeshore::activity::{Actor, Deed};
use lakeshore::key::{Key, KeyId, SecretHash};
use lakeshore::limits::{SESSION_IDLE_MAX, SESSION_SEEN_GRANULARITY, SESSIONS_OF_KEY_MAX};
use lakeshore::ports::SessionState;
use lakeshore::session::{EndSessions, NewSession, SessionEntry, SessionId};
use lakeshore::{Error, Timestamp};
use rusqlite::{Connection, Row, params};

/// Sessions that last, with their keys. Whether the key is active is asked by [`Key::is_active`] where one is looked up.
const ENTRIES: &str = "SELECT s.session_id, s.hash AS session_hash, s.key_id AS session_key, s.begun_at, s.last_seen_at, \
     s.expires_at AS session_expires_at, s.address, s.program, coalesce(k.name, '') AS key_name, k.* FROM sessions s \
     LEFT JOIN api_keys k ON k.key_id = s.key_id WHERE s.expires_at > ";

fn lasting(now: Timestamp) -> Select {
    let mut select = Select::new(ENTRIES);
    select.bind(now.0).push(" AND s.last_seen_at > ").bind(now.minus(SESSION_IDLE_MAX).0);
    select
}

fn listed(of_key: Option<KeyId>, now: Timestamp) -> Select {
    let mut select = lasting(now);
    select.push(" AND (s.key_id IS NULL OR (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ");
    select.bind(now.0).push(")))");
    if let Some(KeyId(key_id)) = of_key {
        select.push(" AND s.key_id = ").bind(id(key_id));
    }
    select.push(" ORDER BY s.session_id DESC");
    select
}

#[async_trait]
impl SessionState for SqliteState {
    async fn begin_session(&self, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error> {
        let (new, by) = (new.clone(), by.clone());
        self.writer.write(Written, move |connection| begin_session(connection, &new, &by, at)).await
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<(SessionEntry, Option<Key>)>, Error> {
        self.readers.look(|connection| {
            let mut select = lasting(now);
            select.push(" AND s.hash = ").bind(hash.0.to_vec());
            let found = select.rows(connection, |row| {
                let entry = entry(row)?;
                let key = entry.key_id.is_some().then(|| key(row)).transpose()?;
                Ok((kept(row, "session_hash")?, (entry, key)))
            })?;
            Ok(found.into_iter().find(|(kept, _)| kept == hash).map(|(_, session)| session))
        })
    }

    async fn touch_session(&self, session_id: SessionId, at: Timestamp) -> Result<(), Error> {
        // Many requests may find at once that it was long ago.
        let sql = "UPDATE sessions SET last_seen_at = ? WHERE session_id = ? AND last_seen_at <= ?";
        let long_ago = at.minus(SESSION_SEEN_GRANULARITY);
        let touch = move |connection: &Connection| {
            changed(connection, sql, params![at.0, id(session_id.0), long_ago.0]).map(|_| ())
        };
        self.writer.write(Written, touch).await
    }

    async fn sessions(&self, of_key: Option<KeyId>, now: Timestamp, size: u64) -> Result<Vec<SessionEntry>, Error> {
        let mut select = listed(of_key, now);
        select.push(" LIMIT ").bind(clamp(size));
        self.readers.list(move |connection| select.rows(connection, entry)).await
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        let hash = *hash;
        let end = move |connection: &Connection| {
            changed(connection, "DELETE FROM sessions WHERE hash = ?", [hash.0]).map(|_| ())
        };
        self.writer.write(Synced, end).await
    }

    async fn end_sessions(
        &self,
        wanted: EndSessions,
        of_key: Option<KeyId>,
        own: Option<SessionId>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<u64, Error> {
        let by = by.clone();
        let end = move |connection: &Connection| {
            let mut ended = listed(of_key, at).rows(connection, entry)?;
            ended.retain(|session| wanted.holds(session, own));
            for session in &ended {
                changed(connection, "DELETE FROM sessions WHERE session_id = ?", [id(session.session_id.0)])?;
            }
            if !ended.is_empty() {
                record(connection, &Deed::sessions_ended(&ended, &by, at))?;
            }
            Ok(ended.len() as u64)
        };
        self.writer.write(Synced, end).await
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        let hash = *hash;
        let sql = "INSERT OR REPLACE INTO sign_in_link (only_row, hash, expires_at) VALUES (1, ?, ?)";
        self.writer
            .write(Written, move |connection| changed(connection, sql, params![hash.0, expires_at.0]).map(|_| ()))
            .await
    }

    async fn take_sign_in(
        &self,
        link: &SecretHash,
        new: &NewSession,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let (link, new, by) = (*link, new.clone(), by.clone());
        let take = move |connection: &Connection| {
            let sql = "SELECT hash FROM sign_in_link WHERE expires_at > ? AND NOT EXISTS (SELECT 1 FROM api_keys)";
            if found(connection, sql, [at.0], |row| kept(row, "hash"))? != Some(link) {
                return Ok(false);
            }
            changed(connection, "DELETE FROM sign_in_link", [])?;
            begin_session(connection, &new, &by, at).map(|()| true)
        };
        self.writer.write(Synced, take).await
    }

    async fn is_unclaimed(&self, now: Timestamp) -> Result<bool, Error> {
        let sql =
            "SELECT NOT EXISTS (SELECT 1 FROM api_keys) AND NOT EXISTS (SELECT 1 FROM sessions WHERE expires_at > ?)";
        self.readers.look(|connection| connection.query_row(sql, [now.0], |row| row.get(0)).map_err(fault))
    }
}

/// The session that the sign-in link begins, and the link: nobody needs them any more.
pub(super) fn end_first_sign_in(connection: &Connection) -> Result<(), Error> {
    changed(connection, "DELETE FROM sessions WHERE key_id IS NULL", [])?;
    changed(connection, "DELETE FROM sign_in_link", []).map(|_| ())
}

fn begin_session(connection: &Connection, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error> {
    let sql = "DELETE FROM sessions WHERE expires_at <= ? OR last_seen_at <= ?";
    changed(connection, sql, params![at.0, at.minus(SESSION_IDLE_MAX).0])?;
    let sql = "INSERT INTO sessions (hash, key_id, begun_at, last_seen_at, expires_at, address, program) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (key_id, origin) = (new.key_id.map(|key_id| id(key_id.0)), &by.trace.origin);
    let values = params![new.hash.0, key_id, at.0, at.0, new.expires_at.0, origin.address, origin.program];
    changed(connection, sql, values)?;
    let sql = "DELETE FROM sessions WHERE key_id = ?1 AND session_id IN \
               (SELECT session_id FROM sessions WHERE key_id = ?1 ORDER BY session_id DESC LIMIT -1 OFFSET ?2)";
    changed(connection, sql, params![key_id, id(SESSIONS_OF_KEY_MAX)])?;
    record(connection, &Deed::signed_in(by, at))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<SessionEntry> {
    Ok(SessionEntry {
        session_id: SessionId(number(row, "session_id")?),
        key_id: row.get::<_, Option<i64>>("session_key")?.map(|key_id| KeyId(key_id.cast_unsigned())),
        key_name: row.get("key_name")?,
        begun_at: Timestamp(row.get("begun_at")?),
        last_seen_at: Timestamp(row.get("last_seen_at")?),
        expires_at: Timestamp(row.get("session_expires_at")?),
        address: row.get("address")?,
        program: row.get("program")?,
        is_own: false,
    })
}
