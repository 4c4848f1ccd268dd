//! Conformance: stored trash items.

use super::{
    DIGEST, all_trash, begin, finish, finished, finishing, land_upload, new_sync, partial, path, publish, record,
    start, trash_of, whole,
};
use crate::model::digest::Digest;
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::TrashId;
use crate::model::page::TrashQuery;
use crate::model::storage_path::Identity;
use crate::model::storage_path::TrashKey;
use crate::model::sync::end::Settlement;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use crate::model::trash::{PurgeSelector, TrashKind, TrashReason};
use crate::ports::metadata::State;
use crate::ports::metadata::upload::CompletedUpload;

pub async fn a_restored_item_leaves_the_list_and_holds_its_path_during_the_restore(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    finish(state, id, "/a/1.csv").await;
    state.close_sync(id, &publish(), false, Timestamp(40)).await.unwrap();
    let trash = Some(trash_of(id, "/a"));
    let settlement =
        Settlement { sync_id: id, status: Status::Finished, message: String::new(), trash, at: Timestamp(60) };
    state.settle_sync(&settlement).await.unwrap();

    let uncounted = state.uncounted_trash(10).await.unwrap();
    let trash_id = uncounted[0].entry.trash_id;
    state.count_trash(trash_id, Totals { files: 3, bytes: 9 }).await.unwrap();
    assert!(state.uncounted_trash(10).await.unwrap().is_empty());
    assert_eq!(state.trash(&all_trash()).await.unwrap()[0].totals, Some(Totals { files: 3, bytes: 9 }));

    let sync = start(state, "/a/b", SyncType::IncrementalSync).await;
    let held = state.begin_restore(trash_id, &Identity("5".into()), &"me".into()).await;
    assert!(matches!(held, Err(Error::PathHeld { sync_id, .. }) if sync_id == sync));
    state.close_sync(sync, &finishing(), false, Timestamp(70)).await.unwrap();
    state.begin_restore(trash_id, &Identity("5".into()), &"me".into()).await.unwrap();
    assert!(matches!(
        state.start_sync(&new_sync("/a/b", SyncType::IncrementalSync)).await,
        Err(Error::PathRestoring { .. })
    ));
    assert!(
        state.begin_restore(trash_id, &Identity("5".into()), &"me".into()).await.is_err(),
        "restored twice at once"
    );
    let unfinished = state.unfinished_restores().await.unwrap();
    assert_eq!(unfinished[0].restoring, Some((Identity("5".into()), "me".into())));

    let replaced = NewTrash { reason: TrashReason::Restored, by: "me".into(), ..trash_of(id, "/a") };
    state.finish_restore(trash_id, Some(&replaced), Timestamp(80)).await.unwrap();
    state.finish_restore(trash_id, Some(&replaced), Timestamp(80)).await.unwrap();
    assert!(state.unfinished_restores().await.unwrap().is_empty());
    let left = state.trash(&all_trash()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].reason, left[0].trash_id != trash_id), (TrashReason::Restored, true));
    assert!(state.trash_record(trash_id).await.unwrap().is_none());
    assert!(matches!(
        state.begin_restore(TrashId(99), &Identity("5".into()), &"me".into()).await,
        Err(Error::NoSuchTrash(_))
    ));
}

