//! Keys.

use super::{MemoryState, index};
use crate::model::access::actor::Actor;
use crate::model::access::key::{Key, NewKey, SecretHash};
use crate::model::audit::Deed;
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;
use crate::ports::metadata::key::KeyState;
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
        data.sessions.end_first_sign_in();
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
        data.sessions.end_of_key(id);
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
}

impl super::Data {
    pub(in crate::ports::memory) fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(index(id.0)).map(|(key, _)| key)
    }

    pub(in crate::ports::memory) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }
}
