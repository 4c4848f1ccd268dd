//! Conformance: versions. Only publishes, groups of landings and restores make them.

use super::*;
use crate::model::id::VersionNumber;
use crate::model::snapshot::{NewSnapshot, SnapshotState, SnapshotToken};
use crate::model::sync::end::Settlement;
use crate::model::trash::PurgeSelector;
use crate::model::version::{FileLocation, VersionFile, VersionKind, WhichVersion};
use crate::ports::metadata::version::VersionFilesQuery;

async fn settle(state: &dyn State, sync_id: SyncId, status: Status, trash: Option<NewTrash>, at: i64) {
    let (message, at) = (String::new(), Timestamp(at));
    state.settle_sync(&Settlement { sync_id, status, message, trash, at }).await.unwrap();
}

/// Publishes one file.
async fn published(state: &dyn State, file: &str, trash: bool, at: i64) -> SyncId {
    let id = start(state, "/a", SyncType::FullSync).await;
    land_upload(state, whole(None, id, file), None, at - 1).await;
    state.close_sync(id, &publish(), false, Timestamp(at)).await.unwrap();
    settle(state, id, Status::Finished, trash.then(|| trash_of(id, "/a")), at).await;
    id
}

async fn files(state: &dyn State, dataset: &str, version: u64) -> Vec<VersionFile> {
    let (dataset, version) = (path(dataset), VersionNumber(version));
    let query = VersionFilesQuery { dataset, version, below: None, after: None, size: 100 };
    state.version_files(&query).await.unwrap()
}

