//! Recognising callers, and managing keys, sessions and the first sign-in.

use super::Lake;
use crate::error::Error;
use crate::key::{Caller, CreatedKey, Grant, Key, KeyId, NewKey, Role, Secret, may_administer};
use crate::limits::{LABEL_BYTES_MAX, LAST_USE_GRANULARITY, SESSION_LIFETIME, SIGN_IN_LINK_LIFETIME};
use crate::ports::{Clock, Randomness, State};

impl Lake {
    /// Recognises a key. One that is not active is refused, never taken for nobody.
    pub async fn caller_of_key(&self, secret: &Secret) -> Result<Caller, Error> {
        self.active_key(secret).await.map(|key| Caller::Known(key.grant()))
    }

    async fn active_key(&self, secret: &Secret) -> Result<Key, Error> {
        let now = self.now();
        let key = self.0.state.key_of(&secret.hash()).await?.filter(|key| key.is_active(now)).ok_or(Error::BadKey)?;
        if key.last_used_at.is_none_or(|last| last.plus(LAST_USE_GRANULARITY) <= now) {
            self.0.state.touch_key(key.key_id, now).await?;
        }
        Ok(key)
    }

    /// Recognises a session. One that has ended is nobody: the page then offers to sign in.
    pub async fn caller_of_session(&self, session: &Secret) -> Result<Caller, Error> {
        let now = self.now();
        Ok(match self.0.state.session(&session.hash(), now).await? {
            None => Caller::Anonymous,
            Some(None) => Caller::Known(Grant { name: "first sign-in".into(), role: Role::Admin, path_prefix: None }),
            Some(Some(key)) if key.is_active(now) => Caller::Known(key.grant()),
            Some(Some(_)) => Caller::Anonymous,
        })
    }

    /// Begins a session with a key. Gives the session's secret.
    pub async fn sign_in(&self, secret: &Secret) -> Result<Secret, Error> {
        let key = self.active_key(secret).await?;
        self.begin_session(Some(key.key_id)).await
    }

    /// Begins a session with the one-time link, which is used up by it.
    pub async fn sign_in_by_link(&self, link: &Secret) -> Result<Secret, Error> {
        if self.0.state.take_sign_in(&link.hash(), self.now()).await? {
            self.begin_session(None).await
        } else {
            Err(Error::BadSignInLink)
        }
    }

    async fn begin_session(&self, key: Option<KeyId>) -> Result<Secret, Error> {
        let session = Secret::from_random(self.random()?);
        self.0.state.begin_session(&session.hash(), key, self.now().plus(SESSION_LIFETIME)).await?;
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
        self.key_ring().create(new).await
    }

    pub async fn keys(&self, caller: &Caller) -> Result<Vec<Key>, Error> {
        may_administer(caller)?;
        self.key_ring().list().await
    }

    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<(), Error> {
        may_administer(caller)?;
        self.key_ring().revoke(id).await
    }

    fn key_ring(&self) -> KeyRing<'_> {
        KeyRing { state: &*self.0.state, clock: &*self.0.clock, randomness: &*self.0.randomness }
    }
}

/// The keys without the question who asks: for the lake, which has asked, and for whoever holds the data folder (the
/// command line).
pub struct KeyRing<'a> {
    pub state: &'a dyn State,
    pub clock: &'a dyn Clock,
    pub randomness: &'a dyn Randomness,
}

impl KeyRing<'_> {
    pub async fn create(&self, new: &NewKey) -> Result<CreatedKey, Error> {
        if new.name.trim().is_empty() || new.name.len() > LABEL_BYTES_MAX {
            return Err(Error::Invalid(format!("a key has a name of 1 to {LABEL_BYTES_MAX} bytes; give it one")));
        }
        let mut bytes = [0; 32];
        self.randomness.fill(&mut bytes)?;
        let secret = Secret::from_random(bytes);
        let key = self.state.create_key(new, &secret.hint(), &secret.hash(), self.clock.now()).await?;
        Ok(CreatedKey { key, secret: secret.expose().to_owned() })
    }

    pub async fn list(&self) -> Result<Vec<Key>, Error> {
        self.state.keys().await
    }

    pub async fn revoke(&self, id: KeyId) -> Result<(), Error> {
        if self.state.revoke_key(id, self.clock.now()).await? {
            Ok(())
        } else {
            Err(Error::NoSuchKey(id.0.to_string()))
        }
    }
}
