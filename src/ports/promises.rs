//! What every backend promises, as tests: each function takes a fresh, empty backend and panics where a promise is broken.
//! A backend's own tests run them all by [`state_promises!`](crate::state_promises) and
//! [`files_promises!`](crate::files_promises).

#![allow(clippy::unwrap_used)]

mod batches;
mod content;
mod resumables;

pub use batches::*;
pub use content::*;
pub use resumables::*;

use super::files::{Files, Landing, Outcome, Publication, Restoration, WholeFile};
use super::state::{LandedUpload, NewSync, NewTrash, NewUpload, RefusedUpload, Settlement, State, WholeUpload};
use crate::error::Error;
use crate::key::{NewKey, Role, Secret};
use crate::list::{Order, Page, SyncQuery, TrashQuery, UploadQuery};
use crate::path::LakePath;
use crate::place::Place;
use crate::ports::inspection::EntryKind;
use crate::sync::{Closing, Phase, Status, SyncId, SyncType};
use crate::time::Timestamp;
use crate::trash::{Doomed, Totals, TrashId, TrashKey, TrashKind, TrashReason};
use crate::upload::{Digest, Identity, PartialName, UploadId};
use bytes::Bytes;
use std::collections::BTreeSet;

/// One test for each promise of the `state` port. `$run` runs a future; `$fresh` is a future of a new backend and of a
/// guard that keeps what it stands on.
#[macro_export]
macro_rules! state_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            ids_count_from_one_without_gaps_and_pages_skip_by_count,
            a_full_sync_wants_its_path_for_itself,
            a_full_sync_is_refused_above_other_datasets,
            counters_follow_every_upload,
            a_sync_with_uploads_in_flight_closes_only_when_told_to_discard_them,
            closing_is_remembered_until_settled_and_settling_twice_changes_nothing,
            an_upload_ends_once,
            landings_are_known_from_the_intent_to_the_end,
            what_is_declared_last_counts_and_is_compared_with_what_has_landed_last,
            a_start_under_the_same_key_is_the_same_start_until_it_is_forgotten,
            what_has_landed_is_known_by_its_place_and_its_identity,
            a_hold_keeps_its_time_and_is_lifted_by_a_landing_and_by_closing,
            what_a_sync_has_landed_tells_new_from_replaced,
            what_a_restart_needs_is_listed,
            a_resumable_upload_has_a_row_and_is_known_until_it_is_forgotten,
            a_resumable_upload_that_lands_is_finished,
            a_sync_that_closes_names_the_resumable_uploads_that_it_has_failed,
            a_part_has_no_row_and_is_finished_when_what_it_was_joined_into_is,
            resumable_uploads_expire_by_their_time_ended_or_not,
            trash_leaves_the_list_when_restored_and_holds_its_path_meanwhile,
            doomed_trash_is_in_no_list_and_cannot_be_restored,
            the_oldest_trash_is_doomed_first_and_never_what_is_being_restored,
            what_has_landed_is_listed_by_place_and_found_by_its_content,
            trash_that_has_a_folder_is_listed_adopted_and_restored,
            filters_find_rows_by_status_type_path_and_text,
            a_key_is_found_by_its_secret_and_its_sessions_end_with_it,
            a_sign_in_link_works_once_and_in_time,
        );
    };
}

