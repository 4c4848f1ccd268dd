//! Idempotent starts: the table `idempotency_keys`.

use crate::query::{execute, fetch_optional, values};
use crate::row::{bytes, id, number};
use crate::transaction::WriteTransaction;
use lakeshore::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::sync::start::{IdempotentStart, NewSync};

/// Returns the sync that an earlier call with the same key started, and removes expired keys where there is one.
pub(crate) async fn earlier(
    writing: &mut impl WriteTransaction,
    once: &IdempotentStart,
) -> Result<Option<SyncId>, Error> {
    let sql = "SELECT fingerprint, sync_id FROM idempotency_keys WHERE owner = ? AND key = ? AND at >= ?";
    let values = values![once.owner.to_string(), once.key.as_str(), once.expired_before.0];
    let earlier = fetch_optional(writing, sql, values, |row| {
        Ok((bytes::<32>(row, "fingerprint")?, SyncId(number(row, "sync_id")?)))
    });
    match earlier.await? {
        Some((fingerprint, _)) if fingerprint != once.fingerprint.0 => Err(Error::IdempotencyKeyReused),
        Some((_, sync_id)) => {
            execute(writing, "DELETE FROM idempotency_keys WHERE at < ?", values![once.expired_before.0]).await?;
            Ok(Some(sync_id))
        }
        None => Ok(None),
    }
}

/// Records the sync that this key has started, and removes expired keys.
pub(crate) async fn remember(
    writing: &mut impl WriteTransaction,
    new: &NewSync,
    once: &IdempotentStart,
    sync_id: SyncId,
) -> Result<(), Error> {
    let sql = "DELETE FROM idempotency_keys WHERE at < $6; \
               INSERT INTO idempotency_keys (owner, key, fingerprint, sync_id, at) VALUES ($1, $2, $3, $4, $5)";
    let (owner, fingerprint, expired_before) = (once.owner.to_string(), once.fingerprint.0, once.expired_before.0);
    let values = values![owner, once.key.as_str(), fingerprint, id(sync_id.0), new.at.0, expired_before];
    execute(writing, sql, values).await.map(drop)
}
