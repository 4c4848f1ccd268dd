//! Sessions and the sign-in link.

use super::MemoryState;
use super::state::Data;
use crate::model::access::actor::Actor;
use crate::model::access::key::{Key, SecretHash};
use crate::model::access::session::{EndSessions, NewSession, SessionEntry};
use crate::model::audit::Deed;
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::id::SessionId;
use crate::model::limits::SESSIONS_OF_KEY_MAX;
use crate::model::time::Timestamp;
use crate::ports::SessionState;
use async_trait::async_trait;

#[derive(Default)]
pub(super) struct Sessions {
    sessions: Vec<(SecretHash, SessionEntry)>,
    begun: u64,
    link: Option<(SecretHash, Timestamp)>,
}

impl Sessions {
    /// The first key was made.
    pub(super) fn end_first_sign_in(&mut self) {
        self.sessions.retain(|(_, session)| session.key_id.is_some());
        self.link = None;
    }

    pub(super) fn end_of_key(&mut self, key_id: KeyId) {
        self.sessions.retain(|(_, session)| session.key_id != Some(key_id));
    }
}

impl Data {
    fn begin_session(&mut self, new: &NewSession, by: &Actor, at: Timestamp) {
        let key_name = new.key_id.and_then(|id| self.key(id)).map(|key| key.name.clone()).unwrap_or_default();
        let Sessions { sessions, begun, .. } = &mut self.sessions;
        sessions.retain(|(_, session)| session.lasts(at));
        *begun += 1;
        let origin = &by.trace.origin;
        let entry = SessionEntry {
            session_id: SessionId(*begun),
            key_id: new.key_id,
            key_name,
            begun_at: at,
            last_seen_at: at,
            expires_at: new.expires_at,
            address: origin.address.clone(),
            program: origin.program.clone(),
            is_own: false,
        };
        sessions.push((new.hash, entry));
        let of_key = |(_, session): &&(SecretHash, SessionEntry)| new.key_id.is_some() && session.key_id == new.key_id;
        if sessions.iter().filter(of_key).count() as u64 > SESSIONS_OF_KEY_MAX
            && let Some(oldest) = sessions.iter().find(of_key).map(|(_, session)| session.session_id)
        {
            sessions.retain(|(_, session)| session.session_id != oldest);
        }
        self.remember(Deed::signed_in(by, at));
    }

    fn lists(&self, session: &SessionEntry, of_key: Option<KeyId>, now: Timestamp) -> bool {
        let is_active = session.key_id.is_none_or(|id| self.key(id).is_some_and(|key| key.is_active(now)));
        session.lasts(now) && is_active && of_key.is_none_or(|key_id| session.key_id == Some(key_id))
    }
}

#[async_trait]
impl SessionState for MemoryState {
    async fn begin_session(&self, new: &NewSession, by: &Actor, at: Timestamp) -> Result<(), Error> {
        self.data().begin_session(new, by, at);
        Ok(())
    }

    async fn session(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<(SessionEntry, Option<Key>)>, Error> {
        let data = self.data();
        let found = data.sessions.sessions.iter().find(|(kept, session)| kept == hash && session.lasts(now));
        Ok(found.map(|(_, session)| (session.clone(), session.key_id.and_then(|id| data.key(id)).cloned())))
    }

    async fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), Error> {
        let mut data = self.data();
        let found = data.sessions.sessions.iter_mut().find(|(_, session)| session.session_id == id);
        if let Some((_, session)) = found.filter(|(_, session)| session.is_last_seen_before(at)) {
            session.last_seen_at = at;
        }
        Ok(())
    }

    async fn sessions(&self, key: Option<KeyId>, now: Timestamp, size: u64) -> Result<Vec<SessionEntry>, Error> {
        let data = self.data();
        let sessions = data.sessions.sessions.iter().map(|(_, session)| session);
        let listed = sessions.filter(|session| data.lists(session, key, now)).rev();
        Ok(listed.take(usize::try_from(size).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn end_session(&self, hash: &SecretHash) -> Result<(), Error> {
        self.data().sessions.sessions.retain(|(kept, _)| kept != hash);
        Ok(())
    }

    async fn end_sessions(
        &self,
        wanted: EndSessions,
        key: Option<KeyId>,
        own: Option<SessionId>,
        by: &Actor,
        at: Timestamp,
    ) -> Result<u64, Error> {
        let mut data = self.data();
        let sessions = data.sessions.sessions.iter().map(|(_, session)| session).rev();
        let is_wanted = |session: &&SessionEntry| data.lists(session, key, at) && wanted.holds(session, own);
        let ended: Vec<_> = sessions.filter(is_wanted).cloned().collect();
        data.sessions.sessions.retain(|(_, session)| !ended.iter().any(|ended| ended.session_id == session.session_id));
        if !ended.is_empty() {
            data.remember(Deed::sessions_ended(&ended, by, at));
        }
        Ok(ended.len() as u64)
    }

    async fn offer_sign_in(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<(), Error> {
        self.data().sessions.link = Some((*hash, expires_at));
        Ok(())
    }

    async fn take_sign_in(
        &self,
        link: &SecretHash,
        new: &NewSession,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let mut data = self.data();
        if data.has_keys() {
            return Ok(false);
        }
        let taken = data.sessions.link.take_if(|(kept, expires_at)| kept == link && at < *expires_at);
        if taken.is_some() {
            data.begin_session(new, by, at);
        }
        Ok(taken.is_some())
    }

    async fn is_unclaimed(&self, now: Timestamp) -> Result<bool, Error> {
        let data = self.data();
        Ok(!data.has_keys() && !data.sessions.sessions.iter().any(|(_, session)| now < session.expires_at))
    }
}
