//! Conformance: declared batches.

use super::{DIGEST, finish, finishing, land_upload, new_sync, path, publish, record, start, trash_of, whole};
use crate::model::access::principal::Principal;
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::KeyId;
use crate::model::id::SyncId;
use crate::model::page::{Page, SyncQuery};
use crate::model::storage_path::TrashKey;
use crate::model::sync::comparison::ExpectedTotals;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::idempotency::{Fingerprint, IdempotencyKey};
use crate::model::sync::job::Closing;
use crate::model::sync::manifest::{Declaration, DeclaredFile};
use crate::model::sync::start::{IdempotentStart, NewSync};
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use crate::model::trash::{TrashKind, TrashReason};
use crate::ports::metadata::State;
use crate::ports::metadata::upload::CompletedUpload;
use std::sync::Arc;

fn declared(files: &[(&str, u64, Option<[u8; 32]>)]) -> Declaration {
    let files =
        files.iter().map(|&(target, size_bytes, sha256)| DeclaredFile { target: path(target), size_bytes, sha256 });
    Declaration::Files(Arc::new(files.collect()))
}

pub async fn the_last_declaration_is_compared_with_the_last_landed_files(state: &dyn State) {
    let first = declared(&[("/a/1", 5, Some([7; 32])), ("/a/2", 5, None)]);
    let id = state.start_sync(&NewSync { expected: Some(first), ..new_sync("/a", SyncType::FullSync) }).await.unwrap();
    let undeclared = start(state, "/b", SyncType::IncrementalSync).await;
    assert_eq!(state.compare_expected(undeclared).await.unwrap(), None);
    assert!(matches!(state.compare_expected(SyncId(9)).await, Err(Error::NoSuchSync(_))));
    finish(state, undeclared, "/b/1").await;

    // Second upload to the same target: it counts.
    let other = Digest { size_bytes: 6, sha256: [8; 32] };
    land_upload(state, CompletedUpload { digest: other, ..whole(None, id, "/a/1") }, None, 30).await;
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

    state.close_sync(undeclared, &finishing(), false, Timestamp(50)).await.unwrap();
    let late = state.expect(undeclared, &second, Timestamp(51)).await;
    assert!(matches!(late, Err(Error::SyncEnded { .. })));
    assert_eq!(record(state, undeclared).await.sync.expected, None);
}

pub async fn a_start_under_the_same_key_is_the_same_start_until_it_is_forgotten(state: &dyn State) {
    // All keys have one name.
    let call = |owner: u64, key: &str, fingerprint: u8, at: i64| NewSync {
        once: Some(IdempotentStart {
            owner: Principal::Key(KeyId(owner)),
            key: IdempotencyKey::parse(key).unwrap(),
            fingerprint: Fingerprint([fingerprint; 32]),
            expired_before: Timestamp(at - 100),
        }),
        at: Timestamp(at),
        ..new_sync("/a", SyncType::FullSync)
    };
    let start = async |call: NewSync| state.start_sync(&call).await;
    let first = start(call(1, "k", 1, 1000)).await.unwrap();
    assert_eq!(start(call(1, "k", 1, 1001)).await.unwrap(), first);
    assert!(matches!(start(call(1, "k", 2, 1002)).await, Err(Error::IdempotencyKeyReused)));
    // Another key and another owner request a new sync: the path is held.
    assert!(matches!(start(call(1, "l", 1, 1003)).await, Err(Error::PathHeld { .. })));
    assert!(matches!(start(call(2, "k", 1, 1004)).await, Err(Error::PathHeld { .. })));
    finish(state, first, "/a/1").await;
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: String::new(), by: "".into() };
    state.close_sync(first, &abort, false, Timestamp(1050)).await.unwrap();
    let settlement =
        Settlement { sync_id: first, status: Status::Failed, message: String::new(), trash: None, at: Timestamp(1051) };
    state.settle_sync(&settlement).await.unwrap();
    // A refused start is not stored, and the stored one is returned even after its end.
    assert_eq!(start(call(1, "k", 1, 1100)).await.unwrap(), first);
    let other = start(call(1, "l", 2, 1100)).await.unwrap();
    assert_ne!(other, first);
    // After expiry the same key starts a new sync, and the path is held.
    assert!(matches!(start(call(1, "k", 1, 1101)).await, Err(Error::PathHeld { .. })));
    assert_eq!(start(call(1, "l", 2, 1101)).await.unwrap(), other);
}

pub async fn a_hold_keeps_its_time_and_is_lifted_by_a_landing_and_by_closing(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    finish(state, id, "/a/1").await;
    let (many, few) = (Totals { files: 9, bytes: 90 }, Totals { files: 1, bytes: 5 });
    let hold = |at, published| Hold { since: Timestamp(at), replaced: many, published, differing_files: 3 };
    let held = async |since| record(state, id).await.sync.held == Some(hold(since, few));
    state.hold_sync(id, hold(100, many), &"me".into()).await.unwrap();
    let last = state.hold_sync(id, hold(101, few), &"me".into()).await.unwrap();
    assert_eq!(last, hold(100, few));
    assert!(held(100).await);
    let query = SyncQuery { page: Page::FIRST, status: None, sync_type: None, path: None, text: None, scope: None };
    assert_eq!(state.syncs(&query).await.unwrap()[0].held, Some(last));
    // A hold does not reset the idle time; a repeated request to end does.
    assert!(state.idle_syncs(Timestamp(100)).await.unwrap().is_empty());
    assert_eq!(state.idle_syncs(Timestamp(101)).await.unwrap(), [id]);
    finish(state, id, "/a/2").await;
    assert_eq!(record(state, id).await.sync.held, None);
    state.hold_sync(id, hold(200, few), &"me".into()).await.unwrap();
    assert!(held(200).await);
    state.close_sync(id, &publish(), false, Timestamp(201)).await.unwrap();
    assert_eq!(record(state, id).await.sync.held, None);
    assert!(matches!(state.hold_sync(id, hold(202, few), &"me".into()).await, Err(Error::SyncEnding(_))));
    state.reopen_sync(id, "in the way", Timestamp(45)).await.unwrap();
    assert_eq!(record(state, id).await.sync.held, None);
}

pub async fn landed_changes_distinguish_new_from_replaced_files(state: &dyn State) {
    let earlier = start(state, "/a", SyncType::IncrementalSync).await;
    finish(state, earlier, "/a/old").await;
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let replaced = |target: &str, key: &str| NewTrash {
        key: TrashKey::from_stored(key.to_owned()),
        kind: TrashKind::File,
        reason: TrashReason::Overwritten,
        ..trash_of(id, target)
    };
    land_upload(state, whole(None, id, "/a/old"), Some(replaced("/a/old", "1")), 30).await;
    land_upload(state, whole(None, id, "/a/new"), None, 31).await;
    land_upload(state, whole(None, id, "/a/new"), Some(replaced("/a/new", "2")), 32).await;
    land_upload(state, whole(None, id, "/a/old"), Some(replaced("/a/old", "3")), 33).await;
    land_upload(state, whole(None, id, "/a/newer"), None, 34).await;
    let changes = async |after, size| -> Vec<(u64, String, bool)> {
        let landed = state.landed_changes(id, after, size).await.unwrap();
        landed.into_iter().map(|file| (file.ordinal, file.target.as_str().to_owned(), file.has_replaced)).collect()
    };
    let all = [(3, "/a/new".into(), false), (4, "/a/old".into(), true), (5, "/a/newer".into(), false)];
    assert_eq!(changes(0, 10).await, all);
    assert_eq!(changes(3, 1).await, all[1..2]);
    assert_eq!(changes(5, 10).await, []);
}
