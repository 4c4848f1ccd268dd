//! Sessions: who is signed in to the dashboard, from where, since when and until when.

use crate::model::access::key::{Key, SecretHash};
use crate::model::id::{KeyId, SessionId};
use crate::model::limits::{FIRST_SESSION_LIFETIME, SESSION_IDLE_MAX, SESSION_LIFETIME, SESSION_SEEN_GRANULARITY};
use crate::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A session as lists show it, without its secret, of which only a hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    pub session_id: SessionId,
    /// Key that began it; absent for the sign-in link of the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// Name of that key.
    #[serde(default)]
    pub key_name: String,
    pub begun_at: Timestamp,
    /// Written at most once per [`SESSION_SEEN_GRANULARITY`].
    pub last_seen_at: Timestamp,
    /// Latest end. The session ends earlier with its key, or after [`SESSION_IDLE_MAX`] without use.
    pub expires_at: Timestamp,
    /// Address from which it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// True for the session of this request.
    #[serde(default)]
    pub is_own: bool,
}

impl SessionEntry {
    /// Whether the session is valid at this time, apart from its key.
    pub fn lasts(&self, now: Timestamp) -> bool {
        now < self.expires_at && now < self.last_seen_at.plus(SESSION_IDLE_MAX)
    }

    /// Whether the last use is old enough that a use at this time is written.
    pub fn is_last_seen_before(&self, at: Timestamp) -> bool {
        self.last_seen_at.plus(SESSION_SEEN_GRANULARITY) <= at
    }
}

/// A session before it is stored.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub hash: SecretHash,
    pub key_id: Option<KeyId>,
    pub expires_at: Timestamp,
}

/// Lifetime of a new session: never longer than that of its key.
pub fn lifetime(key: Option<&Key>, now: Timestamp) -> Duration {
    let Some(key) = key else { return FIRST_SESSION_LIFETIME };
    let of_key =
        key.expires_at.map(|expires_at| Duration::from_millis(u64::try_from(expires_at.0 - now.0).unwrap_or(0)));
    of_key.map_or(SESSION_LIFETIME, |of_key| of_key.min(SESSION_LIFETIME))
}

/// Selection of sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndSessions {
    One(SessionId),
    OfKey(KeyId),
    /// All sessions, except that of the request.
    Others,
}

impl EndSessions {
    /// Whether the selection includes `session`; `own` is the session of the request.
    pub fn holds(self, session: &SessionEntry, own: Option<SessionId>) -> bool {
        match self {
            Self::One(id) => session.session_id == id,
            Self::OfKey(key_id) => session.key_id == Some(key_id),
            Self::Others => own != Some(session.session_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::access::role::Role;

    #[test]
    fn a_session_never_outlives_its_key_and_the_first_one_is_short() {
        let key = |expires_at| Key {
            key_id: KeyId(1),
            name: "etl".into(),
            role: Role::Read,
            path_prefix: None,
            hint: String::new(),
            created_at: Timestamp(1),
            expires_at,
            last_used_at: None,
            revoked_at: None,
            created_by: String::new(),
        };
        let now = Timestamp(1_000_000);
        assert_eq!(lifetime(None, now), FIRST_SESSION_LIFETIME);
        assert_eq!(lifetime(Some(&key(None)), now), SESSION_LIFETIME);
        assert_eq!(lifetime(Some(&key(Some(Timestamp(1_003_000)))), now), Duration::from_secs(3));
        assert_eq!(lifetime(Some(&key(Some(Timestamp(1)))), now), Duration::ZERO);
        assert_eq!(lifetime(Some(&key(Some(Timestamp(i64::MAX)))), now), SESSION_LIFETIME);
    }
}