pub async fn a_restore_and_a_landing_at_its_path_exclude_each_other(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    let upload = |number: u8, target: &str| CompletedUpload { partial: partial(number), ..whole(None, sync, target) };
    let replaced = NewTrash { kind: TrashKind::File, reason: TrashReason::Overwritten, ..trash_of(sync, "/a/1.csv") };
    land_upload(state, upload(1, "/a/1.csv"), None, 30).await;
    land_upload(state, upload(2, "/a/1.csv"), Some(replaced), 40).await;
    let trash_id = state.trash(&all_trash()).await.unwrap()[0].trash_id;
    let begin = || async { state.begin_restore(trash_id, &Identity("5".into()), &"me".into()).await };
    let intend = |uploads: Vec<CompletedUpload>| async move { state.write_intents(None, &uploads).await.unwrap() };
    let give_up = |id| async move { state.finish_landings(&finished(id, Vec::new(), Vec::new(), 50)).await.unwrap() };

    let (landing, permissions) = intend(vec![upload(3, "/a/1.csv")]).await;
    assert!(permissions[0].is_ok());
    assert!(matches!(begin().await, Err(Error::Moving(at)) if at == path("/a/1.csv")));
    give_up(landing).await;

    begin().await.unwrap();
    let (landing, permissions) = intend(vec![upload(3, "/a/1.csv"), upload(4, "/a/2.csv")]).await;
    assert!(matches!(permissions[0], Err(Error::PathRestoring { .. })), "{permissions:?}");
    assert!(permissions[1].is_ok(), "only its path is held: {permissions:?}");
    give_up(landing).await;

    state.cancel_restore(trash_id).await.unwrap();
    let (landing, permissions) = intend(vec![upload(3, "/a/1.csv")]).await;
    assert!(permissions[0].is_ok());
    give_up(landing).await;
}

/// Makes three trash items of 10, 20 and 30 bytes, at the times 1, 2 and 3.
async fn three_items(state: &dyn State) -> [TrashId; 3] {
    for at in 1..=3 {
        let id = start(state, "/a", SyncType::FullSync).await;
        finish(state, id, "/a/1.csv").await;
        state.close_sync(id, &publish(), false, Timestamp(40)).await.unwrap();
        let trash = Some(NewTrash { at: Timestamp(at), ..trash_of(id, "/a") });
        let (status, message) = (Status::Finished, String::new());
        state.settle_sync(&Settlement { sync_id: id, status, message, trash, at: Timestamp(60) }).await.unwrap();
    }
    let items = state.trash(&all_trash()).await.unwrap();
    let ids: Vec<_> = items.iter().map(|item| item.trash_id).collect();
    for (id, bytes) in ids.iter().zip([10, 20, 30]) {
        state.count_trash(*id, Totals { files: 1, bytes }).await.unwrap();
    }
    ids.try_into().unwrap()
}

async fn mark_for_purge(state: &dyn State, selector: PurgeSelector, size: u64) -> Vec<TrashId> {
    let entries = state.begin_emptying(&selector, size, &"me".into(), Timestamp(90)).await.unwrap();
    entries.iter().map(|entry| entry.trash_id).collect()
}

async fn restore_begun(state: &dyn State, id: TrashId) -> Result<(), Error> {
    state.begin_restore(id, &Identity("5".into()), &"me".into()).await
}

pub async fn an_item_marked_for_a_purge_is_not_listed_and_cannot_be_restored(state: &dyn State) {
    let [first, second, third] = three_items(state).await;
    assert_eq!(mark_for_purge(state, PurgeSelector::Item(second), 1).await, [second]);
    let listed = state.trash(&all_trash()).await.unwrap();
    assert_eq!(listed.iter().map(|item| item.trash_id).collect::<Vec<_>>(), [first, third]);
    assert!(state.trash_record(second).await.unwrap().is_none());
    assert!(matches!(restore_begun(state, second).await, Err(Error::NoSuchTrash(_))));
    let again = state.begin_emptying(&PurgeSelector::Item(second), 1, &"me".into(), Timestamp(90)).await;
    assert!(matches!(again, Err(Error::NoSuchTrash(_))));
    let key = TrashKey::of_sync(SyncId(2));
    assert_eq!(state.emptying_trash(TrashId(0), 10).await.unwrap(), [(second, key)]);
    assert_eq!(state.emptying_trash(second, 10).await.unwrap(), []);
    for _ in 0..2 {
        state.finish_emptying(&[second, third], Timestamp(91)).await.unwrap();
    }
    assert_eq!(state.emptying_trash(TrashId(0), 10).await.unwrap(), []);
    assert!(state.trash_record(third).await.unwrap().is_some(), "it was never marked");
}

