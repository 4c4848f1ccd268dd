//! Conformance: syncs, which of them may be open together, their counters, and how they close.

use super::{
    all_trash, begin, finish, finishing, land_upload, new_sync, page, partial, path, publish, record, start, syncs,
    trash_of, uploads, whole,
};
use crate::model::error::Error;
use crate::model::id::SyncId;
use crate::model::id::UploadId;
use crate::model::page::{Order, Page, SyncQuery, UploadQuery};
use crate::model::storage_path::Identity;
use crate::model::sync::end::Settlement;
use crate::model::sync::hold::Hold;
use crate::model::sync::job::{Closing, Phase, Supersede, superseded_by};
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::TrashReason;
use crate::ports::metadata::State;
use crate::ports::metadata::upload::{NewUpload, RefusedUpload};

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

pub async fn a_full_sync_needs_its_path_exclusively(state: &dyn State) {
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
    state.close_sync(below, &finishing(), false, Timestamp(40)).await.unwrap();
    let refused = state.start_sync(&new_sync("/data/db", SyncType::FullSync)).await;
    assert!(matches!(refused, Err(Error::DatasetsBelow { below, .. }) if below == [path("/data/db/t")]));
    start(state, "/data/db/t", SyncType::FullSync).await;
    assert_eq!(state.datasets("/data/d", None, 10).await.unwrap(), [path("/data/db/t")]);
    assert_eq!(state.datasets("/data/x", None, 10).await.unwrap(), []);
    state.delete_dataset(&path("/data/db/t")).await.unwrap();
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
        rows_max: 9,
        begun_at: Timestamp(25),
        at: Timestamp(30),
    };
    let refused = state.refuse_upload(&refused).await.unwrap().unwrap();
    let sync = record(state, id).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.num_in_flight, sync.size_bytes), (4, 2, 1, 5));
    assert_eq!(sync.num_landed(), 1);
    let row = state.upload(refused).await.unwrap().unwrap();
    assert_eq!((row.sync_status, row.file_name.as_str(), row.landed_path), (Status::Failed, "../x", None));
    assert_eq!((row.size_bytes, row.start_time, row.end_time), (7, Timestamp(25), Timestamp(30)));
    let row = state.upload(failing).await.unwrap().unwrap();
    assert_eq!((row.size_bytes, row.message.as_str(), row.end_time), (3, "broke off", Timestamp(30)));
}

