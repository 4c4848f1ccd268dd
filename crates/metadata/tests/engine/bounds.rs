//! Bounds of what one caller may have open or running.

use crate::bench::{Bench, bench, block_on, caller, lake};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select, select_all};
use lakeshore::model::access::key::{Caller, Grant};
use lakeshore::model::access::role::Role;
use lakeshore::model::error::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::{OPEN_SYNCS_SHARE_MAX, PREVIEWS_SHARE_MAX, SNAPSHOTS_MADE_SHARE_MAX};
use lakeshore::model::path::LakePath;
use lakeshore::model::preview::{Inspected, Preview};
use lakeshore::model::settings::Limits;
use lakeshore::model::snapshot_requests::TakeSnapshot;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::SyncType;
use lakeshore::model::trash::LookIntoTrash;
use lakeshore::model::upload::request::UploadRequest;
use lakeshore::ports::Formats;
use lakeshore::ports::memory::CountingRandomness;
use lakeshore::ports::storage::OpenFile;
use std::sync::Arc;

fn start(path: &str, sync_type: SyncType) -> StartSync {
    StartSync { name: "n".into(), path: path.into(), sync_type, expected: None }
}

/// Publishes a full sync of `/b` with one file.
async fn publish(bench: &Bench, bytes: &'static [u8]) {
    let id = bench.lake.start_sync(&caller(), &start("/b", SyncType::FullSync)).await.unwrap();
    let destination = bench.lake.destination(&caller(), id, None).await.unwrap();
    let mut upload = destination.begin(UploadRequest::named("f")).await.unwrap();
    upload.write(Bytes::from_static(bytes)).await.unwrap();
    upload.land().await.unwrap();
    bench.lake.end_sync(&caller(), &EndSync::new(id)).await.unwrap();
}

#[test]
fn a_key_has_a_share_of_open_syncs_and_an_end_makes_room() {
    block_on(async {
        let bench = bench(0).await;
        let another = Caller::Known(Grant::new("other", Role::Admin, None));
        let begin =
            async |caller: &Caller| bench.lake.start_sync(caller, &start("/a", SyncType::IncrementalSync)).await;
        for _ in 1..OPEN_SYNCS_SHARE_MAX {
            begin(&caller()).await.unwrap();
        }
        let refused = begin(&caller()).await.unwrap_err();
        assert!(refused.to_string().contains("you have 1000 open syncs"), "{refused}");
        assert!(matches!(refused, Error::OverShare { .. }));
        let of_another = begin(&another).await.unwrap();
        let full = bench.lake.start_sync(&another, &start("/a/t", SyncType::FullSync)).await;
        assert!(
            matches!(full, Err(Error::PathHeld { sync_id, .. }) if sync_id == bench.sync_id),
            "the oldest: {full:?}"
        );
        bench.lake.end_sync(&caller(), &EndSync::new(bench.sync_id)).await.unwrap();
        assert!(begin(&caller()).await.unwrap() > of_another);
    });
}

#[test]
fn starts_find_the_oldest_open_sync_on_their_path_above_and_below_it() {
    block_on(async {
        let bench = bench(0).await;
        let begin = async |path: &str, sync_type| bench.lake.start_sync(&caller(), &start(path, sync_type)).await;
        let (below, above, aside) = ("/d/t/dt=1", "/d", "/d/t0");
        let mut open: Vec<SyncId> = Vec::new();
        for path in [aside, below, above, "/d/t"] {
            open.push(begin(path, SyncType::IncrementalSync).await.unwrap());
        }
        // Not the one aside, whose path only begins with the same letters.
        for expected in open.drain(1..) {
            let refused = begin("/d/t", SyncType::FullSync).await;
            assert!(matches!(refused, Err(Error::PathHeld { sync_id, .. }) if sync_id == expected), "{refused:?}");
            bench.lake.end_sync(&caller(), &EndSync::new(expected)).await.unwrap();
        }
        let full = begin("/d/t", SyncType::FullSync).await.unwrap();
        for path in [below, above, "/d/t"] {
            let refused = begin(path, SyncType::IncrementalSync).await;
            assert!(matches!(refused, Err(Error::PathHeld { sync_id, .. }) if sync_id == full), "{refused:?}");
        }
        begin(aside, SyncType::IncrementalSync).await.unwrap();
    });
}

/// Previews that never end.
struct EndlessFormats;

#[async_trait]
impl Formats for EndlessFormats {
    async fn preview(&self, _: Arc<dyn OpenFile>, _: &str, _: u64) -> Result<Preview, Error> {
        std::future::pending().await
    }

    async fn inspect(&self, _: Arc<dyn OpenFile>, _: &str) -> Result<Inspected, Error> {
        std::future::pending().await
    }
}

#[test]
fn previews_of_trashed_files_take_turns_with_the_others_of_their_caller() {
    block_on(async {
        let bench = bench(0).await;
        publish(&bench, b"1").await;
        publish(&bench, b"2").await;
        let trash_id = bench.lake.trash(&caller(), &Default::default()).await.unwrap()[0].trash_id;
        let randomness = Arc::new(CountingRandomness::default());
        let formats = Arc::new(EndlessFormats);
        let lake = lake(&bench.state, &bench.files, formats, bench.clock.clone(), randomness, Limits::default());
        let look = |relative: Option<&str>| LookIntoTrash {
            trash_id,
            relative: relative.map(str::to_owned),
            from: None,
            size: None,
        };
        let file = look(Some("f"));
        let caller = caller();
        let looks = (0..=PREVIEWS_SHARE_MAX).map(|_| Box::pin(lake.look_into_trash(&caller, &file)));
        let (refused, _, others) = select_all(looks).await;
        assert!(matches!(refused, Err(Error::OverShare { .. })), "{refused:?}");
        lake.look_into_trash(&caller, &look(None)).await.unwrap();
        assert_eq!(others.len(), PREVIEWS_SHARE_MAX, "the list of its folder waits for none of them");
    });
}

#[test]
fn a_caller_makes_one_snapshot_at_a_time() {
    block_on(async {
        // No pause ends, and files in memory are looked up again after one.
        let bench = bench(0).await;
        publish(&bench, b"1").await;
        let path = LakePath::parse("/b").unwrap();
        let wanted = TakeSnapshot { path, version: None, as_of: None, lifetime: None };
        let caller = caller();
        let taken = (0..=SNAPSHOTS_MADE_SHARE_MAX).map(|_| Box::pin(bench.lake.take_snapshot(&caller, &wanted)));
        let (refused, _, others) = select_all(taken).await;
        assert!(matches!(refused, Err(Error::OverShare { .. })), "{refused:?}");
        assert_eq!(others.len(), SNAPSHOTS_MADE_SHARE_MAX);
        let paused = select(select_all(others), Box::pin(bench.clock.paused())).await;
        assert!(matches!(paused, Either::Right(_)), "none is made while the first pauses");
        assert_eq!(bench.state.snapshots().await.unwrap().len(), 1, "the others have not begun");
    });
}
