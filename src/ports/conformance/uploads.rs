//! Conformance: uploads and their landings.

use super::{
    all_trash, begin, finish, finished, finishing, land_upload, partial, path, record, start, trash_of, uploads_of,
    whole,
};
use crate::model::id::{SyncId, UploadId};
use crate::model::storage_path::TrashKey;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::trash::NewTrash;
use crate::model::trash::TrashKind;
use crate::ports::metadata::State;
use crate::ports::metadata::upload::{FinishedLandings, LandedUpload};
use std::sync::Arc;

pub async fn an_upload_ends_once(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let upload = finish(state, id, "/a/1.csv").await;
    state.fail_upload(upload, "late", 0, Timestamp(99)).await.unwrap();
    land_upload(state, whole(Some(upload), id, "/a/1.csv"), Some(trash_of(id, "/a")), 99).await;
    let row = state.upload(upload).await.unwrap().unwrap();
    assert_eq!((row.sync_status, row.end_time, row.size_bytes), (Status::Finished, Timestamp(30), 5));
    assert_eq!(row.sha256.as_deref(), Some("07".repeat(32).as_str()));
    assert_eq!(row.landed_path, Some(path("/a/1.csv")));
    let sync = record(state, id).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.size_bytes), (1, 0, 5));
    assert!(state.trash(&all_trash()).await.unwrap().is_empty());
}

pub async fn an_upload_in_flight_is_found_by_the_name_of_its_bytes(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let other = start(state, "/b", SyncType::IncrementalSync).await;
    assert_eq!(state.upload_in_flight(id, &partial(1)).await.unwrap(), None);
    let upload = begin(state, id, "/a/1.csv").await;
    assert_eq!(state.upload_in_flight(id, &partial(1)).await.unwrap(), Some(upload));
    assert_eq!(state.upload_in_flight(id, &partial(2)).await.unwrap(), None);
    assert_eq!(state.upload_in_flight(other, &partial(1)).await.unwrap(), None);
    state.fail_upload(upload, "late", 0, Timestamp(99)).await.unwrap();
    assert_eq!(state.upload_in_flight(id, &partial(1)).await.unwrap(), None, "it has ended");
}

pub async fn a_timeline_has_stretches_of_the_uploads_of_a_sync_and_its_first_failures(state: &dyn State) {
    let sync = start(state, "/a", SyncType::IncrementalSync).await;
    for number in 0..8 {
        let file = format!("/a/{}/{number}", if number < 4 { "x" } else { "y" });
        if number % 3 == 2 {
            let failed = begin(state, sync, &file).await;
            state.fail_upload(failed, "late", 0, Timestamp(99)).await.unwrap();
        } else {
            finish(state, sync, &file).await;
        }
    }
    let names = async |stretches: &[(u64, u64)], failures_max, scope: Option<&str>| {
        let scope = scope.map(path);
        let found = state.timeline_uploads(sync, stretches, failures_max, scope.as_ref()).await.unwrap();
        let mut names: Vec<_> = found.iter().map(|upload| (upload.file_name.clone(), upload.sync_status)).collect();
        names.sort_by(|one, other| one.0.cmp(&other.0));
        names.into_iter().map(|(name, status)| format!("{name} {status:?}")).collect::<Vec<_>>()
    };
    assert_eq!(names(&[(0, 1), (6, 9)], 0, None).await, ["0 Finished", "6 Finished", "7 Finished"]);
    assert_eq!(names(&[(1, 1)], 1, None).await, ["1 Finished", "2 Failed"]);
    assert_eq!(names(&[(0, 8)], 0, Some("/a/y")).await, ["4 Finished", "5 Failed", "6 Finished", "7 Finished"]);
    assert_eq!(names(&[], 9, Some("/a/x")).await, ["2 Failed"]);
}

pub async fn uploads_of_a_sync_are_found_by_the_paths_at_which_they_landed(state: &dyn State) {
    let (one, other) =
        (start(state, "/a", SyncType::IncrementalSync).await, start(state, "/b", SyncType::FullSync).await);
    for file in ["/a/1.csv", "/a/2.csv", "/a/1.csv"] {
        finish(state, one, file).await;
    }
    finish(state, other, "/b/1.csv").await;
    let failed = begin(state, one, "/a/3.csv").await;
    state.fail_upload(failed, "late", 0, Timestamp(99)).await.unwrap();
    assert_eq!(state.landed_at(one, &[path("/a/1.csv")], failed).await.unwrap(), []);
    let places = ["/a/1.csv", "/a/3.csv", "/b/1.csv", "/a/none.csv"].map(path);
    assert_eq!(state.landed_at(one, &places, UploadId(0)).await.unwrap(), [(path("/a/1.csv"), "1.csv".to_owned())]);
    assert_eq!(state.landed_at(other, &places, UploadId(0)).await.unwrap(), [(path("/b/1.csv"), "1.csv".to_owned())]);
}