pub async fn refused_uploads_beyond_a_bound_are_counted_without_a_row(state: &dyn State) {
    let id = start(state, "/a", SyncType::IncrementalSync).await;
    let refuse = async |rows_max: u64| {
        let refused = RefusedUpload {
            sync_id: id,
            file_name: "../x".into(),
            folder: path("/a"),
            target: None,
            message: "no name".into(),
            size_bytes: 0,
            rows_max,
            begun_at: Timestamp(25),
            at: Timestamp(30),
        };
        state.refuse_upload(&refused).await.unwrap()
    };
    assert_eq!((refuse(2).await, refuse(0).await), (Some(UploadId(1)), None));
    assert_eq!((refuse(2).await, refuse(2).await, refuse(3).await), (Some(UploadId(2)), None, Some(UploadId(3))));
    // Later rows are numbered without gaps, in the history and in the sync.
    assert_eq!(finish(state, id, "/a/1.csv").await, UploadId(4));
    land_upload(state, whole(None, id, "/a/2.csv"), None, 31).await;
    let sync = record(state, id).await.sync;
    assert_eq!((sync.total_files, sync.num_failed, sync.num_unlisted), (7, 5, 2));
    assert_eq!((sync.num_landed(), sync.num_listed()), (2, 5));
    let rows = async |from, size, order, status| -> Vec<u64> {
        let query = UploadQuery { sync_id: Some(id), status, ..uploads(page(from, size, order)) };
        state.uploads(&query).await.unwrap().iter().map(|upload| upload.history_id.0).collect()
    };
    assert_eq!(rows(0, 10, Order::Asc, None).await, [1, 2, 3, 4, 5]);
    assert_eq!(rows(1, 2, Order::Desc, None).await, [4, 3]);
    assert_eq!(rows(3, 9, Order::Asc, None).await, [4, 5]);
    assert_eq!(rows(1, 9, Order::Asc, Some(Status::Failed)).await, [2, 3]);
    assert!(state.miscounts().await.unwrap().is_empty());
    state.recount().await.unwrap();
    assert_eq!(record(state, id).await.sync, sync);
    assert!(state.miscounts().await.unwrap().is_empty());
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

pub async fn a_closing_is_stored_until_settled_and_settling_is_idempotent(state: &dyn State) {
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

    state.reopen_sync(id, "in the way", Timestamp(45)).await.unwrap();
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

pub async fn a_sync_expires_unless_it_was_used_since(state: &dyn State) {
    let id = start(state, "/a", SyncType::FullSync).await;
    let expired = Closing::Abort { reason: TrashReason::Expired, message: "expired".into(), by: "me".into() };
    let expire = async |before: i64| state.expire_sync(id, &expired, Timestamp(before), Timestamp(90)).await;
    assert_eq!(state.idle_syncs(Timestamp(11)).await.unwrap(), [id]);
    // It lands at 30, with a row of its own only then.
    land_upload(state, whole(None, id, "/a/1.csv"), None, 30).await;
    assert!(!expire(11).await.unwrap() && !expire(30).await.unwrap());
    assert_eq!(record(state, id).await.phase, Phase::Open);
    let upload = begin(state, id, "/a/2.csv").await;
    assert!(matches!(expire(31).await, Err(Error::UploadsInFlight { .. })));
    state.fail_upload(upload, "broke off", 0, Timestamp(40)).await.unwrap();
    assert!(!expire(40).await.unwrap() && expire(41).await.unwrap());
    assert_eq!(record(state, id).await.closing, Some(expired.clone()));
    assert!(matches!(expire(41).await, Err(Error::SyncEnding(_))));
}

pub async fn a_path_within_a_sync_finds_rows_of_that_sync_alone(state: &dyn State) {
    let kind = SyncType::IncrementalSync;
    let (first, second) = (start(state, "/a", kind).await, start(state, "/a", kind).await);
    finish(state, first, "/a/x").await;
    finish(state, second, "/a/x").await;
    finish(state, second, "/a/y").await;
    begin(state, first, "/a/x").await;
    let found = async |sync_id, place: &str, status, order| -> Vec<u64> {
        let page = page(0, 9, order);
        let wanted =
            UploadQuery { page, sync_id: Some(sync_id), path: Some(path(place)), status, text: None, scope: None };
        state.uploads(&wanted).await.unwrap().iter().map(|row| row.history_id.0).collect()
    };
    for is_folder in [false, true] {
        if is_folder {
            // A file once, and a folder later: its name means both.
            finish(state, second, "/a/x/z").await;
        }
        let below: &[u64] = if is_folder { &[5] } else { &[] };
        let (asc, desc) = (Order::Asc, Order::Desc);
        assert_eq!(found(first, "/a/x", None, asc).await, [1, 4]);
        assert_eq!(found(first, "/a/x", Some(Status::Finished), desc).await, [1]);
        assert_eq!(found(first, "/a/x", Some(Status::Syncing), asc).await, [4]);
        assert_eq!(found(first, "/a/x", Some(Status::Failed), asc).await, [0; 0]);
        assert_eq!(found(first, "/a/y", Some(Status::Finished), asc).await, [0; 0]);
        assert_eq!(found(second, "/a/x", Some(Status::Finished), asc).await, [&[2], below].concat());
        assert_eq!(found(second, "/a/x", Some(Status::Finished), desc).await, [below, &[2]].concat());
        assert_eq!(found(second, "/a", Some(Status::Finished), asc).await, [&[2, 3], below].concat());
    }
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

pub async fn a_held_or_silent_full_sync_is_superseded_only_by_a_start_on_its_own_path(state: &dyn State) {
    let old = start(state, "/a", SyncType::FullSync).await;
    let upload = begin(state, old, "/a/1.csv").await;
    let supersede = Supersede { sync_id: old, silent_since: Timestamp(20), num_idle_uploads: 1 };
    let is_refused = async |on: &str, supersede: Supersede| {
        let refused = state.supersede_sync(&new_sync(on, SyncType::FullSync), &supersede).await;
        assert!(matches!(refused, Err(Error::PathHeld { sync_id, .. }) if sync_id == old), "{on}, {supersede:?}");
        assert_eq!(record(state, old).await.phase, Phase::Open);
    };
    is_refused("/a", Supersede { num_idle_uploads: 0, ..supersede }).await;
    is_refused("/a", Supersede { silent_since: Timestamp(19), ..supersede }).await;
    is_refused("/a", Supersede { sync_id: SyncId(9), ..supersede }).await;
    is_refused("/a/b", supersede).await;
    let new = new_sync("/a", SyncType::IncrementalSync);
    let successor = state.supersede_sync(&new, &supersede).await.unwrap();
    assert_eq!(successor, SyncId(2));
    let closed = record(state, old).await;
    assert_eq!((closed.phase, closed.closing), (Phase::Aborting, Some(superseded_by(successor, "etl".into()))));
    let row = state.upload(upload).await.unwrap().unwrap();
    assert_eq!(row.sync_status, Status::Failed);
    assert!(row.message.contains("superseded by sync 2"), "{}", row.message);
    // Late uploads learn the sync to continue with.
    let late = RefusedUpload {
        sync_id: old,
        file_name: "x".into(),
        folder: path("/a"),
        target: None,
        message: String::new(),
        size_bytes: 0,
        begun_at: Timestamp(25),
        at: Timestamp(30),
        rows_max: 9,
    };
    let refused = state.refuse_upload(&late).await;
    assert!(matches!(refused, Err(Error::SyncEnded { message, .. }) if message == "superseded by sync 2"));
    // An incremental sync is never superseded, however long it is idle.
    let supersede = Supersede { sync_id: successor, silent_since: Timestamp(99), num_idle_uploads: 9 };
    let refused = state.supersede_sync(&new_sync("/a", SyncType::FullSync), &supersede).await;
    assert!(refused.is_err());

    // A held sync is superseded at once.
    let held = start(state, "/b", SyncType::FullSync).await;
    let totals = Totals { files: 1, bytes: 1 };
    let hold = Hold { since: Timestamp(50), replaced: totals, published: Totals::default(), differing_files: 0 };
    state.hold_sync(held, hold, &"etl".into()).await.unwrap();
    let supersede = Supersede { sync_id: held, silent_since: Timestamp(1), num_idle_uploads: 0 };
    state.supersede_sync(&new_sync("/b", SyncType::FullSync), &supersede).await.unwrap();
    let closed = record(state, held).await;
    assert_eq!((closed.phase, closed.sync.held), (Phase::Aborting, None));
}
