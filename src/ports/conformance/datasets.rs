//! Conformance: datasets, and their counts by day.

use super::{DIGEST, begin, finishing, land_upload, new_sync, path, publish, start, trash_of, whole};
use crate::model::dataset::day::{DAY_MS, Day};
use crate::model::dataset::record::{DayCounts, DayOfType};
use crate::model::dataset::schedule::{Arrival, DeliverySchedule, Every, SLOT_MS};
use crate::model::id::SyncId;
use crate::model::page::{Order, Page};
use crate::model::path::LakePath;
use crate::model::sync::end::Settlement;
use crate::model::sync::job::Closing;
use crate::model::sync::start::NewSync;
use crate::model::sync::status::{Status, SyncType};
use crate::model::time::Timestamp;
use crate::model::totals::Totals;
use crate::model::trash::NewTrash;
use crate::model::trash::TrashReason;
use crate::ports::metadata::State;
use crate::ports::metadata::dataset::{DatasetQuery, Uncounted};
use crate::ports::metadata::upload::RefusedUpload;

/// A time on day 20 or later.
fn at(day: i64, slot: i64) -> Timestamp {
    Timestamp((20 + day) * DAY_MS + slot * SLOT_MS)
}

async fn start_at(state: &dyn State, dataset: &str, sync_type: SyncType, at: Timestamp) -> SyncId {
    state.start_sync(&NewSync { at, ..new_sync(dataset, sync_type) }).await.unwrap()
}

async fn land_at(state: &dyn State, id: SyncId, file: &str, at: Timestamp) {
    land_upload(state, whole(None, id, file), None, at.0).await;
}

async fn settle(state: &dyn State, id: SyncId, status: Status, trash: Option<NewTrash>, at: Timestamp) {
    let message = String::new();
    state.settle_sync(&Settlement { sync_id: id, status, message, trash, at }).await.unwrap();
}

fn all_datasets() -> DatasetQuery {
    DatasetQuery { page: Page::FIRST, path: None, text: None, scope: None, has_schedule: false }
}

async fn listed(state: &dyn State, query: DatasetQuery) -> Vec<String> {
    let records = state.dataset_records(&query).await.unwrap();
    records.into_iter().map(|record| record.path.to_string()).collect()
}

fn counts(files: u64, failed: u64, syncs: u64, failed_syncs: u64) -> DayCounts {
    DayCounts { files, bytes: files * DIGEST.size_bytes, failed, syncs, failed_syncs }
}

fn day(day: i64, sync_type: SyncType, counts: DayCounts) -> DayOfType {
    DayOfType { day: Day(20 + day), sync_type, counts }
}