pub async fn landings_are_stored_from_the_intent_to_the_end(state: &dyn State) {
    let open = start(state, "/a", SyncType::IncrementalSync).await;
    let closed = start(state, "/b", SyncType::IncrementalSync).await;
    state.close_sync(closed, &finishing(), false, Timestamp(25)).await.unwrap();
    let registered = begin(state, open, "/a/1.csv").await;
    let uploads =
        [whole(Some(registered), open, "/a/1.csv"), whole(None, closed, "/b/2.csv"), whole(None, open, "/a/3.csv")];
    let (id, permissions) = state.write_intents(None, &uploads).await.unwrap();
    let permissions: Vec<_> = permissions.iter().map(Result::is_ok).collect();
    assert_eq!(permissions, [true, false, true]);
    let allowed = vec![uploads[0].clone(), uploads[2].clone()];
    assert_eq!(state.unfinished_landings().await.unwrap(), [(id, allowed.clone())]);
    assert_eq!(record(state, open).await.sync.total_files, 1, "what has not landed and has no row does not count");

    let trash = NewTrash { key: TrashKey::of_upload(&partial(1)), kind: TrashKind::File, ..trash_of(open, "/a/3.csv") };
    let landed: Vec<_> = allowed
        .into_iter()
        .map(|upload| LandedUpload { trash: upload.upload_id.is_none().then(|| trash.clone()), upload })
        .collect();
    for _ in 0..2 {
        state.finish_landings(&finished(id, landed.clone(), Vec::new(), 30)).await.unwrap();
    }
    assert!(state.unfinished_landings().await.unwrap().is_empty());
    let rows = state.uploads(&uploads_of(open)).await.unwrap();
    let row = |row: &crate::model::upload::row::Upload| {
        (row.history_id.0, row.landed_path.clone(), row.start_time, row.end_time)
    };
    let landed_at = |file| Some(path(file));
    assert_eq!(row(&rows[0]), (1, landed_at("/a/1.csv"), Timestamp(20), Timestamp(30)));
    assert_eq!(row(&rows[1]), (2, landed_at("/a/3.csv"), Timestamp(20), Timestamp(30)));
    let sync = record(state, open).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.num_in_flight, sync.size_bytes), (2, 0, 0, 10));
    assert_eq!(state.trash(&all_trash()).await.unwrap().len(), 1);
    // A discarded group leaves no trace.
    let (id, _) = state.write_intents(None, &uploads[2..]).await.unwrap();
    state.finish_landings(&finished(id, Vec::new(), Vec::new(), 40)).await.unwrap();
    assert_eq!(record(state, open).await.sync.total_files, 2);
}

pub async fn unsettled_uploads_stay_in_their_group_and_none_is_stored_twice(state: &dyn State) {
    let open = start(state, "/a", SyncType::IncrementalSync).await;
    let registered = begin(state, open, "/a/1.csv").await;
    let mut uploads =
        [whole(Some(registered), open, "/a/1.csv"), whole(None, open, "/a/2.csv"), whole(None, open, "/a/3.csv")];
    for (upload, name) in uploads.iter_mut().zip([7, 8, 9]) {
        upload.partial = partial(name);
    }
    let (id, _) = state.write_intents(None, &uploads).await.unwrap();
    let landed = |numbers: &[usize]| -> Vec<_> {
        numbers.iter().map(|number| LandedUpload { upload: uploads[*number].clone(), trash: None }).collect()
    };
    let left = [uploads[0].clone(), uploads[2].clone()];
    // The second call repeats a first one whose result is unknown.
    for _ in 0..2 {
        state.finish_landings(&finished(id, landed(&[1]), left.to_vec(), 30)).await.unwrap();
        assert_eq!(state.unfinished_landings().await.unwrap(), [(id, left.to_vec())]);
    }
    let all = finished(id, landed(&[0, 1, 2]), Vec::new(), 40);
    // Together with the intent of the next group, then once more alone.
    let (next, _) = state.write_intents(Some(&all), &[whole(None, open, "/a/4.csv")]).await.unwrap();
    state.finish_landings(&all).await.unwrap();
    let unfinished = state.unfinished_landings().await.unwrap();
    assert_eq!(unfinished.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [next]);
    let rows = state.uploads(&uploads_of(open)).await.unwrap();
    let ended: Vec<_> = rows.iter().map(|row| (row.file_name.as_str(), row.end_time)).collect();
    assert_eq!(rows.len(), 3, "{ended:?}");
    let sync = record(state, open).await.sync;
    assert_eq!((sync.total_files, sync.num_in_flight, sync.size_bytes), (3, 0, 15));
}

