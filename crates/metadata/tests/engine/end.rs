//! Ends and restores that a full disk keeps from their rows.

use crate::bench::{Bench, bench, block_on, caller};
use bytes::Bytes;
use lakeshore::model::error::Error;
use lakeshore::model::id::SyncId;
use lakeshore::model::limits::SETTLING_PAUSES;
use lakeshore::model::sync::end::EndSync;
use lakeshore::model::sync::start::StartSync;
use lakeshore::model::sync::status::{Status, SyncType};
use lakeshore::model::upload::request::UploadRequest;

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