pub async fn each_day_counts_its_landed_failed_and_started_work(state: &dyn State) {
    use SyncType::{FullSync, IncrementalSync};
    let one = start_at(state, "/a/b", IncrementalSync, at(0, 0)).await;
    land_at(state, one, "/a/b/1.csv", at(0, 1)).await;
    land_at(state, one, "/a/b/2.csv", at(1, 0)).await;
    let refused = RefusedUpload {
        sync_id: one,
        file_name: "../x".into(),
        folder: path("/a/b"),
        target: None,
        message: "no".into(),
        size_bytes: 9,
        rows_max: 9,
        begun_at: at(0, 2),
        at: at(1, 1),
    };
    state.refuse_upload(&refused).await.unwrap();
    let upload = begin(state, one, "/a/b/3.csv").await;
    state.fail_upload(upload, "it broke off", 2, at(1, 2)).await.unwrap();
    begin(state, one, "/a/b/4.csv").await;
    state.close_sync(one, &finishing(), true, at(2, 0)).await.unwrap();
    let other = start_at(state, "/b", FullSync, at(2, 0)).await;
    land_at(state, other, "/b/5.csv", at(2, 1)).await;
    let closing = Closing::Abort { reason: TrashReason::Aborted, message: String::new(), by: "".into() };
    state.close_sync(other, &closing, false, at(2, 2)).await.unwrap();
    for _ in 0..2 {
        settle(state, other, Status::Failed, None, at(3, 0)).await;
    }

    let days = [
        day(0, IncrementalSync, counts(1, 0, 1, 0)),
        day(1, IncrementalSync, counts(1, 2, 0, 0)),
        day(2, FullSync, counts(1, 0, 1, 0)),
        day(2, IncrementalSync, counts(0, 1, 0, 0)),
        day(3, FullSync, counts(0, 0, 0, 1)),
    ];
    let within = async |path: &str| state.days(Some(&super::path(path)), Day(20), Day(23)).await.unwrap();
    assert_eq!(state.days(None, Day(20), Day(23)).await.unwrap(), days);
    let of_one = [days[0], days[1], days[3]];
    let of_other = [days[2], days[4]];
    assert_eq!(within("/a").await, of_one);
    assert_eq!(within("/b").await, of_other);
    assert_eq!(within("/c").await, []);
    let paths = [path("/a"), path("/b"), path("/c"), path("/a/b"), path("/b")];
    let of_each: [&[DayOfType]; 5] = [&[], &of_other, &[], &of_one, &of_other];
    assert_eq!(state.days_of(&paths, Day(20), Day(23)).await.unwrap(), of_each);
    assert_eq!(state.days_of(&paths[3..4], Day(21), Day(21)).await.unwrap(), [&days[1..2]]);
    assert_eq!(state.days_of(&[], Day(20), Day(23)).await.unwrap(), Vec::<Vec<_>>::new());
    assert_eq!(state.days(None, Day(21), Day(21)).await.unwrap(), days[1..2]);
    assert_eq!(state.busiest(Day(20), None, 9).await.unwrap(), [path("/a/b"), path("/b")]);
    assert_eq!(state.busiest(Day(22), None, 9).await.unwrap(), [path("/b")]);
    assert_eq!(state.busiest(Day(20), Some(&path("/a")), 9).await.unwrap(), [path("/a/b")]);
    assert_eq!(state.busiest(Day(20), None, 1).await.unwrap(), [path("/a/b")]);
    assert_eq!(state.miscounts().await.unwrap(), []);
    state.recount().await.unwrap();
    assert_eq!(state.days(None, Day(20), Day(23)).await.unwrap(), days);

    let failed = |since| async move {
        let failed = state.failed_syncs(since, None, 9).await.unwrap();
        failed.into_iter().map(|sync| sync.sync_id).collect::<Vec<_>>()
    };
    assert_eq!(failed(at(3, 0)).await, [other]);
    assert_eq!(failed(at(3, 1)).await, []);
}

