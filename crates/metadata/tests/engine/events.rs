//! Events: which are published, and to whom.

use crate::bench::{self, Database, runtime};
use futures_util::FutureExt;
use lakeshore::model::access::key::{Caller, Grant};
use lakeshore::model::access::network::Network;
use lakeshore::model::access::principal::Principal;
use lakeshore::model::access::role::Role;
use lakeshore::model::dataset::record::SetSchedule;
use lakeshore::model::dataset::schedule::{DeliverySchedule, Every};
use lakeshore::model::error::Error;
use lakeshore::model::event::EventFilter;
use lakeshore::model::event::{Event, EventId, EventKind};
use lakeshore::model::id::KeyId;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::{EVENTS_KEPT_MAX, SUBSCRIBERS_MAX, SUBSCRIBERS_SHARE_MAX};
use lakeshore::model::path::LakePath;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::sync::status::SyncType::{FullSync, IncrementalSync};
use lakeshore::model::time::Timestamp;
use lakeshore::model::upload::request::UploadRequest;
use lakeshore::ports::Clock;
use lakeshore::ports::memory::{CountingRandomness, ManualClock, MemoryFiles, MemoryFormats};
use lakeshore::service::{IncomingUpload, Lake, SerializedEvent, Subscription};
use proptest::prelude::*;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A lake, with the runtime that does its writing.
struct Tested {
    lake: Lake,
    clock: Arc<ManualClock>,
    runtime: Runtime,
    _database: Database,
}

impl Tested {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Deref for Tested {
    type Target = Lake;

    fn deref(&self) -> &Lake {
        &self.lake
    }
}

fn new_lake() -> Tested {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let runtime = runtime();
    let database = runtime.block_on(Database::new());
    let (files, randomness) = (MemoryFiles::default(), Arc::new(CountingRandomness::default()));
    let limits = Limits::default();
    let lake = bench::lake(&database.state, &files, Arc::new(MemoryFormats), clock.clone(), randomness, limits);
    Tested { lake, clock, runtime, _database: database }
}

fn caller(prefix: Option<&str>) -> Caller {
    let path_prefix = prefix.map(|prefix| LakePath::parse(prefix).unwrap());
    Caller::Known(Grant::new("etl", Role::Admin, path_prefix))
}

fn start(lake: &Tested, path: &str, sync_type: SyncType) -> SyncId {
    let start = StartSync { name: "n".into(), path: path.into(), sync_type, expected: None };
    lake.block_on(lake.start_sync(&caller(None), &start)).unwrap()
}

fn upload(lake: &Tested, id: SyncId, name: &str) {
    lake.block_on(async {
        let destination = lake.destination(&caller(None), id, None).await.unwrap();
        let mut upload = destination.begin(UploadRequest::named(name)).await.unwrap();
        upload.write(vec![7; 10].into()).await.unwrap();
        upload.land().await.unwrap();
    });
}

fn tell(lake: &Tested) {
    lake.block_on(lake.publish_events());
}

/// Events of a subscription, without waiting for more.
fn heard(subscription: &mut Subscription) -> Vec<Arc<SerializedEvent>> {
    let mut heard = Vec::new();
    while let Some(told) = subscription.next().now_or_never() {
        heard.extend(told);
    }
    heard
}

fn kinds(told: &[Arc<SerializedEvent>]) -> Vec<&'static str> {
    told.iter().map(|told| told.kind).collect()
}

/// An upload that moves each second: an event that costs the database nothing.
struct Moving(IncomingUpload);

impl Moving {
    fn begin(lake: &Tested, id: SyncId) -> Self {
        let upload = lake.block_on(async {
            let destination = lake.destination(&caller(None), id, None).await.unwrap();
            let mut upload = destination.begin(UploadRequest::named("moving")).await.unwrap();
            // Beyond what is gathered before it is registered.
            upload.write(vec![7; 200_000].into()).await.unwrap();
            upload
        });
        Self(upload)
    }

    fn go_on(&mut self, lake: &Tested) {
        lake.block_on(self.0.write(vec![7; 1].into())).unwrap();
        lake.clock.set(lake.clock.now().plus(Duration::from_secs(1)));
        tell(lake);
    }
}

const HERE: Network = Network::V4([192, 0, 2, 1]);

