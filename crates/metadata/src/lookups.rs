//! Look-ups of keys and sessions. Every request needs one, and a look-up is a round trip to a connection.
//!
//! With SQLite, what was found is cached: one process has the database (see `sqlite/connection.rs`), so it sees every
//! change. Each commit that changes a key or session empties the cache before it is acknowledged. So a revoked key is
//! refused as soon as `key revoke` returns.
//!
//! With PostgreSQL, another node may have revoked a key a moment ago, so nothing is cached. Requests that come while an
//! entry is being looked up wait, and share the look-up that begins next: none gets a result from before it came.

use lakeshore::Error;
use lakeshore::model::access::key::{Key, SecretHash};
use lakeshore::model::access::session::SessionEntry;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Limit of cached entries of each kind. Misses are not cached: strangers could fill the cache with them.
const COUNT_MAX: usize = 1024;

/// Number of changes to keys or sessions before a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation(u64);

/// A session with its key, where it has one.
pub(crate) type Session = (SessionEntry, Option<Key>);

pub(crate) struct CallerLookups {
    pub(crate) keys: Lookups<Key>,
    pub(crate) sessions: Lookups<Session>,
}

impl CallerLookups {
    /// For a process that sees every change.
    pub(crate) fn cached() -> Self {
        Self { keys: Lookups::Cached(Cache::default()), sessions: Lookups::Cached(Cache::default()) }
    }

    /// For a process beside others.
    pub(crate) fn shared() -> Self {
        Self { keys: Lookups::Shared(Shared::default()), sessions: Lookups::Shared(Shared::default()) }
    }

    /// Empties the cache. Call it when a change of keys or sessions has committed.
    pub(crate) fn forget(&self) {
        self.keys.forget();
        self.sessions.forget();
    }
}

pub(crate) enum Lookups<T> {
    Cached(Cache<T>),
    Shared(Shared<T>),
}

impl<T: Clone> Lookups<T> {
    /// An entry that is current, from a cache, from the look-up of another request, or by `find`.
    pub(crate) async fn find(&self, hash: &SecretHash, find: impl Future<Output = LookupResult<T>>) -> LookupResult<T> {
        match self {
            Self::Cached(cache) => cache.find(hash, find).await,
            Self::Shared(shared) => shared.find(hash, find).await,
        }
    }

    fn forget(&self) {
        if let Self::Cached(cache) = self {
            cache.forget();
        }
    }
}

/// Result of a look-up.
type LookupResult<T> = Result<Option<T>, Error>;

/// Look-ups under way, by the hash of the secret.
pub(crate) struct Shared<T>(Mutex<HashMap<[u8; 32], WaitedFor<T>>>);

/// An entry that requests wait for.
struct WaitedFor<T> {
    requests: usize,
    turns: Arc<Turns<T>>,
}

/// Look-ups of one entry, one after the other.
struct Turns<T> {
    /// Look-ups that have begun.
    begun: AtomicU64,
    /// The last one that has ended, by its number. Held while one runs.
    last: tokio::sync::Mutex<Option<(u64, LookupResult<T>)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Default for WaitedFor<T> {
    fn default() -> Self {
        let turns = Turns { begun: AtomicU64::new(0), last: tokio::sync::Mutex::new(None) };
        Self { requests: 0, turns: Arc::new(turns) }
    }
}

/// A request that waits for an entry. The last one forgets what was found.
struct Waiting<'a, T> {
    shared: &'a Shared<T>,
    hash: &'a SecretHash,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut waited_for = self.shared.0.lock();
        if let Entry::Occupied(mut entry) = waited_for.entry(self.hash.0) {
            entry.get_mut().requests -= 1;
            if entry.get().requests == 0 {
                entry.remove();
            }
        }
    }
}

impl<T: Clone> Shared<T> {
    async fn find(&self, hash: &SecretHash, find: impl Future<Output = LookupResult<T>>) -> LookupResult<T> {
        let turns = {
            let mut waited_for = self.0.lock();
            let entry = waited_for.entry(hash.0).or_default();
            entry.requests += 1;
            entry.turns.clone()
        };
        let _waiting = Waiting { shared: self, hash };
        // One that has begun already may have read what has changed since.
        let wanted = turns.begun.load(Ordering::SeqCst) + 1;
        let mut last = turns.last.lock().await;
        if let Some((number, found)) = &*last
            && *number >= wanted
        {
            return repeated(found);
        }
        let number = turns.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let found = find.await;
        *last = Some((number, repeated(&found)));
        drop(last);
        found
    }
}

