//! Promises about declared batches.

use super::{DIGEST, finish, land_upload, new_sync, path, record, start, whole};
use crate::error::Error;
use crate::expected::{Declaration, DeclaredFile, ExpectedTotals};
use crate::idempotency::{Fingerprint, IdempotencyKey};
use crate::ports::state::{NewSync, OnceOnly, Settlement, State, WholeUpload};
use crate::sync::{Closing, Status, SyncId, SyncType};
use crate::time::Timestamp;
use crate::trash::{Totals, TrashReason};
use crate::upload::Digest;

fn declared(files: &[(&str, u64, Option<[u8; 32]>)]) -> Declaration {
    let files =
        files.iter().map(|&(target, size_bytes, sha256)| DeclaredFile { target: path(target), size_bytes, sha256 });
    Declaration::Files(files.collect())
}

pub async fn what_is_declared_last_counts_and_is_compared_with_what_has_landed_last(state: &dyn State) {
    let first = declared(&[("/a/1", 5, Some([7; 32])), ("/a/2", 5, None)]);
    let id = state.start_sync(&NewSync { expected: Some(first), ..new_sync("/a", SyncType::FullSync) }).await.unwrap();
    let undeclared = start(state, "/b", SyncType::IncrementalSync).await;
    assert_eq!(state.compare_expected(undeclared).await.unwrap(), None);
    assert!(matches!(state.compare_expected(SyncId(9)).await, Err(Error::NoSuchSync(_))));
    finish(state, undeclared, "/b/1").await;

    // The same target twice: the second counts.
    let other = Digest { size_bytes: 6, sha256: [8; 32] };
    land_upload(state, WholeUpload { digest: other, ..whole(None, id, "/a/1") }, None, 30).await;
    land_upload(state, whole(None, id, "/a/1"), None, 31).await;
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    assert_eq!((compared.num_as_expected, compared.num_missing, compared.num_extra), (1, 1, 0));
    assert_eq!(compared.missing[0].path, "2");
    assert_eq!(compared.landed, Totals { files: 1, bytes: DIGEST.size_bytes });

    let second = declared(&[("/a/1", 5, Some([8; 32])), ("/a/3", 1, None)]);
    state.expect(id, &second, Timestamp(40)).await.unwrap();
    finish(state, id, "/a/4").await;
    let totals = ExpectedTotals { count: Some(2), size_bytes: Some(6), is_named: true };
    assert_eq!(record(state, id).await.sync.expected, Some(totals));
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    let paths =
        (compared.missing[0].path.as_str(), compared.extra[0].path.as_str(), compared.different[0].path.as_str());
    assert_eq!(paths, ("3", "4", "1"));
    assert!(!compared.agrees());

    state.expect(id, &Declaration::Totals { count: Some(2), size_bytes: None }, Timestamp(41)).await.unwrap();
    let compared = state.compare_expected(id).await.unwrap().unwrap();
    assert!(compared.agrees() && compared.extra.is_empty(), "{compared:?}");

    state.close_sync(undeclared, &Closing::Finish, false, Timestamp(50)).await.unwrap();
    let late = state.expect(undeclared, &second, Timestamp(51)).await;
    assert!(matches!(late, Err(Error::SyncEnded { .. })));
    assert_eq!(record(state, undeclared).await.sync.expected, None);
}

pub async fn a_start_under_the_same_key_is_the_same_start_until_it_is_forgotten(state: &dyn State) {
    let call = |started_by: &str, key: &str, fingerprint: u8, at: i64| NewSync {
        started_by: started_by.into(),
        once: Some(OnceOnly {
            key: IdempotencyKey::parse(key).unwrap(),
            fingerprint: Fingerprint([fingerprint; 32]),
            forget_before: Timestamp(at - 100),
        }),
        at: Timestamp(at),
        ..new_sync("/a", SyncType::FullSync)
    };
    let start = async |call: NewSync| state.start_sync(&call).await;
    let first = start(call("etl", "k", 1, 1000)).await.unwrap();
    assert_eq!(start(call("etl", "k", 1, 1001)).await.unwrap(), first);
    assert!(matches!(start(call("etl", "k", 2, 1002)).await, Err(Error::IdempotencyKeyReused)));
    // Another key, and another caller, ask for another sync: the path is held.
    assert!(matches!(start(call("etl", "l", 1, 1003)).await, Err(Error::PathHeld { .. })));
    assert!(matches!(start(call("you", "k", 1, 1004)).await, Err(Error::PathHeld { .. })));
    finish(state, first, "/a/1").await;
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: String::new(), by: String::new() };
    state.close_sync(first, &abort, false, Timestamp(1050)).await.unwrap();
    let settlement =
        Settlement { sync_id: first, status: Status::Failed, message: String::new(), trash: None, at: Timestamp(1051) };
    state.settle_sync(&settlement).await.unwrap();
    // What was refused was not remembered, and what has ended is given all the same.
    assert_eq!(start(call("etl", "k", 1, 1100)).await.unwrap(), first);
    let other = start(call("etl", "l", 2, 1100)).await.unwrap();
    assert_ne!(other, first);
    // Forgotten: the same key starts anew, and finds the path held.
    assert!(matches!(start(call("etl", "k", 1, 1101)).await, Err(Error::PathHeld { .. })));
    assert_eq!(start(call("etl", "l", 2, 1101)).await.unwrap(), other);
}
