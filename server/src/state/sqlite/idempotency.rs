//! Starts that may be asked for again: the table `idempotency_keys`.

use super::query::{changed, found};
use super::row::id;
use lakeshore::Error;
use lakeshore::ports::state::{NewSync, OnceOnly};
use lakeshore::sync::SyncId;
use rusqlite::{Connection, params};

/// The sync that an earlier call under the same key has started.
pub(super) fn earlier(connection: &Connection, once: &OnceOnly) -> Result<Option<SyncId>, Error> {
    changed(connection, "DELETE FROM idempotency_keys WHERE at < ?", [once.forget_before.0])?;
    let sql = "SELECT fingerprint, sync_id FROM idempotency_keys WHERE owner = ? AND key = ?";
    let earlier = found(connection, sql, [&once.owner.to_string(), once.key.as_str()], |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, SyncId(row.get::<_, i64>(1)?.cast_unsigned())))
    })?;
    match earlier {
        Some((fingerprint, _)) if fingerprint != once.fingerprint.0 => Err(Error::IdempotencyKeyReused),
        earlier => Ok(earlier.map(|(_, sync_id)| sync_id)),
    }
}

pub(super) fn remember(connection: &Connection, new: &NewSync, once: &OnceOnly, sync_id: SyncId) -> Result<(), Error> {
    let sql = "INSERT INTO idempotency_keys (owner, key, fingerprint, sync_id, at) VALUES (?, ?, ?, ?, ?)";
    let values = params![once.owner.to_string(), once.key.as_str(), once.fingerprint.0, id(sync_id.0), new.at.0];
    changed(connection, sql, values).map(|_| ())
}
