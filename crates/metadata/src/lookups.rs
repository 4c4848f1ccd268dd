//! Cache of recently used keys and sessions. Every request needs one, and a look-up is a round trip to a connection.
//!
//! Only for SQLite: one process has the database (see `sqlite/connection.rs`), so it sees every change. Each commit that
//! changes a key or session empties the cache before it is acknowledged. So a revoked key is refused as soon as
//! `key revoke` returns. With PostgreSQL, another node may have revoked a key a moment ago, and nothing is cached.

use lakeshore::Error;
use lakeshore::model::access::key::{Key, SecretHash};
use lakeshore::model::access::session::SessionEntry;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Limit of entries of each kind. Misses are not cached: strangers could fill the cache with them.
const COUNT_MAX: usize = 1024;

/// Number of changes to keys or sessions before a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation(u64);

/// A session with its key, where it has one.
pub(crate) type Session = (SessionEntry, Option<Key>);

#[derive(Default)]
pub(crate) struct CallerLookups {
    pub(crate) keys: Lookups<Key>,
    pub(crate) sessions: Lookups<Session>,
}

impl CallerLookups {
    /// Empties the cache. Call it when a change of keys or sessions has committed.
    pub(crate) fn forget(&self) {
        self.keys.forget();
        self.sessions.forget();
    }
}

/// Returns a cached entry, or the result of `find`, which it caches. Without a cache, it only finds.
pub(crate) async fn cached<T: Clone>(
    lookups: Option<&Lookups<T>>,
    hash: &SecretHash,
    find: impl Future<Output = Result<Option<T>, Error>>,
) -> Result<Option<T>, Error> {
    let Some(lookups) = lookups else { return find.await };
    let generation = match lookups.get(hash) {
        Ok(found) => return Ok(Some(found)),
        Err(generation) => generation,
    };
    let found = find.await?;
    if let Some(found) = &found {
        lookups.keep(generation, hash, found.clone());
    }
    Ok(found)
}

/// Cached entries, by the hash of their secret.
pub(crate) struct Lookups<T>(Mutex<Kept<T>>);

struct Kept<T> {
    generation: Generation,
    found: HashMap<[u8; 32], T>,
}

impl<T> Default for Lookups<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { generation: Generation(0), found: HashMap::new() }))
    }
}

impl<T: Clone> Lookups<T> {
    /// Returns the cached entry, or the generation to pass to [`keep`](Self::keep) with the result of the look-up.
    fn get(&self, hash: &SecretHash) -> Result<T, Generation> {
        let kept = self.0.lock();
        kept.found.get(&hash.0).cloned().ok_or(kept.generation)
    }

    /// Caches a result, unless a change has committed since `generation`.
    fn keep(&self, generation: Generation, hash: &SecretHash, found: T) {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            return;
        }
        if kept.found.len() >= COUNT_MAX {
            kept.found.clear();
        }
        kept.found.insert(hash.0, found);
    }

    /// Removes all entries, and rejects look-ups that began before.
    fn forget(&self) {
        let mut kept = self.0.lock();
        kept.generation.0 += 1;
        kept.found.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SecretHash = SecretHash([7; 32]);

    #[test]
    fn what_was_found_is_found_again_until_keys_change() {
        let lookups = Lookups::default();
        lookups.keep(lookups.get(&SECRET).unwrap_err(), &SECRET, 1);
        assert_eq!(lookups.get(&SECRET), Ok(1));
        assert!(lookups.get(&SecretHash([8; 32])).is_err());
        lookups.forget();
        assert!(lookups.get(&SECRET).is_err());
    }

    #[test]
    fn what_was_looked_up_while_keys_changed_is_not_kept() {
        let lookups = Lookups::default();
        let before = lookups.get(&SECRET).unwrap_err();
        lookups.forget();
        lookups.keep(before, &SECRET, 1);
        assert!(lookups.get(&SECRET).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let lookups = Lookups::default();
        for number in 0..=u16::try_from(COUNT_MAX).unwrap() {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&number.to_le_bytes());
            lookups.keep(lookups.get(&SECRET).unwrap_err(), &SecretHash(hash), 1);
        }
        assert!(lookups.0.lock().found.len() <= COUNT_MAX);
    }
}