fn subscribe(lake: &Tested, last: Option<EventId>) -> Subscription {
    lake.subscribe(&caller(None), HERE, EventFilter::default(), last).unwrap()
}

#[test]
fn landings_between_two_tellings_are_one_event_that_counts_them_all_and_names_some() {
    let lake = new_lake();
    let mut listener = subscribe(&lake, None);
    let id = start(&lake, "/a", IncrementalSync);
    for number in 0..30 {
        upload(&lake, id, &format!("{number}.csv"));
    }
    upload(&lake, id, "0.csv");
    tell(&lake);
    let told = heard(&mut listener);
    assert_eq!(kinds(&told), ["ready", "sync_started", "uploads_landed"]);
    let Event { happened: EventKind::UploadsLanded { sync, num_files, size_bytes, num_replaced, files }, .. } =
        serde_json::from_str(&told[2].json).unwrap()
    else {
        panic!("{}", told[2].json)
    };
    assert_eq!((num_files, size_bytes, num_replaced, files.len()), (31, 310, 1, 10));
    assert_eq!((sync.total_files, files[1].path.as_str()), (31, "/a/1.csv"));
    tell(&lake);
    assert_eq!(heard(&mut listener).len(), 0, "told once");
}

#[test]
fn an_end_is_told_behind_the_landings_before_it_by_what_has_become_of_the_sync() {
    let lake = new_lake();
    let mut listener = subscribe(&lake, None);
    let full = start(&lake, "/a", FullSync);
    upload(&lake, full, "a");
    lake.block_on(lake.end_sync(&caller(None), &EndSync::new(full))).unwrap();
    tell(&lake);
    let incremental = start(&lake, "/b", IncrementalSync);
    lake.block_on(lake.end_sync(&caller(None), &EndSync::new(incremental))).unwrap();
    tell(&lake);
    let aborted = start(&lake, "/b", FullSync);
    lake.block_on(lake.abort_sync(&caller(None), &EndSync::new(aborted))).unwrap();
    tell(&lake);
    let expected = [
        "ready",
        "sync_started",
        "uploads_landed",
        "sync_published",
        "sync_started",
        "sync_finished",
        "sync_started",
        "sync_failed",
    ];
    assert_eq!(kinds(&heard(&mut listener)), expected);
}