fn names(files: &[VersionFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

pub async fn each_change_of_a_dataset_makes_a_version_and_staged_or_aborted_files_make_none(state: &dyn State) {
    let staged = start(state, "/a", SyncType::FullSync).await;
    land_upload(state, whole(None, staged, "/a/x"), None, 20).await;
    assert_eq!(state.current_version(&path("/a")).await.unwrap(), None);
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: String::new(), by: Actor::default() };
    state.close_sync(staged, &abort, false, Timestamp(21)).await.unwrap();
    let dropped = NewTrash { reason: TrashReason::Aborted, ..trash_of(staged, "/a") };
    settle(state, staged, Status::Failed, Some(dropped), 22).await;
    assert_eq!(state.current_version(&path("/a")).await.unwrap(), None);

    let first = published(state, "/a/1", false, 40).await;
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let of_file = NewTrash {
        key: TrashKey::of_upload(&partial(2)),
        kind: TrashKind::File,
        reason: TrashReason::Overwritten,
        ..trash_of(sync, "/a/1")
    };
    let replacing = CompletedUpload { identity: Identity("2".into()), ..whole(None, sync, "/a/1") };
    land_upload(state, replacing, Some(of_file.clone()), 50).await;
    land_upload(state, whole(None, sync, "/a/b/2"), None, 60).await;
    let all = state.list_versions(&path("/a"), 0, 10).await.unwrap();
    let told: Vec<_> =
        all.iter().map(|version| (version.version.0, version.kind, version.files, version.sync_id)).collect();
    let landed = VersionKind::Landing;
    let expected = [(3, landed, 2, Some(sync)), (2, landed, 1, Some(sync)), (1, VersionKind::Publish, 1, Some(first))];
    assert_eq!(told, expected);
    assert_eq!(all[1].list_digest, all[2].list_digest, "the same path, size and SHA-256");
    assert_ne!(all[0].list_digest, all[1].list_digest);
    assert_eq!(names(&files(state, "/a", 3).await), ["/a/1", "/a/b/2"]);
    let old = files(state, "/a", 1).await;
    assert!(matches!(&old[0].location, FileLocation::Trash { key, .. } if *key == of_file.key), "{old:?}");
    assert_eq!(files(state, "/a", 2).await[0].location, FileLocation::Live);
    for (at, number) in [(39, None), (40, Some(1)), (59, Some(2)), (99, Some(3))] {
        let found = state.find_version(&path("/a"), WhichVersion::AsOf(Timestamp(at))).await.unwrap();
        assert_eq!(found.map(|version| version.version.0), number, "{at}");
    }
    assert_eq!(state.dataset_of(&path("/a/b/2")).await.unwrap(), Some(path("/a")));
    assert_eq!(state.dataset_of(&path("/b")).await.unwrap(), None);
}

pub async fn a_replaced_dataset_is_a_version_in_the_trash_until_it_is_purged(state: &dyn State) {
    published(state, "/a/1", false, 40).await;
    published(state, "/a/2", true, 50).await;
    let old = files(state, "/a", 1).await;
    let FileLocation::Trash { trash_id, .. } = old[0].location else { panic!("{old:?}") };
    let item = state.trash_of_version(&path("/a"), VersionNumber(1)).await.unwrap();
    assert_eq!(item, Some(trash_id));
    state.begin_restore(trash_id, &Identity("5".into()), &"me".into()).await.unwrap();
    let replaced = NewTrash { reason: TrashReason::Restored, ..trash_of(SyncId(2), "/a") };
    state.finish_restore(trash_id, Some(&replaced), Timestamp(60)).await.unwrap();
    let restored = state.find_version(&path("/a"), WhichVersion::Current).await.unwrap().unwrap();
    assert_eq!((restored.version.0, restored.kind), (3, VersionKind::Restore));
    assert_eq!(restored.restored_version, Some(VersionNumber(1)));
    assert_eq!(names(&files(state, "/a", 3).await), ["/a/1"]);
    assert_eq!(files(state, "/a", 1).await[0].location, FileLocation::Live);

    let (dataset, pinned) = (path("/a"), VersionNumber(2));
    assert!(state.pin_version(&dataset, pinned, Some("why"), &"me".into(), Timestamp(70)).await.unwrap());
    let selector = PurgeSelector::Before(Timestamp(i64::MAX));
    let empty = async || state.begin_emptying(&selector, 9, &"me".into(), Timestamp(80)).await.unwrap().len();
    assert_eq!(empty().await, 0, "it is kept");
    assert!(state.pin_version(&dataset, pinned, None, &"me".into(), Timestamp(90)).await.unwrap());
    assert!(!state.pin_version(&dataset, VersionNumber(9), Some(""), &"me".into(), Timestamp(90)).await.unwrap());
    assert_eq!(empty().await, 1);
    assert_eq!(files(state, "/a", 2).await[0].location, FileLocation::Gone);
}

pub async fn only_the_files_of_a_version_are_published_as_its_restore(state: &dyn State) {
    published(state, "/a/1", false, 40).await;
    published(state, "/a/2", true, 50).await;
    let restore = NewSync { restores_version: Some(VersionNumber(1)), ..new_sync("/a", SyncType::FullSync) };
    let sync = state.start_sync(&restore).await.unwrap();
    assert_eq!(state.sync(sync).await.unwrap().unwrap().restores_version, Some(VersionNumber(1)));
    assert_eq!(state.restoring_syncs().await.unwrap(), [sync]);
    let held = state.check_start(&path("/a/b"), SyncType::IncrementalSync).await;
    assert!(matches!(held, Err(Error::PathHeld { sync_id, .. }) if sync_id == sync), "{held:?}");
    let empty = Closing::Publish { staging: Identity("9".into()), allow_empty: true, by: "etl".into() };
    let refused = async || {
        let refused = state.close_sync(sync, &empty, false, Timestamp(60)).await;
        assert!(matches!(refused, Err(Error::RestoreDiffers { .. })), "{refused:?}");
    };
    refused().await;
    land_upload(state, whole(None, sync, "/a/2"), None, 60).await;
    refused().await;
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: String::new(), by: Actor::default() };
    state.close_sync(sync, &abort, false, Timestamp(61)).await.unwrap();
    settle(state, sync, Status::Failed, None, 62).await;
    state.check_start(&path("/a"), SyncType::FullSync).await.unwrap();
    let sync = state.start_sync(&restore).await.unwrap();
    land_upload(state, whole(None, sync, "/a/1"), None, 70).await;
    state.close_sync(sync, &empty, false, Timestamp(71)).await.unwrap();
    settle(state, sync, Status::Finished, Some(trash_of(sync, "/a")), 72).await;
    let made = state.find_version(&path("/a"), WhichVersion::Current).await.unwrap().unwrap();
    assert_eq!((made.kind, made.restored_version), (VersionKind::Restore, Some(VersionNumber(1))));
}

pub async fn a_snapshot_is_stored_until_its_files_are_removed(state: &dyn State) {
    let token = SnapshotToken::from_random([7; 16]);
    let new = NewSnapshot {
        token: token.clone(),
        path: path("/a"),
        version: VersionNumber(1),
        owner: crate::model::access::principal::Principal::Guest,
        made_by: String::new(),
        at: Timestamp(10),
        expires_at: Timestamp(20),
    };
    state.begin_snapshot(&new).await.unwrap();
    let state_of = async || state.snapshot(&token).await.unwrap().map(|snapshot| snapshot.state);
    assert_eq!(state_of().await, Some(SnapshotState::Making));
    state.set_snapshot(&token, SnapshotState::Ready, Timestamp(30)).await.unwrap();
    assert_eq!(state.snapshots().await.unwrap()[0].expires_at, Timestamp(30));
    state.set_snapshot(&token, SnapshotState::Dropped, Timestamp(30)).await.unwrap();
    state.set_snapshot(&token, SnapshotState::Ready, Timestamp(40)).await.unwrap();
    assert_eq!(state_of().await, Some(SnapshotState::Dropped), "it does not come back");
    state.delete_snapshot(&token).await.unwrap();
    assert_eq!(state_of().await, None);
}