fn repeated<T: Clone>(found: &LookupResult<T>) -> LookupResult<T> {
    match found {
        Ok(found) => Ok(found.clone()),
        Err(error) => Err(error.repeated()),
    }
}

/// Cached entries, by the hash of their secret.
pub(crate) struct Cache<T>(Mutex<Kept<T>>);

struct Kept<T> {
    generation: Generation,
    found: HashMap<[u8; 32], T>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { generation: Generation(0), found: HashMap::new() }))
    }
}

impl<T: Clone> Cache<T> {
    /// Returns a cached entry, or the result of `find`, which it caches.
    async fn find(&self, hash: &SecretHash, find: impl Future<Output = LookupResult<T>>) -> LookupResult<T> {
        let generation = match self.get(hash) {
            Ok(found) => return Ok(Some(found)),
            Err(generation) => generation,
        };
        let found = find.await?;
        if let Some(found) = &found {
            self.keep(generation, hash, found.clone());
        }
        Ok(found)
    }

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
}

impl<T> Cache<T> {
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
        let cache = Cache::default();
        cache.keep(cache.get(&SECRET).unwrap_err(), &SECRET, 1);
        assert_eq!(cache.get(&SECRET), Ok(1));
        assert!(cache.get(&SecretHash([8; 32])).is_err());
        cache.forget();
        assert!(cache.get(&SECRET).is_err());
    }

    #[test]
    fn what_was_looked_up_while_keys_changed_is_not_kept() {
        let cache = Cache::default();
        let before = cache.get(&SECRET).unwrap_err();
        cache.forget();
        cache.keep(before, &SECRET, 1);
        assert!(cache.get(&SECRET).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let cache = Cache::default();
        for number in 0..=u16::try_from(COUNT_MAX).unwrap() {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&number.to_le_bytes());
            cache.keep(cache.get(&SECRET).unwrap_err(), &SecretHash(hash), 1);
        }
        assert!(cache.0.lock().found.len() <= COUNT_MAX);
    }

    /// A look-up that ends when it is told to.
    async fn slow(result: i32, end: tokio::sync::oneshot::Receiver<()>) -> Result<Option<i32>, Error> {
        let _ = end.await;
        Ok(Some(result))
    }

    #[tokio::test]
    async fn requests_that_come_during_a_look_up_share_the_next_one_and_not_that_one() {
        let shared = Shared::default();
        let (end, ended) = tokio::sync::oneshot::channel();
        let found = std::sync::Mutex::new(Vec::new());
        let first = async {
            let it = shared.find(&SECRET, slow(1, ended)).await;
            found.lock().unwrap().push((1, it.unwrap()));
        };
        let count = AtomicU64::new(0);
        let later = async |number| {
            let find = async {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(Some(2))
            };
            let it = shared.find(&SECRET, find).await;
            found.lock().unwrap().push((number, it.unwrap()));
        };
        let telling = async {
            tokio::task::yield_now().await;
            end.send(()).unwrap();
        };
        tokio::join!(first, later(2), later(3), later(4), telling);
        assert_eq!(*found.lock().unwrap(), [(1, Some(1)), (2, Some(2)), (3, Some(2)), (4, Some(2))]);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(shared.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_leaves_during_its_look_up_leaves_it_to_the_next_one_and_nothing_behind() {
        let shared = Shared::default();
        let (_end, ended) = tokio::sync::oneshot::channel();
        let leaving = tokio::time::timeout(std::time::Duration::from_millis(10), shared.find(&SECRET, slow(1, ended)));
        let (left, found) = tokio::join!(leaving, shared.find(&SECRET, async { Ok(Some(2)) }));
        assert!(left.is_err());
        assert_eq!(found.unwrap(), Some(2));
        assert!(shared.0.lock().is_empty());
        let failed = shared.find(&SECRET, async { Err(Error::ShuttingDown) }).await;
        assert!(matches!(failed, Err(Error::ShuttingDown)));
        assert!(shared.0.lock().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn requests_that_leave_together_leave_nothing_behind() {
        let shared = Arc::new(Shared::default());
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..2000_u16 {
            let shared = shared.clone();
            requests.spawn(async move {
                let mut hash = [0; 32];
                hash[0] = (number % 3).to_le_bytes()[0];
                let find = async {
                    tokio::task::yield_now().await;
                    Ok(Some(hash[0]))
                };
                assert_eq!(shared.find(&SecretHash(hash), find).await.unwrap(), Some(hash[0]));
            });
        }
        while let Some(ended) = requests.join_next().await {
            ended.unwrap();
        }
        assert!(shared.0.lock().is_empty());
    }
}
