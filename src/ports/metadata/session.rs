//! Stored sessions and sign-in link.

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
    /// Stores a session of a key. Deletes ended sessions, and the oldest ones of a key beyond
    /// [`crate::model::limits::SESSIONS_OF_KEY_MAX`].
    async fn begin_session(&self, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error>;

    /// Session of this secret, if it is valid at `now`, and its key, active or not.
    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<(SessionEntry, Option<Key>)>, Error>;

    /// Stores the last use of a session, unless one was stored recently.
    async fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), Error>;

    /// Sessions that are valid at `now` and whose key is active, newest first, at most `size`; only those of `key` if
    /// given.
    async fn sessions(&self, key: Option<KeyId>, now: Timestamp, size: u64) -> Result<Vec<SessionEntry>, Error>;

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error>;

    /// Ends durably the sessions that [`EndSessions::holds`]; only those of `key` if given. Returns their number.
    async fn end_sessions(
        &self,
        wanted: EndSessions,
        key: Option<KeyId>,
        own: Option<SessionId>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<u64, Error>;

    /// Stores a one-time sign-in link, and replaces an earlier one.
    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error>;

    /// Uses up the link and stores its session, in one transaction. False when it is not the current link, when it has
    /// expired, or when a key exists: the link is only for the first sign-in of the operator. Creating the first key
    /// ends the session.
    async fn take_sign_in(&self, link: &SecretHash, new: &NewSession, by: &Actor, at: Timestamp)
    -> Result<bool, Error>;

    /// True when there is neither a key nor a session valid at `now`, so that nobody could sign in.
    async fn is_unclaimed(&self, now: Timestamp) -> Result<bool, Error>;
}
