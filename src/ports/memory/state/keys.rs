//! Keys, sessions and the sign-in link.

use super::{MemoryState, index};
use crate::activity::{Actor, Deed};
use crate::error::Error;
use crate::key::{Key, KeyId, NewKey, SecretHash};
use crate::ports::state::KeyState;
use crate::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
impl KeyState for MemoryState {
    async fn create_key(
        &self,
        new: &NewKey,
        hint: &str,
        hash: &SecretHash,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Key, Error> {
        let mut data = self.data();
        let key = Key {
            key_id: KeyId(data.keys.len() as u64 + 1),
            name: new.name.clone(),
            role: new.role,
            path_prefix: new.path_prefix.clone(),
            hint: hint.to_owned(),
            created_at: at,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
            created_by: by.name.clone(),
        };
        data.keys.push((key.clone(), *hash));
        data.remember(Deed::key_created(new, by, at));
        Ok(key)
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        Ok(self.data().keys.iter().map(|(key, _)| key.clone()).collect())
    }

    async fn key_of(&self, hash: &SecretHash) -> Result<Option<Key>, Error> {
        Ok(self.data().keys.iter().find(|(_, kept)| kept == hash).map(|(key, _)| key.clone()))
    }

    async fn revoke_key(&self, id: KeyId, by: &Actor, at: Timestamp) -> Result<bool, Error> {
        let mut data = self.data();
        data.sessions.retain(|(_, key, _)| *key != Some(id));
        match data.keys.get_mut(index(id.0)) {
            Some((key, _)) if key.revoked_at.is_none() => {
                key.revoked_at = Some(at);
                let deed = Deed::key_revoked(key, by, at);
                data.remember(deed);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn touch_key(&self, id: KeyId, at: Timestamp) -> Result<(), Error> {
        if let Some((key, _)) = self.data().keys.get_mut(index(id.0))
            && key.is_last_used_before(at)
        {
            key.last_used_at = Some(at);
        }
        Ok(())
    }

    async fn begin_session(
        &self,
        hash: &SecretHash,
        key: Option<KeyId>,
        expires_at: Timestamp,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut data = self.data();
        data.sessions.push((*hash, key, expires_at));
        data.remember(Deed::signed_in(by, at));
        Ok(())
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<Option<Key>>, Error> {
        let data = self.data();
        let session = data.sessions.iter().find(|(kept, _, expires_at)| kept == hash && now < *expires_at);
        let key_of = |id: KeyId| data.keys.get(index(id.0)).map(|(key, _)| key.clone());
        Ok(session.map(|(_, key, _)| key.and_then(key_of)))
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        self.data().sessions.retain(|(kept, _, _)| kept != hash);
        Ok(())
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        self.data().sign_in = Some((*hash, expires_at));
        Ok(())
    }

    async fn take_sign_in(&self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let taken = self.data().sign_in.take_if(|(kept, expires_at)| kept == hash && now < *expires_at);
        Ok(taken.is_some())
    }

    async fn is_unclaimed(&self) -> Result<bool, Error> {
        let data = self.data();
        Ok(data.keys.is_empty() && data.sessions.is_empty())
    }
}