/// Asked together, the datasets travel as one text.
pub async fn datasets_whose_paths_look_like_text_are_counted_apart(state: &dyn State) {
    let paths: Vec<_> =
        [r#"/a"b"#, "/a'b", "/a],[b", "/a%b", "/a_b", "/aXb", "/a ß", "/a 😀", "/a;b", "/0", "/null", "/A'B"]
            .map(path)
            .into();
    for (number, dataset) in paths.iter().enumerate() {
        let id = start_at(state, dataset.as_str(), SyncType::IncrementalSync, at(0, 0)).await;
        for file in 0..=number {
            land_at(state, id, &format!("{dataset}/{file}.csv"), at(0, 1)).await;
        }
    }
    let asked: Vec<_> = paths.iter().rev().cloned().collect();
    let files = |number: usize| paths.len() as u64 - number as u64;
    let days = state.days_of(&asked, Day(20), Day(20)).await.unwrap();
    let arrivals = state.arrivals(&asked, at(0, 0)).await.unwrap();
    assert_eq!((days.len(), arrivals.len()), (paths.len(), paths.len()));
    for (number, (days, arrivals)) in days.iter().zip(&arrivals).enumerate() {
        let files = files(number);
        assert_eq!(*days, [day(0, SyncType::IncrementalSync, counts(files, 0, 1, 0))], "{}", asked[number]);
        let bytes = files * DIGEST.size_bytes;
        assert_eq!(*arrivals, [Arrival { slot: at(0, 1), files, bytes }], "{}", asked[number]);
    }
}

pub async fn a_file_has_arrived_when_readers_see_it(state: &dyn State) {
    let one = start_at(state, "/a", SyncType::IncrementalSync, at(0, 0)).await;
    for slot in [1, 1, 3] {
        land_at(state, one, "/a/1.csv", at(0, slot)).await;
    }
    state.close_sync(one, &finishing(), false, at(0, 4)).await.unwrap();
    let other = start_at(state, "/a", SyncType::FullSync, at(0, 5)).await;
    land_at(state, other, "/a/1.csv", at(0, 5)).await;
    land_at(state, other, "/a/2.csv", at(0, 6)).await;
    let of = async |dataset: &str, since| state.arrivals(&[path(dataset)], since).await.unwrap().remove(0);
    let arrival = |slot, files| Arrival { slot: at(0, slot), files, bytes: files * DIGEST.size_bytes };
    assert_eq!(of("/a", at(0, 0)).await, [arrival(1, 2), arrival(3, 1)], "it is staged");
    state.close_sync(other, &publish(), false, at(0, 7)).await.unwrap();
    for _ in 0..2 {
        settle(state, other, Status::Finished, Some(trash_of(other, "/a")), at(0, 8)).await;
    }
    assert_eq!(of("/a", Timestamp(at(0, 3).0 + 7)).await, [arrival(3, 1), arrival(8, 2)]);
    assert_eq!(of("/b", at(0, 0)).await, []);
    let several = state.arrivals(&[path("/b"), path("/a"), path("/a")], at(0, 3)).await.unwrap();
    let of_a = vec![arrival(3, 1), arrival(8, 2)];
    assert_eq!(several, [vec![], of_a.clone(), of_a]);
    let record = state.dataset_record(&path("/a")).await.unwrap().unwrap();
    assert_eq!((record.first_landed, record.last_landed, record.last_sync_id), (at(0, 1), at(0, 8), other));
    assert_eq!(state.miscounts().await.unwrap(), []);

    let versions = state.versions(&path("/a"), 9).await.unwrap();
    assert_eq!(versions.len(), 1);
    state.count_trash(versions[0].trash_id, Totals { files: 3, bytes: 15 }).await.unwrap();
    assert_eq!(state.trash_bytes().await.unwrap(), 15);
    assert_eq!(state.versions(&path("/a/1.csv"), 9).await.unwrap(), []);
}

pub async fn datasets_are_listed_and_keep_their_schedule(state: &dyn State) {
    for dataset in ["/b", "/a/c", "/a", "/a-b"] {
        let id = start(state, dataset, SyncType::IncrementalSync).await;
        land_at(state, id, &format!("{dataset}/1.csv"), at(0, 0)).await;
        state.close_sync(id, &finishing(), false, at(0, 1)).await.unwrap();
    }
    start(state, "/nothing/has/landed", SyncType::IncrementalSync).await;
    assert_eq!(listed(state, all_datasets()).await, ["/a", "/a-b", "/a/c", "/b"]);
    let page = Page { from: 1, size: 2, order: Order::Asc };
    assert_eq!(listed(state, DatasetQuery { page, ..all_datasets() }).await, ["/a-b", "/a/c"]);
    let below = |place: &str| DatasetQuery { path: Some(path(place)), ..all_datasets() };
    assert_eq!(listed(state, below("/a")).await, ["/a", "/a/c"]);
    assert_eq!(listed(state, DatasetQuery { scope: Some(path("/b")), ..all_datasets() }).await, ["/b"]);
    assert_eq!(listed(state, DatasetQuery { text: Some("C".into()), ..all_datasets() }).await, ["/a/c"]);

    let rhythm = DeliverySchedule::new(Every::Day, Some("07:00"), 10, 0).unwrap();
    let expected = DatasetQuery { has_schedule: true, ..all_datasets() };
    assert!(state.set_schedule(&path("/a"), Some(&rhythm), &"me".into(), Timestamp(5)).await.unwrap());
    assert!(!state.set_schedule(&path("/none"), Some(&rhythm), &"me".into(), Timestamp(5)).await.unwrap());
    assert_eq!(listed(state, expected.clone()).await, ["/a"]);
    assert_eq!(state.dataset_record(&path("/a")).await.unwrap().unwrap().rhythm, Some(rhythm));
    assert!(state.set_schedule(&path("/a"), None, &"me".into(), Timestamp(5)).await.unwrap());
    assert_eq!(listed(state, expected).await, Vec::<String>::new());
    assert_eq!(state.dataset_record(&path("/none")).await.unwrap(), None);
}

async fn uncounted(state: &dyn State, now: Timestamp) -> Vec<Uncounted> {
    state.uncounted_datasets(now, 9).await.unwrap()
}

pub async fn a_dataset_is_counted_again_after_a_change(state: &dyn State) {
    let outer = start(state, "/a", SyncType::IncrementalSync).await;
    land_at(state, outer, "/a/1.csv", at(0, 0)).await;
    let inner = start(state, "/a/b", SyncType::IncrementalSync).await;
    land_at(state, inner, "/a/b/1.csv", at(0, 0)).await;
    let paths = |uncounted: &[Uncounted]| {
        let mut paths: Vec<LakePath> = uncounted.iter().map(|uncounted| uncounted.path.clone()).collect();
        paths.sort();
        paths
    };
    let first = uncounted(state, at(0, 1)).await;
    assert_eq!(paths(&first), [path("/a"), path("/a/b")]);
    let totals = Totals { files: 2, bytes: 10 };
    for counted in &first {
        state.count_dataset(counted, totals, at(0, 2), at(0, 3)).await.unwrap();
    }
    assert_eq!(uncounted(state, at(9, 0)).await, []);
    let counted = async |dataset: &str| {
        let counted = state.dataset_record(&path(dataset)).await.unwrap().unwrap().counted.unwrap();
        (counted.totals, counted.at, counted.is_current)
    };
    assert_eq!(counted("/a").await, (totals, at(0, 2), true));

    land_at(state, inner, "/a/b/2.csv", at(0, 2)).await;
    assert_eq!(counted("/a").await, (totals, at(0, 2), false));
    assert_eq!(uncounted(state, at(0, 2)).await, [], "not so soon again");
    let second = uncounted(state, at(0, 3)).await;
    assert_eq!(paths(&second), [path("/a"), path("/a/b")]);
    // An older count does not replace a newer one.
    state.count_dataset(&second[0], Totals { files: 3, bytes: 15 }, at(0, 4), at(0, 4)).await.unwrap();
    state.count_dataset(&first[0], totals, at(0, 5), at(0, 5)).await.unwrap();
    let recounted = second[0].path.to_string();
    assert_eq!(counted(&recounted).await, (Totals { files: 3, bytes: 15 }, at(0, 4), true));

    for id in [inner, outer] {
        state.close_sync(id, &finishing(), false, at(0, 6)).await.unwrap();
    }
    let full = start(state, "/a/b", SyncType::FullSync).await;
    land_at(state, full, "/a/b/1.csv", at(0, 7)).await;
    for counted in uncounted(state, at(0, 8)).await {
        state.count_dataset(&counted, totals, at(0, 8), at(0, 8)).await.unwrap();
    }
    assert_eq!(uncounted(state, at(0, 8)).await, [], "what is staged changes nothing");
    state.close_sync(full, &publish(), false, at(0, 9)).await.unwrap();
    settle(state, full, Status::Finished, Some(trash_of(full, "/a/b")), at(0, 9)).await;
    let third = uncounted(state, at(0, 9)).await;
    assert_eq!(paths(&third), [path("/a"), path("/a/b")]);
    for counted in &third {
        state.count_dataset(counted, totals, at(0, 9), at(0, 9)).await.unwrap();
    }
    let item = state.versions(&path("/a/b"), 1).await.unwrap().remove(0).trash_id;
    state.begin_restore(item, &crate::model::storage_path::Identity("5".into()), &"me".into()).await.unwrap();
    for _ in 0..2 {
        state.finish_restore(item, None, at(0, 10)).await.unwrap();
    }
    assert_eq!(paths(&uncounted(state, at(0, 9)).await), [path("/a"), path("/a/b")]);
}