/// One test for each promise of the `files` port.
#[macro_export]
macro_rules! files_promises {
    ($run:path, $fresh:expr) => {
        $crate::promises!(
            $run,
            $fresh,
            a_landed_file_has_its_bytes_and_its_digest,
            an_upload_goes_on_at_its_checkpoint,
            a_replaced_file_is_in_the_trash,
            a_file_does_not_replace_a_folder,
            recovery_tells_landed_from_not_landed,
            a_group_lands_in_order_and_what_is_taken_back_was_never_there,
            an_open_file_stays_what_it_was_whatever_takes_its_name,
            a_folder_is_listed_page_by_page_the_folders_first,
            what_is_taken_over_is_a_copy_that_lands_and_the_file_stays,
            what_is_not_the_file_that_was_found_is_not_taken_over,
            publishing_replaces_a_dataset_and_twice_is_once,
            publishing_without_staging_is_refused,
            dropped_staging_is_in_the_trash_and_empty_staging_is_gone,
            a_restore_exchanges_what_is_live_and_what_was_trashed,
            trash_is_removed_step_by_step_and_what_was_not_named_stays,
            what_lies_where_is_listed_and_measured_and_digested,
            a_slot_is_renamed_to_a_free_name_only,
            a_sweep_removes_what_no_open_sync_owns,
        );
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! promises {
    ($run:path, $fresh:expr, $($promise:ident),+ $(,)?) => {
        $(#[test]
        fn $promise() {
            $run(async {
                // The guard keeps what the backend stands on until the promise was tried.
                let (backend, _guard) = $fresh.await;
                $crate::ports::promises::$promise(&backend).await;
            });
        })+
    };
}

fn path(text: &str) -> LakePath {
    LakePath::parse(text).unwrap()
}

fn new_sync(on: &str, sync_type: SyncType) -> NewSync {
    NewSync {
        name: format!("sync of {on}"),
        path: path(on),
        sync_type,
        started_by: "etl".into(),
        expected: None,
        once: None,
        at: Timestamp(10),
    }
}

async fn start(state: &dyn State, on: &str, sync_type: SyncType) -> SyncId {
    state.start_sync(&new_sync(on, sync_type)).await.unwrap()
}

fn partial(name: u8) -> PartialName {
    PartialName::from_random([name; 16])
}

async fn begin(state: &dyn State, sync_id: SyncId, target: &str) -> UploadId {
    let new = NewUpload {
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: partial(1),
        identity: Identity("1".into()),
        at: Timestamp(20),
    };
    state.begin_upload(&new).await.unwrap()
}

const DIGEST: Digest = Digest { size_bytes: 5, sha256: [7; 32] };

fn whole(upload_id: Option<UploadId>, sync_id: SyncId, target: &str) -> WholeUpload {
    WholeUpload {
        upload_id,
        sync_id,
        file_name: path(target).leaf().to_owned(),
        target: path(target),
        partial: partial(1),
        identity: Identity("1".into()),
        digest: DIGEST,
        begun_at: Timestamp(20),
        by: "etl".into(),
        taken_over: false,
    }
}

/// Intends the landing of one upload, and finishes it.
async fn land_upload(state: &dyn State, upload: WholeUpload, trash: Option<NewTrash>, at: i64) {
    let (id, permissions) = state.intend_landings(std::slice::from_ref(&upload)).await.unwrap();
    assert!(permissions.iter().all(Result::is_ok));
    state.finish_landings(id, &[LandedUpload { upload, trash }], Timestamp(at)).await.unwrap();
}

async fn finish(state: &dyn State, sync_id: SyncId, target: &str) -> UploadId {
    let id = begin(state, sync_id, target).await;
    land_upload(state, whole(Some(id), sync_id, target), None, 30).await;
    id
}

fn page(from: u64, size: u64, order: Order) -> Page {
    Page { from, size, order }
}

fn syncs(page: Page) -> SyncQuery {
    SyncQuery { page, status: None, sync_type: None, path: None, text: None, scope: None }
}

fn uploads(page: Page) -> UploadQuery {
    UploadQuery { page, sync_id: None, status: None, path: None, text: None, scope: None }
}

fn publish() -> Closing {
    Closing::Publish { staging: Identity("9".into()), allow_empty: false, by: "etl".into() }
}

fn trash_of(sync_id: SyncId, origin: &str) -> NewTrash {
    NewTrash {
        key: TrashKey::of_sync(sync_id),
        origin: path(origin),
        kind: TrashKind::Dataset,
        reason: TrashReason::Replaced,
        sync_id: Some(sync_id),
        by: "etl".into(),
        at: Timestamp(40),
    }
}

async fn record(state: &dyn State, id: SyncId) -> crate::sync::SyncRecord {
    state.sync(id).await.unwrap().unwrap()
}

pub async fn ids_count_from_one_without_gaps_and_pages_skip_by_count(state: &dyn State) {
    let kind = SyncType::IncrementalSync;
    for n in 1..=5 {
        assert_eq!(start(state, "/a", kind).await, SyncId(n));
        // A refused start leaves no gap.
        assert!(state.start_sync(&new_sync("/a", SyncType::FullSync)).await.is_err());
    }
    let ids = async |from, size, order| -> Vec<u64> {
        state.syncs(&syncs(page(from, size, order))).await.unwrap().iter().map(|sync| sync.sync_id.0).collect()
    };
    assert_eq!(ids(0, 10, Order::Asc).await, [1, 2, 3, 4, 5]);
    assert_eq!(ids(1, 2, Order::Asc).await, [2, 3]);
    assert_eq!(ids(1, 2, Order::Desc).await, [4, 3]);
    assert_eq!(ids(5, 2, Order::Asc).await, [0; 0]);
    assert_eq!(ids(u64::MAX, 2, Order::Desc).await, [0; 0]);
    assert_eq!(ids(0, 0, Order::Asc).await, [0; 0]);

    for n in 1..=6 {
        let sync = SyncId(1 + n % 2);
        assert_eq!(finish(state, sync, &format!("/a/{n}.csv")).await, UploadId(n));
    }
    let history = async |sync_id, from, order| -> Vec<u64> {
        let query = UploadQuery { sync_id, ..uploads(page(from, 2, order)) };
        state.uploads(&query).await.unwrap().iter().map(|upload| upload.history_id.0).collect()
    };
    assert_eq!(history(None, 3, Order::Asc).await, [4, 5]);
    assert_eq!(history(None, 1, Order::Desc).await, [5, 4]);
    assert_eq!(history(Some(SyncId(1)), 1, Order::Asc).await, [4, 6]);
    assert_eq!(history(Some(SyncId(1)), 1, Order::Desc).await, [4, 2]);
    assert_eq!(history(Some(SyncId(9)), 0, Order::Asc).await, [0; 0]);
}

pub async fn a_full_sync_wants_its_path_for_itself(state: &dyn State) {
    let full = start(state, "/data/db", SyncType::FullSync).await;
    for on in ["/data", "/data/db", "/data/db/t"] {
        let refused = state.start_sync(&new_sync(on, SyncType::IncrementalSync)).await;
        assert!(matches!(refused, Err(Error::PathHeld { sync_id, .. }) if sync_id == full), "{on}");
    }
    start(state, "/data/db2", SyncType::FullSync).await;
}

pub async fn a_full_sync_is_refused_above_other_datasets(state: &dyn State) {
    let below = start(state, "/data/db/t", SyncType::IncrementalSync).await;
    finish(state, below, "/data/db/t/a.csv").await;
    state.close_sync(below, &Closing::Finish, false, Timestamp(40)).await.unwrap();
    let refused = state.start_sync(&new_sync("/data/db", SyncType::FullSync)).await;
    assert!(matches!(refused, Err(Error::DatasetsBelow { below, .. }) if below == [path("/data/db/t")]));
    start(state, "/data/db/t", SyncType::FullSync).await;
    assert_eq!(state.datasets("/data/d", None, 10).await.unwrap(), [path("/data/db/t")]);
    assert_eq!(state.datasets("/data/x", None, 10).await.unwrap(), []);
    state.forget_dataset(&path("/data/db/t")).await.unwrap();
    assert_eq!(state.datasets("", None, 10).await.unwrap(), []);
}

pub async fn counters_follow_every_upload(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    finish(state, id, "/a/1.csv").await;
    let failing = begin(state, id, "/a/2.csv").await;
    begin(state, id, "/a/3.csv").await;
    state.fail_upload(failing, "broke off", 3, Timestamp(30)).await.unwrap();
    let refused = RefusedUpload {
        sync_id: id,
        file_name: "../x".into(),
        folder: path("/a"),
        target: None,
        message: "no name".into(),
        size_bytes: 7,
        begun_at: Timestamp(25),
        at: Timestamp(30),
    };
    let refused = state.refuse_upload(&refused).await.unwrap();
    let sync = record(state, id).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.num_in_flight, sync.size_bytes), (4, 2, 1, 5));
    assert_eq!(sync.num_landed(), 1);
    let row = state.upload(refused).await.unwrap().unwrap();
    assert_eq!((row.sync_status, row.file_name.as_str(), row.landed_path), (Status::Failed, "../x", None));
    assert_eq!((row.size_bytes, row.start_time, row.end_time), (7, Timestamp(25), Timestamp(30)));
    let row = state.upload(failing).await.unwrap().unwrap();
    assert_eq!((row.size_bytes, row.message.as_str(), row.end_time), (3, "broke off", Timestamp(30)));
}

