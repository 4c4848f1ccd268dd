//! Conformance: keys.

use super::{new_session, path};
use crate::model::access::key::{NewKey, Secret};
use crate::model::access::role::Role;
use crate::model::time::Timestamp;
use crate::ports::metadata::State;

pub async fn a_key_is_found_by_its_secret_and_its_sessions_end_with_it(state: &dyn State) {
    assert!(state.is_unclaimed(Timestamp(1)).await.unwrap());
    let secret = Secret::from_random([3; 32]);
    let new = NewKey {
        name: "etl".into(),
        role: Role::Write,
        path_prefix: Some(path("/data")),
        expires_at: Some(Timestamp(100)),
    };
    let key = state.create_key(&new, &secret.hint(), &secret.hash(), &"me".into(), Timestamp(1)).await.unwrap();
    assert!(!state.is_unclaimed(Timestamp(1)).await.unwrap());
    assert_eq!(state.key_of(&secret.hash()).await.unwrap(), Some(key.clone()));
    assert_eq!(state.key_of(&Secret::from_random([4; 32]).hash()).await.unwrap(), None);
    state.touch_key(key.key_id, Timestamp(7)).await.unwrap();
    assert_eq!(state.keys().await.unwrap()[0].last_used_at, Some(Timestamp(7)));

    let session = Secret::from_random([5; 32]).hash();
    state.begin_session(&new_session(5, Some(key.key_id), 50), &"me".into(), Timestamp(1)).await.unwrap();
    let (entry, found) = state.session(&session, Timestamp(49)).await.unwrap().unwrap();
    assert_eq!((entry.key_id, found.unwrap().key_id), (Some(key.key_id), key.key_id));
    assert!(state.session(&session, Timestamp(50)).await.unwrap().is_none(), "it lasts until its end");
    assert!(state.revoke_key(key.key_id, &"me".into(), Timestamp(60)).await.unwrap());
    assert!(!state.revoke_key(key.key_id, &"me".into(), Timestamp(60)).await.unwrap(), "revoked once");
    assert!(state.session(&session, Timestamp(49)).await.unwrap().is_none());
    assert_eq!(state.keys().await.unwrap()[0].revoked_at, Some(Timestamp(60)));
}
