//! Sessions and the sign-in link, as they are remembered.

use crate::model::access::actor::Actor;
use crate::model::access::key::{Key, SecretHash};
use crate::model::access::session::{EndSessions, NewSession, SessionEntry};
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
pub trait SessionState: Send + std::marker::Sync {
    /// Remembers a session that a key begins. Those that have ended go, and of one key the oldest beyond
    /// [`crate::model::limits::SESSIONS_OF_KEY_MAX`].
    async fn begin_session(&self, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error>;

    /// The session of this secret, if it lasts at `now`, and the key that began it, active or not.
    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<(SessionEntry, Option<Key>)>, Error>;

    /// Remembers that the session was used, unless that was remembered a moment ago.
    async fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), Error>;

    /// Sessions that last at `now` and whose key is active, the newest first, at most `size`; of `key` where it is named.
    async fn sessions(&self, key: Option<KeyId>, now: Timestamp, size: u64) -> Result<Vec<SessionEntry>, Error>;

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error>;

    /// Ends, durably, the sessions that [`EndSessions::holds`], of those of `key` where it is named. Gives how many there
    /// were.
    async fn end_sessions(
        &self,
        wanted: EndSessions,
        key: Option<KeyId>,
        own: Option<SessionId>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<u64, Error>;

    /// Remembers a one-time sign-in link, in place of any earlier one.
    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error>;

    /// Uses the link up and remembers the session that it begins, in one transaction. False when it is not the one on offer,
    /// or too old, or when there is a key: by that whoever runs the lake signs in. The first key ends such a session.
    async fn take_sign_in(&self, link: &SecretHash, new: &NewSession, by: &Actor, at: Timestamp)
    -> Result<bool, Error>;

    /// True when there is neither a key nor a session that lasts at `now`: nobody could sign in.
    async fn is_unclaimed(&self, now: Timestamp) -> Result<bool, Error>;
}