/// Writes the intent of uploads of a sync, and defers their landing. `None` where the store defers nothing.
async fn defer(state: &dyn State, sync: SyncId, names: &[&str]) -> Option<Arc<FinishedLandings>> {
    let uploads: Vec<_> = names.iter().map(|name| whole(None, sync, name)).collect();
    let (id, _) = state.write_intents(None, &uploads).await.unwrap();
    let landed = uploads.into_iter().map(|upload| LandedUpload { upload, trash: None }).collect();
    let group = Arc::new(finished(id, landed, Vec::new(), 30));
    if state.defer_landings(&group) {
        return Some(group);
    }
    state.finish_landings(&group).await.unwrap();
    None
}

pub async fn deferred_landings_are_seen_by_every_call_and_stored_once(state: &dyn State) {
    let open = start(state, "/a", SyncType::IncrementalSync).await;
    let Some(_) = defer(state, open, &["/a/1.csv"]).await else { return };
    assert_eq!(record(state, open).await.sync.total_files, 1);
    let two = defer(state, open, &["/a/2.csv"]).await.unwrap();
    assert_eq!(state.uploads(&uploads_of(open)).await.unwrap().len(), 2);
    assert!(state.unfinished_landings().await.unwrap().is_empty());
    // The caller stores it all the same.
    state.finish_landings(&two).await.unwrap();
    let three = defer(state, open, &["/a/3.csv"]).await.unwrap();
    let (next, _) = state.write_intents(Some(&three), &[whole(None, open, "/a/4.csv")]).await.unwrap();
    assert_eq!(state.unfinished_landings().await.unwrap().len(), 1);
    state.finish_landings(&finished(next, Vec::new(), Vec::new(), 30)).await.unwrap();
    defer(state, open, &["/a/5.csv"]).await.unwrap();
    assert_eq!(state.list_versions(&path("/a"), 0, 10).await.unwrap()[0].files, 4);
    defer(state, open, &["/a/6.csv"]).await.unwrap();
    state.finish_deferred_landings().await.unwrap();
    defer(state, open, &["/a/7.csv"]).await.unwrap();
    state.close_sync(open, &finishing(), false, Timestamp(40)).await.unwrap();
    let sync = record(state, open).await.sync;
    assert_eq!((sync.total_files, sync.size_bytes), (6, 30));
    assert_eq!(state.uploads(&uploads_of(open)).await.unwrap().len(), 6);
}

pub async fn withdrawn_landings_keep_their_intent(state: &dyn State) {
    let open = start(state, "/a", SyncType::IncrementalSync).await;
    let Some(group) = defer(state, open, &["/a/1.csv"]).await else { return };
    state.withdraw_landings(group.id);
    assert_eq!(record(state, open).await.sync.total_files, 0);
    assert_eq!(state.unfinished_landings().await.unwrap().len(), 1);
    state.finish_landings(&group).await.unwrap();
    assert_eq!(record(state, open).await.sync.total_files, 1);
}

pub async fn unfinished_work_is_listed_for_a_restart(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    finish(state, id, "/a/1.csv").await;
    let upload = begin(state, id, "/a/2.csv").await;
    let unfinished = state.unfinished_uploads().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((unfinished[0].upload_id, &unfinished[0].partial), (upload, &partial(1)));
    assert_eq!(state.open_syncs().await.unwrap(), [id]);
    assert!(state.idle_syncs(Timestamp(1000)).await.unwrap().is_empty(), "an upload is in flight");
    state.fail_upload(upload, "", 0, Timestamp(50)).await.unwrap();
    assert!(state.idle_syncs(Timestamp(20)).await.unwrap().is_empty());
    assert_eq!(state.idle_syncs(Timestamp(1000)).await.unwrap(), [id]);
}
