//! Ends and restores that a full disk keeps from their rows, and syncs that are used while they are about to expire.

use crate::bench::{Bench, SMALL, bench, block_on, caller};
use bytes::Bytes;
use lakeshore::model::error::Error;
use lakeshore::model::id::{SyncId, VersionNumber};
use lakeshore::model::limits::SETTLING_PAUSES;
use lakeshore::model::settings::Limits;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::upload::request::UploadRequest;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Pauses enough to settle, and to look a moved file up.
const PAUSES: usize = 100;

/// A full sync of `/b`, whose one file holds this.
async fn stage(bench: &Bench, bytes: &'static [u8]) -> SyncId {
    let sync_type = SyncType::FullSync;
    let start = StartSync { name: "n".into(), path: "/b".into(), sync_type, expected: None };
    let id = bench.lake.start_sync(&caller(), &start).await.unwrap();
    let mut upload =
        bench.lake.destination(&caller(), id, None).await.unwrap().begin(UploadRequest::named("f")).await.unwrap();
    upload.write(Bytes::from_static(bytes)).await.unwrap();
    upload.land().await.unwrap();
    id
}

fn full() -> Vec<Error> {
    (0..=SETTLING_PAUSES.len()).map(|_| Error::DiskFull).collect()
}

#[test]
fn a_publish_that_a_full_disk_keeps_from_its_row_is_not_called_refused_and_is_gone_on_with() {
    block_on(async {
        let bench = bench(SETTLING_PAUSES.len()).await;
        let id = stage(&bench, b"1").await;
        bench.fail("settle_sync", full());
        let told = bench.lake.end_sync(&caller(), &EndSync::new(id)).await.unwrap_err();
        assert!(told.is_unsettled(), "{told:?}");
        assert_eq!(bench.files.live_files()["/b/f"], b"1", "what readers see has changed");
        bench.lake.resume_closings().await.unwrap();
        assert_eq!(bench.lake.sync(&caller(), id).await.unwrap().sync_status, Status::Finished);
    });
}

#[test]
fn a_file_of_a_version_is_read_where_a_publish_has_moved_it_that_is_not_recorded() {
    block_on(async {
        let bench = bench(PAUSES).await;
        let first = stage(&bench, b"1").await;
        bench.lake.end_sync(&caller(), &EndSync::new(first)).await.unwrap();
        let second = stage(&bench, b"2").await;
        bench.fail("settle_sync", full());
        assert!(bench.lake.end_sync(&caller(), &EndSync::new(second)).await.unwrap_err().is_unsettled());
        assert_eq!(bench.files.live_files()["/b/f"], b"2");
        let version = Some(VersionNumber(1));
        let read = bench.lake.download_of_version(&caller(), "/b/f", None, version, None).await.unwrap();
        assert_eq!(read.file.read(0, 9).await.unwrap(), b"1");
    });
}

/// An upload lands after its sync was listed as idle, and before it is closed.
pub async fn a_sync_used_again_does_not_expire(bench: &Bench) {
    bench.fail("intend_landings", vec![Error::transient(io::Error::other("too many open files"))]);
    let mut upload = pin!(bench.upload("f", SMALL));
    bench.clock.paused_amid(upload.as_mut()).await;
    bench.clock.pass(Limits::default().sync_idle_max + Duration::from_secs(1));
    let mut expiry = pin!(bench.lake.expire_idle_syncs());
    assert!(timeout(Duration::from_millis(300), expiry.as_mut()).await.is_err(), "it waits for the upload");
    bench.clock.ends.add_permits(1);
    let (landed, expired) = tokio::join!(upload, expiry);
    landed.unwrap();
    assert_eq!(expired.unwrap(), 0);
    let sync = bench.lake.sync(&caller(), bench.sync_id).await.unwrap();
    assert_eq!((sync.sync_status, sync.total_files), (Status::Syncing, 1));
    bench.clock.pass(Limits::default().sync_idle_max + Duration::from_secs(1));
    assert_eq!(bench.lake.expire_idle_syncs().await.unwrap(), 1);
}

#[test]
fn a_sync_that_is_used_again_while_its_expiry_waits_stays_open() {
    block_on(async { a_sync_used_again_does_not_expire(&bench(0).await).await });
}

#[test]
fn a_restore_that_a_full_disk_keeps_from_its_row_is_not_called_refused_and_is_gone_on_with() {
    block_on(async {
        let bench = bench(SETTLING_PAUSES.len()).await;
        for bytes in [b"1", b"2"] {
            let id = stage(&bench, bytes).await;
            bench.lake.end_sync(&caller(), &EndSync::new(id)).await.unwrap();
        }
        let item = bench.lake.trash(&caller(), &Default::default()).await.unwrap()[0].trash_id;
        bench.fail("finish_restore", full());
        let told = bench.lake.restore(&caller(), item).await.unwrap_err();
        assert!(told.is_unsettled(), "{told:?}");
        assert_eq!(bench.files.live_files()["/b/f"], b"1", "what readers see has changed");
        bench.lake.resume_restores().await.unwrap();
        assert!(bench.state.unfinished_restores().await.unwrap().is_empty());
    });
}

#[test]
fn a_restore_that_cannot_be_cancelled_is_not_called_refused() {
    block_on(async {
        let bench = bench(SETTLING_PAUSES.len()).await;
        for bytes in [b"1", b"2"] {
            let id = stage(&bench, bytes).await;
            bench.lake.end_sync(&caller(), &EndSync::new(id)).await.unwrap();
        }
        let item = bench.lake.trash(&caller(), &Default::default()).await.unwrap()[0].trash_id;
        bench.files.fail_next("restore", full());
        bench.fail("cancel_restore", full());
        let told = bench.lake.restore(&caller(), item).await.unwrap_err();
        assert!(told.is_unsettled(), "{told:?}");
    });
}