pub async fn a_sync_with_uploads_in_flight_closes_only_when_told_to_discard_them(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    finish(state, id, "/a/1.csv").await;
    let upload = begin(state, id, "/a/2.csv").await;
    let refused = state.close_sync(id, &publish(), false, Timestamp(40)).await;
    assert!(matches!(refused, Err(Error::UploadsInFlight { uploads, .. }) if uploads[0].history_id == upload));
    state.close_sync(id, &publish(), true, Timestamp(40)).await.unwrap();
    let row = state.upload(upload).await.unwrap().unwrap();
    assert_eq!((row.sync_status, row.end_time), (Status::Failed, Timestamp(40)));
    let sync = record(state, id).await.sync;
    assert_eq!((sync.num_failed, sync.num_in_flight), (1, 0));
}

pub async fn closing_is_remembered_until_settled_and_settling_twice_changes_nothing(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    assert!(matches!(state.close_sync(id, &publish(), false, Timestamp(1)).await, Err(Error::EmptyFullSync(_))));
    finish(state, id, "/a/1.csv").await;
    state.close_sync(id, &publish(), false, Timestamp(40)).await.unwrap();
    let closing = state.closing_syncs().await.unwrap();
    assert_eq!(closing.len(), 1);
    assert_eq!((closing[0].phase, closing[0].closing.clone()), (Phase::Publishing, Some(publish())));
    assert_eq!(closing[0].sync.sync_status, Status::Syncing);
    let upload = NewUpload {
        sync_id: id,
        file_name: "x".into(),
        target: path("/a/x"),
        partial: partial(1),
        identity: Identity("1".into()),
        at: Timestamp(41),
    };
    assert!(matches!(state.begin_upload(&upload).await, Err(Error::SyncEnding(_))));

    state.reopen_sync(id).await.unwrap();
    assert_eq!(record(state, id).await.phase, Phase::Open);
    let abort = Closing::Abort { reason: TrashReason::Aborted, message: "aborted".into(), by: "me".into() };
    state.close_sync(id, &abort, false, Timestamp(50)).await.unwrap();
    assert_eq!(record(state, id).await.closing, Some(abort));
    let settlement = Settlement {
        sync_id: id,
        status: Status::Failed,
        message: "aborted".into(),
        trash: Some(trash_of(id, "/a")),
        at: Timestamp(60),
    };
    state.settle_sync(&settlement).await.unwrap();
    state.settle_sync(&settlement).await.unwrap();
    let ended = record(state, id).await;
    assert_eq!(
        (ended.phase, ended.sync.sync_status, ended.sync.end_time),
        (Phase::Ended, Status::Failed, Timestamp(60))
    );
    assert_eq!(state.trash(&all_trash()).await.unwrap().len(), 1);
    assert!(state.closing_syncs().await.unwrap().is_empty() && state.open_syncs().await.unwrap().is_empty());
    assert!(matches!(state.begin_upload(&upload).await, Err(Error::SyncEnded { .. })));
}

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

pub async fn landings_are_known_from_the_intent_to_the_end(state: &dyn State) {
    let open = start(state, "/a", SyncType::IncrementalSync).await;
    let closed = start(state, "/b", SyncType::IncrementalSync).await;
    state.close_sync(closed, &Closing::Finish, false, Timestamp(25)).await.unwrap();
    let registered = begin(state, open, "/a/1.csv").await;
    let uploads =
        [whole(Some(registered), open, "/a/1.csv"), whole(None, closed, "/b/2.csv"), whole(None, open, "/a/3.csv")];
    let (id, permissions) = state.intend_landings(&uploads).await.unwrap();
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
        state.finish_landings(id, &landed, Timestamp(30)).await.unwrap();
    }
    assert!(state.unfinished_landings().await.unwrap().is_empty());
    let rows = state.uploads(&uploads_of(open)).await.unwrap();
    let row = |row: &crate::upload::Upload| (row.history_id.0, row.landed_path.clone(), row.start_time, row.end_time);
    let landed_at = |file| Some(path(file));
    assert_eq!(row(&rows[0]), (1, landed_at("/a/1.csv"), Timestamp(20), Timestamp(30)));
    assert_eq!(row(&rows[1]), (2, landed_at("/a/3.csv"), Timestamp(20), Timestamp(30)));
    let sync = record(state, open).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.num_in_flight, sync.size_bytes), (2, 0, 0, 10));
    assert_eq!(state.trash(&all_trash()).await.unwrap().len(), 1);
    // What is given up leaves nothing behind.
    let (id, _) = state.intend_landings(&uploads[2..]).await.unwrap();
    state.finish_landings(id, &[], Timestamp(40)).await.unwrap();
    assert_eq!(record(state, open).await.sync.total_files, 2);
}

