//! Promises about keys, sessions and the sign-in link.

use super::path;
use crate::key::{NewKey, Role, Secret};
use crate::ports::state::State;
use crate::time::Timestamp;

pub async fn a_key_is_found_by_its_secret_and_its_sessions_end_with_it(state: &dyn State) {
    assert!(state.is_unclaimed().await.unwrap());
    let secret = Secret::from_random([3; 32]);
    let new = NewKey {
        name: "etl".into(),
        role: Role::Write,
        path_prefix: Some(path("/data")),
        expires_at: Some(Timestamp(100)),
    };
    let key = state.create_key(&new, &secret.hint(), &secret.hash(), &"me".into(), Timestamp(1)).await.unwrap();
    assert!(!state.is_unclaimed().await.unwrap());
    assert_eq!(state.key_of(&secret.hash()).await.unwrap(), Some(key.clone()));
    assert_eq!(state.key_of(&Secret::from_random([4; 32]).hash()).await.unwrap(), None);
    state.touch_key(key.key_id, Timestamp(7)).await.unwrap();
    assert_eq!(state.keys().await.unwrap()[0].last_used_at, Some(Timestamp(7)));

    let session = Secret::from_random([5; 32]).hash();
    state.begin_session(&session, Some(key.key_id), Timestamp(50), &"me".into(), Timestamp(1)).await.unwrap();
    let found = state.session(&session, Timestamp(49)).await.unwrap();
    assert_eq!(found.unwrap().unwrap().key_id, key.key_id);
    assert!(state.session(&session, Timestamp(50)).await.unwrap().is_none(), "it lasts until its end");
    assert!(state.revoke_key(key.key_id, &"me".into(), Timestamp(60)).await.unwrap());
    assert!(!state.revoke_key(key.key_id, &"me".into(), Timestamp(60)).await.unwrap(), "revoked once");
    assert!(state.session(&session, Timestamp(49)).await.unwrap().is_none());
    assert_eq!(state.keys().await.unwrap()[0].revoked_at, Some(Timestamp(60)));
}

pub async fn a_sign_in_link_works_once_and_in_time(state: &dyn State) {
    let (first, second) = (Secret::from_random([1; 32]).hash(), Secret::from_random([2; 32]).hash());
    state.offer_sign_in(&first, Timestamp(100)).await.unwrap();
    state.offer_sign_in(&second, Timestamp(100)).await.unwrap();
    assert!(!state.take_sign_in(&first, Timestamp(1)).await.unwrap(), "a later link replaces it");
    assert!(!state.take_sign_in(&second, Timestamp(100)).await.unwrap(), "it is too late");
    assert!(state.take_sign_in(&second, Timestamp(99)).await.unwrap());
    assert!(!state.take_sign_in(&second, Timestamp(99)).await.unwrap(), "it was used");
    let session = Secret::from_random([5; 32]).hash();
    state.begin_session(&session, None, Timestamp(50), &"me".into(), Timestamp(1)).await.unwrap();
    assert_eq!(state.session(&session, Timestamp(1)).await.unwrap(), Some(None));
    assert!(!state.is_unclaimed().await.unwrap());
    state.end_session(&session).await.unwrap();
    assert_eq!(state.session(&session, Timestamp(1)).await.unwrap(), None);
}
