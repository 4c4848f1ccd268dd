//! Sign-in, sign-out and sessions.

use crate::model::access::actor::{AuthMethod, Origin, Trace};
use crate::model::access::key::{Caller, Grant, Key, Secret, may_administer};
use crate::model::access::role::Role;
use crate::model::access::session::{EndSessions, NewSession, SessionEntry, lifetime};
use crate::model::error::Error;
use crate::model::limits::{SESSIONS_LISTED_MAX, SIGN_IN_LINK_LIFETIME};
use crate::model::time::Timestamp;
use crate::service::Lake;
use std::time::Duration;

/// A new session: its secret, for the browser only, and its lifetime.
pub struct BegunSession {
    pub secret: Secret,
    pub lasts: Duration,
}

impl Lake {
    /// Recognises a session. After its end the caller is anonymous, and the page offers to sign in.
    pub async fn caller_of_session(&self, session: &Secret) -> Result<Caller, Error> {
        let now = self.now();
        let Some((entry, key)) = self.0.state.session(&session.hash(), now).await? else {
            return Ok(Caller::Anonymous);
        };
        let mut grant = match key {
            None => first_sign_in(),
            Some(key) if key.is_active(now) => {
                self.touch(&key, now).await;
                key.grant(AuthMethod::Session)
            }
            Some(_) => return Ok(Caller::Anonymous),
        };
        if entry.is_last_seen_before(now) {
            // As with keys, a full disk is no reason to refuse.
            let _ = self.0.state.touch_session(entry.session_id, now).await;
        }
        grant.trace.session_id = Some(entry.session_id);
        Ok(Caller::Known(grant))
    }

    /// Begins a session with a key. An address with too many wrong keys has to wait.
    pub async fn sign_in(&self, secret: &Secret, origin: &Origin) -> Result<BegunSession, Error> {
        self.attempt_sign_in(origin, async {
            let key = self.active_key(secret).await?;
            self.begin_session(&key, origin).await
        })
        .await
    }

    /// Begins a session with the one-time link, and uses it up.
    pub async fn sign_in_by_link(&self, link: &Secret, origin: &Origin) -> Result<BegunSession, Error> {
        self.attempt_sign_in(origin, async {
            let at = self.now();
            let (begun, new) = self.new_session(None, at)?;
            let by = Caller::Known(first_sign_in()).coming_from(origin.clone()).actor();
            if !self.0.state.take_sign_in(&link.hash(), &new, &by, at).await? {
                return Err(Error::BadSignInLink);
            }
            self.0.events.pending_changes().activity();
            Ok(begun)
        })
        .await
    }

    /// Counts and records wrong attempts by address. A correct one succeeds in any case, so that nobody can lock out
    /// others with the same address.
    async fn attempt_sign_in(
        &self,
        origin: &Origin,
        attempt: impl Future<Output = Result<BegunSession, Error>>,
    ) -> Result<BegunSession, Error> {
        match attempt.await {
            Err(refusal @ (Error::BadKey | Error::ExpiredKey { .. } | Error::BadSignInLink)) => {
                let refusal = self.0.failed_sign_ins.count(origin, self.now()).err().unwrap_or(refusal);
                self.record_refused(&refusal, origin).await;
                Err(refusal)
            }
            result => result,
        }
    }

    pub(in crate::service) async fn begin_session(&self, key: &Key, origin: &Origin) -> Result<BegunSession, Error> {
        let at = self.now();
        let (begun, new) = self.new_session(Some(key), at)?;
        let by = Caller::Known(key.grant(AuthMethod::Session)).coming_from(origin.clone()).actor();
        self.0.state.begin_session(&new, &by, at).await?;
        self.0.events.pending_changes().activity();
        Ok(begun)
    }

    fn new_session(&self, key: Option<&Key>, at: Timestamp) -> Result<(BegunSession, NewSession), Error> {
        let secret = Secret::from_random(self.random()?);
        let lasts = lifetime(key, at);
        let (hash, expires_at) = (secret.hash(), at.plus(lasts));
        let new = NewSession { hash, key_id: key.map(|key| key.key_id), expires_at };
        Ok((BegunSession { secret, lasts }, new))
    }

    pub async fn sign_out(&self, session: &Secret) -> Result<(), Error> {
        self.0.state.end_session(&session.hash()).await
    }

    /// New one-time sign-in link, if nobody could sign in otherwise.
    pub async fn offer_first_sign_in(&self) -> Result<Option<Secret>, Error> {
        if !self.0.state.is_unclaimed(self.now()).await? {
            return Ok(None);
        }
        let link = Secret::from_random(self.random()?);
        self.0.state.offer_sign_in(&link.hash(), self.now().plus(SIGN_IN_LINK_LIFETIME)).await?;
        Ok(Some(link))
    }

    /// Valid sessions, newest first: all for an administrator of the whole lake, else those of the caller's own key.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionEntry>, Error> {
        let grant = caller.known()?;
        let of_key = if may_administer(caller).is_ok() { None } else { Some(grant.trace.key_id.ok_or(Error::NoKey)?) };
        let mut sessions = self.0.state.sessions(of_key, self.now(), SESSIONS_LISTED_MAX).await?;
        for session in &mut sessions {
            session.is_own = grant.trace.session_id == Some(session.session_id);
        }
        Ok(sessions)
    }

    /// Ends sessions among those that the caller sees. Returns their number.
    pub async fn end_sessions(&self, caller: &Caller, wanted: EndSessions) -> Result<u64, Error> {
        let grant = caller.known()?;
        let of_key = if may_administer(caller).is_ok() { None } else { Some(grant.trace.key_id.ok_or(Error::NoKey)?) };
        let own = grant.trace.session_id;
        let ended = self.0.state.end_sessions(wanted, of_key, own, &caller.actor(), self.now()).await?;
        if ended > 0 {
            self.0.events.pending_changes().activity();
        }
        Ok(ended)
    }
}

/// Rights of the sign-in link of the first start.
fn first_sign_in() -> Grant {
    let trace = Trace { means: AuthMethod::Session, ..Trace::default() };
    Grant { trace, ..Grant::new("first sign-in", Role::Admin, None) }
}
