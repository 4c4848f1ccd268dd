//! Recognising callers, and managing keys, sessions and the first sign-in.

use super::Lake;
use crate::activity::{Actor, Means, Origin, Trace};
use crate::day::Day;
use crate::error::Error;
use crate::key::{Caller, CreatedKey, Grant, Key, KeyId, NewKey, Role, Secret, may_administer};
use crate::limits::{LABEL_BYTES_MAX, SESSION_LIFETIME, SIGN_IN_LINK_LIFETIME};
use crate::ports::{Clock, Randomness, State};
use crate::time::Timestamp;

impl Lake {
    /// Recognises a key. One that is not active is refused, never taken for nobody.
    pub async fn caller_of_key(&self, secret: &Secret) -> Result<Caller, Error> {
        self.active_key(secret).await.map(|key| Caller::Known(key.grant(Means::Key)))
    }

    async fn active_key(&self, secret: &Secret) -> Result<Key, Error> {
        let now = self.now();
        let key = self.0.state.key_of(&secret.hash()).await?.ok_or(Error::BadKey)?;
        match (key.is_active(now), key.revoked_at, key.expires_at) {
            (true, ..) => self.touch(&key, now).await.map(|()| key),
            (false, None, Some(expired_at)) => Err(Error::ExpiredKey { name: key.name, day: Day::of(expired_at) }),
            (false, ..) => Err(Error::BadKey),
        }
    }

    /// Writes rarely, so that reading does not turn into writing.
    async fn touch(&self, key: &Key, now: Timestamp) -> Result<(), Error> {
        if key.is_last_used_before(now) { self.0.state.touch_key(key.key_id, now).await } else { Ok(()) }
    }

    /// Recognises a session. One that has ended is nobody: the page then offers to sign in.
    pub async fn caller_of_session(&self, session: &Secret) -> Result<Caller, Error> {
        let now = self.now();
        Ok(match self.0.state.session(&session.hash(), now).await? {
            None => Caller::Anonymous,
            Some(None) => Caller::Known(first_sign_in()),
            Some(Some(key)) if key.is_active(now) => {
                self.touch(&key, now).await?;
                Caller::Known(key.grant(Means::Session))
            }
            Some(Some(_)) => Caller::Anonymous,
        })
    }

    /// Begins a session with a key. Gives the session's secret.
    pub async fn sign_in(&self, secret: &Secret, origin: &Origin) -> Result<Secret, Error> {
        match self.active_key(secret).await {
            Ok(key) => self.begin_session(Some(key.key_id), key.grant(Means::Session), origin).await,
            Err(refusal) => {
                self.record_refused(&refusal, origin).await;
                Err(refusal)
            }
        }
    }

    /// Begins a session with the one-time link, which is used up by it.
    pub async fn sign_in_by_link(&self, link: &Secret, origin: &Origin) -> Result<Secret, Error> {
        if self.0.state.take_sign_in(&link.hash(), self.now()).await? {
            self.begin_session(None, first_sign_in(), origin).await
        } else {
            self.record_refused(&Error::BadSignInLink, origin).await;
            Err(Error::BadSignInLink)
        }
    }

    async fn begin_session(&self, key: Option<KeyId>, grant: Grant, origin: &Origin) -> Result<Secret, Error> {
        let session = Secret::from_random(self.random()?);
        let (by, now) = (Caller::Known(grant).coming_from(origin.clone()).actor(), self.now());
        self.0.state.begin_session(&session.hash(), key, now.plus(SESSION_LIFETIME), &by, now).await?;
        self.0.events.marks().activity();
        Ok(session)
    }

    pub async fn sign_out(&self, session: &Secret) -> Result<(), Error> {
        self.0.state.end_session(&session.hash()).await
    }

    /// A new one-time sign-in link, if nobody could sign in otherwise.
    pub async fn offer_first_sign_in(&self) -> Result<Option<Secret>, Error> {
        if !self.0.state.is_unclaimed().await? {
            return Ok(None);
        }
        let link = Secret::from_random(self.random()?);
        self.0.state.offer_sign_in(&link.hash(), self.now().plus(SIGN_IN_LINK_LIFETIME)).await?;
        Ok(Some(link))
    }

    pub async fn create_key(&self, caller: &Caller, new: &NewKey) -> Result<CreatedKey, Error> {
        may_administer(caller)?;
        let created = self.key_ring().create(new, &caller.actor()).await?;
        self.0.events.marks().activity();
        Ok(created)
    }

    pub async fn keys(&self, caller: &Caller) -> Result<Vec<Key>, Error> {
        may_administer(caller)?;
        self.key_ring().list().await
    }

    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<(), Error> {
        may_administer(caller)?;
        self.key_ring().revoke(id, &caller.actor()).await?;
        self.0.events.marks().activity();
        Ok(())
    }

    fn key_ring(&self) -> KeyRing<'_> {
        KeyRing { state: &*self.0.state, clock: &*self.0.clock, randomness: &*self.0.randomness }
    }
}

/// Whoever came by the link of the first start.
fn first_sign_in() -> Grant {
    let trace = Trace { means: Means::Session, ..Trace::default() };
    Grant { trace, ..Grant::new("first sign-in", Role::Admin, None) }
}

/// The keys without the question who asks: for the lake, which has asked, and for whoever holds the data folder (the
/// command line).
pub struct KeyRing<'a> {
    pub state: &'a dyn State,
    pub clock: &'a dyn Clock,
    pub randomness: &'a dyn Randomness,
}

impl KeyRing<'_> {
    pub async fn create(&self, new: &NewKey, by: &Actor) -> Result<CreatedKey, Error> {
        if new.name.trim().is_empty() || new.name.len() > LABEL_BYTES_MAX {
            return Err(Error::Invalid(format!("a key has a name of 1 to {LABEL_BYTES_MAX} bytes; give it one")));
        }
        let mut bytes = [0; 32];
        self.randomness.fill(&mut bytes)?;
        let secret = Secret::from_random(bytes);
        let key = self.state.create_key(new, &secret.hint(), &secret.hash(), by, self.clock.now()).await?;
        Ok(CreatedKey { key, secret: secret.expose().to_owned() })
    }

    pub async fn list(&self) -> Result<Vec<Key>, Error> {
        self.state.keys().await
    }

    pub async fn revoke(&self, id: KeyId, by: &Actor) -> Result<(), Error> {
        if self.state.revoke_key(id, by, self.clock.now()).await? {
            Ok(())
        } else {
            Err(Error::NoSuchKey(id.0.to_string()))
        }
    }
}