#[test]
fn a_refused_upload_is_told_and_so_is_what_comes_back_from_the_trash() {
    let lake = new_lake();
    let id = start(&lake, "/a", IncrementalSync);
    upload(&lake, id, "a");
    upload(&lake, id, "a");
    lake.block_on(async {
        let destination = lake.destination(&caller(None), id, None).await.unwrap();
        assert!(destination.begin(UploadRequest::named("../x")).await.is_err());
    });
    tell(&lake);
    let mut listener = subscribe(&lake, None);
    lake.block_on(lake.restore(&caller(None), lakeshore::model::id::TrashId(1))).unwrap();
    tell(&lake);
    assert_eq!(kinds(&heard(&mut listener)), ["ready", "trash_restored"]);
    let mut again = subscribe(&lake, Some(EventId { number: 0, ..lake.last_event() }));
    let all = heard(&mut again);
    let failed = all.iter().find(|told| told.kind == "upload_failed").unwrap();
    assert!(failed.json.contains("../x") && failed.json.contains(r#""path":"/a""#), "{}", failed.json);
}

#[test]
fn a_key_with_a_prefix_hears_of_nothing_outside_of_it_and_nobody_hears_without_a_key() {
    let lake = new_lake();
    assert!(matches!(lake.subscribe(&Caller::Anonymous, HERE, EventFilter::default(), None), Err(Error::NoKey)));
    let mut narrow = lake.subscribe(&caller(Some("/data/a")), HERE, EventFilter::default(), None).unwrap();
    let by_path = EventFilter { path: Some(LakePath::parse("/data").unwrap()), sync_id: None };
    let mut by_path = lake.subscribe(&caller(None), HERE, by_path, None).unwrap();
    let by_sync = EventFilter { sync_id: Some(SyncId(2)), path: None };
    let mut by_sync = lake.subscribe(&caller(None), HERE, by_sync, None).unwrap();
    for path in ["/data/a/t", "/data/ab", "/other"] {
        start(&lake, path, IncrementalSync);
    }
    tell(&lake);
    assert_eq!(kinds(&heard(&mut narrow)), ["ready", "sync_started"]);
    assert_eq!(heard(&mut by_path).len(), 3);
    let told = heard(&mut by_sync);
    assert!(told.len() == 2 && told[1].json.contains("/data/ab"));
    // Events passed over are heard, too: nobody has to come back to them.
    assert_eq!(narrow.last(), lake.last_event());
}

#[test]
fn a_reconnect_from_an_earlier_start_or_too_late_gets_a_reset() {
    let lake = new_lake();
    let before = lake.last_event();
    for last in [EventId { start: before.start ^ 1, ..before }, EventId { number: 1, ..before }] {
        let told = heard(&mut subscribe(&lake, Some(last)));
        assert_eq!((kinds(&told), told[0].id), (vec!["reset"], before));
    }
    let id = start(&lake, "/a", IncrementalSync);
    let mut slow = subscribe(&lake, None);
    let mut moving = Moving::begin(&lake, id);
    for _ in 0..=EVENTS_KEPT_MAX {
        moving.go_on(&lake);
    }
    let told = heard(&mut subscribe(&lake, Some(before)));
    assert_eq!(kinds(&told), ["reset"]);
    assert_eq!(kinds(&heard(&mut slow)), ["ready", "reset"], "so is who listens too slowly");
}

#[test]
fn more_listeners_than_there_may_be_are_refused_until_one_goes() {
    let lake = new_lake();
    let network = |number: usize| Network::V4([192, 0, 2, (number / SUBSCRIBERS_SHARE_MAX) as u8]);
    let listen = |number| lake.subscribe(&caller(None), network(number), EventFilter::default(), None);
    let mut all: Vec<_> = (0..SUBSCRIBERS_MAX).map(|number| listen(number).unwrap()).collect();
    assert!(matches!(listen(SUBSCRIBERS_MAX), Err(Error::TooManySubscribers)));
    all.pop();
    assert!(listen(SUBSCRIBERS_MAX).is_ok());
}

#[test]
fn one_caller_leaves_places_for_others() {
    let lake = new_lake();
    let listen = |key: Option<u64>, network| {
        let grant = |id| Grant { principal: Principal::Key(KeyId(id)), ..Grant::new("dashboard", Role::Read, None) };
        let caller = key.map_or(Caller::Guest(Network::Unknown), |id| Caller::Known(grant(id)));
        lake.subscribe(&caller, network, EventFilter::default(), None)
    };
    let elsewhere = Network::V4([192, 0, 2, 2]);
    for key in [None, Some(1)] {
        let mut all: Vec<_> = (0..SUBSCRIBERS_SHARE_MAX).map(|_| listen(key, HERE).unwrap()).collect();
        assert!(matches!(listen(key, HERE), Err(Error::OverShare { .. })));
        // A key is one caller, wherever it is used.
        assert_eq!(listen(key, elsewhere).is_ok(), key.is_none());
        assert!(listen(Some(2), HERE).is_ok());
        all.pop();
        assert!(listen(key, HERE).is_ok());
    }
}

#[test]
fn an_upload_in_flight_is_told_each_second_while_it_moves_and_once_when_it_stalls_or_leaves() {
    let lake = new_lake();
    let clock = lake.clock.clone();
    let id = start(&lake, "/a", IncrementalSync);
    let mut incoming = lake.block_on(async {
        let destination = lake.destination(&caller(None), id, None).await.unwrap();
        destination.begin(UploadRequest { length: Some(400_000), ..UploadRequest::named("big") }).await.unwrap()
    });
    lake.block_on(incoming.write(vec![7; 200_000].into())).unwrap();
    tell(&lake);
    let mut listener = subscribe(&lake, None);
    heard(&mut listener);
    let mut after = |milliseconds: u64| {
        clock.set(clock.now().plus(Duration::from_millis(milliseconds)));
        tell(&lake);
        heard(&mut listener)
    };
    let first = after(1000);
    assert_eq!(kinds(&first), ["upload_progress"]);
    let Event { happened: EventKind::UploadProgress { upload }, .. } = serde_json::from_str(&first[0].json).unwrap()
    else {
        panic!("{}", first[0].json)
    };
    assert_eq!(
        (upload.received_bytes, upload.expected_bytes, upload.sender.by.as_str()),
        (200_000, Some(400_000), "etl")
    );
    assert_eq!(after(1000).len(), 0, "it stands");
    lake.block_on(incoming.write(vec![7; 100_000].into())).unwrap();
    assert_eq!(after(500).len(), 0, "not more often than each second");
    assert_eq!(kinds(&after(500)), ["upload_progress"]);
    let stalled = after(30_000);
    assert!(stalled.len() == 1 && stalled[0].json.contains(r#""activity":"stalled""#), "{stalled:?}");
    lake.block_on(incoming.land()).unwrap();
    assert_eq!(kinds(&after(1000)), ["uploads_landed", "upload_left"]);
    assert!(lake.block_on(lake.in_flight(&caller(None), &Default::default())).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: bench::cases(256), failure_persistence: None, ..ProptestConfig::default() })]

    /// A listener that breaks off and comes back, again and again, hears what a constant one hears.
    #[test]
    fn a_listener_that_comes_back_misses_nothing(steps in prop::collection::vec((0..4_u8, 1..40_usize), 1..60)) {
        let lake = new_lake();
        let id = start(&lake, "/a", IncrementalSync);
        let mut moving = Moving::begin(&lake, id);
        tell(&lake);
        let mut constant = subscribe(&lake, None);
        let mut all: Vec<u64> = Vec::new();
        let mut flaky = Some(subscribe(&lake, None));
        let (mut seen, mut last) = (Vec::new(), lake.last_event());
        let note = |told: Vec<Arc<SerializedEvent>>, seen: &mut Vec<u64>| {
            for told in told {
                assert!(told.kind != "reset");
                if told.kind != "ready" {
                    seen.push(told.id.number);
                }
            }
        };
        for (step, count) in steps {
            match step {
                0 | 1 => {
                    for _ in 0..count {
                        moving.go_on(&lake);
                    }
                }
                2 => flaky = None,
                _ => {
                    let listener = flaky.get_or_insert_with(|| subscribe(&lake, Some(last)));
                    note(heard(listener), &mut seen);
                    last = listener.last();
                }
            }
        }
        let mut listener = subscribe(&lake, Some(last));
        note(heard(&mut listener), &mut seen);
        note(heard(&mut constant), &mut all);
        prop_assert_eq!(seen, all);
    }
}

#[test]
fn a_dataset_that_becomes_late_is_told_once_and_again_when_it_is_late_again() {
    let lake = new_lake();
    let clock = lake.clock.clone();
    let watch = || {
        lake.block_on(lake.watch_lateness()).unwrap();
        tell(&lake);
    };
    let land = || {
        let id = start(&lake, "/a", IncrementalSync);
        upload(&lake, id, "1.csv");
        lake.block_on(lake.end_sync(&caller(None), &EndSync::new(id))).unwrap();
    };
    land();
    let mut listener = subscribe(&lake, None);
    let late = |listener: &mut Subscription| {
        let told = heard(listener).into_iter().filter(|told| told.kind == "dataset_late");
        let path = |told: Arc<SerializedEvent>| match serde_json::from_str(&told.json).unwrap() {
            Event { happened: EventKind::DatasetLate { dataset }, .. } => dataset.path.to_string(),
            _ => panic!("{}", told.json),
        };
        told.map(path).collect::<Vec<_>>()
    };
    watch();
    let rhythm = DeliverySchedule::new(Every::Day, Some("07:00"), 1, 0).unwrap();
    let set = SetSchedule { path: LakePath::parse("/a").unwrap(), rhythm: Some(rhythm) };
    lake.block_on(lake.set_schedule(&caller(None), &set)).unwrap();
    watch();
    assert_eq!(late(&mut listener), [""; 0], "it came today");
    let pass = |hours: u64| clock.set(clock.now().plus(Duration::from_secs(hours * 3600)));
    pass(30);
    watch();
    assert_eq!(late(&mut listener), [""; 0], "it is 06:16 of the next day");
    pass(1);
    watch();
    watch();
    pass(1);
    watch();
    assert_eq!(late(&mut listener), ["/a"]);
    land();
    pass(1);
    watch();
    pass(24);
    watch();
    assert_eq!(late(&mut listener), ["/a"]);
}