pub async fn items_up_to_one_are_purged_in_the_order_of_their_arrival(state: &dyn State) {
    let [first, second, third] = three_items(state).await;
    assert_eq!(mark_for_purge(state, PurgeSelector::UpTo(second), 1).await, [first]);
    restore_begun(state, second).await.unwrap();
    assert_eq!(mark_for_purge(state, PurgeSelector::UpTo(second), 9).await, []);
    state.cancel_restore(second).await.unwrap();
    assert_eq!(mark_for_purge(state, PurgeSelector::UpTo(third), 9).await, [second, third]);
}

pub async fn the_oldest_items_are_purged_first_and_never_those_being_restored(state: &dyn State) {
    let [first, second, third] = three_items(state).await;
    assert_eq!(mark_for_purge(state, PurgeSelector::Beyond { bytes_max: 60 }, 9).await, []);
    restore_begun(state, first).await.unwrap();
    let refused = state.begin_emptying(&PurgeSelector::Item(first), 1, &"me".into(), Timestamp(90)).await;
    assert!(matches!(refused, Err(Error::PathRestoring { trash_id, .. }) if trash_id == first));
    assert_eq!(mark_for_purge(state, PurgeSelector::Before(Timestamp(2)), 9).await, []);
    state.cancel_restore(first).await.unwrap();
    assert_eq!(
        mark_for_purge(state, PurgeSelector::Before(Timestamp(4)), 1).await,
        [first],
        "one at a time, the oldest"
    );
    assert_eq!(mark_for_purge(state, PurgeSelector::Beyond { bytes_max: 49 }, 9).await, [second], "50 bytes were left");
    assert_eq!(mark_for_purge(state, PurgeSelector::Beyond { bytes_max: 0 }, 0).await, []);
    assert_eq!(mark_for_purge(state, PurgeSelector::Beyond { bytes_max: 0 }, 9).await, [third]);
    let emptying = state.emptying_trash(TrashId(0), 2).await.unwrap();
    assert_eq!(emptying.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
}

pub async fn landed_uploads_are_listed_by_path_and_found_by_content(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    for file in ["/a/2.csv", "/a/1.csv", "/a/2.csv"] {
        finish(state, id, file).await;
    }
    begin(state, id, "/a/3.csv").await;
    let mut listed = Vec::new();
    let mut after = None;
    while let Some(row) = state.landed(after.as_ref(), 1).await.unwrap().pop() {
        after = row.landed_path.clone().map(|place| (place, row.history_id));
        listed.push((row.landed_path.unwrap().to_string(), row.history_id.0));
    }
    assert_eq!(listed, [("/a/1.csv".into(), 2), ("/a/2.csv".into(), 1), ("/a/2.csv".into(), 3)]);
    let places = ["/a/1.csv", "/a/3.csv", "/b/1.csv"].map(path);
    assert_eq!(state.never_landed(&places).await.unwrap(), places[1..]);
    assert_eq!(state.landed_as(&DIGEST, "2.csv", 9).await.unwrap(), [path("/a/2.csv")]);
    assert_eq!(state.landed_as(&DIGEST, ".csv", 9).await.unwrap(), []);
    let other = Digest { size_bytes: 6, ..DIGEST };
    assert_eq!(state.landed_as(&other, "2.csv", 9).await.unwrap(), []);
    assert!(state.damage().await.unwrap().is_empty());
    assert_eq!(state.miscounts().await.unwrap(), []);
    state.recount().await.unwrap();
    assert_eq!(state.miscounts().await.unwrap(), []);
    assert_eq!(record(state, id).await.sync.total_files, 4);
}

pub async fn trash_that_has_a_folder_is_listed_adopted_and_restored(state: &dyn State) {
    let [first, second, third] = three_items(state).await;
    mark_for_purge(state, PurgeSelector::Item(first), 1).await;
    restore_begun(state, second).await.unwrap();
    state.finish_restore(second, None, Timestamp(80)).await.unwrap();
    assert_eq!(state.restored().await.unwrap(), [(path("/a"), Timestamp(80))]);
    let slots = async || {
        let slots = state.trash_slots(TrashId(0), 9).await.unwrap();
        slots.into_iter().map(|slot| (slot.trash_id, slot.is_emptying)).collect::<Vec<_>>()
    };
    assert_eq!(slots().await, [(first, true), (third, false)]);
    assert_eq!(state.trash_slots(first, 9).await.unwrap()[0].key, TrashKey::of_sync(SyncId(3)));
    state.finish_emptying(&[first], Timestamp(90)).await.unwrap();
    let key = TrashKey::of_sync(SyncId(1)).adopted();
    state.adopt_trash(&NewTrash { key: key.clone(), ..trash_of(SyncId(1), "/b") }).await.unwrap();
    let found = state.trash_slots(third, 9).await.unwrap();
    assert_eq!((found.len(), &found[0].key, &found[0].origin), (1, &key, &path("/b")));
    assert_eq!(state.trash(&all_trash()).await.unwrap().len(), 2);
}

pub async fn trash_is_grouped_by_its_sync(state: &dyn State) {
    let (first, second) =
        (start(state, "/a/x", SyncType::IncrementalSync).await, start(state, "/b", SyncType::IncrementalSync).await);
    for (name, sync_id, target, at) in [(1, first, "/a/x/f", 30), (2, second, "/b/f", 31), (3, first, "/a/x/g", 32)] {
        let of_file = NewTrash {
            key: TrashKey::of_upload(&partial(name)),
            kind: TrashKind::File,
            reason: TrashReason::Overwritten,
            at: Timestamp(at),
            ..trash_of(sync_id, target)
        };
        let whole = CompletedUpload { partial: partial(name), ..whole(None, sync_id, target) };
        land_upload(state, whole, Some(of_file), at).await;
    }
    state.count_trash(TrashId(1), Totals { files: 1, bytes: 5 }).await.unwrap();
    state.begin_restore(TrashId(2), &Identity("5".into()), &"me".into()).await.unwrap();
    let displaced = NewTrash { sync_id: None, reason: TrashReason::Restored, ..trash_of(second, "/b/f") };
    state.finish_restore(TrashId(2), Some(&displaced), Timestamp(50)).await.unwrap();

    let groups = state.trash_groups(&all_trash()).await.unwrap();
    assert_eq!(
        groups.iter().map(|group| (group.sync_id, group.items)).collect::<Vec<_>>(),
        [(SyncId(0), 1), (first, 2)],
        "by whose last item came last"
    );
    assert_eq!((groups[1].totals.bytes, groups[1].num_uncounted), (5, 1));
    assert_eq!((groups[1].first_at, groups[1].last_at), (Timestamp(30), Timestamp(32)));
    assert_eq!((&groups[1].path, groups[1].sync_name.as_str()), (&Some(path("/a/x")), "sync of /a/x"));
    assert_eq!((&groups[0].path, groups[0].reason), (&None, TrashReason::Restored));
    let sum = state.trash_sum(Some(&path("/a"))).await.unwrap();
    assert_eq!((sum.items, sum.totals.bytes, sum.num_uncounted), (2, 5, 1));
    let of_none = TrashQuery { sync_id: Some(SyncId(0)), ..all_trash() };
    assert_eq!(state.trash(&of_none).await.unwrap().len(), 1);
    assert_eq!(mark_for_purge(state, PurgeSelector::OfSync(first), 9).await, [TrashId(1), TrashId(3)]);
    assert_eq!(mark_for_purge(state, PurgeSelector::OfSync(SyncId(0)), 9).await.len(), 1);
}
