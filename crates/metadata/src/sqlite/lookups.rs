//! Keys and sessions that were looked up lately. Every request asks for one, and a look-up is a round trip to a connection.
//!
//! A process that changes keys or sessions stamps a file beside the database when the change is committed, and before it
//! says so; what was looked up before the stamp is not used after it. So a key that was revoked is
//! refused from the moment that `key revoke` ends. Where the stamp could not be set, because the process was killed or does
//! not own the file, what was looked up is used for some seconds at most ([`AGE_MAX`]).

use super::open::{OPENING, beside};
use lakeshore::model::access::key::{Key, SecretHash};
use lakeshore::model::access::session::SessionEntry;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, stat, utimensat};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How old may an answer be, where no stamp says that it is out of date?
const AGE_MAX: Duration = Duration::from_secs(5);
/// Entries of a kind. Misses are not kept: strangers can ask for much.
const COUNT_MAX: usize = 1024;

/// When the keys and sessions of a database were changed last, as far as this process can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    changed_at: (i64, i64),
    /// Changes by this process, which do not depend on the file.
    own_changes: u64,
}

/// A session with its key, where it has one.
pub(super) type Session = (SessionEntry, Option<Key>);

pub(super) struct CallerLookups {
    pub(super) keys: Lookups<Key>,
    pub(super) sessions: Lookups<Session>,
}

impl CallerLookups {
    pub(super) fn new(database: &Path) -> Self {
        Self { keys: Lookups::new(database), sessions: Lookups::new(database) }
    }

    /// Keys or sessions have changed. Call it when that is committed.
    pub(super) fn forget(&self) {
        self.keys.forget();
        self.sessions.forget();
    }
}

/// Answers of look-ups, by the hash of the secret.
pub(super) struct Lookups<T> {
    /// Its time of modification is the stamp. It is there since the database was opened, so that a full disk is no obstacle.
    stamped: PathBuf,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    own_changes: u64,
    /// Of all that is kept.
    stamp: Option<Stamp>,
    found: HashMap<[u8; 32], (Instant, T)>,
}

impl<T: Clone> Lookups<T> {
    fn new(database: &Path) -> Self {
        let kept = Kept { own_changes: 0, stamp: None, found: HashMap::new() };
        Self { stamped: beside(database, OPENING), kept: Mutex::new(kept) }
    }

    /// The entry that was found lately; else the stamp to [`keep`](Self::keep) with what is found now.
    pub(super) fn get(&self, hash: &SecretHash) -> Result<T, Option<Stamp>> {
        let changed_at = stat(&self.stamped).ok().map(|found| (found.st_mtime, found.st_mtime_nsec.cast_signed()));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let own_changes = kept.own_changes;
        let stamp = changed_at.map(|changed_at| Stamp { changed_at, own_changes });
        if kept.stamp != stamp {
            kept.stamp = stamp;
            kept.found.clear();
        }
        match kept.found.get(&hash.0) {
            Some((at, found)) if stamp.is_some() && at.elapsed() < AGE_MAX => Ok(found.clone()),
            _ => Err(stamp),
        }
    }

    /// Keeps what was looked up after the stamp was read, unless there is another by now.
    pub(super) fn keep(&self, stamp: Option<Stamp>, hash: &SecretHash, found: T) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_none() || kept.stamp != stamp || stamp.is_some_and(|stamp| stamp.own_changes != kept.own_changes) {
            return;
        }
        if kept.found.len() >= COUNT_MAX {
            kept.found.clear();
        }
        kept.found.insert(hash.0, (Instant::now(), found));
    }

    /// Nothing that was looked up before is used after this, by any process.
    #[allow(clippy::disallowed_methods, reason = "nothing is decided by the time: the stamp is only another one")]
    fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).own_changes += 1;
        // Not the kernel's "now", which stands still for milliseconds.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: i64::from(since.subsec_nanos()) };
        let untouched = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: untouched, last_modification: modified };
        if let Err(errno) = utimensat(CWD, &self.stamped, &times, AtFlags::SYMLINK_NOFOLLOW) {
            tracing::debug!(%errno, file = %self.stamped.display(), "cannot stamp a change of keys");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SecretHash = SecretHash([7; 32]);

    fn two_processes() -> (Lookups<u8>, Lookups<u8>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("lakeshore.db");
        std::fs::write(beside(&database, OPENING), "").unwrap();
        (Lookups::new(&database), Lookups::new(&database), folder)
    }

    fn stamp(lookups: &Lookups<u8>) -> Option<Stamp> {
        lookups.get(&SECRET).unwrap_err()
    }

    #[test]
    fn what_was_found_is_found_again_until_this_or_another_process_changes_keys() {
        let (own, other, _folder) = two_processes();
        for changes in [&own, &other] {
            own.keep(stamp(&own), &SECRET, 1);
            assert_eq!(own.get(&SECRET), Ok(1));
            assert!(own.get(&SecretHash([8; 32])).is_err());
            changes.forget();
            assert!(own.get(&SECRET).is_err());
        }
    }

    #[test]
    fn what_was_looked_up_while_keys_changed_is_not_kept() {
        let (own, other, _folder) = two_processes();
        for changes in [&own, &other] {
            let before = stamp(&own);
            changes.forget();
            own.keep(before, &SECRET, 1);
            assert!(own.get(&SECRET).is_err());
        }
    }

    #[test]
    fn nothing_is_kept_where_no_change_can_be_seen() {
        let (own, _other, folder) = two_processes();
        own.keep(stamp(&own), &SECRET, 1);
        drop(folder);
        assert_eq!(stamp(&own), None);
        own.keep(None, &SECRET, 1);
        assert_eq!(stamp(&own), None);
    }

    #[test]
    fn what_was_found_is_looked_up_anew_after_some_seconds() {
        let (own, _other, _folder) = two_processes();
        own.keep(stamp(&own), &SECRET, 1);
        if let Some((at, _)) = own.kept.lock().unwrap().found.get_mut(&SECRET.0) {
            *at -= AGE_MAX;
        }
        assert!(own.get(&SECRET).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (own, _other, _folder) = two_processes();
        for number in 0..=u16::try_from(COUNT_MAX).unwrap() {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&number.to_le_bytes());
            own.keep(stamp(&own), &SecretHash(hash), 1);
        }
        assert!(own.kept.lock().unwrap().found.len() <= COUNT_MAX);
    }
}
