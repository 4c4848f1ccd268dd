//! Sessions and the sign-in link: the tables `sessions` and `sign_in_link`. Secrets are stored as hashes; see
//! `keys.rs`.

use crate::backend::{Backend, MetadataStore};
use crate::keys::{change, kept};
use crate::lookups::Session;
use crate::query::{Select, Value, clamp, execute, fetch_optional, values};
use crate::row::{DbRow, id, key, number, number_if_any, time};
use crate::transaction::Durability::{Passing, Synced, Written};
use crate::transaction::{Counter, WriteTransaction};
use async_trait::async_trait;
use lakeshore::model::access::actor::Actor;
use lakeshore::model::access::key::SecretHash;
use lakeshore::model::access::session::{EndSessions, NewSession, SessionEntry};
use lakeshore::model::audit::AuditEntry;
use lakeshore::model::id::KeyId;
use lakeshore::model::id::SessionId;
use lakeshore::model::limits::{SESSION_IDLE_MAX, SESSION_SEEN_GRANULARITY, SESSIONS_OF_KEY_MAX};
use lakeshore::ports::SessionState;
use lakeshore::{Error, Timestamp};

/// Unexpired sessions with their keys. The caller checks by [`Key::is_active`] whether the key is active.
///
/// [`Key::is_active`]: lakeshore::model::access::key::Key::is_active
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
impl<B: Backend> SessionState for MetadataStore<B> {
    async fn begin_session(&self, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error> {
        self.0
            .write(Written, (new.clone(), by.clone(), at), |writing, (new, by, at)| {
                Box::pin(begin_session(writing, new, by, *at))
            })
            .await
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<Session>, Error> {
        let session = self.0.caller_lookups().sessions.find(hash, async {
            let mut select = lasting(now);
            select.push(" AND s.hash = ").bind(hash.0);
            let found = select.fetch_all(&mut self.0.look().await?, session_with_hash).await?;
            Ok(found.into_iter().find(|(kept, _)| kept == hash).map(|(_, session)| session))
        });
        Ok(session.await?.filter(|(entry, _)| entry.lasts(now)))
    }

    async fn touch_session(&self, session_id: SessionId, at: Timestamp) -> Result<(), Error> {
        // Many requests may decide at the same time that the last use is due to be written.
        let sql = "UPDATE sessions SET last_seen_at = ? WHERE session_id = ? AND last_seen_at <= ?";
        change(&self.0, Passing, sql, values![at.0, id(session_id.0), at.minus(SESSION_SEEN_GRANULARITY).0]).await
    }

    async fn sessions(&self, of_key: Option<KeyId>, now: Timestamp, size: u64) -> Result<Vec<SessionEntry>, Error> {
        let mut select = listed(of_key, now);
        select.push(" LIMIT ").bind(clamp(size));
        select.fetch_all(&mut self.0.list().await?, entry).await
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        change(&self.0, Synced, "DELETE FROM sessions WHERE hash = ?", values![hash.0]).await
    }

    async fn end_sessions(
        &self,
        wanted: EndSessions,
        of_key: Option<KeyId>,
        own: Option<SessionId>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<u64, Error> {
        self.0
            .write(Synced, (wanted, of_key, own, by.clone(), at), |writing, (wanted, of_key, own, by, at)| {
                Box::pin(end_sessions(writing, wanted, *of_key, *own, by, *at))
            })
            .await
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO sign_in_link (only_row, hash, expires_at) VALUES (1, ?, ?) \
                   ON CONFLICT (only_row) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";
        self.0.change_aside(Written, sql, values![hash.0, expires_at.0]).await
    }

    async fn take_sign_in(
        &self,
        link: &SecretHash,
        new: &NewSession,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        self.0
            .write(Synced, (*link, new.clone(), by.clone(), at), |writing, (link, new, by, at)| {
                Box::pin(take_sign_in(writing, link, new, by, *at))
            })
            .await
    }

    async fn is_unclaimed(&self, now: Timestamp) -> Result<bool, Error> {
        let sql =
            "SELECT NOT EXISTS (SELECT 1 FROM api_keys) AND NOT EXISTS (SELECT 1 FROM sessions WHERE expires_at > ?)";
        Ok(fetch_optional(&mut self.0.look().await?, sql, values![now.0], |row| row.at(0)).await?.unwrap_or(false))
    }
}

/// Ends the session of the sign-in link, and the link, which are no longer needed.
pub(crate) async fn end_first_sign_in(writing: &mut impl WriteTransaction) -> Result<(), Error> {
    let sql = "DELETE FROM sessions WHERE key_id IS NULL; DELETE FROM sign_in_link";
    execute(writing, sql, vec![]).await.map(drop)
}

async fn begin_session(
    writing: &mut impl WriteTransaction,
    new: &NewSession,
    by: &Actor,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2; \
               INSERT INTO sessions (session_id, hash, key_id, begun_at, last_seen_at, expires_at, address, program) \
               VALUES ($9, $3, $4, $1, $1, $5, $6, $7); \
               DELETE FROM sessions WHERE key_id = $4 AND session_id NOT IN \
               (SELECT session_id FROM sessions WHERE key_id = $4 ORDER BY session_id DESC LIMIT $8)";
    writing.change_callers();
    let session_id = writing.new_id(Counter::Sessions).await?;
    let (key_id, origin) = (new.key_id.map(|key_id| id(key_id.0)), &by.trace.origin);
    let values = values![
        at.0,
        at.minus(SESSION_IDLE_MAX).0,
        new.hash.0,
        key_id,
        new.expires_at.0,
        origin.address,
        origin.program,
        id(SESSIONS_OF_KEY_MAX),
        session_id,
    ];
    execute(writing, sql, values).await?;
    writing.record(&AuditEntry::signed_in(by, at)).await
}

async fn end_sessions(
    writing: &mut impl WriteTransaction,
    wanted: &EndSessions,
    of_key: Option<KeyId>,
    own: Option<SessionId>,
    by: &Actor,
    at: Timestamp,
) -> Result<u64, Error> {
    writing.lock(Counter::Sessions).await?;
    let mut ended = listed(of_key, at).fetch_all(writing, entry).await?;
    ended.retain(|session| wanted.holds(session, own));
    if !ended.is_empty() {
        let ids = Value::column(ended.iter().map(|session| id(session.session_id.0)))?;
        writing.change_callers();
        let sql = "DELETE FROM sessions WHERE session_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each(?))";
        execute(writing, sql, vec![ids]).await?;
        writing.record(&AuditEntry::sessions_ended(&ended, by, at)).await?;
    }
    Ok(ended.len() as u64)
}

async fn take_sign_in(
    writing: &mut impl WriteTransaction,
    link: &SecretHash,
    new: &NewSession,
    by: &Actor,
    at: Timestamp,
) -> Result<bool, Error> {
    writing.lock(Counter::Sessions).await?;
    let sql = "SELECT hash FROM sign_in_link WHERE expires_at > ? AND NOT EXISTS (SELECT 1 FROM api_keys)";
    if fetch_optional(writing, sql, values![at.0], |row| kept(row, "hash")).await? != Some(*link) {
        return Ok(false);
    }
    execute(writing, "DELETE FROM sign_in_link", vec![]).await?;
    begin_session(writing, new, by, at).await?;
    Ok(true)
}

fn session_with_hash(row: &impl DbRow) -> sqlx::Result<(SecretHash, Session)> {
    let entry = entry(row)?;
    let key = entry.key_id.is_some().then(|| key(row)).transpose()?;
    Ok((kept(row, "session_hash")?, (entry, key)))
}

fn entry(row: &impl DbRow) -> sqlx::Result<SessionEntry> {
    Ok(SessionEntry {
        session_id: SessionId(number(row, "session_id")?),
        key_id: number_if_any(row, "session_key")?.map(KeyId),
        key_name: row.get("key_name")?,
        begun_at: time(row, "begun_at")?,
        last_seen_at: time(row, "last_seen_at")?,
        expires_at: time(row, "session_expires_at")?,
        address: row.get("address")?,
        program: row.get("program")?,
        is_own: false,
    })
}
