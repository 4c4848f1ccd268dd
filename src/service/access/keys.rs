//! Recognition of callers by their keys, and management of keys.

use crate::model::access::actor::{Actor, AuthMethod};
use crate::model::access::key::{Caller, CreatedKey, Key, NewKey, Secret, may_administer};
use crate::model::dataset::day::Day;
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::limits::LABEL_BYTES_MAX;
use crate::model::time::Timestamp;
use crate::ports::{Clock, Randomness, State, random_bytes};
use crate::service::{BegunSession, Lake};

impl Lake {
    /// Recognises a key. An inactive key is refused, not treated as no key.
    pub async fn caller_of_key(&self, secret: &Secret) -> Result<Caller, Error> {
        self.active_key(secret).await.map(|key| Caller::Known(key.grant(AuthMethod::Key)))
    }

    pub(in crate::service) async fn active_key(&self, secret: &Secret) -> Result<Key, Error> {
        let now = self.now();
        let key = self.0.state.key_of(&secret.hash()).await?.ok_or(Error::BadKey)?;
        match (key.is_active(now), key.revoked_at, key.expires_at) {
            (true, ..) => {
                self.touch(&key, now).await;
                Ok(key)
            }
            (false, None, Some(expired_at)) => Err(Error::ExpiredKey { name: key.name, day: Day::of(expired_at) }),
            (false, ..) => Err(Error::BadKey),
        }
    }

    /// Records the last use of a key, rarely, so that reads do not become writes. Errors are ignored: on a full disk
    /// people must still be able to read and to purge the trash.
    pub(in crate::service) async fn touch(&self, key: &Key, now: Timestamp) {
        if key.is_last_used_before(now) {
            let _ = self.0.state.touch_key(key.key_id, now).await;
        }
    }

    /// Makes a key. The first key ends the session of the first sign-in; if that session made it, a session of the key
    /// replaces it.
    pub async fn create_key(&self, caller: &Caller, new: &NewKey) -> Result<(CreatedKey, Option<BegunSession>), Error> {
        may_administer(caller)?;
        let created = self.key_ring().create(new, &caller.actor()).await?;
        self.0.events.pending_changes().activity();
        let session = match caller {
            // The key exists and is shown only now. If the sign-in fails, its owner signs in by hand.
            Caller::Known(grant) if grant.is_first_sign_in() => {
                self.begin_session(&created.key, &grant.trace.origin).await.ok()
            }
            _ => None,
        };
        Ok((created, session))
    }

    pub async fn keys(&self, caller: &Caller) -> Result<Vec<Key>, Error> {
        may_administer(caller)?;
        self.key_ring().list().await
    }

    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<(), Error> {
        may_administer(caller)?;
        self.key_ring().revoke(id, &caller.actor()).await?;
        self.0.events.pending_changes().activity();
        Ok(())
    }

    fn key_ring(&self) -> KeyRing<'_> {
        KeyRing { state: &*self.0.state, clock: &*self.0.clock, randomness: &*self.0.randomness }
    }
}

/// Keys without a check of the caller: for the lake, which has checked it, and for the command line, which has access
/// to the data folder.
pub struct KeyRing<'a> {
    pub state: &'a dyn State,
    pub clock: &'a dyn Clock,
    pub randomness: &'a dyn Randomness,
}

impl KeyRing<'_> {
    pub async fn create(&self, new: &NewKey, by: &Actor) -> Result<CreatedKey, Error> {
        if new.name.trim().is_empty() || new.name.len() > LABEL_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "a key name must be 1 to {LABEL_BYTES_MAX} bytes long; choose another"
            )));
        }
        let secret = Secret::from_random(random_bytes(self.randomness)?);
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
