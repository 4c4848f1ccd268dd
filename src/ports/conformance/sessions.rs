//! Conformance: sessions and the sign-in link.

use crate::model::access::actor::{Actor, Origin, Trace};
use crate::model::access::key::{NewKey, Secret, SecretHash};
use crate::model::access::role::Role;
use crate::model::access::session::{EndSessions, NewSession};
use crate::model::audit::AuditAction;
use crate::model::id::KeyId;
use crate::model::id::SessionId;
use crate::model::limits::{SESSION_IDLE_MAX, SESSION_SEEN_GRANULARITY, SESSIONS_OF_KEY_MAX};
use crate::model::time::Timestamp;
use crate::ports::metadata::State;

fn hash(byte: u8) -> SecretHash {
    Secret::from_random([byte; 32]).hash()
}

pub(super) fn new_session(byte: u8, key_id: Option<KeyId>, expires_at: i64) -> NewSession {
    NewSession { hash: hash(byte), key_id, expires_at: Timestamp(expires_at) }
}

async fn key(state: &dyn State, byte: u8) -> KeyId {
    let secret = Secret::from_random([byte; 32]);
    let new = NewKey { name: format!("key {byte}"), role: Role::Read, path_prefix: None, expires_at: None };
    state.create_key(&new, &secret.hint(), &secret.hash(), &"me".into(), Timestamp(1)).await.unwrap().key_id
}

async fn listed(state: &dyn State, of_key: Option<KeyId>, now: i64) -> Vec<u64> {
    let sessions = state.sessions(of_key, Timestamp(now), 1000).await.unwrap();
    sessions.iter().map(|session| session.session_id.0).collect()
}

pub async fn a_sign_in_link_works_once_and_in_time_and_until_there_is_a_key(state: &dyn State) {
    let (first, second) = (hash(1), hash(2));
    state.offer_sign_in(&first, Timestamp(100)).await.unwrap();
    state.offer_sign_in(&second, Timestamp(100)).await.unwrap();
    let take = async |link, at| {
        state.take_sign_in(link, &new_session(5, None, at + 10), &"me".into(), Timestamp(at)).await.unwrap()
    };
    assert!(!take(&first, 1).await, "a later link replaces it");
    assert!(!take(&second, 100).await, "it is too late");
    assert!(take(&second, 50).await);
    assert!(!take(&second, 50).await, "it was used");
    let (entry, key_of) = state.session(&hash(5), Timestamp(51)).await.unwrap().unwrap();
    assert_eq!((entry.key_id, key_of), (None, None));
    assert!(!state.is_unclaimed(Timestamp(59)).await.unwrap());
    assert!(state.is_unclaimed(Timestamp(60)).await.unwrap(), "the session has ended, and there is no key");
    state.offer_sign_in(&first, Timestamp(100)).await.unwrap();
    key(state, 9).await;
    assert!(state.session(&hash(5), Timestamp(51)).await.unwrap().is_none(), "it ends with the first key");
    assert!(!take(&first, 51).await, "so does the link");
    state.offer_sign_in(&first, Timestamp(100)).await.unwrap();
    assert!(!take(&first, 51).await, "no link is good beside a key");
}

pub async fn sessions_are_listed_and_ended_and_expire_when_unused(state: &dyn State) {
    let (one, other) = (key(state, 1).await, key(state, 2).await);
    let origin = Origin { address: Some("192.0.2.7".into()), program: Some("browser".into()), ..Origin::default() };
    let by = Actor { trace: Trace { origin, ..Trace::default() }, ..Actor::from("key 1") };
    for (byte, key_id) in [(11, one), (12, one), (13, other)] {
        state.begin_session(&new_session(byte, Some(key_id), i64::MAX), &by, Timestamp(i64::from(byte))).await.unwrap();
    }
    assert_eq!(listed(state, None, 20).await, [3, 2, 1]);
    assert_eq!(listed(state, Some(one), 20).await, [2, 1]);
    let entry = state.sessions(None, Timestamp(20), 1).await.unwrap().remove(0);
    assert_eq!((entry.key_name.as_str(), entry.begun_at, entry.last_seen_at), ("key 2", Timestamp(13), Timestamp(13)));
    assert_eq!((entry.address.as_deref(), entry.program.as_deref()), (Some("192.0.2.7"), Some("browser")));
    // A use postpones the end; only some uses are written.
    let seen = Timestamp(11).plus(SESSION_SEEN_GRANULARITY);
    state.touch_session(SessionId(1), Timestamp(seen.0 - 1)).await.unwrap();
    assert_eq!(state.session(&hash(11), seen).await.unwrap().unwrap().0.last_seen_at, Timestamp(11));
    state.touch_session(SessionId(1), seen).await.unwrap();
    let idle = Timestamp(13).plus(SESSION_IDLE_MAX);
    assert_eq!(listed(state, None, idle.0).await, [1]);
    assert!(state.session(&hash(12), idle).await.unwrap().is_none());
    assert!(state.session(&hash(11), idle).await.unwrap().is_some());

    let end = async |wanted, of_key, own| {
        state.end_sessions(wanted, of_key, own, &"ada".into(), Timestamp(30)).await.unwrap()
    };
    assert_eq!(end(EndSessions::One(SessionId(3)), Some(one), None).await, 0, "it is another key's");
    assert_eq!(end(EndSessions::One(SessionId(3)), None, None).await, 1);
    assert_eq!(end(EndSessions::Others, None, Some(SessionId(2))).await, 1);
    assert_eq!(listed(state, None, 30).await, [2]);
    assert_eq!(end(EndSessions::OfKey(other), None, None).await, 0);
    assert_eq!(end(EndSessions::OfKey(one), None, None).await, 1);
    let entries = state.activity(&crate::model::audit::AuditQuery { size: 9, ..Default::default() }).await.unwrap();
    let ended: Vec<_> = entries.iter().filter(|activity| activity.entry.what == AuditAction::SessionsEnded).collect();
    assert_eq!((ended.len(), ended[0].entry.subject.as_str(), ended[0].entry.by.name.as_str()), (3, "key 1", "ada"));
    state.begin_session(&new_session(14, Some(one), 99), &by, Timestamp(40)).await.unwrap();
    assert_eq!(listed(state, None, 41).await, [4], "a number is never given again");
    state.end_session(&hash(14)).await.unwrap();
    assert!(listed(state, None, 41).await.is_empty());
}

pub async fn a_key_has_a_maximum_of_sessions_and_the_oldest_ends(state: &dyn State) {
    let key_id = key(state, 1).await;
    for n in 0..=SESSIONS_OF_KEY_MAX {
        let new = NewSession {
            hash: Secret::presented(&n.to_string()).hash(),
            key_id: Some(key_id),
            expires_at: Timestamp(1000),
        };
        state.begin_session(&new, &"me".into(), Timestamp(10)).await.unwrap();
    }
    let listed = listed(state, None, 20).await;
    assert_eq!((listed.len() as u64, listed.last()), (SESSIONS_OF_KEY_MAX, Some(&2)));
}