fn uploads_of(sync_id: SyncId) -> UploadQuery {
    UploadQuery { sync_id: Some(sync_id), ..uploads(Page::FIRST) }
}

pub async fn what_a_restart_needs_is_listed(state: &dyn State) {
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

fn all_trash() -> TrashQuery {
    TrashQuery { page: Page::FIRST, path: None, text: None, scope: None }
}

pub async fn trash_leaves_the_list_when_restored_and_holds_its_path_meanwhile(state: &dyn State) {
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
    let held = state.begin_restore(trash_id, &Identity("5".into()), "me").await;
    assert!(matches!(held, Err(Error::PathHeld { sync_id, .. }) if sync_id == sync));
    state.close_sync(sync, &Closing::Finish, false, Timestamp(70)).await.unwrap();
    state.begin_restore(trash_id, &Identity("5".into()), "me").await.unwrap();
    assert!(matches!(
        state.start_sync(&new_sync("/a/b", SyncType::IncrementalSync)).await,
        Err(Error::PathRestoring { .. })
    ));
    assert!(state.begin_restore(trash_id, &Identity("5".into()), "me").await.is_err(), "restored twice at once");
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
    assert!(matches!(state.begin_restore(TrashId(99), &Identity("5".into()), "me").await, Err(Error::NoSuchTrash(_))));
}

/// Puts three pieces into the trash, of 10, 20 and 30 bytes, which came at the times 1, 2 and 3.
async fn three_pieces(state: &dyn State) -> [TrashId; 3] {
    for at in 1..=3 {
        let id = start(state, "/a", SyncType::FullSync).await;
        finish(state, id, "/a/1.csv").await;
        state.close_sync(id, &publish(), false, Timestamp(40)).await.unwrap();
        let trash = Some(NewTrash { at: Timestamp(at), ..trash_of(id, "/a") });
        let (status, message) = (Status::Finished, String::new());
        state.settle_sync(&Settlement { sync_id: id, status, message, trash, at: Timestamp(60) }).await.unwrap();
    }
    let pieces = state.trash(&all_trash()).await.unwrap();
    let ids: Vec<_> = pieces.iter().map(|piece| piece.trash_id).collect();
    for (id, bytes) in ids.iter().zip([10, 20, 30]) {
        state.count_trash(*id, Totals { files: 1, bytes }).await.unwrap();
    }
    ids.try_into().unwrap()
}

async fn doom(state: &dyn State, doomed: Doomed, size: u64) -> Vec<TrashId> {
    let entries = state.begin_emptying(&doomed, size, "me", Timestamp(90)).await.unwrap();
    entries.iter().map(|entry| entry.trash_id).collect()
}

async fn restore_begun(state: &dyn State, id: TrashId) -> Result<(), Error> {
    state.begin_restore(id, &Identity("5".into()), "me").await
}

pub async fn doomed_trash_is_in_no_list_and_cannot_be_restored(state: &dyn State) {
    let [first, second, third] = three_pieces(state).await;
    assert_eq!(doom(state, Doomed::Piece(second), 1).await, [second]);
    let listed = state.trash(&all_trash()).await.unwrap();
    assert_eq!(listed.iter().map(|piece| piece.trash_id).collect::<Vec<_>>(), [first, third]);
    assert!(state.trash_record(second).await.unwrap().is_none());
    assert!(matches!(restore_begun(state, second).await, Err(Error::NoSuchTrash(_))));
    let again = state.begin_emptying(&Doomed::Piece(second), 1, "me", Timestamp(90)).await;
    assert!(matches!(again, Err(Error::NoSuchTrash(_))));
    let key = TrashKey::of_sync(SyncId(2));
    assert_eq!(state.emptying_trash(TrashId(0), 10).await.unwrap(), [(second, key)]);
    assert_eq!(state.emptying_trash(second, 10).await.unwrap(), []);
    for _ in 0..2 {
        state.finish_emptying(&[second, third], Timestamp(91)).await.unwrap();
    }
    assert_eq!(state.emptying_trash(TrashId(0), 10).await.unwrap(), []);
    assert!(state.trash_record(third).await.unwrap().is_some(), "it was never doomed");
}

pub async fn the_oldest_trash_is_doomed_first_and_never_what_is_being_restored(state: &dyn State) {
    let [first, second, third] = three_pieces(state).await;
    assert_eq!(doom(state, Doomed::Beyond { bytes_max: 60 }, 9).await, []);
    restore_begun(state, first).await.unwrap();
    let refused = state.begin_emptying(&Doomed::Piece(first), 1, "me", Timestamp(90)).await;
    assert!(matches!(refused, Err(Error::PathRestoring { trash_id, .. }) if trash_id == first));
    assert_eq!(doom(state, Doomed::Before(Timestamp(2)), 9).await, []);
    state.cancel_restore(first).await.unwrap();
    assert_eq!(doom(state, Doomed::Before(Timestamp(4)), 1).await, [first], "one at a time, the oldest");
    assert_eq!(doom(state, Doomed::Beyond { bytes_max: 49 }, 9).await, [second], "50 bytes were left");
    assert_eq!(doom(state, Doomed::Beyond { bytes_max: 0 }, 0).await, []);
    assert_eq!(doom(state, Doomed::Beyond { bytes_max: 0 }, 9).await, [third]);
    let emptying = state.emptying_trash(TrashId(0), 2).await.unwrap();
    assert_eq!(emptying.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
}

pub async fn what_has_landed_is_listed_by_place_and_found_by_its_content(state: &dyn State) {
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
    let [first, second, third] = three_pieces(state).await;
    doom(state, Doomed::Piece(first), 1).await;
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

pub async fn filters_find_rows_by_status_type_path_and_text(state: &dyn State) {
    let incremental = start(state, "/data/orders", SyncType::IncrementalSync).await;
    finish(state, incremental, "/data/orders/dt=1/a_b.csv").await;
    begin(state, incremental, "/data/orders/dt=2/axb.csv").await;
    let full = start(state, "/data/orders_old", SyncType::FullSync).await;

    let found = async |query: SyncQuery| -> Vec<SyncId> {
        state.syncs(&query).await.unwrap().iter().map(|sync| sync.sync_id).collect()
    };
    let any = || syncs(Page::FIRST);
    assert_eq!(found(SyncQuery { sync_type: Some(SyncType::FullSync), ..any() }).await, [full]);
    assert_eq!(found(SyncQuery { status: Some(Status::Finished), ..any() }).await, []);
    assert_eq!(found(SyncQuery { path: Some(path("/data/orders")), ..any() }).await, [incremental]);
    assert_eq!(found(SyncQuery { scope: Some(path("/data/orders_old")), ..any() }).await, [full]);
    assert_eq!(found(SyncQuery { text: Some("ORDERS_OLD".into()), ..any() }).await, [full]);

    let found = async |query: UploadQuery| -> Vec<u64> {
        state.uploads(&query).await.unwrap().iter().map(|upload| upload.history_id.0).collect()
    };
    let any = || uploads(Page::FIRST);
    assert_eq!(found(UploadQuery { status: Some(Status::Finished), ..any() }).await, [1]);
    assert_eq!(found(UploadQuery { path: Some(path("/data/orders/dt=2")), ..any() }).await, [2]);
    assert_eq!(found(UploadQuery { text: Some("a_b".into()), ..any() }).await, [1], "an underscore is no wildcard");
    assert_eq!(found(UploadQuery { text: Some("%".into()), ..any() }).await, [0; 0], "nor is a per cent sign");
    assert_eq!(found(UploadQuery { scope: Some(path("/data/x")), ..any() }).await, [0; 0]);
    let second = UploadQuery { path: Some(path("/data")), ..uploads(page(1, 1, Order::Asc)) };
    assert_eq!(found(second).await, [2]);
}

pub async fn a_key_is_found_by_its_secret_and_its_sessions_end_with_it(state: &dyn State) {
    assert!(state.is_unclaimed().await.unwrap());
    let secret = Secret::from_random([3; 32]);
    let new = NewKey {
        name: "etl".into(),
        role: Role::Write,
        path_prefix: Some(path("/data")),
        expires_at: Some(Timestamp(100)),
    };
    let key = state.create_key(&new, &secret.hint(), &secret.hash(), Timestamp(1)).await.unwrap();
    assert!(!state.is_unclaimed().await.unwrap());
    assert_eq!(state.key_of(&secret.hash()).await.unwrap(), Some(key.clone()));
    assert_eq!(state.key_of(&Secret::from_random([4; 32]).hash()).await.unwrap(), None);
    state.touch_key(key.key_id, Timestamp(7)).await.unwrap();
    assert_eq!(state.keys().await.unwrap()[0].last_used_at, Some(Timestamp(7)));

    let session = Secret::from_random([5; 32]).hash();
    state.begin_session(&session, Some(key.key_id), Timestamp(50)).await.unwrap();
    let found = state.session(&session, Timestamp(49)).await.unwrap();
    assert_eq!(found.unwrap().unwrap().key_id, key.key_id);
    assert!(state.session(&session, Timestamp(50)).await.unwrap().is_none(), "it lasts until its end");
    assert!(state.revoke_key(key.key_id, Timestamp(60)).await.unwrap());
    assert!(!state.revoke_key(key.key_id, Timestamp(60)).await.unwrap(), "revoked once");
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
    state.begin_session(&session, None, Timestamp(50)).await.unwrap();
    assert_eq!(state.session(&session, Timestamp(1)).await.unwrap(), Some(None));
    assert!(!state.is_unclaimed().await.unwrap());
    state.end_session(&session).await.unwrap();
    assert_eq!(state.session(&session, Timestamp(1)).await.unwrap(), None);
}

/// Writes a partial and seals it.
async fn sealed(files: &dyn Files, name: u8, bytes: &'static [u8]) -> (Identity, Digest) {
    let mut partial = files.create_partial(partial(name)).await.unwrap();
    for piece in bytes.chunks(3) {
        partial.write(Bytes::from_static(piece)).await.unwrap();
    }
    let digest = partial.seal().await.unwrap();
    (partial.identity().clone(), digest)
}

fn landing(name: u8, identity: Identity, place: Place, file: &str) -> Landing {
    let trash = TrashKey::of_upload(&partial(name));
    Landing { partial: partial(name), identity, place, trash, leaf: path(file).leaf().to_owned() }
}

async fn land(files: &dyn Files, name: u8, file: &str, bytes: &'static [u8]) -> Outcome {
    let (identity, _) = sealed(files, name, bytes).await;
    land_one(files, landing(name, identity, Place::Live(path(file)), file)).await.unwrap()
}

async fn land_one(files: &dyn Files, landing: Landing) -> Result<Outcome, Error> {
    files.land(&[landing]).await.remove(0)
}

async fn stage(files: &dyn Files, sync: SyncId, name: u8, relative: &str, bytes: &'static [u8]) {
    let (identity, _) = sealed(files, name, bytes).await;
    let place = Place::Staged { sync, relative: relative.to_owned() };
    land_one(files, landing(name, identity, place, &format!("/{relative}"))).await.unwrap();
}

async fn bytes_at(files: &dyn Files, place: &Place) -> u64 {
    files.measure(place).await.unwrap().bytes
}

async fn live_bytes(files: &dyn Files, at: &str) -> u64 {
    bytes_at(files, &Place::Live(path(at))).await
}

pub async fn a_landed_file_has_its_bytes_and_its_digest(files: &dyn Files) {
    let (identity, digest) = sealed(files, 1, b"hello, lake").await;
    assert_eq!(digest.size_bytes, 11);
    let known = "716309cb559debd66268e3349f18a07639ae30e08bdc6dbd1684d95169a3274e";
    assert_eq!(crate::upload::hexadecimal(&digest.sha256), known);
    let file = "/data/db/dt=1/a.csv";
    assert!(!files.exists(&Place::Live(path(file))).await.unwrap());
    let outcome = land_one(files, landing(1, identity, Place::Live(path(file)), file)).await.unwrap();
    assert_eq!(outcome, Outcome::Added);
    assert!(files.exists(&Place::Live(path(file))).await.unwrap());
    assert_eq!(files.measure(&Place::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 11 });
    assert_eq!(files.measure(&Place::Live(path(file))).await.unwrap(), Totals { files: 1, bytes: 11 });
    assert_eq!(files.measure(&Place::Live(path("/nowhere/x"))).await.unwrap(), Totals::default());
    // An empty file is a file.
    assert_eq!(land(files, 2, "/data/db/empty", b"").await, Outcome::Added);
    assert_eq!(files.measure(&Place::Live(path("/data/db"))).await.unwrap(), Totals { files: 2, bytes: 11 });
    files.discard_partial(&partial(9)).await.unwrap();
}

pub async fn a_replaced_file_is_in_the_trash(files: &dyn Files) {
    assert_eq!(land(files, 1, "/data/a.csv", b"old").await, Outcome::Added);
    assert_eq!(land(files, 2, "/data/a.csv", b"newer").await, Outcome::Replaced);
    assert_eq!(live_bytes(files, "/data").await, 5);
    let key = TrashKey::of_upload(&partial(2));
    assert_eq!(bytes_at(files, &Place::trashed(&key, &path("/data/a.csv"))).await, 3);
}

pub async fn a_file_does_not_replace_a_folder(files: &dyn Files) {
    land(files, 1, "/data/a/b.csv", b"1").await;
    let (identity, _) = sealed(files, 2, b"2").await;
    for file in ["/data/a", "/data/a/b.csv/c.csv"] {
        let refused = land_one(files, landing(2, identity.clone(), Place::Live(path(file)), file)).await;
        assert!(matches!(refused, Err(Error::InTheWay(_))), "{file}: {refused:?}");
    }
    assert_eq!(files.measure(&Place::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 1 });
}

pub async fn recovery_tells_landed_from_not_landed(files: &dyn Files) {
    let file = "/data/a.csv";
    let (first, _) = sealed(files, 1, b"one").await;
    let first = landing(1, first, Place::Live(path(file)), file);
    assert_eq!(files.recover_landing(&first).await.unwrap(), None);
    land_one(files, first.clone()).await.unwrap();
    assert_eq!(files.recover_landing(&first).await.unwrap(), Some(Outcome::Added));

    let (second, _) = sealed(files, 2, b"two!").await;
    let second = landing(2, second, Place::Live(path(file)), file);
    assert_eq!(files.recover_landing(&second).await.unwrap(), None, "the first one has this name");
    land_one(files, second.clone()).await.unwrap();
    assert_eq!(files.recover_landing(&second).await.unwrap(), Some(Outcome::Replaced));
    assert_eq!(files.recover_landing(&first).await.unwrap(), Some(Outcome::Added), "it landed, and was replaced since");
    assert_eq!(live_bytes(files, file).await, 4);
}

pub async fn a_group_lands_in_order_and_what_is_taken_back_was_never_there(files: &dyn Files) {
    let file = "/data/a.csv";
    let group = [(1, "one"), (2, "two!"), (3, "")];
    let wholes = group.map(|(name, bytes)| WholeFile { name: partial(name), bytes: bytes.into() });
    let (written, unsealed) = files.write_group(wholes.into()).await;
    unsealed.seal().await.unwrap();
    let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    assert_eq!(written[1].1.size_bytes, 4);
    let (_, same) = sealed(files, 9, b"two!").await;
    assert_eq!(written[1].1, same);
    let landing = |name: u8, file: &str| {
        let (identity, _) = written[usize::from(name) - 1].clone();
        landing(name, identity, Place::Live(path(file)), file)
    };
    // Another folder in between, and one that fails does not keep the others.
    let landings = [landing(1, file), landing(3, "/data/b/c.csv"), landing(2, file)];
    let outcomes: Vec<_> = files.land(&landings).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes, [Outcome::Added, Outcome::Added, Outcome::Replaced]);
    assert_eq!(live_bytes(files, "/data").await, 4);

    files.take_back(&landings[2]).await.unwrap();
    assert_eq!(live_bytes(files, "/data").await, 3);
    files.take_back(&landings[0]).await.unwrap();
    assert_eq!(files.measure(&Place::Live(path("/data"))).await.unwrap(), Totals { files: 1, bytes: 0 });
    for landing in [&landings[0], &landings[2]] {
        assert_eq!(files.recover_landing(landing).await.unwrap(), None);
        files.discard_partial(&landing.partial).await.unwrap();
        assert_eq!(bytes_at(files, &Place::TrashSlot(landing.trash.clone())).await, 0);
    }
}

async fn publication(files: &dyn Files, sync: SyncId, dataset: &str) -> Publication {
    let identity = files.stage(sync).await.unwrap();
    Publication { sync, identity, dataset: path(dataset), trash: TrashKey::of_sync(sync) }
}

pub async fn publishing_replaces_a_dataset_and_twice_is_once(files: &dyn Files) {
    let dataset = "/data/db/t";
    stage(files, SyncId(1), 1, "dt=1/a.csv", b"first").await;
    let first = publication(files, SyncId(1), dataset).await;
    assert_eq!(live_bytes(files, dataset).await, 0);
    for _ in 0..2 {
        assert_eq!(files.publish(&first).await.unwrap(), Outcome::Added);
        assert_eq!(live_bytes(files, dataset).await, 5);
    }
    stage(files, SyncId(2), 2, "b.csv", b"second").await;
    let second = publication(files, SyncId(2), dataset).await;
    for _ in 0..2 {
        assert_eq!(files.publish(&second).await.unwrap(), Outcome::Replaced);
        assert_eq!(files.measure(&Place::Live(path(dataset))).await.unwrap(), Totals { files: 1, bytes: 6 });
        let trashed = Place::trashed(&TrashKey::of_sync(SyncId(2)), &path(dataset));
        assert_eq!(bytes_at(files, &trashed).await, 5);
        assert_eq!(bytes_at(files, &Place::Staging(SyncId(2))).await, 0);
    }
}

pub async fn publishing_without_staging_is_refused(files: &dyn Files) {
    land(files, 1, "/data/t/a.csv", b"live").await;
    let lost = Publication { identity: Identity("0".into()), ..publication(files, SyncId(1), "/data/t").await };
    assert!(matches!(files.publish(&lost).await, Err(Error::StagingLost(SyncId(1)))));
    // A file where the dataset should be stays, and so does what was staged.
    stage(files, SyncId(2), 2, "b.csv", b"staged").await;
    let in_the_way = publication(files, SyncId(2), "/data/t/a.csv").await;
    assert!(matches!(files.publish(&in_the_way).await, Err(Error::InTheWay(_))));
    assert_eq!(live_bytes(files, "/data/t/a.csv").await, 4);
    assert_eq!(bytes_at(files, &Place::Staging(SyncId(2))).await, 6);
    assert_eq!(files.stage(SyncId(2)).await.unwrap(), in_the_way.identity);
}

pub async fn dropped_staging_is_in_the_trash_and_empty_staging_is_gone(files: &dyn Files) {
    let dataset = path("/data/t");
    let key = TrashKey::of_sync(SyncId(1));
    assert!(!files.drop_staging(SyncId(1), &dataset, &key).await.unwrap(), "nothing was staged");
    files.stage(SyncId(1)).await.unwrap();
    assert!(!files.drop_staging(SyncId(1), &dataset, &key).await.unwrap(), "nothing but the folder was staged");
    assert!(!files.exists(&Place::Staging(SyncId(1))).await.unwrap());
    stage(files, SyncId(1), 1, "a.csv", b"staged").await;
    assert!(files.exists(&Place::Staging(SyncId(1))).await.unwrap());
    for _ in 0..2 {
        assert!(files.drop_staging(SyncId(1), &dataset, &key).await.unwrap());
        assert_eq!(bytes_at(files, &Place::trashed(&key, &dataset)).await, 6);
        assert_eq!(bytes_at(files, &Place::Staging(SyncId(1))).await, 0);
    }
    assert!(!files.exists(&Place::Live(dataset.clone())).await.unwrap());
}

pub async fn a_restore_exchanges_what_is_live_and_what_was_trashed(files: &dyn Files) {
    let dataset = path("/data/t");
    let key = TrashKey::of_sync(SyncId(2));
    stage(files, SyncId(1), 1, "a.csv", b"first").await;
    files.publish(&publication(files, SyncId(1), "/data/t").await).await.unwrap();
    stage(files, SyncId(2), 2, "b.csv", b"second").await;
    files.publish(&publication(files, SyncId(2), "/data/t").await).await.unwrap();

    let identity = files.identify_trash(&key, &dataset).await.unwrap().unwrap();
    let restoration = Restoration { trash: key.clone(), identity, origin: dataset.clone(), kind: TrashKind::Dataset };
    for _ in 0..2 {
        assert_eq!(files.restore(&restoration).await.unwrap(), Outcome::Replaced);
        assert_eq!(live_bytes(files, "/data/t").await, 5);
        assert_eq!(bytes_at(files, &Place::trashed(&key, &dataset)).await, 6);
    }
    // And back again: the trash of the restore is trash like any other.
    let identity = files.identify_trash(&key, &dataset).await.unwrap().unwrap();
    files.restore(&Restoration { identity, ..restoration.clone() }).await.unwrap();
    assert_eq!(live_bytes(files, "/data/t").await, 6);
    let lost = Restoration { identity: Identity("0".into()), ..restoration };
    assert!(matches!(files.restore(&lost).await, Err(Error::InTheWay(_))));
    assert_eq!(files.identify_trash(&TrashKey::of_sync(SyncId(9)), &dataset).await.unwrap(), None);
}

pub async fn trash_is_removed_step_by_step_and_what_was_not_named_stays(files: &dyn Files) {
    let dataset = path("/data/t");
    for (sync, name) in [(1, 1), (2, 4)] {
        for (file, name) in ["a.csv", "dt=1/b.csv", "dt=1/c.csv"].into_iter().zip(name..) {
            stage(files, SyncId(sync), name, file, b"1234").await;
        }
        assert!(files.drop_staging(SyncId(sync), &dataset, &TrashKey::of_sync(SyncId(sync))).await.unwrap());
    }
    let [doomed, kept, absent] = [1, 2, 9].map(|sync| TrashKey::of_sync(SyncId(sync)));
    let bytes = async |key: &TrashKey| bytes_at(files, &Place::TrashSlot(key.clone())).await;
    let first = files.remove_trash(std::slice::from_ref(&doomed), 1).await;
    assert!(first.gone.is_empty() && first.has_more && first.faults.is_empty(), "{first:?}");
    let mut steps = 1;
    while files.remove_trash(std::slice::from_ref(&doomed), 1).await.has_more {
        steps += 1;
    }
    // Three files and their folder, the dataset's folder, the slot.
    assert!((4..=6).contains(&steps), "{steps} steps of one removal each");
    assert_eq!((bytes(&doomed).await, bytes(&kept).await), (0, 12));
    assert_eq!(files.identify_trash(&doomed, &dataset).await.unwrap(), None);
    let rest = files.remove_trash(&[doomed.clone(), absent.clone(), kept.clone()], 100).await;
    assert_eq!((rest.gone, rest.has_more), (vec![doomed, absent, kept.clone()], false));
    assert_eq!(bytes(&kept).await, 0);
}

pub async fn what_lies_where_is_listed_and_measured_and_digested(files: &dyn Files) {
    land(files, 1, "/data/t/dt=1/a.csv", b"hello").await;
    land(files, 2, "/data/t/b.csv", b"").await;
    let live = |place: &str| Place::Live(path(place));
    let list = async |place: Place| {
        let mut entries = files.list(&place).await.unwrap();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries.into_iter().map(|entry| (entry.name, entry.kind)).collect::<Vec<_>>()
    };
    assert_eq!(list(live("/data/t")).await, [("b.csv".into(), EntryKind::File), ("dt=1".into(), EntryKind::Folder)]);
    for nothing in ["/data/nowhere", "/data/t/b.csv", "/data/t/b.csv/x"] {
        assert_eq!(list(live(nothing)).await, [], "{nothing}");
    }
    let places = ["/data/t/dt=1/a.csv", "/data/t/b.csv", "/data/t", "/data/t/b.csv/x", "/x"].map(live);
    assert_eq!(files.sizes(&places).await.unwrap(), [Some(5), Some(0), None, None, None]);
    let (_, same) = sealed(files, 3, b"hello").await;
    assert_eq!(files.digest(&places[0]).await.unwrap(), Some(same));
    assert_eq!(files.digest(&places[2]).await.unwrap(), None);
    assert_eq!(files.digest(&places[4]).await.unwrap(), None);
    assert_eq!(list(Place::Partials).await, [(partial(3).as_str().to_owned(), EntryKind::File)]);
    assert!(files.space().unwrap().free_bytes > 0);
}

pub async fn a_slot_is_renamed_to_a_free_name_only(files: &dyn Files) {
    let dataset = path("/data/t");
    let [first, second] = [1, 2].map(|sync| TrashKey::of_sync(SyncId(sync)));
    for (sync, key) in [(1, &first), (2, &second)] {
        stage(files, SyncId(sync), sync as u8, "a.csv", b"1").await;
        files.drop_staging(SyncId(sync), &dataset, key).await.unwrap();
    }
    assert!(files.rename_slot(&first, &second).await.is_err(), "it is taken");
    files.remove_empty_slot(&first).await.unwrap();
    assert!(files.identify_trash(&first, &dataset).await.unwrap().is_some(), "it is not empty");
    files.rename_slot(&first, &first.adopted()).await.unwrap();
    assert!(files.identify_trash(&first.adopted(), &dataset).await.unwrap().is_some());
    let slots = files.list(&Place::TrashSlots).await.unwrap();
    assert_eq!(slots.len(), 2, "{slots:?}");
}

pub async fn a_sweep_removes_what_no_open_sync_owns(files: &dyn Files) {
    land(files, 1, "/data/a.csv", b"live").await;
    sealed(files, 2, b"partial").await;
    sealed(files, 5, b"kept").await;
    let kept = BTreeSet::from([partial(5)]);
    stage(files, SyncId(1), 3, "dt=1/a.csv", b"open").await;
    stage(files, SyncId(2), 4, "dt=1/a.csv", b"ended").await;
    for _ in 0..2 {
        files.sweep(&[SyncId(1)], &kept).await.unwrap();
        assert_eq!(bytes_at(files, &Place::Partial(partial(2))).await, 0);
        assert_eq!(bytes_at(files, &Place::Partial(partial(5))).await, 4);
        assert_eq!(bytes_at(files, &Place::Staging(SyncId(1))).await, 4);
        assert_eq!(bytes_at(files, &Place::Staging(SyncId(2))).await, 0);
        assert_eq!(live_bytes(files, "/data").await, 4);
    }
}
